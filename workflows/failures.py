"""What a new run cannot have again of an earlier one's steps, and what they raised, as JSON.

A journey that caught what a step raised catches it again in a new run.
"""

import base64
import contextlib
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter
from temporalio.exceptions import FailureError

from domain.errors import Refused
from workflows.lateness import TooLate

_CONVERTER = DefaultFailureConverter()


class LostError(Exception):
    """A step raised, in an earlier run, what cannot be raised again; parks the journey."""


class LostResult(Exception):
    """A step gave, in an earlier run, what the code cannot read any more; parks the journey."""


@contextlib.contextmanager
def reading(step: str) -> Iterator[None]:
    """What a step has left to a new run is read within.

    Raises:
        LostResult: it cannot be read; the sentence says which step, why, and what to do.
    """
    try:
        yield
    except (Refused, ValueError, LookupError, TypeError) as error:
        raise LostResult(
            f"the step {step!r} has left, in an earlier run, what this code cannot read: "
            f"{_why(error)}. Let the code read it as it was (a field that is new needs a "
            "default, a type that is gone must come back), or give the step another name to "
            "have it done again; the journey goes on from there"
        ) from None


def _why(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(map(str, first["loc"]))
    return ": ".join(filter(None, (error.title, field, first["msg"])))


def dump_error(error: Exception) -> dict[str, Any]:
    """An error as JSON, for the next run."""
    match error:
        case TooLate(what=what, late=late):
            return {"too_late": what, "seconds": late.total_seconds()}
        case FailureError():
            failure = Failure()
            _CONVERTER.to_failure(error, workflow.payload_converter(), failure)
            return {"failure": base64.b64encode(failure.SerializeToString()).decode()}
    kind = type(error)
    plain = all(isinstance(each, str | int | float | None) for each in error.args)
    args = list(error.args) if plain else None
    return {"module": kind.__module__, "class": kind.__qualname__, "args": args, "was": repr(error)}


def load_error(step: str, data: dict[str, Any]) -> BaseException:
    """The error that a step raised in an earlier run."""
    match data:
        case {"too_late": str(what), "seconds": seconds}:
            return TooLate(what, timedelta(seconds=seconds))
        case {"failure": str(encoded)}:
            failure = Failure.FromString(base64.b64decode(encoded))
            return _CONVERTER.from_failure(failure, workflow.payload_converter())
    kind = getattr(sys.modules.get(data["module"]), data["class"], None)
    if data["args"] is not None and isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(*data["args"])
        except TypeError:
            pass
    return LostError(
        f"the step {step!r} raised {data['was']}, which a new run cannot raise again: catch it "
        "within the step's work, or raise an ApplicationError"
    )
