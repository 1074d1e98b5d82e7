"""What a journey declares, checked when its module is imported."""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Any, Generic, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from domain.enrollments import Entry, PerDay, ReEntry, key_in_id
from domain.errors import JourneyError, Refused, UndeclaredEvent
from domain.events import Envelope, Event, ScheduledEntry, event_type, event_types
from domain.schedules import Schedule
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
        triggers: the event types that start it.
        listens: the event types that an enrollment hears after its start.
        summary: the first sentence of the class's docstring.
    """

    name: str
    workflow_type: str
    triggers: tuple[type[Event], ...]
    listens: tuple[type[Event], ...]
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


def snake_case(name: str) -> str:
    """`AbandonedCart` becomes `abandoned_cart`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def with_holds(listens: tuple[type[Event], ...]) -> tuple[type[Event], ...]:
    """What a journey listens to: what it declares, and what opens and closes holds."""
    holds = (kind for kind in event_types() if kind.hold is not None)
    return tuple(dict.fromkeys((*listens, *holds)))


def check_events(cls: type, kinds: tuple[type[Event], ...]) -> None:
    """Check that event types are declared where every process and the sandbox share them.

    Raises:
        JourneyError: one stands beside the journey, where the sandbox would make it anew.
    """
    for kind in kinds:
        if kind.__module__.partition(".")[0] == "journeys":
            raise JourneyError(
                f"{cls.__name__}: move the event type {kind.__name__} to domain/events/"
            )


def event_types_in(annotation: object) -> tuple[type[Event], ...]:
    """The event types that `A`, or `A | B`, stands for; none where it is something else."""
    if get_origin(annotation) in {UnionType, Union}:
        parts = [event_types_in(part) for part in get_args(annotation)]
        return tuple(kind for part in parts for kind in part) if all(parts) else ()
    if isinstance(annotation, type) and issubclass(annotation, Event) and annotation is not Event:
        return (annotation,)
    return ()


def check_run(cls: type, triggers: tuple[type[Event], ...]) -> None:
    """Check that `run` takes the events that start it and is decorated.

    Raises:
        JourneyError: it is not; the sentence says what to write.
    """
    run: Any = cls.__dict__["run"]
    taken = " | ".join(kind.__name__ for kind in triggers)
    wanted = f"async def run(self, event: {taken}) -> Outcome"
    if not hasattr(run, "__temporal_workflow_run"):
        raise JourneyError(f"{cls.__name__}.run: decorate it with @workflow.run")
    if not inspect.iscoroutinefunction(run):
        raise JourneyError(f"{cls.__name__}.run must be `{wanted}`: it is not async")
    parameters = list(inspect.signature(run).parameters.values())[1:]
    if len(parameters) != 1 or not _means(parameters[0].annotation, triggers):
        what = "the event that starts it" if len(triggers) == 1 else "every event that starts it"
        raise JourneyError(f"{cls.__name__}.run must be `{wanted}`, for {what}")


def _means(annotation: object, triggers: tuple[type[Event], ...]) -> bool:
    if isinstance(annotation, str):
        return {part.strip() for part in annotation.split("|")} == {t.__name__ for t in triggers}
    return set(event_types_in(annotation)) == set(triggers)


def check_takes(
    cls: type, keyword: str, function: Callable[[Any], object] | None, triggers: tuple[type, ...]
) -> None:
    """Check that a function of the class line takes every event that starts the journey.

    Only what its annotation says can be checked; a lambda has none.

    Raises:
        JourneyError: it does not; the sentence says what to write.
    """
    try:
        hints = get_type_hints(function) if function is not None else {}
        names = list(inspect.signature(function).parameters) if function is not None else []
    except (NameError, TypeError, ValueError):
        return
    taken = event_types_in(hints.get(names[0])) if names else ()
    if missing := [kind for kind in triggers if taken and not issubclass(kind, taken)]:
        union = " | ".join(kind.__name__ for kind in triggers)
        raise JourneyError(
            f"{cls.__name__}: `{keyword}=` must also take {missing[0].__name__}, which starts the "
            f"journey: annotate its argument with `{union}`"
        )


def limit_of(cls: type, entries_per_day: int | PerDay | None) -> PerDay | None:
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


def check_schedule(cls: type, schedule: Schedule | None, triggers: tuple[type[Event], ...]) -> None:
    """Check that a journey with a schedule starts by its event, and the other way round.

    Raises:
        JourneyError: it does not; the sentence says what to write.
    """
    if schedule is not None and ScheduledEntry not in triggers:
        union = " | ".join((*(kind.__name__ for kind in triggers), ScheduledEntry.__name__))
        raise JourneyError(f"{cls.__name__} has a schedule: write `Journey[{union}]` for its event")
    if schedule is None and ScheduledEntry in triggers:
        raise JourneyError(
            f"{cls.__name__} begins by a schedule but has none: add `schedule=Schedule(at=…, "
            "segment=…)` to the class line"
        )


def check_waits(cls: type, listens: tuple[type[Event], ...]) -> None:
    """Check that every `self.wait_for(X)` and `self.until(X)` in the class is declared.

    It reads the class's source; where there is none, the same check runs at the wait.

    Raises:
        UndeclaredEvent: one is not; the sentence says what to add.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return
    names = vars(sys.modules[cls.__module__])
    for name in _waited_for(tree):
        kind = names.get(name)
        if isinstance(kind, type) and issubclass(kind, Event) and kind not in listens:
            raise undeclared(cls, kind)


def undeclared(cls: type, kind: type[Event]) -> UndeclaredEvent:
    """The error of waiting for what was not declared."""
    return UndeclaredEvent(
        f"{cls.__name__} waits for {kind.__name__} but does not listen to it: "
        f"add it to `listens=[…]` in the class line"
    )


def _waited_for(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="self"), attr="wait_for" | "until"),
                args=[ast.Name(id=name), *_],
            ):
                yield name
