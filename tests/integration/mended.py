"""The journey `AsksSales` of `lasting` as a later version has it, which can take over."""

from temporalio import workflow

from domain.events import CartAbandoned, PurchaseMade
from tests.integration.lasting import DAY
from workflows import Journey, Outcome


@workflow.defn
class AsksSales(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Asks a person, and does something else with the answer."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """What stands behind the question has been passed by nobody."""
        reply = await self.ask("sales", "Call her", choices=["yes", "no"], deadline=DAY)
        await self.sleep(DAY, step="after_asking")
        return Outcome.completed(f"{cart.cart_id}: {reply and reply.choice}")
