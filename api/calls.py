"""Tracking calls and their answers, as the OpenAPI document has them.

The routes read and write raw JSON; these models say what that is, and are used for nothing else.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema
from typing_extensions import TypeAliasType

from api.fields import LARGEST_NUMBER, LEAST_NUMBER, LONGEST_NAME
from domain.customers import NOBODY

_SCHEMAS = "#/components/schemas/"
_NO_NUL = r"^[^\u0000]*$"
_NOT_BLANK = r"^[^\u0000]*\S[^\u0000]*$"

_NOBODY = "|".join(
    "".join(f"[{c}{c.upper()}]" if c.isalpha() else re.sub(r"[][()]", r"\\\g<0>", c) for c in name)
    for name in sorted(NOBODY)
)
_NOT_NOBODY = rf"(?!\s*(?:[0{{}}-]+|{_NOBODY})\s*$)"
SOMEBODY = rf"^{_NOT_NOBODY}[^\u0000]*\S[^\u0000]*$"
"""The pattern of a text that names somebody."""


def _text(pattern: str = _NO_NUL, **bounds: int) -> Any:
    return Field(json_schema_extra={"pattern": pattern, **bounds})


Text = Annotated[str, _text()]
Short = Annotated[str, _text(maxLength=LONGEST_NAME)]
Name = Annotated[str, _text(_NOT_BLANK, minLength=1, maxLength=LONGEST_NAME)]
Number = Annotated[int, Field(ge=LEAST_NUMBER, le=LARGEST_NUMBER)]
UserId = Annotated[str, _text(rf"^{_NOT_NOBODY}[^\u0000]*$", maxLength=LONGEST_NAME)]
Somebody = Annotated[str, _text(SOMEBODY, minLength=1, maxLength=LONGEST_NAME)]
UserNumber = (
    Annotated[int, Field(ge=LEAST_NUMBER, le=-2)] | Annotated[int, Field(ge=1, le=LARGEST_NUMBER)]
)
Json = TypeAliasType("Json", "Text | float | bool | list[Json] | Object | None")
Object = Annotated[
    dict[str, Json], Field(json_schema_extra={"propertyNames": {"pattern": _NO_NUL}})
]
Address = Annotated[str, _text(maxLength=500)]  # characters; each may be four bytes

_WRITE_KEY = "Your key, where neither the Authorization header nor the URL has it."
_EITHER = [
    {
        "required": [field],
        "properties": {
            field: {
                "type": ["string", "integer"],
                "pattern": SOMEBODY,
                "not": {"enum": [0, -1]},
            }
        },
    }
    for field in ("userId", "anonymousId")
]


def _open(**more: Any) -> ConfigDict:
    """With fields of any name, whose values are what can be stored."""
    names = {"pattern": _NO_NUL, **more.pop("names", {})}
    values = {"$ref": f"{_SCHEMAS}Json"}
    extra: Any = {"propertyNames": names, "additionalProperties": values, **more}
    return ConfigDict(extra="allow", json_schema_extra=extra)


class Traits(BaseModel):
    """What is known of a customer; null forgets. The first three make the customer reachable."""

    model_config = _open(names={"maxLength": LONGEST_NAME})

    email: Address | None = None
    phone: Address | None = None
    push_token: Address | None = None


class Context(BaseModel):
    """The circumstances."""

    model_config = _open()

    traits: Traits | None = Field(None, description="Of an identify: beneath its `traits`.")


class Call(BaseModel):
    """What every call has. Other fields are left alone."""

    model_config = _open(anyOf=_EITHER)

    userId: UserId | UserNumber | None = Field(None, description="Your id of the customer.")
    anonymousId: Short | Number | None = Field(None, description="A device's id; one of the two.")
    messageId: Short | Number | None = Field(
        None, description="Your id of the event; an event is taken once per source and messageId."
    )
    timestamp: datetime | None = Field(None, description="When it happened.")
    originalTimestamp: datetime | None = Field(
        None, description="RudderStack's name of it; beside it, `timestamp` is not corrected."
    )
    sentAt: datetime | None = Field(
        None, description="Your clock when sending; corrects when it happened."
    )
    context: Context | None = None
    integrations: Object | None = Field(None, description="Kept with the context.")
    writeKey: Json = Field(None, description=_WRITE_KEY)


class Track(Call):
    """Something a customer did, or what became of a message of ours.

    An event that names such a message (`properties.email_id`) is its customer's, and taken
    without a `userId` and an `anonymousId`, too.
    """

    event: Name
    properties: Object | None = None


class Identify(Call):
    """Who a customer is."""

    traits: Traits | None = None


class Page(Call):
    """A page a customer looked at."""

    name: Short | None = None
    category: Short | None = None
    properties: Object | None = None


class Screen(Page):
    """A screen of an app a customer looked at."""


class Group(Call):
    """A company or team a customer belongs to."""

    groupId: Short | Number | None = None
    traits: Object | None = None


class Alias(Call):
    """Another id by which a customer was known."""

    userId: Somebody | UserNumber = Field(description="Your id of the customer from now on.")
    previousId: Somebody | UserNumber = Field(
        description="The id until now: a user's or a device's."
    )


class Item(Call):
    """One call of a batch: what `type` says, with that call's fields."""

    type: Literal["track", "identify", "page", "screen", "group", "alias"]


class Batch(BaseModel):
    """Several calls, each with a `type`."""

    model_config = ConfigDict(extra="allow")

    batch: list[Item | Any] = Field(
        description="Up to 5,000. Each has a receipt; what cannot be read costs only itself."
    )
    sentAt: Any = Field(None, description="Your clock when sending, for items without their own.")
    context: Any = Field(None, description="What all items have in common; an item's own wins.")
    integrations: Any = Field(None, description="The same.")
    writeKey: Any = Field(None, description=_WRITE_KEY)


class Success(BaseModel):
    """Stored, and already routed."""

    success: bool = True


class Receipt(BaseModel):
    """What became of one item of a batch."""

    status: Literal["accepted", "duplicate", "rejected"]
    messageId: str | None = None
    reason: str | None = Field(None, description="Why it was rejected.")
    field: str | None = Field(None, description="The offending field, where there is one.")


class Ignored(BaseModel):
    """A field of the batch itself that could not be read and was left out."""

    field: str
    reason: str


class BatchSuccess(Success):
    """A receipt for every item, in order. A bad item never costs a good one."""

    receipts: list[Receipt]
    ignored: list[Ignored] | None = None


def body_schemas() -> dict[str, Any]:
    """What may be posted, by the name under which the document refers to it."""
    models: tuple[type[BaseModel], ...] = (
        Track, Identify, Page, Screen, Group, Alias, Batch,
    )  # fmt: skip
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template=_SCHEMAS + "{model}"
    )
    found: dict[str, Any] = schemas["$defs"]
    return found
