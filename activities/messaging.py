"""Sending: the gate decides, the template gives the words, the channel carries them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import assert_never

from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.errors import MissingData
from domain.messages import (
    Accepted,
    Ambiguous,
    Answer,
    Go,
    Message,
    Parcel,
    PassedOver,
    Reason,
    RejectedForGood,
    RejectedForNow,
    Rendered,
    SendAnswer,
    SendRequest,
    Sent,
    Suppressed,
    Topic,
    Unknown,
    Verdict,
)
from domain.ports import Channel, Gate, Renderer

HEARTBEAT_EVERY = timedelta(seconds=2)


def _real_time() -> datetime:
    return datetime.now(UTC)


class MessagingActivities:
    """Sends messages. Every answer is in the ledger before it is given.

    Args:
        gate: decides.
        renderer: gives the words.
        channels: by name.
        now: what time it is, as the gate's clock has it.
    """

    def __init__(
        self,
        gate: Gate,
        renderer: Renderer,
        channels: Mapping[str, Channel],
        *,
        now: Callable[[], datetime] = _real_time,
    ) -> None:
        self._gate = gate
        self._renderer = renderer
        self._channels = channels
        self._now = now

    @activity.defn(name="send")
    async def send(self, request: SendRequest) -> SendAnswer:
        """Send the first of the request's messages that can reach the customer.

        Goes down the list only for reasons that another channel can cure (semantics 20).

        Raises:
            ApplicationError: the provider did not take it now; retrying is safe.
        """
        answer: Answer | None = None
        passed_over: list[PassedOver] = []
        async with _signs_of_life():
            for message in await self._in_order(request):
                answer = await self._send_one(request, message)
                if not isinstance(answer, Suppressed) or not answer.reason.curable_elsewhere:
                    break
                why = PassedOver(
                    channel=message.channel, reason=answer.reason, detail=answer.detail
                )
                passed_over.append(why)
            else:
                del passed_over[-1:]  # it is what is answered
        if answer is None:
            raise ApplicationError("nothing to send: no message was given", non_retryable=True)
        return SendAnswer(answer=answer, passed_over=passed_over)

    @activity.defn(name="skip_send")
    async def skip(self, request: SendRequest, detail: str) -> None:
        """Write down that the journey itself decided against this send."""
        for message in request.messages:
            await self._gate.skip(request, message, Reason.NO_LONGER_RELEVANT, detail)

    async def _in_order(self, request: SendRequest) -> list[Message]:
        """The request's messages; on a retry, first those whose call got no answer."""
        if activity.info().attempt == 1:
            return request.messages
        unsettled = await self._gate.unsettled(request)
        return sorted(request.messages, key=lambda message: request.key(message) not in unsettled)

    async def _send_one(self, request: SendRequest, message: Message) -> Answer:
        channel = self._channels.get(message.channel)
        if channel is None:
            detail = f"no {message.channel} provider is configured"
            await self._gate.skip(request, message, Reason.NOT_CONFIGURED, detail)
            return Suppressed(reason=Reason.NOT_CONFIGURED, detail=detail)
        decision = await self._gate.decide(request, message)
        if not isinstance(decision, Go):
            return decision
        if decision.in_flight_since is not None and not self._may_repeat(
            channel, message.topic, decision.in_flight_since
        ):
            return await self._complete(
                message,
                decision,
                Verdict.UNKNOWN,
                Reason.AMBIGUOUS,
                "the process was lost while the provider was being called",
            )
        try:
            content = self._renderer.render(message, decision.customer)
        except MissingData as missing:
            return await self._complete(
                message, decision, Verdict.SUPPRESSED, Reason.MISSING_DATA, str(missing)
            )
        except Exception as error:
            # A mistake in the template: nothing was sent, and the next try may find it mended.
            await self._gate.not_taken(decision.message_id, f"template: {error}")
            raise
        return await self._deliver(channel, request, message, decision, content)

    async def _deliver(
        self,
        channel: Channel,
        request: SendRequest,
        message: Message,
        go: Go,
        content: Rendered,
    ) -> Sent | Suppressed | Unknown:
        now = self._now()
        parcel = Parcel(
            key=request.key(message),
            message_id=go.message_id,
            address=go.address,
            content=content,
            data=message.data,
            sent_at=now,
        )
        match await channel.deliver(parcel):
            case Accepted(provider_id):
                return await self._complete(
                    message, go, Verdict.SENT, Reason.SENT, content.subject, provider_id=provider_id
                )
            case RejectedForGood(detail, address_is_dead):
                return await self._complete(
                    message,
                    go,
                    Verdict.REJECTED,
                    Reason.REJECTED,
                    detail,
                    dead_address=go.address if address_is_dead else None,
                )
            case RejectedForNow(detail, retry_after):
                await self._gate.not_taken(go.message_id, detail)
                raise ApplicationError(
                    f"{message.channel}: not taken now: {detail}",
                    type="RejectedForNow",
                    next_retry_delay=retry_after,
                )
            case Ambiguous(detail):
                if self._may_repeat(channel, message.topic, go.in_flight_since or now):
                    raise ApplicationError(
                        f"{message.channel}: no clear answer: {detail}", type="Ambiguous"
                    )
                return await self._complete(message, go, Verdict.UNKNOWN, Reason.AMBIGUOUS, detail)
            case never:
                assert_never(never)

    async def _complete(
        self,
        message: Message,
        go: Go,
        verdict: Verdict,
        reason: Reason,
        detail: str,
        *,
        provider_id: str | None = None,
        dead_address: str | None = None,
    ) -> Sent | Suppressed | Unknown:
        """Write down what became of it; the answer is what the ledger says then.

        That may be another one: an earlier attempt lived and got its answer, or the provider
        has told meanwhile what became of the message.
        """
        now = await self._gate.complete(
            go.message_id,
            verdict,
            reason,
            detail=detail,
            provider_id=provider_id,
            dead_address=dead_address,
        )
        if now is not verdict:
            detail = "the provider has told so meanwhile"
        match now:
            case Verdict.SENT:
                return Sent(channel=message.channel, message_id=go.message_id)
            case Verdict.UNKNOWN:
                return Unknown(channel=message.channel, message_id=go.message_id, detail=detail)
            case Verdict.REJECTED:
                return Suppressed(reason=Reason.REJECTED, detail=detail)
            case _:
                return Suppressed(reason=reason, detail=detail)

    def _may_repeat(self, channel: Channel, topic: Topic, called_at: datetime) -> bool:
        """Whether a message that the provider may have taken can be handed over again (G4).

        Where the provider remembers our key, within the key's life; elsewhere only service
        messages, for which a second copy is better than none.
        """
        if channel.idempotency_life is not None:
            return self._now() - called_at < channel.idempotency_life
        return topic is Topic.SERVICE


@contextlib.asynccontextmanager
async def _signs_of_life() -> AsyncIterator[None]:
    """Heartbeats while a provider takes its time, so that a dead worker is noticed soon."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_EVERY.total_seconds())
            activity.heartbeat()

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
