"""A journey that sends as soon as it hears: the shortest way from a request to a channel."""

from datetime import timedelta

from temporalio import workflow

from domain.events import CartAbandoned, SurveyAnswered
from workflows import Journey, Outcome, Template, Topic, push

WORDS = Template("abandoned_cart/reminder", CartAbandoned, topic=Topic.SERVICE)


@workflow.defn
class SendAtOnce(Journey[CartAbandoned], listens=[SurveyAnswered]):
    """Send as soon as an answer is heard."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Wait, send, end."""
        await self.wait_for(SurveyAnswered, timeout=timedelta(hours=1))
        await self.send(push(WORDS, cart))
        return Outcome.completed()


@workflow.defn
class Listen(Journey[CartAbandoned], listens=[SurveyAnswered]):
    """Listen, and do nothing."""

    @workflow.run
    async def run(self, _: CartAbandoned) -> Outcome:
        """Sleep, and hear meanwhile."""
        await self.sleep(timedelta(days=30))
        return Outcome.completed()
