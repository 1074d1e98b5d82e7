"""Tell a customer that what they asked for is there again."""

from datetime import time, timedelta

from pydantic import BaseModel
from temporalio import workflow

from domain.events import ProductRestocked, ProductSoldOut, PurchaseMade, StockAlertRequested
from workflows import (
    Journey,
    Outcome,
    Parameters,
    Sent,
    Template,
    Unknown,
    Window,
    email,
    push,
)

BACK = Template("back_in_stock/back", ProductRestocked)


class StockParameters(Parameters):
    """What may be changed without touching the code.

    `awake`: when a customer may be disturbed, by the clock where they are.
    """

    worth_it_for: timedelta = timedelta(days=90)
    awake: Window = Window(time(8), time(21))
    decide_within: timedelta = timedelta(days=3)


class Search(BaseModel):
    """What the rounds remember: whether the customer was told."""

    told: bool = False


@workflow.defn
class BackInStock(
    Journey[StockAlertRequested, StockParameters],
    listens=[ProductRestocked, ProductSoldOut, PurchaseMade],
    key=lambda wish: wish.product_id or wish.sku or "",
):
    """Tell a customer once that a product is there again, unless it is gone by then.

    What is sold out again before the customer could be told is waited for anew; who has bought
    it, here or elsewhere, is not told any more.
    """

    @workflow.run
    async def run(self, wish: StockAlertRequested) -> Outcome:
        """Wait for the product, tell the customer, see whether they buy it."""

        def buys_it(purchase: PurchaseMade) -> bool:
            return any(wish.is_same(line) for line in purchase.products)

        search = Search()
        async with self.until(PurchaseMade, where=buys_it) as purchase:
            async for _ in self.rounds(search):
                back = await self.wait_for(
                    ProductRestocked, where=wish.is_same, timeout=self.parameters.worth_it_for
                )
                if back is None:
                    break
                search.told = await self._tell(back)
                if search.told:
                    await self.sleep(self.parameters.decide_within, "let them decide")
                    break

        if purchase:
            return Outcome.converted("bought it")
        return Outcome.completed("told") if search.told else Outcome.exited("it did not come back")

    async def _tell(self, back: ProductRestocked) -> bool:
        """Tell the customer when they are awake; not if it is sold out again by then."""

        def gone_again(gone: ProductSoldOut) -> bool:
            return back.is_same(gone) and gone.occurred_at > back.occurred_at

        delivery = None
        async with self.until(ProductSoldOut, where=gone_again):
            await self.sleep_until_window(self.parameters.awake)
            delivery = await self.send_first(push(BACK, back), email(BACK, back))
        return isinstance(delivery, Sent | Unknown)
