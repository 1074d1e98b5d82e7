"""Journeys that last: they ask people, lead into others, and hear a hundred thousand events."""

from datetime import timedelta

from pydantic import BaseModel
from temporalio import workflow

from domain.events import CartAbandoned, PurchaseMade
from workflows import Journey, Outcome

DAY = timedelta(days=1)


@workflow.defn
class AsksSales(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Asks a person, and waits once more."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say who answered what."""
        reply = await self.ask("sales", "Call her", choices=["yes", "no"], deadline=DAY)
        purchase = await self.wait_for(PurchaseMade, timeout=DAY)
        said = reply and f"{reply.choice} by {reply.by}"
        return Outcome.completed(f"{cart.cart_id}: {said}, {purchase and purchase.order_id}")


@workflow.defn
class AsksUntilBought(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Asks a person as long as there is no purchase, and stays for a day."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say who answered what."""
        said = cart.cart_id
        async with self.until(PurchaseMade) as bought:
            reply = await self.ask("sales", "Call her", choices=["yes", "no"], deadline=DAY)
            said = f"{said}: {reply and reply.choice} by {reply and reply.by}"
        if bought:
            await self.sleep(DAY)
        return Outcome.completed(said)


@workflow.defn
class Led(
    Journey[CartAbandoned], listens=[PurchaseMade], where=lambda cart: cart.cart_id != "lead"
):
    """The other journey."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Wait for the purchase."""
        purchase = await self.wait_for(PurchaseMade, timeout=DAY)
        return Outcome.converted(f"{cart.cart_id} {purchase and purchase.order_id}")


@workflow.defn
class LeadsThrough(Journey[CartAbandoned], where=lambda cart: cart.cart_id == "lead"):
    """Takes its customer through another journey."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say how that ended."""
        there = await self.through(Led, CartAbandoned(cart_id=f"{cart.cart_id} on"), timeout=DAY)
        return Outcome.completed(f"{there.kind}: {getattr(there, 'reason', None)}")


class Tally(BaseModel):
    """What the loop remembers.

    Attributes:
        heard: how many purchases it has taken.
        wrong: how many of them were not the one that came next.
    """

    heard: int = 0
    wrong: int = 0


@workflow.defn
class Endures(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Takes one purchase after the other."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Count, and see that each is the next; they are numbered from 0."""
        tally = Tally()
        async for _ in self.rounds(tally):
            purchase = await self.wait_for(PurchaseMade, timeout=365 * DAY)
            if purchase is None or purchase.order_id == "last":
                break
            tally.wrong += purchase.order_id != str(tally.heard)
            tally.heard += 1
        return Outcome.completed(f"{cart.cart_id}: {tally.heard} heard, {tally.wrong} wrong")
