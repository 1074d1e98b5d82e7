"""What a journey's module must not do: keep a variable that its enrollments would share.

All enrollments of a journey run in one sandbox (`worker.sandbox`). What one left in a variable
of the module another would find there, and after a restart nobody would.
"""

import ast
import inspect
import sys
from collections.abc import Iterator

from domain.errors import JourneyError

_CHANGE = frozenset(
    {
        "add",
        "append",
        "clear",
        "discard",
        "extend",
        "insert",
        "pop",
        "popitem",
        "remove",
        "setdefault",
        "update",
    }
)
_FUNCTIONS = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef


def check_module(cls: type) -> None:
    """Check that no function in a journey's module changes one of the module's variables.

    The module is read as text; where there is none, nothing is found.

    Raises:
        JourneyError: one does; the sentence names it.
    """
    try:
        tree = ast.parse(inspect.getsource(sys.modules[cls.__module__]))
    except (KeyError, OSError, TypeError, SyntaxError):
        return
    variables = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for name in _changed(tree, variables):
        raise JourneyError(
            f"{cls.__name__}: {name!r} of its module is changed by a function: all enrollments "
            "would share it, and lose it at the next restart; keep it in the journey, or in the "
            "memory of a loop"
        )


def _changed(tree: ast.Module, variables: set[str]) -> Iterator[str]:
    for function in (node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)):
        for node in ast.walk(function):
            match node:
                case ast.Global(names=names):
                    yield from names
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if (
                    method in _CHANGE and name in variables
                ):
                    yield name
                case (
                    ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del())
                    | ast.Attribute(value=ast.Name(id=name), ctx=ast.Store() | ast.Del())
                ) if name in variables:
                    yield name
