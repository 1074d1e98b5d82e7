"""A rehearsal: journeys in virtual time, with the real rules, templates and activities."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from activities.customers import CustomerActivities
from activities.enrollments import EnrollmentActivities
from activities.experiments import ExperimentActivities
from activities.history import HistoryActivities
from activities.messaging import MessagingActivities
from activities.tasks import TaskActivities
from domain import temporal_names
from domain.enrollments import Entry, Start, key_in_id
from domain.events import Envelope, Event
from domain.local_time import Zone, local_moment
from domain.messages import Parcel, ProviderAnswer
from domain.ports import Renderer
from infra.templates import JinjaRenderer
from journeys.catalog import Catalog, discover
from rehearsal.calls import NotPlayed, by_name
from rehearsal.channels import RecordingChannel
from rehearsal.clock import Clock
from rehearsal.engine import Engine, shortened
from rehearsal.people import Enrollment, Person, Row
from rehearsal.play import Play
from rehearsal.protocol.instance import workflow_type
from rehearsal.store import MemoryStore
from worker.sandbox import sandbox
from workflows import Journey
from workflows.signals import SEVERAL

MONDAY = "2026-01-05 10:00"
"""When a rehearsal begins unless it is told otherwise, in UTC."""

_CHANNELS = ("push", "email", "webhook")

E = TypeVar("E", bound=Event)


class NotEntered(Exception):
    """The event does not start the journey; the text says why."""


class About(TypedDict, total=False):
    """What is known of a customer.

    Attributes:
        addresses: by channel; by default there is an e-mail address and a push token.
        traits: as the sources told them.
        holds: what is open that holds promotional messages, such as `ticket t1`.
        computed: computed traits, as JSON.
        segments: the segments that the customer is in.
        time_zone: an IANA name.
        locale: a BCP 47 tag.
    """

    addresses: dict[str, str]
    traits: dict[str, Any]
    holds: list[str]
    computed: dict[str, Any]
    segments: tuple[str, ...]
    time_zone: str | None
    locale: str | None


class Rehearsal:
    """Plays journeys in this process, in virtual time.

        async with Rehearsal() as rehearsal:
            play = await rehearsal.play(AbandonedCart, CartAbandoned(cart_id="c1"))
            await play.passes(timedelta(hours=2))
            assert play.sent == ["reminder/push"]

    The workflow is run by the SDK's own code, activities are the real ones, the gate's rules
    and the templates too. There is no server: time stands still until the test moves it.

    Args:
        at: when it begins; without a zone of its own, in `zone`.
        zone: an IANA name.
        journeys: those that others lead into, beside the ones in `journeys/`.
        activities: those of your own that the journeys call.
        workflows: those of your own that the journeys start as their children.
        renderer: makes the words; by default from the templates in `journeys/`.
        sandboxed: run journeys in the sandbox, as the worker does; slower.
        replays: after each step, play the journey again from its start and compare: a journey
            that is not deterministic fails at once; slower.
        continues: tell journeys at every chance that their history is long enough to
            continue as new.

    Attributes:
        store: customers, enrollments and the ledger, in memory.
        channels: by name; each records, and answers as told.
        plays: every enrollment, in order.
    """

    def __init__(
        self,
        at: str | datetime = MONDAY,
        zone: str = "UTC",
        *,
        journeys: Iterable[type[Journey[Any, Any]]] = (),
        activities: Iterable[Callable[..., Any]] = (),
        workflows: Iterable[type] = (),
        renderer: Renderer | None = None,
        sandboxed: bool = False,
        replays: bool = False,
        continues: bool = False,
    ) -> None:
        self._clock = Clock(_moment(at, zone))
        self.store = MemoryStore(self._clock, self._written)
        self.handed: list[tuple[Parcel, ProviderAnswer]] = []
        self.channels = {name: RecordingChannel(name, log=self.handed) for name in _CHANNELS}
        self.plays: list[Play] = []
        self.store.records.began = self._begun_by_a_journey
        self.store.records.told = self._told_by_the_store
        self._journeys = {cls.declaration.name: cls for cls in journeys}
        enrollments = EnrollmentActivities(self.store, self)
        tasks = TaskActivities(self.store.records)
        messaging = MessagingActivities(
            self.store, renderer or _templates(), self.channels, now=self._clock
        )
        self.engine = Engine(
            self._clock,
            by_name(
                [
                    CustomerActivities(self.store).look_up,
                    enrollments.end,
                    enrollments.enter,
                    HistoryActivities(self.store.records).look_back,
                    ExperimentActivities(self.store.records).assign,
                    tasks.open,
                    tasks.settle,
                    messaging.send,
                    messaging.skip,
                    *activities,
                ]
            ),
            sandbox() if sandboxed else None,
            workflows={workflow_type(cls): cls for cls in workflows},
            replays=replays,
            suggests_new=continues,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.engine.close()

    @property
    def now(self) -> datetime:
        """What time it is, in UTC."""
        return self._clock()

    def customer(self, **about: Unpack[About]) -> Person:
        """A new customer."""
        about.setdefault("addresses", {"email": "ada@example.test", "push": "token"})
        return self.store.person(**deepcopy(about))  # a test may change it, others share theirs

    async def play(
        self,
        journey: type[Journey[E, Any]],
        event: E,
        *later: Event,
        who: Person | None = None,
        parameters: dict[str, Any] | None = None,
        settled: bool = True,
        run_length: int | None = None,
        **about: Unpack[About],
    ) -> Play:
        """Enroll a customer by an event.

        Args:
            journey: the journey.
            event: the event that starts it.
            later: further events that are acknowledged before it starts.
            who: the customer; by default a new one, of whom `about` is known.
            parameters: overrides, as from outside.
            run_length: how many events a run's history may have before the journey goes on
                in a new one; 0 for whenever that is possible.
            settled: False to go on before the journey has done its first steps.
            about: what is known of a new customer.

        Raises:
            NotEntered: the event does not start the journey for this customer.
        """
        declared = journey.declaration
        chosen = declared.parameters.with_overrides(declared.name, parameters or {})
        entry = declared.entry(event, chosen)
        if entry is None:
            raise NotEntered(f"{declared.name}: its `where` says no to {event!r}")
        who = who or self.customer(**about)
        if (refusal := self.store.records.refusal(who, entry)) is not None:
            raise NotEntered(f"{declared.name}: {refusal}")
        enrollment = who.enroll(self.store.records.new_enrollment_id(), event, *later, entry=entry)
        self._journeys[declared.name] = journey
        play = self._begin(journey, entry, who, enrollment, run_length)
        if settled:
            await self.settles()
        return play

    def _begin(
        self,
        journey: type[Journey[Any, Any]],
        entry: Entry,
        who: Person,
        enrollment: Enrollment,
        run_length: int | None = None,
    ) -> Play:
        ordinal = sum(each.same_way(enrollment) for each in who.enrollments.values())
        suffix = "/".join(filter(None, (key_in_id(entry.key), str(ordinal))))
        for envelope in enrollment.acknowledged:
            self.engine.note(who.customer_id, f"{envelope.name} {envelope.event_id} acknowledged")
        attributes = {
            temporal_names.CUSTOMER: who.customer_id,
            temporal_names.JOURNEY: entry.journey,
            temporal_names.STATE: temporal_names.ACTIVE,
        }
        execution = self.engine.start(
            journey,
            f"journey/{entry.journey}/{who.customer_id}/{suffix}",
            Start(
                enrollment_id=enrollment.enrollment_id,
                customer_id=who.customer_id,
                journey=entry.journey,
                key=entry.key,
                parameters=entry.parameters,
                events=list(enrollment.acknowledged),
                run_length=run_length,
            ),
            queue=entry.task_queue,
            attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(SearchAttributeKey.for_keyword(name), value)
                    for name, value in attributes.items()
                ]
            ),
        )
        play = Play(self, who, enrollment, execution)
        self.plays.append(play)
        return play

    def wish(self, journey: str, event_name: str, properties: Mapping[str, Any]) -> Entry:
        """As `Journeys.wish`: what a journey that leads into another asks for.

        Raises:
            Refused: the other one does not begin by this event.
            NotPlayed: the rehearsal does not have it.
        """
        known = _shipped() | self._journeys
        if journey not in known:
            raise NotPlayed(
                f"a journey leads into {journey}, which this rehearsal does not have: "
                "give it, as in Rehearsal(journeys=[…])"
            )
        return Catalog(known.values()).wish(journey, event_name, properties)

    def _begun_by_a_journey(self, who: Person, enrollment: Enrollment, entry: Entry) -> None:
        self._begin((_shipped() | self._journeys)[entry.journey], entry, who, enrollment)

    def _told_by_the_store(self, enrollment: Enrollment, envelope: Envelope) -> None:
        self._tell({enrollment.enrollment_id: [envelope]})

    async def happens(self, who: Person, event: Event, *, relayed: bool = True) -> None:
        """An event of a customer is acknowledged, and told to all journeys that listen."""
        heard = who.acknowledge(event)
        how = "acknowledged" if relayed else "acknowledged, not relayed"
        self.engine.note(who.customer_id, f"{type(event).name} {how}")
        if relayed:
            self._tell(heard)
        await self.settles()

    async def merges(self, stays: Person, goes: Person, *, relayed: bool = True) -> None:
        """Two customers turn out to be one: `stays`, who gets what `goes` had.

        Every live enrollment of both hears of it; of two through the same journey with the
        same key the older goes on.
        """
        news = self.store.merge(stays, goes)
        self.engine.note(stays.customer_id, f"{goes.customer_id} is the same customer")
        for play in self.plays:
            if play.who is goes:
                play.who = stays
        if relayed:
            self._tell(news)
        await self.settles()

    async def moves(self, who: Person, time_zone: str | None) -> None:
        """A customer is in another time zone from now on, or in none that is known."""
        self.engine.note(who.customer_id, f"time zone is {time_zone} now")
        news = who.moves(time_zone)
        self._tell({enrollment: [envelope] for enrollment, envelope in news.items()})
        await self.settles()

    def _tell(self, news: Mapping[str, list[Envelope]]) -> None:
        """As the relay does: an enrollment's news travel as one signal."""
        for play in self.plays:
            if heard := news.get(play.enrollment.enrollment_id):
                names = {envelope.name for envelope in heard}
                play.execution.signal(names.pop() if len(names) == 1 else SEVERAL, heard)

    async def settles(self) -> None:
        """Let every journey do what it can without more time or events.

        Raises:
            Exception: the mistake that parks one of them, with its own traceback.
        """
        await self.engine.settle()
        self._complain()

    async def passes(self, time: timedelta) -> None:
        """Let time pass, and what is due then be done."""
        await self.pass_until(self.now + time)

    async def is_down(self, time: timedelta) -> None:
        """The worker is down for a while: time passes, and what is due is late."""
        self._clock.move(self.now + time)
        await self.settles()

    async def at(self, moment: str | datetime, zone: str = "UTC") -> None:
        """Let time pass until a moment, such as `at("2026-03-29 02:30", "Europe/Berlin")`.

        A time that the clock there jumps over is the moment of the jump; of a time that comes
        twice it is the first.

        Raises:
            ValueError: that is in the past, or there is no such zone.
        """
        await self.pass_until(_moment(moment, zone))

    async def pass_until(self, end: datetime, stop: Callable[[], bool] = lambda: False) -> None:
        """Let time pass until `end`, or until `stop` says that it is enough."""
        await self.engine.pass_until(end, lambda: stop() or self._mistake() is not None)
        self._complain()

    @property
    def timeline(self) -> str:
        """All that happened, a line each, and where every journey stands."""
        lines = [f"{line}  [{line.of}]" for line in self.engine.lines]
        return "\n".join([*shortened(lines), *(f"{play!r}" for play in self.plays)])

    def _written(self, row: Row) -> None:
        self.engine.note(row.key.partition("/")[0], str(row))

    def _mistake(self) -> Play | None:
        for play in self.plays:
            if play.execution.mistake is not None and not play.may_park:
                return play
        return None

    def _complain(self) -> None:
        play = self._mistake()
        if play is not None and play.execution.mistake is not None:
            error = play.execution.mistake
            if not getattr(error, "__notes__", None):
                error.add_note(play.timeline)
            raise error


def _moment(at: str | datetime, zone: str) -> datetime:
    told = datetime.fromisoformat(at) if isinstance(at, str) else at
    if told.tzinfo is not None:
        return told.astimezone(UTC)
    return local_moment(told.date(), told.time(), Zone.of(None, zone))


@cache
def _shipped() -> dict[str, type[Journey[Any, Any]]]:
    return {cls.declaration.name: cls for cls in discover()}


@cache
def _templates() -> JinjaRenderer:
    """The journeys' templates, compiled once for all rehearsals."""
    return JinjaRenderer()


__all__ = ["MONDAY", "About", "NotEntered", "Rehearsal"]
