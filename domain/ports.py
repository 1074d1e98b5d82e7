"""What activities need of the outside world. `infra` implements these."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from domain.customers import Customer
from domain.enrollments import EndAnswer, EndRequest, EnterAnswer, EnterRequest, Entry
from domain.events import Envelope
from domain.experiments import Assignment
from domain.history import LookBack
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
from domain.tasks import OpenedTask, TaskRequest, TaskSettlement


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

    async def enter(self, request: EnterRequest) -> EnterAnswer:
        """Take an enrollment's customer into another journey, once a step."""
        ...


class Journeys(Protocol):
    """Which journeys there are."""

    def wish(self, journey: str, event_name: str, properties: Mapping[str, Any]) -> Entry:
        """The wish to start a journey by an event.

        Raises:
            Refused: there is no such journey, or it does not begin by this event.
        """
        ...


class History(Protocol):
    """What customers did before."""

    async def look_back(self, request: LookBack) -> list[Envelope]:
        """The events asked for, in the order in which they happened, with number 0."""
        ...


class Experiments(Protocol):
    """Who was dealt which variant."""

    async def assign(self, request: Assignment) -> str:
        """The customer's variant: the first one dealt, whatever the weights are by now.

        Raises:
            ValueError: the weights make no split.
        """
        ...


class Tasks(Protocol):
    """What journeys ask of people."""

    async def open(self, request: TaskRequest) -> OpenedTask:
        """Open a task, once a step; whoever asks again gets what has become of it."""
        ...

    async def settle(self, settlement: TaskSettlement) -> None:
        """Record what became of a task. What it has become already stays."""
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
    "Experiments",
    "Gate",
    "History",
    "Journeys",
    "Renderer",
    "ScheduledEntries",
    "Tasks",
]
