"""Renew a contract in time, on days that the contract itself names."""

from datetime import date, time, timedelta

from temporalio import workflow

from audiences.purchases import high_value
from domain.events import ContractCancelled, ContractRenewed, ContractSigned
from domain.events.contracts import OfContract, Term
from workflows import (
    WEEKDAYS,
    Journey,
    Outcome,
    Parameters,
    Template,
    Topic,
    Window,
    email,
    webhook,
)

NOTICE = Template("renewal/notice", Term, topic=Topic.SERVICE)
LAST_NOTICE = Template("renewal/last_notice", Term, topic=Topic.SERVICE)
TASK = Template("renewal/task", Term, topic=Topic.SERVICE)


class RenewalParameters(Parameters):
    """What may be changed without touching the code. Both notices are so long before the end."""

    notice: timedelta = timedelta(days=60)
    last_notice: timedelta = timedelta(days=14)
    office: Window = Window(time(9), time(17), WEEKDAYS)
    call_within: timedelta = timedelta(days=3)


@workflow.defn
class Renewal(
    Journey[ContractSigned | ContractRenewed, RenewalParameters],
    listens=[ContractRenewed, ContractCancelled],
    key=lambda term: f"{term.contract_id}_{term.ends_on}",
):
    """Remind a customer that a contract ends, twice and in time; each term is a journey.

    The first notice comes on the day that the customer asked for (the trait `remind_on`), or
    `notice` before the end. The last one is a call for those who are worth it.
    """

    @workflow.run
    async def run(self, term: ContractSigned | ContractRenewed) -> Outcome:
        """Wait for the days; renewed or cancelled meanwhile, there is nothing to remind of."""

        def same(event: OfContract) -> bool:
            return event.contract_id == term.contract_id

        def goes_on(renewed: ContractRenewed) -> bool:
            return same(renewed) and renewed.ends_on > term.ends_on

        async with (
            self.until(ContractCancelled, where=same) as cancelled,
            self.until(ContractRenewed, where=goes_on) as renewed,
        ):
            asked_for = _day((await self.customer()).traits.get("remind_on"))
            if await self._comes(asked_for or term.ends_on - self.parameters.notice):
                await self.send(email(NOTICE, term))
            if await self._comes(term.ends_on - self.parameters.last_notice):
                await self._last_notice(term)
            await self.sleep_until_local(time(0), day=term.ends_on + timedelta(days=1))

        if renewed:
            return Outcome.converted("renewed")
        return Outcome.exited("cancelled") if cancelled else Outcome.completed("it has ended")

    async def _comes(self, day: date) -> bool:
        """Wait for a working hour of that day or after it; False where the day has passed."""
        arrival = await self.sleep_until_local(self.parameters.office.opens, day=day)
        if not arrival.passed:
            await self.sleep_until_window(self.parameters.office)
        return not arrival.passed

    async def _last_notice(self, term: Term) -> None:
        """A call for those who are worth it at this moment; a mail for whom nobody called."""
        if (await self.customer()).is_in(high_value):
            reply = await self.ask(
                "accounts",
                f"Contract {term.contract_id} ends on {term.ends_on}: call the customer",
                choices=["renews", "thinks about it", "leaves"],
                deadline=self.parameters.call_within,
                escalate_to="accounts_lead",
                tell=webhook(TASK, term, to="accounts"),
            )
            if reply is not None:
                return
        await self.send(email(LAST_NOTICE, term))


def _day(told: object) -> date | None:
    try:
        return date.fromisoformat(str(told))
    except ValueError:
        return None
