"""What the store, the clock, people and other journeys give."""

from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Literal, assert_never, assert_type

from pydantic import BaseModel
from temporalio import workflow

from domain.customers import Customer
from domain.events import CartAbandoned, PageAbandoned, PurchaseMade
from workflows import (
    Arrival,
    Day,
    Delivery,
    Entered,
    Journey,
    NotEntered,
    Outcome,
    Parameters,
    Reply,
    Sent,
    StillInside,
    Suppressed,
    Template,
    Unknown,
    Window,
    email,
    push,
    webhook,
)

DAY = timedelta(days=1)
NOTE = Template("right/note", PurchaseMade)


class Points(BaseModel):
    total: Decimal = Decimal(0)


class Patience(Parameters):
    after: timedelta = DAY


@workflow.defn
class Loyalty(Journey[CartAbandoned | PurchaseMade, Patience]):
    @workflow.run
    async def run(self, event: CartAbandoned | PurchaseMade) -> Outcome:
        assert_type(self.parameters, Patience)
        assert_type(self.parameters.after, timedelta)
        assert_type(self.entered_at, datetime)
        match event:
            case CartAbandoned():
                return Outcome.completed(event.cart_id)
            case PurchaseMade():
                return Outcome.completed(event.order_id)


@workflow.defn
class Asks(Journey[PurchaseMade]):
    @workflow.run
    async def run(self, purchase: PurchaseMade) -> Outcome:
        assert_type(self.parameters, Parameters)
        await self._the_store()
        await self._the_clock()
        await self._our_people(purchase)
        await self._itself()
        return await self._other_journeys(purchase)

    async def _the_store(self) -> None:
        assert_type(await self.customer(), Customer)
        assert_type(await self.when(lambda c: "vip" in c.segments, timeout=DAY), Customer | None)
        assert_type(
            await self.look_back(
                PageAbandoned, within=DAY, where=lambda page: page.url is not None
            ),
            list[PageAbandoned],
        )
        assert_type(await self.holdout(0.1), bool)
        assert_type(await self.split("color", {"red": 1, "blue": 2}), str)
        variants: dict[Literal["red", "blue"], float] = {"red": 1, "blue": 2}
        assert_type(await self.split("color", variants), Literal["red", "blue"])
        # Said what there is, a variant that is not there is an error and a match is complete.
        color: Literal["red", "blue"] = await self.split("color", {"red": 1, "blue": 2})
        match color:
            case "red" | "blue":
                pass
            case _:
                assert_never(color)

    async def _the_clock(self) -> None:
        assert_type(await self.now(), datetime)
        assert_type(await self.sleep(DAY), Arrival)
        assert_type(await self.sleep_until(await self.now() + DAY), Arrival)
        assert_type(await self.sleep_until_local(time(9), day=1), Arrival)
        window = Window(time(9), time(11), Day.TUESDAY.to(Day.THURSDAY))
        assert_type(await self.sleep_until_window(window), Arrival)

    async def _our_people(self, purchase: PurchaseMade) -> None:
        assert_type(await self.ask("sales", "Call", deadline=DAY, choices=["yes"]), Reply | None)
        delivery = await self.send_first(push(NOTE, purchase), email(NOTE, purchase))
        assert_type(delivery, Delivery)
        match delivery:
            case Sent(channel=channel):
                assert_type(channel, str)
            case Suppressed(detail=detail):
                assert_type(detail, str)
            case Unknown():
                pass
            case _:
                assert_never(delivery)

        async def still() -> bool:
            return (await self.customer()).traits.get("vip") is True

        await self.send(webhook(NOTE, purchase, to="sales"), still=still)
        await self.send(email(NOTE, purchase), still=lambda: True)

    async def _itself(self) -> None:
        points = Points()
        async for number in self.rounds(points, most=3):
            assert_type(number, int)
            points.total += 1

        async def score() -> float:
            return 0.5

        assert_type(await self.step("score", float, score), float)
        assert_type(
            await self.step("nap", type(None), lambda: workflow.sleep(DAY), whole=False), None
        )
        assert_type(await self.step("names", list[str], self._names), list[str])

    async def _names(self) -> list[str]:
        return ["ben"]

    async def _other_journeys(self, purchase: PurchaseMade) -> Outcome:
        through = await self.through(Loyalty, purchase, timeout=DAY)
        assert_type(through, Outcome | NotEntered | StillInside)
        match through:
            case Outcome(kind=_, reason=reason):
                assert_type(reason, str)
            case NotEntered(reason=why):
                assert_type(why, str)
            case StillInside(enrollment_id=id_):
                assert_type(id_, str)
            case _:
                assert_never(through)
        assert_type(await self.enter(Loyalty, CartAbandoned(cart_id="c1")), Entered | NotEntered)
        return self.hand_over(Loyalty, purchase)
