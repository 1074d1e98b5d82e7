"""One signal a declared event type, so that the Temporal UI's timeline can be read."""

import json
from collections.abc import Callable
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from domain.events import Event


def add_signals(cls: type, listens: tuple[type[Event], ...]) -> None:
    """Give a journey class a signal for every event type that it listens to.

    The description carries an example, which the Temporal UI shows to whoever sends one by
    hand. Whatever is sent, no handler raises: that would stop the journey (semantics 4).
    """
    for kind in listens:
        handler = _handler(cls, kind.name)
        example = json.dumps(kind.example)
        described = workflow.signal(
            name=kind.name, description=f"{(kind.__doc__ or '').strip()} Example: {example}"
        )
        setattr(cls, handler.__name__, described(handler))


def _handler(cls: type, name: str) -> Callable[..., None]:
    def handler(self: Any, raw: RawValue = None) -> None:  # type: ignore[assignment]
        self._receive(name, raw)

    handler.__name__ = f"_on_{name}"
    handler.__qualname__ = f"{cls.__qualname__}._on_{name}"
    handler.__module__ = cls.__module__
    return handler
