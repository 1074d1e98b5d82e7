"""Mistakes in a journey's code, found at import: each sentence says what to write instead.

The code is read as text, not run. What the text does not show is found when it runs.
"""

import ast
from collections.abc import Iterator, Sequence

from domain.errors import JourneyError
from domain.events import Event
from workflows.checks import undeclared
from workflows.matching import Match, on
from workflows.memory import check_memory
from workflows.source import FUNCTIONS, Code, waits

_EVENT_WAITS = frozenset({"all_of", "first_of", "quiet", "until", "wait_for"})
_NOW = "`await self.now()`"
_DRAW = '`await self.split(…)`, or `await self.step("draw", float, …)` with an activity'
_OUTSIDE = '`await self.step("a name", ResultType, …)` with an activity'
_NEVER = {
    "datetime.datetime.now": _NOW,
    "datetime.datetime.utcnow": _NOW,
    "datetime.datetime.today": _NOW,
    "datetime.date.today": _NOW,
    "time.time": _NOW,
    "time.monotonic": _NOW,
    "random": _DRAW,
    "secrets": _DRAW,
    "uuid.uuid4": _DRAW,
    "time.sleep": "`await self.sleep(…)`",
    "builtins.open": _OUTSIDE,
    "_io.open": _OUTSIDE,  # what Python calls it depends on its version
    "io.open": _OUTSIDE,
    "httpx": _OUTSIDE,
    "requests": _OUTSIDE,
}
"""What must not be called in a workflow at all, and what to write instead."""
_ANEW = {
    "temporalio.workflow.now": _NOW,
    "temporalio.workflow.time": _NOW,
    "temporalio.workflow.random": '`await self.step("draw", float, …)`',
    "temporalio.workflow.uuid4": '`await self.step("draw", str, …)`',
}
"""What gives something else in every new run. Within a function it may be meant."""
_TIMEOUT = "`self.wait_for(…, timeout=…)` or `async with self.until(…)`"
_SEVERAL = "`self.first_of(…)` or `self.all_of(…)`, or all of it in one `self.step`"
_RAW = {
    "asyncio.sleep": "`await self.sleep(…)`",
    "asyncio.wait_for": _TIMEOUT,
    "asyncio.timeout": _TIMEOUT,
    "asyncio.gather": _SEVERAL,
    "asyncio.wait": _SEVERAL,
    "asyncio.create_task": _SEVERAL,
    "temporalio.workflow.sleep": "",
    "temporalio.workflow.wait_condition": "",
}
"""What would be done again in every new run, outside of a step."""
_RAW_BEGINS = ("temporalio.workflow.execute_", "temporalio.workflow.start_")
_ENDLESS = {"itertools.count", "itertools.cycle"}


def check_code(cls: type, codes: Sequence[Code], listens: tuple[type[Event], ...]) -> None:
    """Check the code of a journey, with its base classes and the functions it hands itself to.

    - Every event that it waits for is declared.
    - What may go on for ever is written so that it can: a `while` that waits keeps every step
      that it ever made, `self.rounds` does not.
    - What Temporal and asyncio offer is awaited as a step: else it would be done again whenever
      the journey goes on in a new run.
    - Nothing is asked that gives something else when the journey is played again.

    Where there is no source, the first is checked at the wait.

    Args:
        cls: the journey.
        codes: its code.
        listens: what it declares.

    Raises:
        UndeclaredEvent: an event is not declared.
        JourneyError: one of the others.
    """
    work = frozenset(name for code in codes for name in code.work)
    for code in codes:
        for kind in _waited_for(code):
            if kind not in listens:
                raise undeclared(cls, kind)
        for said in _said_of(code, work):
            raise JourneyError(f"{cls.__name__}, {said}")


def _said_of(code: Code, work: frozenset[str]) -> Iterator[str]:
    if code.function.name in work:
        yield from _calls(code, work, in_step=True)
        return
    yield from _loops(code, work)
    yield from check_memory(code)
    yield from _calls(code, work)


def _waited_for(code: Code) -> Iterator[type[Event]]:
    looped = _looped(code)
    for node in ast.walk(code.function):
        if isinstance(node, ast.Call) and code.verb(node) in _EVENT_WAITS:
            for argument in node.args:
                yield from _kinds(code, argument, looped)


