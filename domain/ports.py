"""What activities need of the outside world. `infra` implements these."""

from datetime import date, datetime, timedelta
from typing import Protocol

from domain.customers import Customer
from domain.enrollments import EndAnswer, EndRequest
from domain.messages import (
    Decision,
    Message,
    Parcel,
    ProviderAnswer,
    Reason,
    Rendered,
    SendRequest,
    Verdict,
)
from domain.schedules import EnrollAnswer, EnrollRequest, Moment


class Gate(Protocol):
    """The one decision that every message passes, and the ledger it writes."""

    async def decide(self, request: SendRequest, message: Message) -> Decision:
        """Decide about one message under the customer's lock, and write it down."""
        ...

    async def skip(
        self, request: SendRequest, message: Message, reason: Reason, detail: str
    ) -> None:
        """Write down that a message is not sent for a reason that is not the gate's."""
        ...

    async def complete(
        self,
        message_id: str,
        verdict: Verdict,
        reason: Reason,
        *,
        detail: str = "",
        provider_id: str | None = None,
        dead_address: str | None = None,
    ) -> Verdict:
        """Complete a ledger row with the provider's answer; a rejection gives the place back.

        Returns:
            The row's verdict now: another one where the provider's answer was already known.
        """
        ...

    async def unsettled(self, request: SendRequest) -> set[str]:
        """The keys of the request's messages whose provider was called and has not answered."""
        ...

    async def not_taken(self, message_id: str, detail: str) -> None:
        """Note that the provider definitely did not take it this time; it may be called again."""
        ...


class Enrollments(Protocol):
    """Where enrollments are kept."""

    async def end(self, request: EndRequest) -> EndAnswer:
        """End an enrollment, or say what it must hear first."""
        ...


class ScheduledEntries(Protocol):
    """Who is to be enrolled by the clock."""

    async def next_moment(self, journey: str, day: date, after: datetime | None) -> Moment | None:
        """The next moment at which it is time for somebody; None: for nobody any more."""
        ...

    async def enroll(self, request: EnrollRequest, most: int) -> EnrollAnswer:
        """Enroll some of a moment's customers, nobody twice for the same day.

        Args:
            request: which.
            most: at most so many; of others, who are not in the segment, any number is passed.

        Returns:
            Where to go on; the same place where so much waits for the relay that it must wait.
        """
        ...


class Customers(Protocol):
    """Where customers are kept."""

    async def get(self, customer_id: str) -> Customer:
        """What is known of a customer now."""
        ...


class Renderer(Protocol):
    """Makes a message's words from its template."""

    def render(self, message: Message, customer: Customer) -> Rendered:
        """Render.

        Raises:
            MissingData: the template asks for data that is not there.
        """
        ...


class Channel(Protocol):
    """One way of reaching people, through one provider.

    Attributes:
        name: the channel's name, as in `Message.channel`.
        idempotency_life: how long the provider remembers a key, so that a second call with
            it sends nothing twice; None where it takes none.
    """

    name: str
    idempotency_life: timedelta | None

    async def deliver(self, parcel: Parcel) -> ProviderAnswer:
        """Hand a message to the provider. Raises nothing for what a provider does."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Endpoints(Protocol):
    """Names of our own people's endpoints, resolved to addresses."""

    def address(self, name: str) -> str | None:
        """The endpoint's address, or None where nobody configured one."""
        ...


__all__ = [
    "Channel",
    "Customers",
    "Endpoints",
    "Enrollments",
    "Gate",
    "Renderer",
    "ScheduledEntries",
]
