"""Waits for events, written wrongly."""

from datetime import timedelta
from typing import assert_never

from domain.events import CartAbandoned, PageAbandoned, PurchaseMade, SurveyAnswered, TicketOpened
from workflows import Journey, Outcome, on

DAY = timedelta(days=1)


def a_ticket(ticket: TicketOpened) -> bool:
    return ticket.ticket_id != ""


async def slow(purchase: PurchaseMade) -> bool:
    return purchase.order_id != ""


class Hears(Journey[CartAbandoned], listens=[PurchaseMade, SurveyAnswered, TicketOpened]):
    async def run(self, event: CartAbandoned, /) -> Outcome:
        # What is waited for, and for how long.
        await self.wait_for(PurchaseMade)  # error: mypy=call-arg pyright=reportCallIssue
        await self.wait_for(PurchaseMade, timeout=3600)  # error: mypy=arg-type pyright=reportArgumentType
        await self.wait_for("purchase_made", timeout=DAY)  # error: mypy=arg-type pyright=reportArgumentType
        await self.wait_for(PurchaseMade(order_id="o1"), timeout=DAY)  # error: mypy=arg-type pyright=reportArgumentType
        await self.wait_for(PurchaseMade | TicketOpened, timeout=DAY)  # error: mypy=arg-type pyright=reportArgumentType
        await self.wait_for(on(PurchaseMade), timeout=DAY)  # error: mypy=arg-type pyright=reportArgumentType
        # Which one is meant.
        await self.wait_for(PurchaseMade, where=a_ticket, timeout=DAY)  # error: mypy=arg-type pyright=reportArgumentType
        await self.wait_for(PurchaseMade, where=slow, timeout=DAY)  # error: mypy=arg-type pyright=reportArgumentType
        await self.wait_for(PurchaseMade, where=lambda p: p.ticket_id == "", timeout=DAY)  # error: mypy=attr-defined pyright=reportAttributeAccessIssue
        await self.wait_for(PurchaseMade, where=True, timeout=DAY)  # error: mypy=arg-type pyright=reportArgumentType
        await self.quiet(PageAbandoned, where=a_ticket, duration=DAY)  # error: mypy=arg-type pyright=reportArgumentType
        await self.look_back(PurchaseMade, where=a_ticket, within=DAY)  # error: mypy=arg-type pyright=reportArgumentType
        on(PurchaseMade, a_ticket)  # error: mypy=arg-type pyright=reportArgumentType
        # What came.
        purchase = await self.wait_for(PurchaseMade, timeout=DAY)
        _ = purchase.order_id  # error: mypy=union-attr pyright=reportOptionalMemberAccess
        first = await self.first_of(PurchaseMade, SurveyAnswered, TicketOpened, timeout=DAY)
        match first:
            case PurchaseMade() | None:
                pass
            case SurveyAnswered():
                pass
            case _:
                assert_never(first)  # error: mypy=arg-type pyright=reportArgumentType
        if first:
            _ = first.ticket_id  # error: mypy=union-attr pyright=reportAttributeAccessIssue
        both = await self.all_of(PurchaseMade, SurveyAnswered, timeout=DAY)
        _, _ = both  # error: mypy=misc pyright=reportGeneralTypeIssues
        await self.first_of(PurchaseMade, timeout=DAY)  # error: mypy=call-overload pyright=reportCallIssue
        await self.first_of(PurchaseMade, "ticket_opened", timeout=DAY)  # error: mypy=call-overload pyright=reportArgumentType
        # Awaiting.
        self.wait_for(PurchaseMade, timeout=DAY)  # error: mypy=unused-coroutine pyright=reportUnusedCoroutine
        if self.wait_for(PurchaseMade, timeout=DAY):  # error: mypy=truthy-bool pyright=reportUnnecessaryComparison
            pass
        _ = self.wait_for(PurchaseMade, timeout=DAY).order_id  # error: mypy=attr-defined pyright=reportAttributeAccessIssue
        with self.until(PurchaseMade):  # error: mypy=attr-defined pyright=reportGeneralTypeIssues
            pass
        async with self.until(PurchaseMade, where=a_ticket):  # error: mypy=arg-type pyright=reportArgumentType
            pass
        async with self.until(PurchaseMade) as until:
            await self.sleep(DAY)
        _ = until.order_id  # error: mypy=attr-defined pyright=reportAttributeAccessIssue
        return Outcome.completed()
