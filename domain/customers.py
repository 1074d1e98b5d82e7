"""Customers: who they are and how they can be reached."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from domain.audiences import ComputedTrait, Segment

T = TypeVar("T")

ADDRESS_TRAITS: Mapping[str, str] = {"email": "email", "phone": "sms", "push_token": "push"}
"""Which trait of an `identify` call is an address, and on which channel."""

TRAITS_OF_SEGMENT: Mapping[str, str] = {"firstName": "first_name", "lastName": "last_name"}
"""Names that Segment's specification gives to traits of ours, and ours."""


class Customer(BaseModel):
    """What is known of one customer at one moment.

    Attributes:
        id: opaque, `cus_…`; everything personal lives in the store, never in an id.
        traits: as the sources told them, the latest word wins.
        time_zone: an IANA name, or None where nobody said.
        locale: a BCP 47 tag, or None where nobody said.
        channels: the channels on which there is an address.
        open_holds: what is open that holds promotional messages, such as `ticket t1`.
        computed: the computed traits by name, as JSON; `value` gives them typed.
        segments: the names of the segments that the customer is in at this moment.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    traits: dict[str, Any] = Field(default_factory=dict)
    time_zone: str | None = None
    locale: str | None = None
    channels: tuple[str, ...] = ()
    open_holds: tuple[str, ...] = ()
    computed: dict[str, Any] = Field(default_factory=dict)
    segments: tuple[str, ...] = ()

    def value(self, trait: ComputedTrait[T]) -> T | None:
        """A computed trait; None where there is no value, or the backfill is not done."""
        return trait.read(self.computed.get(trait.name))

    def is_in(self, segment: Segment) -> bool:
        """Whether the customer is in a segment at this moment."""
        return segment.name in self.segments


NOBODY = frozenset(
    {
        "-1",
        "anonymous",
        "false",
        "guest",
        "n/a",
        "nan",
        "nil",
        "none",
        "null",
        "(null)",
        "<null>",
        "[object object]",
        "true",
        "undefined",
        "unknown",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    }
)
"""What broken sources send as everybody's id, in small letters."""


def names_nobody(identity: str) -> bool:
    """Whether an id is what broken sources send for everybody, such as `null` or `0`.

    Taken for an identity, it would make strangers one customer.
    """
    plain = identity.strip().casefold()
    return plain in NOBODY or not plain.strip("0-{}")
