"""What authors import is frozen, and says of itself what it takes and raises."""

import ast
import builtins
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rehearsal
import workflows

_OURS = {"activities", "audiences", "domain", "journeys", "rehearsal", "workflows"}
_SECTION = re.compile(
    r"^(Args|Attributes|Class keywords|Raises|Returns):\n((?:[ ]+.*\n?|\n)+)", re.MULTILINE
)
_ENTRY = re.compile(r"^    (\w+):", re.MULTILINE)


def test_what_is_imported_from_workflows_is_frozen() -> None:
    assert workflows.__all__ == [
        "AFTER_EXIT",
        "ALWAYS",
        "EVERYBODY",
        "EVERY_DAY",
        "ONCE",
        "WEEKDAYS",
        "Arrival",
        "Cap",
        "Day",
        "Delivery",
        "Entered",
        "Journey",
        "JourneyError",
        "JourneyFailed",
        "Match",
        "NotEntered",
        "Outcome",
        "OutcomeKind",
        "Parameters",
        "PerDay",
        "Quiet",
        "ReEntry",
        "Reply",
        "Rounds",
        "Schedule",
        "Sent",
        "StillInside",
        "Suppressed",
        "Template",
        "TooLate",
        "Topic",
        "UndeclaredEvent",
        "Unknown",
        "Until",
        "Window",
        "email",
        "on",
        "push",
        "webhook",
    ]


def test_what_is_imported_from_rehearsal_is_frozen() -> None:
    assert rehearsal.__all__ == [
        "Awaited",
        "Busy",
        "DidNotPark",
        "Enrollment",
        "Handed",
        "MemoryStore",
        "NeverEnds",
        "NotDeterministic",
        "NotEntered",
        "NotPlayed",
        "Person",
        "PlainRenderer",
        "Play",
        "RecordingChannel",
        "Rehearsal",
        "Row",
    ]


def _functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function and method of every public name."""
    for module in (workflows, rehearsal):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isfunction(value):
                yield name, value
            if not inspect.isclass(value):
                continue
            for base in value.__mro__:
                if base.__module__.partition(".")[0] not in _OURS:
                    continue
                for attribute, member in vars(base).items():
                    function = inspect.unwrap(getattr(member, "fget", member))
                    function = getattr(function, "__func__", function)
                    is_public = not attribute.startswith("_") or attribute == "__init_subclass__"
                    if is_public and inspect.isfunction(function) and function.__doc__ != "":
                        yield f"{base.__name__}.{attribute}", function


FUNCTIONS = dict(_functions())


def _sections(documented: object) -> dict[str, list[str]]:
    text = inspect.getdoc(documented) or ""
    return {name: _ENTRY.findall(body) for name, body in _SECTION.findall(f"{text}\n")}


def _classes() -> list[type]:
    every = [getattr(module, name) for module in (workflows, rehearsal) for name in module.__all__]
    return [one for one in every if inspect.isclass(one)]


@pytest.mark.parametrize("cls", _classes(), ids=lambda cls: cls.__name__)
def test_a_class_says_what_it_is_and_names_only_attributes_that_it_has(cls: type) -> None:
    assert cls.__doc__
    assert not cls.__doc__.startswith(f"{cls.__name__}("), "this is what dataclass writes"
    known = {name for base in cls.__mro__ for name in (*vars(base), *inspect.get_annotations(base))}
    known |= set(re.findall(r"self\.(\w+)\b", inspect.getsource(cls)))
    assert set(_sections(cls).get("Attributes", [])) <= known


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_what_it_does_takes_and_raises(name: str) -> None:
    function = FUNCTIONS[name]
    assert function.__doc__, "it says nothing"
    taken = [one for one in inspect.signature(function).parameters if one not in {"self", "cls"}]
    sections = _sections(function)
    if name == "Journey.__init_subclass__":
        assert _sections(workflows.Journey)["Class keywords"] == taken
    elif function.__module__.partition(".")[0] == "rehearsal":
        assert set(sections.get("Args", [])) <= set(taken)
    elif "Args" in sections or len(taken) > 1:
        assert sections["Args"] == taken
    for error in sections.get("Raises", []):
        known = function.__globals__.get(error, getattr(builtins, error, None))
        assert known is None or issubclass(known, BaseException)
    assert _raised(function) <= set(sections.get("Raises", []))


def _raised(function: Callable[..., Any]) -> set[str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return {
        node.exc.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and isinstance(getattr(builtins, node.exc.func.id, None), type)
    }
