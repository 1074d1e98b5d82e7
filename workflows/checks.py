"""Mistakes of a journey's author, found at import: each sentence says what to write instead.

The code is read as text, not run. What the text does not show is found when it runs.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
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


def check_code(cls: type, listens: tuple[type[Event], ...]) -> None:
    """Check the code of a journey.

    - Every event that it waits for is declared.
    - What may go on for ever is written so that it can: a `while` that waits keeps every step
      that it ever made, `self.rounds` does not.
    - What Temporal itself offers is awaited as a step: else it would be done again whenever
      the journey goes on in a new run.

    Where there is no source, the first is checked at the wait.

    Raises:
        UndeclaredEvent: an event is not declared.
        JourneyError: one of the others.
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
    for node in ast.walk(tree):
        match node:
            case ast.While() if any(_is_step(inner) for inner in ast.walk(node)):
                raise JourneyError(
                    f"{cls.__name__}: write the `while` that waits as "
                    "`async for _ in self.rounds(memory, most=…)`, so that it may go on for years"
                )
            case ast.AsyncFunctionDef():
                _check_loops(cls, node)
    for name in _raw(tree):
        instead = _ANEW.get(name) or (
            f'await self.step("a name", ResultType, lambda: workflow.{name}(…))'
        )
        raise JourneyError(
            f"{cls.__name__}: write `{instead}` for `workflow.{name}(…)`: outside of a step it "
            "would be done again in every new run"
        )


_EVENT_WAITS = frozenset({"all_of", "first_of", "quiet", "until", "wait_for"})
_RAW = frozenset({"sleep", "start_activity", "start_child_workflow", "wait_condition"})
_FUNCTIONS = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef
_ANEW = {"now": "await self.now()", "time": "await self.now()"} | dict.fromkeys(
    ("random", "uuid4"), 'await self.step("draw", float, …)'
)
"""What gives something else each time it is asked, and what to ask instead."""


def _waited_for(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="self"), attr=attribute), args=args
            ) if attribute in _EVENT_WAITS:
                for argument in args:
                    match argument:
                        case ast.Name(id=name):
                            yield name
                        case ast.Call(func=ast.Name(id="on"), args=[ast.Name(id=name), *_]):
                            yield name


def _is_step(node: ast.AST) -> bool:
    match node:
        case ast.Await(value=ast.Call(func=ast.Attribute(value=ast.Name(id="self")))):
            return True
        case ast.AsyncWith() | ast.AsyncFor():
            return True
    return False


def _raw(tree: ast.AST, functions: int = 0) -> Iterator[str]:
    """What of Temporal's is called outside of `self.step(…)`.

    What a function within the code asks is asked when that is called: that may be meant.
    """
    match tree:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr="step")):
            return
        case ast.Call(func=ast.Attribute(value=ast.Name(id="workflow"), attr=name)):
            if name in _RAW or name.startswith("execute_") or (name in _ANEW and functions == 1):
                yield name
    functions += isinstance(tree, _FUNCTIONS)
    for child in ast.iter_child_nodes(tree):
        yield from _raw(child, functions)


def _check_loops(cls: type, method: ast.AsyncFunctionDef) -> None:
    for node in ast.walk(method):
        match node:
            case ast.AsyncFor(iter=ast.Call(func=ast.Attribute(attr="rounds"))):
                _check_memory(cls, method, node)


def _check_memory(cls: type, method: ast.AST, loop: ast.AsyncFor) -> None:
    """Check that nothing but its memory leaves a round of a loop in a method.

    Raises:
        JourneyError: it changes a variable from before the loop, or one that is read after it.
    """
    end = loop.end_lineno or loop.lineno
    inside = {node.id for node in _names(loop, ast.Store)}
    before = {node.id for node in _names(method, ast.Store) if node.lineno < loop.lineno}
    anew = {node.id: node.lineno for node in _names(method, ast.Store) if node.lineno > end}
    after = {
        node.id
        for node in _names(method, ast.Load)
        if node.lineno > end and anew.get(node.id, node.lineno + 1) > node.lineno
    }
    for name in sorted(inside & (before | after) - {"_"}):
        raise JourneyError(
            f"{cls.__name__}: a loop of rounds assigns {name!r}, which a new run would not know "
            "outside of the round: make it a field of the loop's memory"
        )


def _names(tree: ast.AST, use: type[ast.Load] | type[ast.Store]) -> Iterator[ast.Name]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, use):
            yield node
