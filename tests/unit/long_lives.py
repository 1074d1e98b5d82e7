"""Journeys that a new run could get wrong, each in one way."""

import asyncio
from datetime import time, timedelta

from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from domain.events import CartAbandoned, PurchaseMade, SurveyAnswered
from tests.unit.specimens import REMINDER
from workflows import Journey, Outcome, TooLate, push

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@activity.defn
async def stock(cart_id: str) -> str:
    """Says that it is out of everything."""
    raise ApplicationError(f"no stock for {cart_id}", type="NoStock", non_retryable=True)


@activity.defn
async def busy(_: str) -> str:
    """Is never ready."""
    raise ApplicationError("busy")


@workflow.defn
class AsksBeforeItSends(Journey[CartAbandoned]):
    """Looks the customer up before each decision, and once more afterwards."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say what was known afterwards."""

        async def still() -> bool:
            return bool((await self.customer()).traits)

        said = (await self.send(push(REMINDER, cart), still=still)).kind
        tier = (await self.customer()).traits["tier"]
        await self.sleep(DAY)
        return Outcome.completed(f"{said} {tier}")


@workflow.defn
class OverBeforeItGoesOn(Journey[CartAbandoned], listens=[PurchaseMade, SurveyAnswered]):
    """Its block may be over before its wait goes on."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Sleep, send, and sleep again."""
        async with self.until(PurchaseMade) as bought:
            await self.sleep(DAY)
            await self.send(push(REMINDER, cart))
        await self.wait_for(SurveyAnswered, timeout=DAY)
        await self.sleep(DAY)
        return Outcome.completed(str(bool(bought)))


@workflow.defn
class BothAtOnce(Journey[CartAbandoned], listens=[PurchaseMade, SurveyAnswered]):
    """Two blocks that may end at once."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """What is in the outer one is over with it."""
        said = "over"
        async with self.until(PurchaseMade) as bought:
            async with self.until(SurveyAnswered) as answered:
                await self.sleep(DAY)
            said = (await self.send(push(REMINDER, cart))).kind
        await self.sleep(DAY)
        await self.sleep(DAY)
        return Outcome.completed(f"{said} {bool(bought)} {bool(answered)}")


@workflow.defn
class AsksInScope(Journey[CartAbandoned], listens=[PurchaseMade, SurveyAnswered]):
    """Asks a person as long as there is no purchase."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say what was answered."""
        said = "nothing"
        async with self.until(PurchaseMade):
            reply = await self.ask("sales", cart.cart_id, choices=["yes", "no"], deadline=DAY)
            said = f"{reply and reply.choice}"
        await self.sleep(DAY)
        return Outcome.completed(said)


