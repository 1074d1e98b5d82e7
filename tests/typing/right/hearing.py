"""What the waits for events give."""

from datetime import timedelta
from typing import assert_never, assert_type

from temporalio import workflow

from domain.events import (
    CartAbandoned,
    PageAbandoned,
    PurchaseMade,
    SurveyAnswered,
    TicketClosed,
    TicketOpened,
)
from workflows import Journey, Match, Outcome, Quiet, Until, on

DAY = timedelta(days=1)


@workflow.defn
class Hears(
    Journey[CartAbandoned],
    listens=[PurchaseMade, SurveyAnswered, TicketOpened, TicketClosed, PageAbandoned],
    key=lambda cart: cart.cart_id,
):
    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        def this_cart(purchase: PurchaseMade) -> bool:
            return purchase.buys(cart)

        assert_type(
            await self.wait_for(PurchaseMade, where=this_cart, timeout=DAY), PurchaseMade | None
        )
        await self.wait_for(PurchaseMade, where=lambda p: p.cart_id == cart.cart_id, timeout=DAY)
        if purchase := await self.wait_for(PurchaseMade, timeout=DAY):
            assert_type(purchase, PurchaseMade)
        assert_type(on(PurchaseMade, this_cart), Match[PurchaseMade])

        await self._first_of()
        await self._all_of()

        quiet = await self.quiet(PageAbandoned, duration=DAY, where=lambda page: page.url != "")
        assert_type(quiet, Quiet[PageAbandoned])
        assert_type(quiet.last, PageAbandoned | None)
        assert_type(quiet.count, int)

        async with self.until(PurchaseMade, where=this_cart) as bought:
            async with self.until(TicketOpened) as opened:
                await self.sleep(DAY)
            assert_type(opened, Until[TicketOpened])
        assert_type(bought.event, PurchaseMade | None)
        # What follows a block can be reached, though the block may be left early.
        return Outcome.converted(bought.event.order_id) if bought.event else Outcome.completed()

    async def _first_of(self) -> None:
        two = await self.first_of(PurchaseMade, TicketOpened, timeout=DAY)
        assert_type(two, PurchaseMade | TicketOpened | None)
        match two:
            case PurchaseMade():
                assert_type(two, PurchaseMade)
            case TicketOpened(ticket_id=ticket_id):
                assert_type(ticket_id, str)
            case None:
                pass
            case _:
                assert_never(two)
        assert_type(
            await self.first_of(
                on(PurchaseMade, lambda p: p.total is not None),
                SurveyAnswered,
                on(TicketOpened, lambda t: t.ticket_id != ""),
                timeout=DAY,
            ),
            PurchaseMade | SurveyAnswered | TicketOpened | None,
        )
        four = await self.first_of(
            PurchaseMade, SurveyAnswered, TicketOpened, TicketClosed, timeout=DAY
        )
        assert_type(four, PurchaseMade | SurveyAnswered | TicketOpened | TicketClosed | None)
        five = await self.first_of(
            PurchaseMade, SurveyAnswered, TicketOpened, TicketClosed, PageAbandoned, timeout=DAY
        )
        assert_type(
            five, PurchaseMade | SurveyAnswered | TicketOpened | TicketClosed | PageAbandoned | None
        )

    async def _all_of(self) -> None:
        both = await self.all_of(PurchaseMade, SurveyAnswered, timeout=DAY)
        assert_type(both, tuple[PurchaseMade, SurveyAnswered] | None)
        if both is not None:
            purchase, answer = both
            assert_type(purchase, PurchaseMade)
            assert_type(answer, SurveyAnswered)
        assert_type(
            await self.all_of(
                on(PurchaseMade, lambda p: p.total is not None),
                SurveyAnswered,
                TicketOpened,
                timeout=DAY,
            ),
            tuple[PurchaseMade, SurveyAnswered, TicketOpened] | None,
        )
        four = await self.all_of(
            PurchaseMade, SurveyAnswered, TicketOpened, TicketClosed, timeout=DAY
        )
        assert_type(four, tuple[PurchaseMade, SurveyAnswered, TicketOpened, TicketClosed] | None)
        five = await self.all_of(
            PurchaseMade, SurveyAnswered, TicketOpened, TicketClosed, PageAbandoned, timeout=DAY
        )
        assert_type(
            five,
            tuple[PurchaseMade, SurveyAnswered, TicketOpened, TicketClosed, PageAbandoned] | None,
        )
