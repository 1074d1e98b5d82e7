"""Journeys that ask people and lead into others, for `test_leading`; here the sandbox may look."""

from datetime import timedelta

from temporalio import workflow

from domain.events import CartAbandoned, PurchaseMade, SurveyAnswered
from workflows import Journey, NotEntered, Outcome, StillInside


@workflow.defn
class Care(Journey[SurveyAnswered], listens=[PurchaseMade]):
    """Wait for a purchase."""

    @workflow.run
    async def run(self, answer: SurveyAnswered) -> Outcome:
        """Convert by it."""
        bought = await self.wait_for(PurchaseMade, timeout=timedelta(days=1))
        return Outcome.converted(f"{answer.survey}, {bought and bought.order_id}")


@workflow.defn
class ThroughCare(Journey[CartAbandoned], key=lambda cart: cart.cart_id):
    """Go through another journey."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Say how that ended."""
        event = SurveyAnswered(survey=cart.cart_id, score=1)
        match await self.through(Care, event, timeout=timedelta(days=2)):
            case NotEntered(reason):
                return Outcome.completed(f"not entered: {reason}")
            case StillInside():
                return Outcome.completed("still inside")
            case Outcome(kind=kind, reason=reason):
                return Outcome.completed(f"{kind}: {reason}")


@workflow.defn
class ToCare(Journey[CartAbandoned], key=lambda cart: cart.cart_id):
    """Hand over."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """End, and go on there."""
        return self.hand_over(Care, SurveyAnswered(survey=cart.cart_id, score=1))


@workflow.defn
class CallHer(Journey[CartAbandoned], key=lambda cart: cart.cart_id):
    """Ask a person."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Stay a while after the answer."""
        reply = await self.ask(
            "sales", "Call her", choices=["yes", "no"], details=cart.cart_id, deadline=timedelta(1)
        )
        await self.sleep(timedelta(seconds=2))
        return Outcome.completed("nobody" if reply is None else f"{reply.by}: {reply.choice}")
