"""One signal a declared event type, so that the Temporal UI's timeline can be read."""

import inspect
import json
from collections.abc import Callable

from temporalio import workflow
from temporalio.common import RawValue

from domain.events import CUSTOMER_MERGED, MESSAGE_SETTLED, TIME_ZONE_CHANGED, Event

SEVERAL = "events"
"""The signal that carries events of several types, after an outage."""


def add_signals(cls: type, listens: tuple[type[Event], ...]) -> None:
    """Give a journey class a signal for every event type that it listens to.

    The description carries an example, which the Temporal UI shows to whoever sends one by
    hand. Whatever is sent, no handler raises: that would stop the journey (semantics 4).
    """
    _add(cls, SEVERAL, None, "Several events at once; the relay sends it after an outage.")
    _add(cls, CUSTOMER_MERGED, None, "The customer and another are one; the relay sends it.")
    _add(cls, TIME_ZONE_CHANGED, None, "The customer is in another time zone; the relay sends it.")
    _add(cls, MESSAGE_SETTLED, None, "What became of a message of this; the relay sends it.")
    for kind in listens:
        example = json.dumps(kind.example)
        _add(cls, kind.name, kind.name, f"{(kind.__doc__ or '').strip()} Example: {example}")


def _add(cls: type, signal: str, event: str | None, description: str) -> None:
    handler = _handler(event)
    handler.__name__ = f"_on_{signal}"
    handler.__qualname__ = f"{cls.__qualname__}._on_{signal}"
    handler.__module__ = cls.__module__
    setattr(cls, handler.__name__, workflow.signal(name=signal, description=description)(handler))


def _handler(event: str | None) -> Callable[..., None]:
    # `self` stays bare: annotated, Temporal would take it for the signal's first argument.
    def handler(self, raw: RawValue = None, *_more: object) -> None:  # type: ignore[no-untyped-def, assignment]  # noqa: ANN001
        self._receive(event, raw)

    # Temporal decodes one argument, and hands over however many were sent.
    signature = inspect.signature(handler)
    one = list(signature.parameters.values())[:2]
    handler.__signature__ = signature.replace(parameters=one)  # type: ignore[attr-defined]
    return handler
