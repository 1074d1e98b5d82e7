"""Ask for a score after a purchase; a bad one opens the door to care."""

from datetime import timedelta
from decimal import Decimal

from temporalio import workflow

from domain.events import PurchaseMade, SurveyAnswered
from workflows import Journey, Outcome, Parameters, Suppressed, Template, Topic, email, webhook

SURVEY = Template("post_purchase_survey/survey", PurchaseMade, topic=Topic.FEEDBACK)
CARE_TASK = Template("post_purchase_survey/care_task", SurveyAnswered, topic=Topic.SERVICE)


class SurveyParameters(Parameters):
    """What may be changed without touching the code.

    `bad_score`: this score or a lower one is a call for help.
    """

    delay: timedelta = timedelta(days=1)
    answer_within: timedelta = timedelta(days=7)
    bad_score: Decimal = Decimal(6)


@workflow.defn
class PostPurchaseSurvey(
    Journey[PurchaseMade, SurveyParameters],
    listens=[SurveyAnswered],
    key=lambda purchase: purchase.order_id,
):
    """Ask for a score a day after a purchase; a bad one becomes a task for care."""

    @workflow.run
    async def run(self, purchase: PurchaseMade) -> Outcome:
        """Ask once, wait for the answer, act on a bad one."""

        def about_this_order(answer: SurveyAnswered) -> bool:
            return answer.order_id in {None, purchase.order_id} and answer.ticket_id is None

        await self.sleep(self.parameters.delay, "let the parcel arrive")
        asked = await self.send(email(SURVEY, purchase))
        if isinstance(asked, Suppressed):
            return Outcome.exited("the survey could not be sent")

        answer = await self.wait_for(
            SurveyAnswered, where=about_this_order, timeout=self.parameters.answer_within
        )
        if answer is None:
            return Outcome.completed("no answer")
        if answer.score > self.parameters.bad_score:
            return Outcome.converted(f"score {answer.score}")
        # An answer that names no order reaches every survey that is waiting: one task is enough.
        await self.send(
            webhook(CARE_TASK, answer, to="care"), objective=f"care for answer {answer.event_id}"
        )
        return Outcome.completed(f"score {answer.score}: care was asked to call")
