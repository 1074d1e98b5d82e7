"""What a journey declares, checked when its module is imported."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args, get_origin

from temporalio import workflow

from domain.enrollments import Entry, ReEntry, key_in_id
from domain.errors import JourneyError
from domain.events import Envelope, Event, event_types
from workflows.checks import check_code, check_events, check_run
from workflows.parameters import Parameters
from workflows.queues import JOURNEYS

_LONGEST_KEY = 255

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Declaration(Generic[E]):
    """A journey as the rest of the house sees it.

    Attributes:
        name: the journey's name, from its class's name in snake case.
        workflow_type: the name of its Temporal workflow.
        trigger: the event type that starts it.
        listens: the event types that an enrollment hears after its start.
        keeps: those of them that its waits may ask for.
        summary: the first sentence of the class's docstring.
    """

    name: str
    workflow_type: str
    trigger: type[E]
    listens: tuple[type[Event], ...]
    keeps: tuple[type[Event], ...]
    parameters: type[Parameters]
    key: Callable[[E], str] | None
    where: Callable[[E], bool] | None
    re_entry: ReEntry
    summary: str

    def read(self, envelope: Envelope) -> E:
        """The event that started an enrollment.

        Raises:
            Refused: it does not validate.
        """
        return self.trigger.from_envelope(envelope)

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
        )


def declare(
    cls: type,
    base: type,
    *,
    listens: tuple[type[Event], ...],
    key: Callable[[Any], str] | None,
    where: Callable[[Any], bool] | None,
    re_entry: ReEntry,
) -> Declaration[Any]:
    """What a journey class declares, checked.

    Args:
        cls: the class.
        base: `Journey`, whose type arguments say what starts it.
        listens: see `Journey`.
        key: see `Journey`.
        where: see `Journey`.
        re_entry: see `Journey`.

    Raises:
        JourneyError: something is missing or wrong; the sentence says what to write.
    """
    trigger, parameters = _type_arguments(cls, base)
    heard = with_holds(listens)
    check_events(cls, (trigger, *heard))
    check_run(cls, trigger)
    if not workflow.unsafe.in_sandbox():
        check_code(cls, listens)
    name = snake_case(cls.__name__)
    return Declaration(
        name=name,
        workflow_type=cls.__name__,
        trigger=trigger,
        listens=heard,
        keeps=listens,
        parameters=parameters,
        key=key,
        where=where,
        re_entry=re_entry,
        summary=(cls.__doc__ or name).strip().split("\n", maxsplit=1)[0],
    )


def _type_arguments(cls: type, base: type) -> tuple[type[Event], type[Parameters]]:
    for generic in getattr(cls, "__orig_bases__", ()):
        origin = get_origin(generic)
        if isinstance(origin, type) and issubclass(origin, base):
            trigger, *rest = get_args(generic)
            if isinstance(trigger, type) and issubclass(trigger, Event):
                return trigger, (rest[0] if rest else Parameters)
    raise JourneyError(
        f"{cls.__name__}: say which event starts it, as in `class {cls.__name__}(Journey[MyEvent])`"
    )


def snake_case(name: str) -> str:
    """`AbandonedCart` becomes `abandoned_cart`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def with_holds(listens: tuple[type[Event], ...]) -> tuple[type[Event], ...]:
    """What a journey listens to: what it declares, and what opens and closes holds."""
    holds = (kind for kind in event_types() if kind.hold is not None)
    return tuple(dict.fromkeys((*listens, *holds)))
