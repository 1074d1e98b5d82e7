"""Follow a quote up: a personal image in the mail, the quote's page, and one rep all the way."""

from datetime import datetime, timedelta

from pydantic import BaseModel
from temporalio import workflow

from domain.events import QuoteAccepted, QuoteDeclined, QuotePrepared, QuoteViewed
from domain.events.quotes import OfQuote
from workflows import Journey, Outcome, Parameters, Reply, Template, Topic, Until, email, webhook

INVITATION = Template("quote_follow_up/invitation", QuotePrepared)
REMINDER = Template("quote_follow_up/reminder", QuotePrepared)
OFFER = Template("quote_follow_up/offer", QuotePrepared, topic=Topic.SERVICE)
NOT_REACHED = Template("quote_follow_up/not_reached", QuotePrepared, topic=Topic.SERVICE)
TASK = Template("quote_follow_up/task", QuotePrepared, topic=Topic.SERVICE)


class QuoteParameters(Parameters):
    """What may be changed without touching the code.

    `patience`: with a customer who has not looked yet. `visit`: how long the page must be left for
    a look at it to count as another visit.
    """

    patience: timedelta = timedelta(days=3)
    open_for: timedelta = timedelta(days=30)
    visit: timedelta = timedelta(minutes=30)
    call_within: timedelta = timedelta(hours=4)
    measure_within: timedelta = timedelta(days=14)


class Talk(BaseModel):
    """What the rounds remember: the customer's step in words, and whether all is said.

    `call_by`: until when a call is waited for that nobody had made when the customer came back.
    """

    step: str = "has not looked at it yet"
    call_by: datetime | None = None
    met: bool = False
    reminded: bool = False
    lost: bool = False


@workflow.defn
class QuoteFollowUp(
    Journey[QuotePrepared, QuoteParameters],
    listens=[QuoteViewed, QuoteAccepted, QuoteDeclined],
    key=lambda quote: quote.quote_id,
):
    """Invite a customer to their quote; whenever they look at it, their rep calls.

    The rep is the one who owns the customer (the trait `owner`); where there is none, sales.
    """

    @workflow.run
    async def run(self, quote: QuotePrepared) -> Outcome:
        """The mail, then visit by visit a call, until the offer is taken or not wanted."""

        def this_quote(event: OfQuote) -> bool:
            return event.quote_id == quote.quote_id

        talk = Talk()
        async with (
            self.until(QuoteDeclined, where=this_quote) as declined,
            self.until(QuoteAccepted, where=this_quote) as accepted,
        ):
            await self.send(email(INVITATION, quote))
            async for _ in self.rounds(talk):
                patience = self.parameters.open_for if talk.met else self.parameters.patience
                if talk.call_by or await self.wait_for(
                    QuoteViewed, where=this_quote, timeout=patience
                ):
                    await self._call(quote, talk)
                    if talk.call_by:
                        continue
                    if talk.lost:
                        break
                    # What the customer looks at while they talk is not another visit.
                    await self.quiet(QuoteViewed, where=this_quote, duration=self.parameters.visit)
                elif talk.met or talk.reminded:
                    break
                else:
                    await self.send(email(REMINDER, quote))
                    talk.reminded = True

        if accepted:
            return Outcome.converted("took the offer")
        if declined or talk.lost:
            return Outcome.exited("does not want it")
        return Outcome.completed(f"the customer {talk.step}")

    async def _call(self, quote: QuotePrepared, talk: Talk) -> None:
        """Alert the rep who owns the customer, with the customer's step, and do as they say.

        A customer who is back before anybody has called is worth another alert. For how long a call
        is waited for, and when it is the lead's, stays as it was.
        """
        talk.met = True
        owner = (await self.customer()).traits.get("owner")
        now, within = await self.now(), self.parameters.call_within
        back_already, call_by = talk.call_by is not None, talk.call_by or now + within

        def another_visit(look: QuoteViewed) -> bool:
            left_until = now + self.parameters.visit
            return look.quote_id == quote.quote_id and look.occurred_at >= left_until

        reply: Reply | None = None
        back: Until[QuoteViewed] | None = None
        if call_by > now:  # it may have passed while the system was down
            async with self.until(QuoteViewed, where=another_visit) as back:
                reply = await self.ask(
                    str(owner or "sales"),
                    f"Call now: your customer is looking at quote {quote.quote_id}",
                    details=f"So far: the customer {talk.step}."
                    + (" They are back, and nobody has called yet." if back_already else ""),
                    choices=["send the offer", "book a visit", "not reached", "not interested"],
                    deadline=call_by - now,
                    escalate_to="sales_lead",
                    escalate_after=max(call_by - within / 2 - now, timedelta(0)),
                    tell=webhook(TASK, quote, to="sales"),
                    step="call",
                )
        talk.call_by = call_by if back else None
        if back:
            return
        match reply.choice if reply else "not reached":
            case "send the offer":
                await self.send(email(OFFER, quote))
                talk.step = "has the offer"
            case "book a visit":
                measured = await self.ask(
                    "field",
                    f"Measure for quote {quote.quote_id}",
                    choices=["measured", "not possible"],
                    deadline=self.parameters.measure_within,
                    tell=webhook(TASK, quote, to="field"),
                    step="measure",
                )
                talk.step = f"was visited: {measured.choice if measured else 'nobody said how'}"
            case "not interested":
                talk.lost = True
            case _:
                await self.send(email(NOT_REACHED, quote))
                talk.step = "was not reached when they looked at it last"
