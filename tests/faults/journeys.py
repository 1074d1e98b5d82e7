"""The journeys of the fault test: each keeps a diary of what its own code was given."""

from datetime import timedelta
from decimal import Decimal

from temporalio import workflow

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

_FOR_EVER = timedelta(days=365)


class Diary:
    """What the journey's code was given, as it was given."""

    taken: tuple[Event, ...] = ()
    _untaken: list[Event]

    @workflow.query
    def diary(self) -> list[tuple[int, str]]:
        """Number and `ref`: what was taken, in the order of taking, then what was not."""
        return [
            (event.number, str(getattr(event, "ref", "")))
            for event in (*self.taken, *self._untaken)
        ]


@workflow.defn
class Rally(Diary, Journey[BallPlayed], listens=[BallPlayed]):
    """Ends while the next event, which would begin it anew, is perhaps on its way."""

    @workflow.run
    async def run(self, ball: BallPlayed) -> Outcome:
        """Take as many balls as the first one says."""
        self.taken = (ball,)
        while len(self.taken) < ball.ends_after:
            following = await self.wait_for(BallPlayed, timeout=_FOR_EVER)
            assert following is not None
            self.taken += (following,)
        return Outcome.completed(f"{len(self.taken)} balls")


@workflow.defn
class Shipment(
    Diary, Journey[ParcelSent], listens=[ParcelMoved], key=lambda parcel: parcel.parcel_id
):
    """Several of them live at once, and each hears of every parcel of the customer."""

    @workflow.run
    async def run(self, parcel: ParcelSent) -> Outcome:
        """Follow the parcel until it has arrived."""
        self.taken = (parcel,)
        while True:
            move = await self.wait_for(ParcelMoved, timeout=_FOR_EVER)
            assert move is not None
            self.taken += (move,)
            if move.arrived and move.parcel_id == parcel.parcel_id:
                return Outcome.converted("arrived")


class OfferParameters(Parameters):
    """No pressure limit: every offer that still stands is told."""

    cap: Cap = Cap(count=1_000_000)


@workflow.defn
class Offer(
    Diary,
    Journey[OfferMade, OfferParameters],
    listens=[OfferWithdrawn],
    key=lambda offer: offer.offer_id,
):
    """Sends, unless the offer is withdrawn before."""

    @workflow.run
    async def run(self, offer: OfferMade) -> Outcome:
        """Tell the customer and our own people."""
        self.taken = (offer,)
        async with self.until(
            OfferWithdrawn, where=lambda one: one.offer_id == offer.offer_id
        ) as withdrawn:
            await self.sleep(timedelta(seconds=offer.after))
            await self.send(push(WORDS, CartAbandoned(cart_id=offer.offer_id)))
            task = SurveyAnswered(survey=offer.offer_id, score=Decimal(1))
            await self.send(webhook(TASK, task, to="care"))
        if withdrawn.event is None:
            return Outcome.completed("told")
        self.taken += (withdrawn.event,)
        return Outcome.exited("withdrawn")


JOURNEYS = (Rally, Shipment, Offer)
