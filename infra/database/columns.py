"""Columns on their way into PostgreSQL, each as one text.

The driver encodes an array element by element in Python, which costs as much as all else that is
done with an event. A text costs nothing, and PostgreSQL takes it apart in no time.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import count
from typing import cast

Column = Sequence[str | None]

_SPACE = ord(" ")


def arrays(types: Sequence[str]) -> str:
    """SQL: arrays of these types, from the parameters that `parameters` makes."""
    separator, null = f"${len(types) + 1}", f"${len(types) + 2}"
    # It begins with a separator, because PostgreSQL makes no element of an empty text.
    return ", ".join(
        f"(string_to_array(${number}, {separator}, {null}))[2:]::{kind}[]"
        for number, kind in enumerate(types, 1)
    )


def parameters(columns: Sequence[Column]) -> list[str | None]:
    """The parameters of a statement with `arrays`: the columns, a separator, what stands for null.

    A column of nothing but None is null: no array, which costs nothing.
    """
    everything = "".join(["".join(filter(None, column)) for column in columns])
    absent = _absent(everything)
    separator, null = next(absent), next(absent)
    return [*(_joined(column, separator, null) for column in columns), separator, null]


def moments(times: Iterable[datetime]) -> list[str]:
    """Times as text; one that is the same object as the one before is not written anew."""
    texts: list[str] = []
    last, text = None, ""
    for time in times:
        if time is not last:
            last, text = time, time.isoformat()
        texts.append(text)
    return texts


def _absent(text: str) -> Iterator[str]:
    """Characters that PostgreSQL takes and a text does not have, those first that it rarely has."""
    yield from (mark for mark in map(chr, range(1, _SPACE)) if mark not in text)
    # Who wants to can say them all; to look for each of those would take minutes.
    said = set(text)
    yield from (
        mark
        for code in count(_SPACE)
        if not 0xD800 <= code <= 0xDFFF and (mark := chr(code)) not in said  # noqa: PLR2004 - no surrogates
    )


def _joined(column: Column, separator: str, null: str) -> str | None:
    missing = column.count(None)
    if missing == len(column):
        return None
    texts = [null if text is None else text for text in column] if missing else column
    return separator + separator.join(cast("Sequence[str]", texts))
