"""What a journey declares, checked when its module is imported."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast, get_args, get_origin

from temporalio import workflow

from domain.enrollments import Entry, PerDay, ReEntry, key_in_id
from domain.errors import JourneyError, Refused
from domain.events import Envelope, Event, event_type, event_types
from domain.schedules import Schedule
from workflows.beginnings import check_key, check_templates
from workflows.checks import (
    check_events,
    check_names,
    check_run,
    check_schedule,
    check_takes,
    event_types_in,
)
from workflows.mistakes import check_code
from workflows.parameters import Parameters
from workflows.queues import JOURNEYS
from workflows.shared_state import check_module
from workflows.source import code_of

_LONGEST_KEY = 255

E = TypeVar("E", bound=Event)
E_contra = TypeVar("E_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

UNSAID: Any = object()
"""The key of a class line that says nothing of one; `None` says that there is none."""

MYPY = False
"""True to mypy alone."""


class Takes(Protocol[E_contra, R_co]):  # type: ignore[misc] # mypy does not see the use below
    """A function of the event that starts a journey."""

    if MYPY:  # it does not know, in a class line, what starts the journey: anything goes

        def __call__(self, event: Any, /) -> R_co:
            """Say it of an event."""

    else:

        def __call__(self, event: E_contra, /) -> R_co:
            """Say it of an event."""


@dataclass(frozen=True)
class Declaration(Generic[E]):
    """A journey as the rest of the house sees it.

    Attributes:
        name: the journey's name, from its class's name in snake case.
        workflow_type: the name of its Temporal workflow.
        triggers: the event types that start it.
        listens: the event types that an enrollment hears after its start.
        keeps: those of them that its waits may ask for.
        summary: the first sentence of the class's docstring.
    """

    name: str
    workflow_type: str
    triggers: tuple[type[Event], ...]
    listens: tuple[type[Event], ...]
    keeps: tuple[type[Event], ...]
    parameters: type[Parameters]
    key: Callable[[E], str] | None
    where: Callable[[E], bool] | None
    re_entry: ReEntry
    per_day: PerDay | None
    schedule: Schedule | None
    summary: str

    def entry(self, event: E, parameters: Parameters) -> Entry | None:
        """The event's wish to start this journey, or None where its predicate declines."""
        if self.where is not None and not self.where(event):
            return None
        key = self.key(event) if self.key is not None else None
        if key is not None and len(key) > _LONGEST_KEY:
            key = key_in_id(key)  # one journey's key must not cost the others the event
        return Entry(
            journey=self.name,
            workflow_type=self.workflow_type,
            key=key,
            listens=tuple(kind.name for kind in self.listens),
            parameters=parameters.model_dump(mode="json"),
            summary=self.summary + (f" Key: {key_in_id(key)}" if key else ""),
            task_queue=JOURNEYS,
            re_entry=self.re_entry,
            per_day=self.per_day,
        )

    def read(self, envelope: Envelope) -> E:
        """The event that started an enrollment, as one of the types that start this journey.

        Raises:
            Refused: it is of none of them, or its properties do not validate any more.
        """
        kind = event_type(envelope.name)
        if kind is None or not issubclass(kind, self.triggers):
            names = ", ".join(trigger.name for trigger in self.triggers)
            raise Refused(f"{self.name} begins by {names}, not by {envelope.name}")
        return cast(E, kind.from_envelope(envelope))


@dataclass(frozen=True)
class ClassLine:
    """What stands in a journey's class line; see `Journey`."""

    listens: tuple[type[Event], ...]
    key: Callable[[Any], str] | None
    where: Callable[[Any], bool] | None
    re_entry: ReEntry
    entries_per_day: int | PerDay | None
    schedule: Schedule | None


def declare(cls: type, base: type, line: ClassLine) -> Declaration[Any]:
    """What a journey class declares, checked.

    Args:
        cls: the class.
        base: `Journey`, whose type arguments say what starts it.
        line: what stands in its class line.

    Raises:
        JourneyError: something is missing or wrong; the sentence says what to write.
    """
    triggers, parameters = _type_arguments(cls, base)
    heard = with_holds(line.listens)
    check_events(cls, (*triggers, *heard))
    check_run(cls, triggers)
    check_takes(cls, "key", None if line.key is UNSAID else line.key, triggers)
    check_takes(cls, "where", line.where, triggers)
    check_schedule(cls, line.schedule, triggers)
    check_names(cls, base)
    if not workflow.unsafe.in_sandbox():
        codes = code_of(cls, base)
        check_code(cls, codes, line.listens)
        check_templates(cls, codes, triggers)
        if line.key is UNSAID:
            check_key(cls, codes, line.re_entry, triggers)
        check_module(cls)
    key = None if line.key is UNSAID else line.key
    name = snake_case(cls.__name__)
    return Declaration(
        name=name,
        workflow_type=cls.__name__,
        triggers=triggers,
        listens=heard,
        keeps=line.listens,
        parameters=parameters,
        key=key,
        where=line.where,
        re_entry=line.re_entry,
        per_day=_limit(cls, line.entries_per_day),
        schedule=line.schedule,
        summary=(cls.__doc__ or name).strip().split("\n", maxsplit=1)[0],
    )


def _type_arguments(cls: type, base: type) -> tuple[tuple[type[Event], ...], type[Parameters]]:
    begins, parameters, *_ = (*_given_to(base, cls), None, None)
    if triggers := event_types_in(begins):
        if isinstance(parameters, type) and issubclass(parameters, Parameters):
            return triggers, parameters
        return triggers, Parameters
    raise JourneyError(
        f"{cls.__name__}: say which event starts it, as in `class {cls.__name__}(Journey[MyEvent])`"
        " or, where there are several, `Journey[MyEvent | MyOtherEvent]`"
    )


def _given_to(base: type, cls: type) -> tuple[Any, ...]:
    """The type arguments that `base` gets from a class, through whatever lies between them."""
    for generic in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = get_origin(generic) or generic
        if origin is base:
            return get_args(generic)
        if isinstance(origin, type) and issubclass(origin, base):
            given = dict(
                zip(getattr(origin, "__parameters__", ()), get_args(generic), strict=False)
            )
            return tuple(given.get(one, one) for one in _given_to(base, origin))
    return ()


def _limit(cls: type, entries_per_day: int | PerDay | None) -> PerDay | None:
    """How many a day, from what the class line says.

    Raises:
        JourneyError: nobody could ever enter.
    """
    if not isinstance(entries_per_day, int):
        return entries_per_day
    try:
        return PerDay(entries_per_day)
    except ValueError as error:
        raise JourneyError(f"{cls.__name__}: `entries_per_day=`: {error}") from None


def snake_case(name: str) -> str:
    """`AbandonedCart` becomes `abandoned_cart`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def with_holds(listens: tuple[type[Event], ...]) -> tuple[type[Event], ...]:
    """What a journey listens to: what it declares, and what opens and closes holds."""
    holds = (kind for kind in event_types() if kind.hold is not None)
    return tuple(dict.fromkeys((*listens, *holds)))
