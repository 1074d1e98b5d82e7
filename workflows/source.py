"""The source of a journey: its methods, and the functions that it hands itself to."""

import ast
import builtins
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
SCOPES = (*FUNCTIONS, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

CHANGES = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem"}
CHANGES |= {"remove", "reverse", "setdefault", "sort", "update"}
"""The methods by which lists, sets and dictionaries change."""


@dataclass(frozen=True)
class Code:
    """A function of a journey.

    Attributes:
        function: what is written.
        me: under which name it knows the journey, such as `self`.
        names: what its module's names stand for.
        first_line: of the source that it was read from, in its file.
        local: the names that it binds itself.
        work: the functions that it hands to `self.step`, by name.
    """

    function: ast.FunctionDef | ast.AsyncFunctionDef
    me: str
    names: Mapping[str, object]
    first_line: int
    local: frozenset[str] = field(init=False)
    work: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "local", frozenset(bound(self.function)))
        object.__setattr__(self, "work", frozenset(self._work()))

    def line(self, node: ast.AST) -> int:
        """On which line of its file something stands."""
        return self.first_line + int(getattr(node, "lineno", 1)) - 1

    def verb(self, node: ast.AST) -> str | None:
        """The name of what a call asks of the journey: `wait_for` of `self.wait_for(…)`."""
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=verb)):
                return verb if name == self.me else None
        return None

    def value(self, node: ast.AST) -> object:
        """What a name, or a name's attribute, stands for; None where the text does not say."""
        match node:
            case ast.Name(id=name) if name not in self.local:
                return self.names.get(name, getattr(builtins, name, None))
            case ast.Attribute(value=owner, attr=attribute):
                of = self.value(owner)
                if isinstance(of, ModuleType | type):
                    return getattr(of, attribute, None)
        return None

    def path(self, node: ast.AST) -> str:
        """The dotted name of what a name stands for, such as `datetime.datetime.now`."""
        match node:
            case ast.Attribute(value=owner, attr=attribute):
                of = self.path(owner)
                return f"{of}.{attribute}" if of else ""
            case ast.Name():
                value: Any = self.value(node)
                if isinstance(value, ModuleType):
                    return value.__name__
                module = getattr(value, "__module__", None)
                name = getattr(value, "__qualname__", None)
                if isinstance(module, str) and isinstance(name, str):
                    return f"{module}.{name}"
        return ""

    def _work(self) -> Iterator[str]:
        for node in ast.walk(self.function):
            if self.verb(node) == "step":
                for inner in ast.walk(node):
                    match inner:
                        case ast.Name(id=name):
                            yield name
                        case ast.Attribute(value=ast.Name(id=self.me), attr=name) if name != "step":
                            yield name


def code_of(cls: type, base: type) -> tuple[Code, ...]:
    """The code of a journey: of its class, of classes between it and `base`, and of its helpers.

    A helper is a function that it calls with itself. Where there is no source, there is no code.
    """
    found = [code for one in cls.__mro__ if _is_authored(one, base) for code in _methods(one)]
    seen: set[FunctionType] = set()
    for code in found:  # which grows
        for node in ast.walk(code.function):
            helper = code.value(node.func) if isinstance(node, ast.Call) else None
            if not isinstance(helper, FunctionType) or helper in seen:
                continue
            if parameter := _given(code, node, helper):
                found.extend(_helper(helper, parameter))
                seen.add(helper)
    return tuple(found)


def _is_authored(one: type, base: type) -> bool:
    return one not in base.__mro__


def _methods(cls: type) -> Iterator[Code]:
    names = vars(sys.modules[cls.__module__])
    tree, first_line = _parsed(cls)
    for node in tree.body[0].body if tree and isinstance(tree.body[0], ast.ClassDef) else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.args.args:
            yield Code(node, node.args.args[0].arg, names, first_line)


def _helper(function: FunctionType, parameter: str) -> Iterator[Code]:
    tree, first_line = _parsed(function)
    node = tree.body[0] if tree else None
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield Code(node, parameter, function.__globals__, first_line)


def _parsed(what: Any) -> tuple[ast.Module | None, int]:
    try:
        lines, first_line = inspect.getsourcelines(what)
        return ast.parse(textwrap.dedent("".join(lines))), first_line
    except (OSError, TypeError, SyntaxError):
        return None, 1


def _given(code: Code, call: ast.AST, helper: FunctionType) -> str | None:
    """As which of its parameters a helper is given the journey."""
    assert isinstance(call, ast.Call)
    parameters = list(inspect.signature(helper).parameters)
    for at, argument in enumerate(call.args[: len(parameters)]):
        if isinstance(argument, ast.Name) and argument.id == code.me:
            return parameters[at]
    for keyword in call.keywords:
        if isinstance(keyword.value, ast.Name) and keyword.value.id == code.me:
            return keyword.arg
    return None


def within(node: ast.AST) -> Iterator[ast.AST]:
    """What stands within a piece of code, but for functions and comprehensions within it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, SCOPES):
            yield from within(child)


def waits(node: ast.AST) -> bool:
    """Whether something is awaited within a piece of code."""
    kinds = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    return any(isinstance(inner, kinds) for inner in (node, *within(node))) or any(
        isinstance(inner, ast.Await)
        for one in within(node)
        if isinstance(one, SCOPES) and not isinstance(one, FUNCTIONS)
        for inner in ast.walk(one)
    )


def bound(node: ast.AST) -> Iterator[str]:
    """The names that a piece of code binds, but for what functions within it do."""
    if isinstance(node, FUNCTIONS):
        arguments = node.args
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        yield from (argument.arg for argument in every)
        yield from (one.arg for one in (arguments.vararg, arguments.kwarg) if one)
    for inner in within(node):
        yield from (name for name, _ in bindings(inner))


def bindings(node: ast.AST) -> Iterator[tuple[str, int]]:
    """The names that one piece of syntax binds, and on which line."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()):
            yield name, node.lineno
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name, node.lineno
        case ast.MatchMapping(rest=str(name)) | ast.ExceptHandler(name=str(name)):
            yield name, node.lineno
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name, node.lineno
