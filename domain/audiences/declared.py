"""What audiences are declared with has a name, and a key that changes with its meaning."""

import ast
import hashlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property, lru_cache
from types import CodeType, FunctionType
from typing import Any

from domain.errors import AudienceError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_CONSTANTS = (bool, bytes, date, Decimal, dict, Enum, float, int, list, str, timedelta, tuple)
_HERE = __name__.rpartition(".")[0]


class Declared:
    """Something that is declared at the top of a module and called by its variable's name.

    Args:
        name: its name, where there is no such variable.
        version: a number to raise when its meaning has changed in a way that its own source
            does not show, such as in a module that it calls.
    """

    def __init__(self, name: str | None, version: int) -> None:
        self._given = name
        self._version = version
        self._module = _declaring_module()
        if name is not None:
            _check(name)

    @cached_property
    def name(self) -> str:
        """What it is called, in code, in the store and in the API.

        Raises:
            AudienceError: nothing at the top of its module is this.
        """
        if self._given is not None:
            return self._given
        for name, value in vars(sys.modules[self._module]).items():
            if value is self:
                _check(name)
                return name
        raise AudienceError(
            f"{self._module}: a {type(self).__name__} has no name: assign it to a variable at the "
            "top of the module, or give it one with name="
        )

    @cached_property
    def key(self) -> str:
        """Its name and a digest of its meaning: what is kept under another key means another."""
        parts = ", ".join(f"{k}={v}" for k, v in sorted(self._meaning().items()))
        told = f"{type(self).__name__}({parts}) {self._version}"
        return f"{self.name}:{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    def _meaning(self) -> Mapping[str, str]:
        raise NotImplementedError

    def __repr__(self) -> str:
        """As it is called."""
        return f"<{type(self).__name__} {self._given or self._module}>"


def _declaring_module() -> str:
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals["__name__"].startswith(_HERE):
        frame = frame.f_back
    return str(frame.f_globals["__name__"]) if frame is not None else "__main__"


def _check(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise AudienceError(
            f"{name!r} cannot be the name of a trait or segment: it begins with a small letter and "
            "goes on with up to 59 small letters, digits and _"
        )


def source_of(function: Callable[..., Any]) -> str:
    """What a function means, as text that layout and comments do not change.

    It has the function's own source, the constants that it uses, and the same of functions
    beside it that it calls.

    Raises:
        AudienceError: its source is not to be had.
    """
    return " ".join(_texts(function, set()))


def _texts(function: Callable[..., Any], seen: set[int]) -> Iterator[str]:
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        raise AudienceError(f"{function!r}: write a function or a lambda here")
    if id(code) in seen:
        return
    seen.add(id(code))
    yield _text(code)
    bound = inspect.getclosurevars(function)
    for name, value in sorted({**bound.globals, **bound.nonlocals}.items()):
        if isinstance(value, FunctionType):
            yield from _texts(value, seen)
        elif isinstance(value, Declared):
            yield f"{name}={value.name}"
        elif isinstance(value, set | frozenset):
            yield f"{name}={sorted(map(repr, value))}"
        elif isinstance(value, _CONSTANTS):
            yield f"{name}={value!r}"


def _text(code: CodeType) -> str:
    kind = ast.Lambda if code.co_name == "<lambda>" else ast.FunctionDef
    # Several lambdas may begin on one line: the smallest that has all of the code is meant.
    places = [
        (line, column)
        for line, _, column, end in code.co_positions()
        if line is not None and column is not None and end
    ]
    texts = [
        ast.unparse(node)
        for node in ast.walk(_tree(code))
        if isinstance(node, kind)
        if _first_line(node) == code.co_firstlineno
        if all((node.lineno, node.col_offset) <= place <= _end(node) for place in places)
    ]
    if not texts:
        raise _without_source(code)
    return min(texts, key=len)


def _first_line(node: ast.Lambda | ast.FunctionDef) -> int:
    decorated = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return decorated[0].lineno if decorated else node.lineno


def _end(node: ast.Lambda | ast.FunctionDef) -> tuple[int, int]:
    return (node.end_lineno or node.lineno, node.end_col_offset or 0)


@lru_cache(maxsize=256)
def _tree(code: CodeType) -> ast.Module:
    try:
        return ast.parse("".join(inspect.findsource(code)[0]))
    except (OSError, SyntaxError):
        raise _without_source(code) from None


def _without_source(code: CodeType) -> AudienceError:
    return AudienceError(
        f"{code.co_filename}, line {code.co_firstlineno}: the source of this function is not to "
        "be found, and without it a change of its meaning would go unnoticed: write it in a module"
    )
