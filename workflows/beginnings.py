"""What a journey does with the event that began it, held against its class line at import."""

import ast
from collections.abc import Sequence

from domain.enrollments import ALWAYS, ONCE, ReEntry
from domain.errors import JourneyError
from domain.events import Event
from domain.messages import Template, email, push, webhook
from workflows.matching import on
from workflows.source import Code


def check_key(
    cls: type, codes: Sequence[Code], re_entry: ReEntry, triggers: tuple[type[Event], ...]
) -> None:
    """Check that a journey about one thing of several, such as one cart, has a key.

    Args:
        cls: the journey, which says nothing of a key.
        codes: its code.
        re_entry: its policy; once in a lifetime, or always, needs none.
        triggers: what starts it.

    Raises:
        JourneyError: its predicates ask for just the thing that it began with.
    """
    if re_entry in {ONCE, ALWAYS}:
        return
    for code in codes:
        event = _event_of(code)
        if event is None:
            continue
        if (asked := _asks_for_this(code, event)) is not None:
            what = " or ".join(kind.__name__ for kind in triggers)
            raise JourneyError(
                f"{cls.__name__}, line {code.line(asked)}: it waits for what belongs to the "
                f"{what} that it began with, but a customer is in it only once at a time. Write "
                f"`key=lambda {event}: …` in the class line, for one enrollment each; or "
                "`key=None` where one at a time is meant"
            )


def _event_of(code: Code) -> str | None:
    """The name of the event that begins the journey, where this is its `run`."""
    arguments = code.function.args
    begins = (*arguments.posonlyargs, *arguments.args)[1:2]
    return begins[0].arg if code.function.name == "run" and begins else None


def _asks_for_this(code: Code, event: str) -> ast.AST | None:
    functions = {
        node.name: node for node in ast.walk(code.function) if isinstance(node, ast.FunctionDef)
    }
    for node in ast.walk(code.function):
        if not isinstance(node, ast.Call):
            continue
        predicates = [word.value for word in node.keywords if word.arg == "where"]
        predicates += node.args[1:] if code.value(node.func) is on else []
        for given in predicates:
            predicate = functions.get(given.id, given) if isinstance(given, ast.Name) else given
            for inner in ast.walk(predicate):
                match inner:
                    case ast.Attribute(value=ast.Name(id=name), attr=attribute) if (
                        name == event and attribute.endswith("_id") and attribute != "event_id"
                    ):
                        return inner
                    case ast.Call(args=args) if any(
                        isinstance(one, ast.Name) and one.id == event for one in args
                    ):
                        return inner
    return None


def check_templates(cls: type, codes: Sequence[Code], triggers: tuple[type[Event], ...]) -> None:
    """Check that the event that begins a journey goes into templates that are written for it.

    Raises:
        JourneyError: it does not.
    """
    if len(triggers) != 1:
        return  # which of them it is depends on the way there
    (kind,) = triggers
    for code in codes:
        event = _event_of(code)
        if event is None or _is_bound_again(code, event):
            continue
        for call in ast.walk(code.function):
            match call:
                case ast.Call(func=made, args=[first, ast.Name(id=name)]) if (
                    name == event
                    and any(code.value(made) is one for one in (email, push, webhook))
                    and isinstance(template := code.value(first), Template)
                    and not issubclass(kind, template.data)
                ):
                    raise JourneyError(
                        f"{cls.__name__}, line {code.line(call)}: the template "
                        f"{template.name!r} is written for {template.data.__name__}, and `{name}` "
                        f"is a {kind.__name__}: pass the event that it was declared with"
                    )


def _is_bound_again(code: Code, name: str) -> bool:
    names = [
        node.id
        for node in ast.walk(code.function)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    ]
    inner = [node.arg for node in ast.walk(code.function) if isinstance(node, ast.arg)]
    return name in names or inner.count(name) > 1
