"""How a journey sends: ask the gate, and wait or hear as it says, until there is an answer."""

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Protocol

from temporalio import workflow
from temporalio.common import RetryPolicy

from activities.messaging import HEARTBEAT_EVERY, MessagingActivities
from domain.enrollments import Start
from domain.events import Envelope
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
from workflows.queues import SENDS
from workflows.scopes import to_the_end

_CALL = timedelta(seconds=60)
_SILENCE = 3 * HEARTBEAT_EVERY
_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=1),
)
_GAP = timedelta(seconds=10)

Still = Callable[[], bool | Awaitable[bool]]


class Host(Protocol):
    """What sending needs of its journey."""

    customer_id: str

    @property
    def heard(self) -> int:
        """The number of the last event applied."""

    @property
    def hold_events(self) -> int:
        """How many events that open or close holds have been applied."""

    @property
    def cap(self) -> Cap:
        """The pressure limit."""

    def hear(self, envelopes: Iterable[Envelope], /) -> None:
        """Apply events."""

    def checkpoint(self) -> None:
        """Begin nothing new inside a scope that is over."""

    def note(self, what: str, /) -> None:
        """Add a line to the story."""

    def now_at(self, what: str, within: timedelta | None = None, /) -> None:
        """Say where the customer stands."""

    async def while_held(self, seen: int, why: str, /) -> None:
        """Park until a hold changes."""


class Sender:
    """The sends of one enrollment."""

    def __init__(self, host: Host, start: Start) -> None:
        self._host = host
        self._start = start
        self._steps: Counter[str] = Counter()

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
        name = self._name(step or messages[0].template.rpartition("/")[2])
        while True:
            self._host.checkpoint()
            request = SendRequest(
                enrollment_id=self._start.enrollment_id,
                customer_id=self._host.customer_id,
                journey=self._start.journey,
                step=name,
                heard=self._host.heard,
                messages=list(messages),
                objective=objective,
                cap=self._host.cap,
            )
            seen = self._host.hold_events
            if still is not None and not await _asked(still):
                return await to_the_end(self._skip(request))
            match await to_the_end(self._ask(request)):
                case Stale():
                    await self._after_news(request.heard)
                case Held(detail=detail):
                    await self._host.while_held(seen, detail)
                case answer:
                    return answer

    def _name(self, step: str) -> str:
        self._steps[step] += 1
        count = self._steps[step]
        return step if count == 1 else f"{step}.{count}"

    async def _ask(self, request: SendRequest) -> Sent | Suppressed | Unknown | Held | Stale:
        """Ask once, and write the answer into the story; never interrupted."""
        channels = " or ".join(message.channel for message in request.messages)
        self._host.now_at(f"Sending {request.step} by {channels}")
        reply = await workflow.execute_activity_method(
            MessagingActivities.send,
            request,
            task_queue=SENDS[request.messages[0].topic],
            start_to_close_timeout=_CALL,
            heartbeat_timeout=_SILENCE,
            retry_policy=_RETRY,
            summary=f"{request.step}: {channels}",
        )
        match reply.answer:
            case Sent(channel=channel):
                self._host.note(f"✉ **{request.step}** sent by {channel}")
            case Suppressed(reason=reason, detail=detail):
                self._host.note(f"✗ **{request.step}** not sent: {reason.value}, {detail}")
            case Unknown(channel=channel, detail=detail):
                self._host.note(
                    f"? **{request.step}** by {channel}: not known whether sent; {detail}"
                )
            case Stale(news=news):
                self._host.note(f"**{request.step}** waits: there is news to hear first")
                self._host.hear(news)
            case Held():
                pass
        return reply.answer

    async def _after_news(self, heard_before: int) -> None:
        """Let the news take effect: an enclosing `until` may end here."""
        await asyncio.sleep(0)
        if self._host.heard == heard_before:
            # The news was not what comes next; the relay brings that. Do not spin meanwhile.
            try:
                await workflow.wait_condition(
                    lambda: self._host.heard != heard_before,
                    timeout=_GAP,
                    timeout_summary=f"event number {heard_before + 1} is on its way",
                )
            except TimeoutError:
                self._host.note(f"⚠ event number {heard_before + 1} has not arrived yet")

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
        self._host.note(f"✗ **{request.step}** not sent: {detail}")
        return Suppressed(reason=Reason.NO_LONGER_RELEVANT, detail=detail)


async def _asked(still: Still) -> bool:
    answer = still()
    return bool(await answer) if inspect.isawaitable(answer) else bool(answer)
