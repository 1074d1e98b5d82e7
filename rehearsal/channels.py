"""Channels that record what they are given, and answer as they are told."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from domain.customers import Customer
from domain.messages import Accepted, Message, Parcel, ProviderAnswer, Rendered


class RecordingChannel:
    """A channel that takes everything, or answers as told.

    Attributes:
        name: the channel's name.
        idempotency_life: as a provider's; None for one that takes no keys.
        parcels: what was handed over, in order, taken or not.
        answers: what the provider answers next, each once; then it accepts again.
        on_deliver: called before each answer, to make something happen at that moment.
        log: every channel of a rehearsal writes into the same.
    """

    def __init__(
        self,
        name: str,
        idempotency_life: timedelta | None = None,
        log: "list[tuple[Parcel, ProviderAnswer]] | None" = None,
    ) -> None:
        self.name = name
        self.idempotency_life = idempotency_life
        self.parcels: list[Parcel] = []
        self.answers: list[ProviderAnswer] = []
        self.on_deliver: Callable[[Parcel], Awaitable[None]] | None = None
        self.log = [] if log is None else log

    async def deliver(self, parcel: Parcel) -> ProviderAnswer:
        """Record, and answer."""
        if self.on_deliver is not None:
            await self.on_deliver(parcel)
        self.parcels.append(parcel)
        answer = self.answers.pop(0) if self.answers else Accepted(f"p{len(self.parcels)}")
        self.log.append((parcel, answer))
        return answer

    async def close(self) -> None:
        """Nothing to let go of."""


class PlainRenderer:
    """Words without a template."""

    def render(self, message: Message, customer: Customer) -> Rendered:
        """The template's name as the subject."""
        return Rendered(subject=message.template, text=f"for {customer.id}")