@workflow.defn
class CatchesLate(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Goes on where it is too late for what it wanted."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Sleep; too late or not, wait for a purchase."""
        try:
            await self.sleep(HOUR, at_most_late=HOUR)
            said = "in time"
        except TooLate as late:
            said = f"late by {late.late}"
        async with self.until(PurchaseMade) as bought:
            await self.sleep(DAY)
            await self.send(push(REMINDER, cart))
        return Outcome.completed(f"{said} {bool(bought)}")


@workflow.defn
class CatchesErrors(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Its own activities fail, and are stopped."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say what they failed with."""
        said: list[str] = []
        try:
            await self.step(
                "stock",
                str,
                lambda: workflow.execute_activity(stock, cart.cart_id, start_to_close_timeout=HOUR),
            )
        except ActivityError as error:
            said.append(str(error.cause))
        try:
            await self.step("parse", int, _parse)
        except ValueError as error:
            said.append(str(error))
        async with self.until(PurchaseMade):
            await self.step(
                "busy",
                str,
                lambda: workflow.execute_activity(
                    busy,
                    cart.cart_id,
                    start_to_close_timeout=HOUR,
                    retry_policy=RetryPolicy(initial_interval=HOUR),
                ),
                whole=False,
            )
            said.append("was ready")
        await self.sleep(DAY)
        await self.sleep(DAY)
        return Outcome.completed("; ".join(said))


async def _parse() -> int:
    return int("seven")


class Count(BaseModel):
    """What a loop remembers."""

    bought: int = 0


@workflow.defn
class LoopsTwice(Journey[CartAbandoned], listens=[PurchaseMade, SurveyAnswered]):
    """Waits in a loop, and for the same once more after it."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Count."""
        count = Count()
        async for _ in self.rounds(count, most=2):
            count.bought += await self.wait_for(PurchaseMade, timeout=DAY) is not None
        last = await self.wait_for(PurchaseMade, timeout=DAY)
        async for _ in self.rounds(count, most=2):
            count.bought += 10 * (await self.wait_for(PurchaseMade, timeout=DAY) is not None)
        return Outcome.completed(f"{cart.cart_id} {count.bought} {last and last.order_id}")


@workflow.defn
class SortsWhatItFound(Journey[CartAbandoned]):
    """Does with a list what one does with a list."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Take the last one out."""
        orders = await self.look_back(PurchaseMade, within=30 * DAY)
        last = orders.pop()
        await self.sleep(DAY)
        await self.sleep(DAY)
        return Outcome.completed(f"{cart.cart_id} {last.order_id} of {len(orders) + 1}")


@workflow.defn
class FindsTheLastDear(Journey[CartAbandoned]):
    """Looks back for the last order that was dear."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say which it was."""
        found = await self.look_back(
            PurchaseMade, within=30 * DAY, where=lambda order: (order.total or 0) > 100, most=1
        )
        await self.sleep(DAY)
        await self.sleep(DAY)
        return Outcome.completed(f"{cart.cart_id} {' '.join(order.order_id for order in found)}")


@workflow.defn
class AtNine(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Waits for the morning where the customer is."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say when that was."""
        await self.sleep_until_local(time(9), day=1)
        return Outcome.completed(f"{cart.cart_id} {await self.now():%d %H:%M}")


@workflow.defn
class SaysGoodbye(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Leaves a line where a block is left."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """One line, in however many runs."""
        async with self.until(PurchaseMade):
            try:
                await self.sleep(DAY)
            finally:
                self.note(f"left {cart.cart_id}")
        await self.sleep(DAY)
        await self.sleep(DAY)
        return Outcome.completed()


@workflow.defn
class SendsUnderHolds(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Has something to say, whatever else happens meanwhile."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say it twice."""
        said = (await self.send(push(REMINDER, cart))).kind
        await self.hold()
        await self.sleep(DAY)
        return Outcome.completed(said)


@workflow.defn
class WaitsForGold(Journey[CartAbandoned]):
    """Waits for what no event tells."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Look again and again."""
        found = await self.when(
            lambda customer: customer.traits.get("tier") == "gold", timeout=300 * DAY
        )
        return Outcome.completed(f"{cart.cart_id} {found is not None}")


class Ballast(BaseModel):
    """What a loop remembers that forgets nothing."""

    letters: str = ""


@workflow.defn
class Hoards(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Remembers far too much, and then gives it up."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Grow with each purchase."""
        ballast = Ballast()
        async for round_ in self.rounds(ballast, most=4):
            await self.wait_for(PurchaseMade, timeout=DAY)
            ballast.letters = "x" * 1_600_000 if round_ < 3 else ""
        return Outcome.completed(f"{cart.cart_id} {len(ballast.letters)}")


@workflow.defn
class NamesByData(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Names a step in a loop after the purchase, each of which has a name of its own."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Grow with each purchase."""
        count = Count()
        async for _ in self.rounds(count, most=4):
            bought = await self.wait_for(PurchaseMade, timeout=DAY)
            order = f"{bought and bought.event_id} {'x' * 800_000}"
            await self.wait_for(PurchaseMade, timeout=0 * DAY, step=f"another than {order}")
            count.bought += bought is not None
        return Outcome.completed(f"{cart.cart_id} {count.bought}")


@workflow.defn
class HoardsGreek(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Remembers far too much in letters of two bytes, and then gives it up."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Grow with each purchase."""
        ballast = Ballast()
        async for round_ in self.rounds(ballast, most=4):
            await self.wait_for(PurchaseMade, timeout=DAY)
            ballast.letters = "ω" * 800_000 if round_ < 3 else ""
        return Outcome.completed(f"{cart.cart_id} {len(ballast.letters)}")


@workflow.defn
class SendsWithinItsWork(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Sends the same twice within work of its own, as it would outside of it."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say what became of both."""

        async def work() -> list[str]:
            kinds = await asyncio.gather(
                self.send(push(REMINDER, cart)), self.send(push(REMINDER, cart))
            )
            return [delivery.kind for delivery in kinds]

        return Outcome.completed(" ".join(await self.step("twice", list[str], work)))


@workflow.defn
class AsksWithinItsWork(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Asks a person within work of its own, which an event may end."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Go on for a day, whatever became of it."""

        async def work() -> str:
            reply = await self.ask("sales", f"Call about {cart.cart_id}", deadline=DAY)
            return reply.choice if reply else "nobody"

        async with self.until(PurchaseMade) as bought:
            return Outcome.completed(await self.step("call", str, work, whole=False))
        await self.sleep(DAY)
        return Outcome.completed(f"bought {bool(bought)}")


@workflow.defn
class WaitsWithinItsWork(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Waits within work of its own."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """The work is done once, and in one run."""

        async def work() -> str:
            self.note("begins to work")
            bought = await self.wait_for(PurchaseMade, timeout=DAY)
            again = await self.wait_for(PurchaseMade, timeout=DAY)
            return f"{bought and bought.event_id} {again and again.event_id}"

        said = await self.step("work", str, work)
        await self.sleep(DAY)
        return Outcome.completed(f"{cart.cart_id} {said}")
