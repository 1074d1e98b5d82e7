"""What a journey's module must not do: keep a variable that its enrollments would share.

All enrollments of a journey run in one sandbox (`worker.sandbox`). What one left in a variable
of the module another would find there, and after a restart nobody would.
"""

import ast
import inspect
import sys
from collections.abc import Iterator

from domain.errors import JourneyError
from workflows.source import CHANGES, FUNCTIONS, bound


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


def _changed(tree: ast.AST, variables: set[str], *, in_function: bool = False) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, FUNCTIONS):
            # A name that a function binds is its own there, and in functions within it.
            yield from _changed(node, variables - set(bound(node)), in_function=True)
            continue
        match node:
            case ast.Global(names=names):
                yield from names
            case ast.Call(func=ast.Attribute(value=changed, attr=method)) if method in CHANGES:
                yield from ({_variable(changed)} & variables if in_function else ())
            case (
                ast.Subscript(value=changed, ctx=ast.Store() | ast.Del())
                | ast.Attribute(value=changed, ctx=ast.Store() | ast.Del())
            ):
                yield from ({_variable(changed)} & variables if in_function else ())
        yield from _changed(node, variables, in_function=in_function)


def _variable(node: ast.expr) -> str:
    """The variable that something is in, such as `SEEN` of `SEEN["a"].b`."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
