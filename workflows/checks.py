"""Mistakes in a journey's class line, found at import: each sentence says what to write instead."""

import inspect
from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from domain.errors import JourneyError, UndeclaredEvent
from domain.events import Event, ScheduledEntry
from domain.schedules import Schedule


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


def undeclared(cls: type, kind: type[Event]) -> UndeclaredEvent:
    """The error of waiting for what was not declared."""
    return UndeclaredEvent(
        f"{cls.__name__} waits for {kind.__name__} but does not listen to it: "
        f"add it to `listens=[…]` in the class line"
    )


def check_names(cls: type, base: type) -> None:
    """Check that a journey defines nothing under a name that `Journey` itself needs.

    Raises:
        JourneyError: it does.
    """
    authored = [one for one in cls.__mro__ if one not in base.__mro__]
    taken = set(dir(base)) | {name for one in base.__mro__ for name in inspect.get_annotations(one)}
    for name, value in ((name, value) for one in authored for name, value in vars(one).items()):
        if name == "__init__" and not hasattr(value, "__temporal_workflow_init"):
            raise JourneyError(f"{cls.__name__}: a journey has no `__init__`: begin in `run`")
        if name in taken - _THEIRS and not name.startswith("__"):
            raise JourneyError(f"{cls.__name__}: choose another name for `{name}`: Journey has one")


_THEIRS = {"run", "cap", "_abc_impl"}
"""What `Journey` has and a journey may define."""
