"""Small journeys that wait for times, ask people, and lead into others."""

from datetime import datetime, time, timedelta

from pydantic import Field
from temporalio import workflow

from domain.events import CartAbandoned, PurchaseMade
from domain.local_time import Day, Window
from tests.unit.specimens import REMINDER
from workflows import ONCE, Journey, Outcome, Parameters, TooLate, push, webhook

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@workflow.defn
class UntilDates(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Waits until a moment that has passed, and one that has not."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say which was which."""
        before = await self.sleep_until(self.entered_at - HOUR)
        after = await self.sleep_until(datetime.fromisoformat(cart.cart_id))
        return Outcome.completed(f"{before.passed} {after.passed} {await self.now():%H:%M}")


@workflow.defn
class TomorrowAtHalfPastTwo(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Waits for a time that some nights do not have, and some have twice."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say when it was, in UTC."""
        await self.sleep_until_local(time(2, 30), day=1)
        return Outcome.completed(f"{cart.cart_id} {await self.now():%d %H:%M}")


@workflow.defn
class InTheWindow(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Waits for office hours."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say when they began."""
        window = Window(time(9), time(11), Day.TUESDAY.to(Day.THURSDAY))
        await self.sleep_until_window(window)
        return Outcome.completed(f"{cart.cart_id} {await self.now():%d %H:%M}")


@workflow.defn
class TooLateIsSkipped(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Has two waits, of which one forgives nothing."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say what was skipped."""
        late = (await self.sleep(HOUR)).late
        try:
            await self.wait_for(PurchaseMade, timeout=HOUR, at_most_late=timedelta(minutes=30))
        except TooLate as too_late:
            return Outcome.completed(f"{cart.cart_id} {late}, then {too_late.late}")
        return Outcome.completed(f"{cart.cart_id} {late}")


class Words(Parameters):
    """What can be set from outside."""

    word: str = Field(default="as written")


@workflow.defn
class SaysItsWord(Journey[CartAbandoned, Words], listens=[PurchaseMade]):
    """Says its parameter, late."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say it."""
        await self.wait_for(PurchaseMade, timeout=DAY)
        return Outcome.completed(f"{cart.cart_id} {self.parameters.word}")


@workflow.defn
class Breaks(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Has a mistake after its first purchase."""

    fixed = False

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Count on until there is no more."""
        first = await self.wait_for(PurchaseMade, timeout=DAY)
        if not type(self).fixed:
            raise ZeroDivisionError(cart.cart_id)
        second = await self.wait_for(PurchaseMade, timeout=DAY)
        return Outcome.completed(f"{first and first.order_id} {second and second.order_id}")


@workflow.defn
class EscalatesTooLate(Journey[CartAbandoned]):
    """Asks for a day, and would ask somebody else after two."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say when it was over."""
        await self.ask(
            "sales",
            f"Call about {cart.cart_id}",
            deadline=timedelta(days=1),
            escalate_to="boss",
            escalate_after=timedelta(days=2),
        )
        return Outcome.completed(str(await self.now() - self.entered_at))


@workflow.defn
class AsksTwo(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Asks sales, and the boss where sales do not answer."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say who answered."""
        said = "withdrawn"
        async with self.until(PurchaseMade):
            reply = await self.ask(
                "sales", cart.cart_id, choices=["yes", "no"], deadline=DAY, escalate_to="boss"
            )
            said = f"{reply.choice} by {reply.by} as {reply.role}" if reply else "nobody"
        await self.sleep(DAY)
        return Outcome.completed(said)


@workflow.defn
class Other(Journey[CartAbandoned], listens=[PurchaseMade], re_entry=ONCE):
    """The journey that others lead to."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Wait for the purchase."""
        purchase = await self.wait_for(PurchaseMade, timeout=3 * DAY)
        return Outcome.converted(cart.cart_id) if purchase else Outcome.completed(cart.cart_id)


@workflow.defn
class GoesThrough(Journey[CartAbandoned]):
    """Takes its customer through the other one."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say how that ended, and wait on."""
        ended = await self.through(Other, cart, timeout=2 * DAY)
        await self.sleep(HOUR)
        return Outcome.completed(f"{ended.kind} {getattr(ended, 'reason', '')}".strip())


@workflow.defn
class HandsOver(Journey[CartAbandoned]):
    """Ends in the other one."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Go over."""
        await self.sleep(HOUR)
        return self.hand_over(Other, cart)


@workflow.defn
class Deals(Journey[CartAbandoned], key=lambda cart: cart.cart_id):
    """Deals a variant, and sends by it."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say which."""
        weights = {"a": 1.0, "b": 0.0} if cart.cart_id == "first" else {"a": 0.0, "b": 1.0}
        variant = await self.split("words", weights)
        await self.sleep(HOUR)
        await self.send(push(REMINDER, cart), step=f"reminder_{variant}")
        return Outcome.completed(variant)


@workflow.defn
class EntersAsIfItHandedOver(Journey[CartAbandoned]):
    """Enters another journey, and then hands over to it."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Under one name both would be one."""
        await self.enter(Other, cart, step="hand_over")
        return self.hand_over(Other, cart)


@workflow.defn
class ThinksBetterOfIt(Journey[CartAbandoned]):
    """Would hand over, and then does not."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Stay."""
        over = self.hand_over(Other, cart)
        await self.sleep(DAY)
        return Outcome.completed(f"not {over.reason}")


@workflow.defn
class TellsAsPromotion(Journey[CartAbandoned]):
    """Tells a role by what an open ticket would hold."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Ask."""
        await self.ask("sales", "Call", deadline=DAY, tell=webhook(REMINDER, cart, to="sales"))
        return Outcome.completed()


@workflow.defn
class LooksBackForNone(Journey[CartAbandoned]):
    """Looks back for as many orders as it has none of."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say how many it got."""
        none = len(cart.products)
        found = await self.look_back(PurchaseMade, within=DAY, where=bool, most=none)
        return Outcome.completed(f"{len(found)}")
