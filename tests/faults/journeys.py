"""The journeys of the fault test: each keeps a diary of what its own code was given."""

from datetime import timedelta
from decimal import Decimal

from pydantic import BaseModel, Field
from temporalio import workflow
from typing_extensions import TypeVar

from domain.events import CartAbandoned, Event, SurveyAnswered
from domain.messages import Cap
from workflows import Journey, Outcome, Parameters, Template, Topic, push, webhook

with workflow.unsafe.imports_passed_through():
    from tests.faults.events import (
        BallPlayed,
        OfferMade,
        OfferWithdrawn,
        ParcelMoved,
        ParcelSent,
    )

WORDS = Template("abandoned_cart/reminder", CartAbandoned)
TASK = Template("post_purchase_survey/care_task", SurveyAnswered, topic=Topic.SERVICE)

E = TypeVar("E", bound=Event)
P = TypeVar("P", bound=Parameters, default=Parameters)

_FOR_EVER = timedelta(days=365)


class Pages(BaseModel):
    """What the journey's code was given, as it was given: number and `ref`.

    Attributes:
        taken: in the order of taking.
    """

    taken: list[tuple[int, str]] = Field(default_factory=list)

    def add(self, event: Event) -> None:
        """The journey was given this one."""
        self.taken.append(_line(event))


class Diary(Journey[E, P]):
    """A journey that can be asked what it was given."""

    pages: Pages | None = None

    @workflow.query
    def diary(self) -> list[tuple[int, str]]:
        """What was taken, in the order of taking, then what was not."""
        taken = self.pages.taken if self.pages else []
        return [*taken, *(_line(event) for event in self._enrollment.untaken)]


def _line(event: Event) -> tuple[int, str]:
    return event.number, str(getattr(event, "ref", ""))


@workflow.defn
class Rally(Diary[BallPlayed], listens=[BallPlayed]):
    """Ends while the next event, which would begin it anew, is perhaps on its way."""

    @workflow.run
    async def run(self, ball: BallPlayed) -> Outcome:
        """Take as many balls as the first one says."""
        self.pages = Pages(taken=[_line(ball)])
        async for _ in self.rounds(self.pages, most=ball.ends_after - 1):
            following = await self.wait_for(BallPlayed, timeout=_FOR_EVER)
            assert following is not None
            self.pages.add(following)
        return Outcome.completed(f"{ball.ends_after} balls")


@workflow.defn
class Shipment(Diary[ParcelSent], listens=[ParcelMoved], key=lambda parcel: parcel.parcel_id):
    """Several of them live at once, and each hears of every parcel of the customer."""

    @workflow.run
    async def run(self, parcel: ParcelSent) -> Outcome:
        """Follow the parcel until it has arrived."""
        self.pages = Pages(taken=[_line(parcel)])
        async for _ in self.rounds(self.pages):
            move = await self.wait_for(ParcelMoved, timeout=_FOR_EVER)
            assert move is not None
            self.pages.add(move)
            if move.arrived and move.parcel_id == parcel.parcel_id:
                break
        return Outcome.converted("arrived")


class OfferParameters(Parameters):
    """No pressure limit: every offer that still stands is told."""

    cap: Cap = Cap(count=1_000_000)


@workflow.defn
class Offer(
    Diary[OfferMade, OfferParameters],
    listens=[OfferWithdrawn],
    key=lambda offer: offer.offer_id,
):
    """Sends, unless the offer is withdrawn before."""

    @workflow.run
    async def run(self, offer: OfferMade) -> Outcome:
        """Tell the customer and our own people."""
        self.pages = Pages(taken=[_line(offer)])
        async with self.until(
            OfferWithdrawn, where=lambda one: one.offer_id == offer.offer_id
        ) as withdrawn:
            await self.sleep(timedelta(seconds=offer.after))
            await self.send(push(WORDS, CartAbandoned(cart_id=offer.offer_id)))
            task = SurveyAnswered(survey=offer.offer_id, score=Decimal(1))
            await self.send(webhook(TASK, task, to="care"))
        if withdrawn.event is None:
            return Outcome.completed("told")
        self.pages.add(withdrawn.event)
        return Outcome.exited("withdrawn")


JOURNEYS = (Rally, Shipment, Offer)
