"""See a ticket through: an answer in time, a score afterwards, a call where that is bad."""

from datetime import datetime, timedelta
from decimal import Decimal

from pydantic import BaseModel
from temporalio import workflow

from domain.events import SurveyAnswered, TicketClosed, TicketOpened
from workflows import Journey, Outcome, Parameters, Template, Topic, email, webhook

SURVEY = Template("ticket_care/survey", TicketOpened, topic=Topic.FEEDBACK)
TASK = Template("ticket_care/task", TicketOpened, topic=Topic.SERVICE)


class CareParameters(Parameters):
    """What may be changed without touching the code.

    `settles_after`: a ticket that was not opened again for so long is answered. `bad_score`: this
    score or a lower one is a call for help.
    """

    answer_within: timedelta = timedelta(days=2)
    deadline: timedelta = timedelta(days=1)
    given_up_after: timedelta = timedelta(days=60)
    settles_after: timedelta = timedelta(days=1)
    score_within: timedelta = timedelta(days=7)
    bad_score: Decimal = Decimal(6)


class Care(BaseModel):
    """What the rounds remember: when the ticket was opened last, and the score."""

    opened_at: datetime
    score: Decimal | None = None


@workflow.defn
class TicketCare(
    Journey[TicketOpened, CareParameters],
    listens=[TicketOpened, TicketClosed, SurveyAnswered],
    key=lambda ticket: ticket.ticket_id,
):
    """Answer a ticket in time and ask for a score; a bad one is called back about.

    While the ticket is open it holds what every other journey has to sell, by itself; this
    journey looks after the ticket.
    """

    @workflow.run
    async def run(self, ticket: TicketOpened) -> Outcome:
        """See it closed; ask for a score when it stays so."""

        def again(opened: TicketOpened) -> bool:
            return opened.ticket_id == ticket.ticket_id

        def about_it(answer: SurveyAnswered) -> bool:
            return answer.ticket_id == ticket.ticket_id

        care = Care(opened_at=ticket.occurred_at)
        async for _ in self.rounds(care):
            await self._closed(ticket, care.opened_at)
            async with self.until(TicketOpened, where=again) as reopened:
                await self.sleep(self.parameters.settles_after, "let the answer prove itself")
                await self.send(email(SURVEY, ticket), objective=f"score of {ticket.ticket_id}")
                answer = await self.wait_for(
                    SurveyAnswered, where=about_it, timeout=self.parameters.score_within
                )
                care.score = answer.score if answer else None
            if reopened.event is None:
                break
            care.opened_at = reopened.event.occurred_at

        if care.score is None:
            return Outcome.completed("no score")
        if care.score > self.parameters.bad_score:
            return Outcome.converted(f"score {care.score}")
        title = f"Call a customer: score {care.score} for ticket {ticket.ticket_id}"
        reply = await self.ask(
            "care_lead",
            title,
            choices=["put right", "lost"],
            deadline=self.parameters.deadline,
            tell=webhook(TASK, ticket, to="care_lead"),
        )
        return Outcome.completed(f"score {care.score}: {reply.choice if reply else 'not called'}")

    async def _closed(self, ticket: TicketOpened, opened_at: datetime) -> None:
        """Wait until the ticket is closed; where that takes long, care and then its lead hear."""

        def it(closed: TicketClosed) -> bool:
            return closed.ticket_id == ticket.ticket_id and closed.occurred_at >= opened_at

        async with self.until(TicketClosed, where=it):
            await self.sleep(self.parameters.answer_within, "care answers")
            await self.ask(
                "care",
                f"Ticket {ticket.ticket_id} is still open",
                deadline=self.parameters.deadline,
                escalate_to="care_lead",
                tell=webhook(TASK, ticket, to="care"),
            )
            await self.sleep(self.parameters.given_up_after, "the ticket stays open")
