"""Remind a customer of a cart left for an hour."""

from datetime import timedelta

from temporalio import workflow

from domain.events import CartAbandoned, PurchaseMade
from workflows import Journey, Outcome, Parameters, Template, email, push

REMINDER = Template("abandoned_cart/reminder", CartAbandoned)
GENTLE_REMINDER = Template("abandoned_cart/gentle_reminder", CartAbandoned)


class CartParameters(Parameters):
    """What may be changed without touching the code."""

    patience: timedelta = timedelta(hours=1)
    second_reminder_after: timedelta = timedelta(days=1)
    worth_it_for: timedelta = timedelta(days=7)


@workflow.defn
class AbandonedCart(
    Journey[CartAbandoned, CartParameters],
    listens=[PurchaseMade],
    key=lambda cart: cart.cart_id,
):
    """Remind a customer of a cart left for an hour.

    A purchase of this cart ends the journey wherever it stands. While a ticket is open the
    reminders wait; a cart older than `worth_it_for` is not mentioned any more.
    """

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """One reminder after `patience`, a gentler one a day later."""

        def this_cart(purchase: PurchaseMade) -> bool:
            return purchase.buys(cart)

        def still_worth_it() -> bool:
            return workflow.now() - self.entered_at < self.parameters.worth_it_for

        if await self.wait_for(PurchaseMade, where=this_cart, timeout=self.parameters.patience):
            return Outcome.converted("bought before the reminder")

        async with self.until(PurchaseMade, where=this_cart) as purchase:
            await self.send_first(push(REMINDER, cart), email(REMINDER, cart), still=still_worth_it)
            await self.sleep(self.parameters.second_reminder_after)
            await self.send_first(
                push(GENTLE_REMINDER, cart), email(GENTLE_REMINDER, cart), still=still_worth_it
            )

        return Outcome.converted("bought") if purchase else Outcome.completed("not bought")
