"""What leaves a round of a loop without being in its memory: a new run would not know it."""

import ast
from collections.abc import Iterator

from workflows.source import CHANGES, SCOPES, Code, bindings, bound, within


def check_memory(code: Code) -> Iterator[str]:
    """What each loop of rounds in a function changes that is not its memory, in words."""
    for node in ast.walk(code.function):
        if isinstance(node, ast.AsyncFor) and code.verb(node.iter) == "rounds":
            for name, line in sorted(_leaves(code, node)):
                yield (
                    f"line {code.first_line + line - 1}: a loop of rounds changes {name!r}, which "
                    "a new run would not know outside of the round: make it a field of the loop's "
                    "memory"
                )


def _leaves(code: Code, loop: ast.AsyncFor) -> Iterator[tuple[str, int]]:
    end = loop.end_lineno or loop.lineno
    given = loop.iter.args if isinstance(loop.iter, ast.Call) else []
    memory = given[0].id if given and isinstance(given[0], ast.Name) else None
    everywhere = [binding for node in within(code.function) for binding in bindings(node)]
    arguments = {node.arg for node in ast.walk(code.function.args) if isinstance(node, ast.arg)}
    before = arguments | {name for name, line in everywhere if line < loop.lineno}
    anew: dict[str, int] = {}
    for name, line in everywhere:
        if line > end:
            anew[name] = min(line, anew.get(name, line))
    after = {
        node.id
        for node in _reads(code.function)
        if node.lineno > end and anew.get(node.id, node.lineno + 1) > node.lineno
    }
    for node in within(loop):
        for name, line in bindings(node):
            if name in before | after and name != "_":
                yield name, line
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=changes)) if (
                changes in CHANGES and name in before - {memory, code.me}
            ):
                yield name, node.lineno
            case ast.Attribute(
                value=ast.Name(id=name), attr=attribute, ctx=ast.Store() | ast.Del()
            ) if name in before - {memory}:
                yield (f"{name}.{attribute}" if name == code.me else name), node.lineno
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()) if (
                name in before - {memory}
            ):
                yield name, node.lineno


def _reads(tree: ast.AST) -> Iterator[ast.Name]:
    """The names that are read and do not belong to a function or a comprehension within."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node
        elif isinstance(node, SCOPES):
            own = set(bound(node))
            yield from (name for name in _reads(node) if name.id not in own)
        else:
            yield from _reads(node)
