"""Loyalty for life: ten years with a customer, purchase by purchase and year by year."""

from datetime import datetime, time, timedelta

from pydantic import BaseModel
from temporalio import workflow

from audiences.purchases import high_value, regular
from domain.audiences import about
from domain.events import AccountDeleted, PurchaseMade, SegmentEntered
from workflows import ONCE, Journey, Outcome, Parameters, Template, Topic, Window, email, webhook


class Membership(BaseModel):
    """What the rounds remember, and what the mails know: orders and whole years as a regular."""

    year_ends: datetime
    orders: int = 0
    years: int = 0


GIFT = Template("loyalty/gift", Membership)
ANNIVERSARY = Template("loyalty/anniversary", Membership)
TASK = Template("loyalty/task", Membership, topic=Topic.SERVICE)


class LoyaltyParameters(Parameters):
    """What may be changed without touching the code. `gift_every`: so many orders."""

    year: timedelta = timedelta(days=365, hours=6)
    years: int = 10
    gift_every: int = 10
    awake: Window = Window(time(9), time(20))
    call_within: timedelta = timedelta(days=7)


@workflow.defn
class Loyalty(
    Journey[SegmentEntered, LoyaltyParameters],
    where=about(regular),
    listens=[PurchaseMade, AccountDeleted],
    re_entry=ONCE,
):
    """Stay with a regular customer for ten years: a gift every ten orders, a word every year.

    Who is of high value when a year is over is called; the others get a mail.
    """

    @workflow.run
    async def run(self, entered: SegmentEntered) -> Outcome:
        """Round by round, until the next purchase or the end of the year."""
        self.note(f"is {entered.segment} from now on")
        member = Membership(year_ends=self.entered_at + self.parameters.year)
        async with self.until(AccountDeleted) as left:
            async for _ in self.rounds(member):
                rest = member.year_ends - await self.now()
                if await self.wait_for(PurchaseMade, timeout=rest):
                    member.orders += 1
                    if member.orders % self.parameters.gift_every == 0:
                        await self.sleep_until_window(self.parameters.awake)
                        await self.send(email(GIFT, member))
                    continue
                member.years += 1
                member.year_ends += self.parameters.year
                await self._anniversary(member)
                if member.years == self.parameters.years:
                    break

        said = f"years: {member.years}, orders: {member.orders}"
        return Outcome.exited(f"left; {said}") if left else Outcome.completed(said)

    async def _anniversary(self, member: Membership) -> None:
        """A call for those of high value at this moment; a mail for those whom nobody reached."""
        await self.sleep_until_window(self.parameters.awake)
        if (await self.customer()).is_in(high_value):
            reply = await self.ask(
                "concierge",
                f"Say thank you: {member.years} years, {member.orders} orders",
                choices=["reached", "not reached"],
                deadline=self.parameters.call_within,
                tell=webhook(TASK, member, to="concierge"),
            )
            if reply is not None and reply.choice == "reached":
                return
        await self.send(email(ANNIVERSARY, member))
