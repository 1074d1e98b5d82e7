"""Splits: which variant a customer gets, the same one whenever and wherever it is asked.

The buckets are GrowthBook's (its hash version 2), so that what is analysed there and what was
decided here agree.
"""

import math
from collections.abc import Mapping
from itertools import accumulate
from typing import TypeVar

V = TypeVar("V", bound=str)

_BUCKETS = 10_000


def fnv1a32(text: str) -> int:
    """The FNV-1a hash of a text's UTF-16 code units, as GrowthBook's libraries compute it."""
    value = 0x811C9DC5
    units = text.encode("utf-16-le", "surrogatepass")
    for low, high in zip(units[::2], units[1::2], strict=True):
        value = ((value ^ (low | high << 8)) * 0x01000193) & 0xFFFFFFFF
    return value


def bucket(seed: str, value: str) -> float:
    """Where `value` falls between 0 and 1, one being out of reach; evenly over many values.

    Args:
        seed: the experiment; another one deals anew.
        value: who; a customer's id.
    """
    return fnv1a32(str(fnv1a32(seed + value))) % _BUCKETS / _BUCKETS


def choose(variants: Mapping[V, float], seed: str, value: str) -> V:
    """The variant whose share of the range, laid end to end in their order, `value` falls into.

    Args:
        variants: weights by name; only how they compare counts, and their order.
        seed: as for `bucket`.
        value: as for `bucket`.

    Raises:
        ValueError: there is no variant, or a weight is negative, not finite, or all are zero.
    """
    weights = list(variants.values())
    total = math.fsum(weights)
    if not all(weight >= 0 for weight in weights) or not 0 < total < math.inf:
        raise ValueError(
            f"a split needs variants with weights of zero or more, one above zero: {dict(variants)}"
        )
    place = bucket(seed, value)
    upper = accumulate(weight / total for weight in weights)
    chosen = [name for name, end in zip(variants, upper, strict=True) if place < end]
    # Shares that do not add up to one by a rounding error must not leave anybody out.
    return chosen[0] if chosen else [name for name, w in variants.items() if w > 0][-1]


def held_out(share: float, seed: str, value: str) -> bool:
    """Whether `value` belongs to the share that gets nothing, to compare the others with.

    A larger share keeps everybody whom a smaller one held out.

    Raises:
        ValueError: the share is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share is between 0 and 1, not {share}")
    return bucket(seed, value) < share