def _looped(code: Code) -> dict[str, list[ast.expr]]:
    """What names stand for that go through constants: `for kind in (A, B)`, `kind = A`."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(code.function):
        match node:
            case (
                ast.For(target=ast.Name(id=name), iter=values)
                | ast.comprehension(target=ast.Name(id=name), iter=values)
                | ast.Assign(targets=[ast.Name(id=name)], value=values)
            ):
                found.setdefault(name, []).append(values)
    return found


def _kinds(code: Code, node: ast.expr, looped: dict[str, list[ast.expr]]) -> Iterator[type[Event]]:
    match node:
        case ast.Name(id=name) if name in looped:
            rest = {other: values for other, values in looped.items() if other != name}
            for values in looped[name]:
                yield from _kinds(code, values, rest)
        case ast.Starred(value=value):
            yield from _kinds(code, value, looped)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _kinds(code, part, looped)
        case ast.IfExp(body=body, orelse=other):
            yield from _kinds(code, body, looped)
            yield from _kinds(code, other, looped)
        case ast.Call(func=made, args=[first, *_]) if (
            code.value(made) is on or code.value(made) is Match
        ):
            yield from _kinds(code, first, looped)
        case _:
            yield from _kinds_of(code.value(node))


def _kinds_of(value: object) -> Iterator[type[Event]]:
    if isinstance(value, Match):
        yield value.kind
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _kinds_of(one)
    elif isinstance(value, type) and issubclass(value, Event):
        yield value


def _loops(code: Code, work: frozenset[str]) -> Iterator[str]:
    for node in _outside(code.function, work):
        match node:
            case ast.While() if waits(node):
                what = "`while`"
            case ast.For(iter=ast.Call(func=made)) if code.path(made) in _ENDLESS and waits(node):
                what = "endless `for`"
            case ast.For(iter=ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set"))) if (
                waits(node)
            ):
                yield (
                    f"line {code.line(node)}: write `for … in sorted(…)`: a set has another order "
                    "each time"
                )
                continue
            case _:
                continue
        yield (
            f"line {code.line(node)}: write the {what} that waits as "
            "`async for _ in self.rounds(memory, most=…)`, so that it may go on for years"
        )


def _outside(tree: ast.AST, work: frozenset[str]) -> Iterator[ast.AST]:
    """What of a function is not the work of a step."""
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, FUNCTIONS) and getattr(child, "name", "") in work):
            yield child
            yield from _outside(child, work)


def _calls(code: Code, work: frozenset[str], *, in_step: bool = False) -> Iterator[str]:
    yield from _called(code, code.function, work, in_step=in_step, functions=0)


def _called(
    code: Code, tree: ast.AST, work: frozenset[str], *, in_step: bool, functions: int
) -> Iterator[str]:
    """What is called that must not be, or only within `self.step(…)`."""
    for node in ast.iter_child_nodes(tree):
        inside = in_step or code.verb(node) == "step"
        inside = inside or (isinstance(node, FUNCTIONS) and getattr(node, "name", "") in work)
        if isinstance(node, ast.Call) and (path := _plain(code.path(node.func))):
            instead = _NEVER.get(path, _NEVER.get(path.partition(".")[0]))
            raw = path in _RAW or path.startswith(_RAW_BEGINS)
            if instead is not None:
                yield (
                    f"line {code.line(node)}: write {instead} for `{ast.unparse(node.func)}(…)`: "
                    "it gives something else when the journey is played again"
                )
            elif not inside and (raw or (path in _ANEW and not functions)):
                name = ast.unparse(node.func)
                instead = _ANEW.get(path) or _RAW.get(path)
                instead = instead or f'`await self.step("a name", ResultType, lambda: {name}(…))`'
                yield (
                    f"line {code.line(node)}: write {instead} for `{name}(…)`: outside of a step "
                    "it would be done again in every new run"
                )
        yield from _called(
            code, node, work, in_step=inside, functions=functions + isinstance(node, FUNCTIONS)
        )


def _plain(path: str) -> str:
    """A dotted name without the private modules that something happens to be defined in."""
    for public in ("asyncio", "temporalio.workflow"):
        if path.startswith(f"{public}."):
            return f"{public}.{path.rpartition('.')[2]}"
    return path
