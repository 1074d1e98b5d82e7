"""How long a journey's test takes its author: the cart's, and one of ninety days."""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from statistics import median

from pydantic import BaseModel
from temporalio import workflow

from bench.plan import Measured, Plan
from bench.report import Figure
from domain.events import CartAbandoned, PurchaseMade
from journeys.abandoned_cart import AbandonedCart
from rehearsal import Rehearsal
from workflows import Journey, Outcome, Template, push

_CART = CartAbandoned(cart_id="c1")
_REMINDER = Template("abandoned_cart/reminder", CartAbandoned)
Story = Callable[[Rehearsal], Awaitable[None]]

_DAY = timedelta(days=1)
_TIMES = 20  # in each repeat, so that the first, which compiles templates, does not decide


class Nothing(BaseModel):
    """What a loop remembers that remembers nothing."""


@workflow.defn
class Quarter(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Waits every day, looks the customer up, and asks for a message once a week."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Ninety days."""
        async for day in self.rounds(Nothing(), most=90):
            if await self.wait_for(PurchaseMade, timeout=_DAY):
                return Outcome.converted()
            await self.customer()
            if day % 7 == 1:
                await self.send(push(_REMINDER, cart))
        return Outcome.completed()


async def measure(plan: Plan) -> Measured:
    """Play each, from opening the rehearsal to closing it."""
    stories: tuple[tuple[str, Story, dict[str, bool], float | None], ...] = (
        ("a test of the cart", _cart, {}, 50.0),
        ("a test of a 90-day journey", _quarter, {}, 1_000.0),
        ("a test of the cart, in the sandbox", _cart, {"sandboxed": True}, None),
        ("a test of the cart, each step replayed", _cart, {"replays": True}, None),
    )
    figures = [await _measured(plan, *story) for story in stories]
    return Measured(figures)


async def _measured(
    plan: Plan,
    name: str,
    story: Story,
    options: dict[str, bool],
    at_most: float | None,
) -> Figure:
    repeats: list[float] = []
    for _ in range(plan.repeats):
        times: list[float] = []
        for _ in range(_TIMES):
            began = time.perf_counter()
            async with Rehearsal(**options) as rehearsal:  # type: ignore[arg-type]
                await story(rehearsal)
            times.append((time.perf_counter() - began) * 1000)
        repeats.append(median(times))
    plan.say(name)
    return Figure(name, median(repeats), "ms", repeats, at_most=at_most)


async def _cart(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(AbandonedCart, _CART)
    await play.passes(timedelta(minutes=59))
    assert play.sent == []
    await play.ends()
    assert play.sent == ["reminder/push", "gentle_reminder/push"]


async def _quarter(rehearsal: Rehearsal) -> None:
    play = await rehearsal.play(Quarter, _CART)
    await play.ends()
    assert len(play.sent) == 13
