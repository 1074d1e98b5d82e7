"""The journey `AsksSales` of `lasting` as a later version has it, which cannot take over."""

from temporalio import workflow

from domain.events import CartAbandoned, PurchaseMade
from tests.integration.lasting import DAY
from tests.unit.specimens import REMINDER
from workflows import Journey, Outcome, push


@workflow.defn
class AsksSales(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Sends before it asks anybody."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """What stands before the question is new to whoever was asked it."""
        await self.send(push(REMINDER, cart))
        reply = await self.ask("sales", "Call her", choices=["yes", "no"], deadline=DAY)
        return Outcome.completed(f"{cart.cart_id}: {reply and reply.choice}")
