"""How a journey sends: ask the gate, and wait or hear as it says, until there is an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from pydantic import TypeAdapter
from temporalio import workflow
from temporalio.common import RetryPolicy

from activities.messaging import HEARTBEAT_EVERY, MessagingActivities
from domain.messages import (
    Cap,
    Delivery,
    Held,
    Message,
    Reason,
    SendRequest,
    Sent,
    Stale,
    Suppressed,
    Unknown,
)
from workflows.enrollment import Enrollment
from workflows.journal import Step
from workflows.queues import SENDS

_CALL = timedelta(seconds=60)
_SILENCE = 3 * HEARTBEAT_EVERY
_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=1),
)
_GAP = timedelta(seconds=10)

_DELIVERY: TypeAdapter[Delivery] = TypeAdapter(Delivery)

Still = Callable[[], bool | Awaitable[bool]]


class Sender:
    """The sends of one enrollment."""

    def __init__(self, enrollment: Enrollment, cap: Callable[[], Cap]) -> None:
        self._enrollment = enrollment
        self._cap = cap

    async def send(
        self,
        messages: Sequence[Message],
        step: str | None,
        objective: str | None,
        still: Still | None,
    ) -> Delivery:
        """See `Journey.send_first`."""
        if not messages:
            raise ValueError("send_first needs at least one message")

        async def live(step: Step) -> Delivery:
            return await self.deliver(step.name, messages, objective, still)

        return await self._enrollment.step(
            step or messages[0].template.rpartition("/")[2],
            live,
            dump=lambda delivery: delivery.model_dump(mode="json"),
            load=_DELIVERY.validate_python,
        )

    async def deliver(
        self,
        step: str,
        messages: Sequence[Message],
        objective: str | None = None,
        still: Still | None = None,
    ) -> Delivery:
        """Send within a step that is known by a name already; the same name sends once."""
        while (answer := await self._once(step, messages, objective, still)) is None:
            await self._enrollment.checkpoint()
        return answer

    async def _once(
        self, step: str, messages: Sequence[Message], objective: str | None, still: Still | None
    ) -> Delivery | None:
        """Ask the gate once; None where it must be asked again, now that its wait is over."""
        request = SendRequest(
            enrollment_id=self._enrollment.start.enrollment_id,
            customer_id=self._enrollment.customer_id,
            journey=self._enrollment.start.journey,
            step=step,
            heard=self._enrollment.heard,
            messages=list(messages),
            objective=objective,
            cap=self._cap(),
        )
        seen = self._enrollment.hold_events
        if still is not None and not await self._enrollment.ask_again(still):
            return await self._enrollment.call(self._skip(request))
        match await self._enrollment.call(self._ask(request)):
            case Stale():
                await self._after_news(request.heard)
            case Held(detail=detail):
                await self._enrollment.while_held(seen, detail)
            case answer:
                return answer
        return None

    async def _ask(self, request: SendRequest) -> Sent | Suppressed | Unknown | Held | Stale:
        """Ask once, and write the answer into the story; never interrupted."""
        channels = " or ".join(message.channel for message in request.messages)
        self._enrollment.now_at(f"Sending {request.step} by {channels}")
        reply = await workflow.execute_activity_method(
            MessagingActivities.send,
            request,
            task_queue=SENDS[request.messages[0].topic],
            start_to_close_timeout=_CALL,
            heartbeat_timeout=_SILENCE,
            retry_policy=_RETRY,
            summary=f"{request.step}: {channels}",
        )
        others = "".join(
            f"; not by {one.channel}: {one.reason.value}, {one.detail}" for one in reply.passed_over
        )
        match reply.answer:
            case Sent(channel=channel):
                self._enrollment.note(f"✉ **{request.step}** sent by {channel}{others}")
            case Suppressed(reason=reason, detail=detail):
                why = f"{reason.value}, {detail}{others}"
                self._enrollment.note(f"✗ **{request.step}** not sent: {why}")
            case Unknown(channel=channel, detail=detail):
                self._enrollment.note(
                    f"? **{request.step}** by {channel}: not known whether sent; {detail}"
                )
            case Stale(news=news):
                self._enrollment.note(f"**{request.step}** waits: there is news to hear first")
                self._enrollment.hear(news)
            case Held():
                pass
        return reply.answer

    async def _after_news(self, heard_before: int) -> None:
        """Let the news take effect: an enclosing `until` may end here."""
        await asyncio.sleep(0)
        if self._enrollment.heard != heard_before:
            return
        # The news was not what comes next; the relay brings that. Do not spin meanwhile.
        missing = heard_before + 1
        await self._enrollment.park(
            lambda: self._enrollment.heard != heard_before,
            workflow.now() + _GAP,
            f"event number {missing} is on its way",
            looks=True,
        )
        if self._enrollment.heard == heard_before:
            self._enrollment.note(f"⚠ event number {missing} has not arrived yet")

    async def _skip(self, request: SendRequest) -> Suppressed:
        detail = "the journey's own condition says no"
        await workflow.execute_activity_method(
            MessagingActivities.skip,
            args=[request, detail],
            task_queue=SENDS[request.messages[0].topic],
            start_to_close_timeout=_CALL,
            retry_policy=_RETRY,
            summary=f"{request.step}: no longer relevant",
        )
        self._enrollment.note(f"✗ **{request.step}** not sent: {detail}")
        return Suppressed(reason=Reason.NO_LONGER_RELEVANT, detail=detail)
