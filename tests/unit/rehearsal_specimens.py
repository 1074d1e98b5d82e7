"""Journeys that show what a rehearsal does, and what it does not let pass."""

import random
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityHandle

from domain.enrollments import Start
from domain.events import CartAbandoned, PurchaseMade
from workflows import ALWAYS, ONCE, Journey, Outcome, ReEntry

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@workflow.defn
class DividesByZero(Journey[CartAbandoned]):
    """Has a mistake, an hour in."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Divide."""
        await self.sleep(HOUR)
        return Outcome.completed(str(1 / int(cart.cart_id == "another")))


@workflow.defn
class WaitsForEver(Journey[CartAbandoned]):
    """Waits for what never comes."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Wait without a timeout."""
        await self.step(
            "wait", type(None), lambda: workflow.wait_condition(lambda: cart.cart_id == "another")
        )
        return Outcome.completed()


class Days(BaseModel):
    """What a loop remembers."""

    passed: int = 0


@workflow.defn
class Quarter(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Ninety days with a question each day."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Count the days."""
        days = Days()
        async for day in self.rounds(days, most=90):
            if await self.wait_for(PurchaseMade, timeout=DAY):
                break
            await self.customer()
            days.passed = day
        return Outcome.completed(f"{cart.cart_id} {days.passed}")


def _rolled() -> timedelta:
    # Away from the journey, where its mistakes are not found at import.
    return timedelta(seconds=random.randint(1, 10**9))


@workflow.defn
class Rolls(Journey[CartAbandoned]):
    """Not deterministic."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Sleep for as long as the dice say."""
        await self.sleep(_rolled())
        return Outcome.completed(cart.cart_id)


@workflow.defn
class Patched(Journey[CartAbandoned]):
    """Changed after it was started, as it should be."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Take the new way."""
        await self.sleep(HOUR)
        which = "new" if workflow.patched("a better way") else "old"
        await self.sleep(HOUR)
        return Outcome.completed(f"{which} {cart.cart_id}")


def _by_the_clock() -> datetime:
    return datetime.now(UTC)


@workflow.defn
class LooksAtTheClock(Journey[CartAbandoned]):
    """Not allowed in the sandbox."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Look."""
        return Outcome.completed(f"{_by_the_clock()} {cart.cart_id}")


def _stock(cart_id: str) -> ActivityHandle[str]:
    policy = RetryPolicy(initial_interval=HOUR, non_retryable_error_types=["Gone"])
    return workflow.start_activity(
        "stock", cart_id, result_type=str, start_to_close_timeout=HOUR, retry_policy=policy
    )


@workflow.defn
class Tries(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Calls an activity of the team's own."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Until it has an answer, or the cart is bought."""
        said = "nothing"
        async with self.until(PurchaseMade):
            said = await self.step("stock", str, lambda: _stock(cart.cart_id), whole=False)
        return Outcome.completed(f"{said} at {await self.now():%H:%M}")


@workflow.defn
class HasAChild(Journey[CartAbandoned]):
    """Starts a child workflow."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Start it."""
        await self.step(
            "child", str, lambda: workflow.execute_child_workflow("Child", cart.cart_id)
        )
        return Outcome.completed()


@workflow.defn
class Asks(Journey[CartAbandoned]):
    """Asks a person."""

    @workflow.init
    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self.answer: int | None = None

    @workflow.update
    async def discount(self, percent: int) -> str:
        """The answer."""
        self.answer = percent
        return f"{percent} %"

    @discount.validator
    def _is_discount(self, percent: int) -> None:
        if percent > 50:
            raise ValueError("not more than half")

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Wait for it."""
        answered = lambda: self.answer is not None  # noqa: E731 - asked again and again
        await self.step(
            "answer", type(None), lambda: workflow.wait_condition(answered, timeout=DAY)
        )
        return Outcome.completed(f"{self.answer} {cart.cart_id}")


@workflow.defn
class Only(Journey[CartAbandoned], re_entry=ONCE, where=lambda cart: cart.total != 0):
    """Entered once."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Nothing to do."""
        return Outcome.completed(cart.cart_id)


@workflow.defn
class Pauses(Journey[CartAbandoned], re_entry=ReEntry(pause=DAY), key=lambda cart: cart.cart_id):
    """Entered again after a day."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Nothing much to do."""
        await self.sleep(HOUR)
        return Outcome.completed(cart.cart_id)


@workflow.defn
class TwoADay(Journey[CartAbandoned], re_entry=ALWAYS, entries_per_day=2):
    """Takes two a day, whoever they are."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Nothing much to do."""
        await self.sleep(HOUR)
        return Outcome.completed(cart.cart_id)


@workflow.defn
class Leads(Journey[CartAbandoned]):
    """Leads into another journey."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Wait for its end."""
        there = await self.through(Only, cart, timeout=DAY)
        return Outcome.completed(there.kind)


@workflow.defn
class AsksSales(Journey[CartAbandoned]):
    """Asks a person, and looks at what came before."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say what was answered."""
        before = await self.look_back(PurchaseMade, within=30 * DAY)
        dealt = await self.split("cart test", {"a": 1, "b": 0})
        reply = await self.ask(
            "sales", "Call her", choices=["yes", "no"], deadline=DAY, step=f"ask {cart.cart_id}"
        )
        return Outcome.completed(f"{len(before)} {dealt} {reply and reply.choice}")


@workflow.defn
class Counts:
    """A workflow without a journey around it: counts signals, over as many runs as it takes."""

    @workflow.init
    def __init__(self, count: int) -> None:
        self._count = count
        self._done = False

    @workflow.signal
    def add(self) -> None:
        """One more."""
        self._count += 1

    @workflow.signal
    def finish(self) -> None:
        """No more."""
        self._done = True

    @workflow.run
    async def run(self, count: int) -> str:
        """Count."""
        before = self._count
        info = workflow.info()
        await workflow.wait_condition(
            lambda: self._done or (self._count > before and info.is_continue_as_new_suggested())
        )
        if not self._done:
            workflow.continue_as_new(self._count)
        return f"{self._count} {count} {info.continued_run_id}"
