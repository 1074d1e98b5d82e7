"""Win a customer back who has not ordered for a while, without becoming a nuisance."""

from datetime import timedelta

from pydantic import BaseModel
from temporalio import workflow

from audiences.purchases import first_order_at, lapsing, last_order_at, orders
from domain.audiences import about
from domain.customers import Customer
from domain.events import EmailLinkClicked, PurchaseMade, SegmentEntered
from workflows import Journey, Outcome, Parameters, Template, email


class Letter(BaseModel):
    """What the mails know of the customer."""

    last_bought: str | None = None


WE_MISS_YOU = Template("win_back/we_miss_you", Letter)
WHAT_IS_NEW = Template("win_back/what_is_new", Letter)


class WinBackParameters(Parameters):
    """What may be changed without touching the code.

    `held_out`: the share of customers who get nothing, to compare the others with. `shortest`,
    `longest`: between them lies the pause after a mail. `patience`: after so many mails in a row
    that were ignored the customer is left in peace.
    """

    held_out: float = 0.1
    shortest: timedelta = timedelta(days=4)
    longest: timedelta = timedelta(days=60)
    patience: int = 3


class Cadence(BaseModel):
    """What the rounds remember: the pause after the next mail, and how many were ignored."""

    pause: timedelta
    ignored: int = 0


@workflow.defn
class WinBack(
    Journey[SegmentEntered, WinBackParameters],
    where=about(lapsing),
    listens=[EmailLinkClicked, PurchaseMade],
):
    """Win back a customer who is drifting away: less often when ignored, as before when not."""

    @workflow.run
    async def run(self, entered: SegmentEntered) -> Outcome:
        """Mail by mail, each pause twice as long as the one before until somebody clicks."""
        if await self.holdout(self.parameters.held_out):
            return Outcome.exited(f"held out of those who are {entered.segment}")
        usual = self._usual_pause(await self.customer())
        bought = await self.look_back(PurchaseMade, within=timedelta(days=730), most=1)
        products = [one.name for purchase in bought for one in purchase.products]
        letter = Letter(last_bought=products[0] if products else None)

        cadence = Cadence(pause=usual)
        async with self.until(PurchaseMade) as purchase:
            async for n in self.rounds(cadence):
                await self.send(email(WE_MISS_YOU if n == 1 else WHAT_IS_NEW, letter))
                if await self.wait_for(EmailLinkClicked, timeout=cadence.pause):
                    cadence.pause, cadence.ignored = usual, 0
                    await self.quiet(EmailLinkClicked, duration=usual)
                    continue
                cadence.pause = min(cadence.pause * 2, self.parameters.longest)
                cadence.ignored += 1
                if cadence.ignored == self.parameters.patience:
                    break

        if purchase:
            return Outcome.converted("came back")
        return Outcome.completed(f"{cadence.ignored} mails ignored: left in peace")

    def _usual_pause(self, customer: Customer) -> timedelta:
        """A quarter of the time that lay between two of the customer's orders."""
        pause = self.parameters.shortest
        first, last = customer.value(first_order_at), customer.value(last_order_at)
        if first and last:
            gaps = max((customer.value(orders) or 0) - 1, 1)
            pause = max(pause, (last - first) / gaps / 4)
        return min(pause, self.parameters.longest)
