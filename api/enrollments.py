"""`/journeys/{journey}/enrollments`: enrolling a customer by a call."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel

from api.auth import may
from api.body import Doubts, check_event, decode, read_body
from api.calls import SOMEBODY
from api.customers import EnrollmentOut, PartsOf, enrollment_out
from api.fields import LONGEST_NAME, id_of, object_of, text_of
from api.journeys import router as journeys
from api.problems import documented
from api.state import Parts
from domain.customers import names_nobody
from domain.errors import Refused
from domain.events import Event, Occurrence, event_type
from infra.database.accept import Incoming, entry_effect
from infra.database.grants import Grant
from workflows.declaration import Declaration

ENROLL = "enroll"
"""The type under which the event of such a call is stored: nobody said that it has happened."""

router = APIRouter(prefix=journeys.prefix, tags=journeys.tags, responses=journeys.responses)

Operator = Annotated[Grant, Depends(may("operate"))]

_NAMES = ("user_id", "anonymous_id", "customer_id")
_FIELDS = frozenset({*_NAMES, "event", "idempotency_key"})


class RefusalOut(BaseModel):
    """Why the customer did not enter: in one word, and in a sentence."""

    code: str
    reason: str


class EntryOut(BaseModel):
    """What became of it: an enrollment or a refusal.

    `repeated` says that the call had been made before, and this is what became of it then.
    """

    customer_id: str
    enrollment: EnrollmentOut | None
    refusal: RefusalOut | None
    repeated: bool


_TEXT: dict[str, Any] = {"type": "string", "pattern": SOMEBODY, "maxLength": LONGEST_NAME}
_BODY: dict[str, Any] = {
    "type": "object",
    "title": "Enroll",
    "required": ["event"],
    "additionalProperties": False,
    "oneOf": [{"required": [name]} for name in _NAMES],
    "properties": {
        "user_id": {**_TEXT, "description": "Your id of the customer."},
        "anonymous_id": {**_TEXT, "description": "Or a device's id."},
        "customer_id": {**_TEXT, "description": "Or our id, `cus_…`."},
        "event": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "name": {
                    **_TEXT,
                    "description": "One of the journey's triggers; not needed if it has one.",
                },
                "properties": {"type": "object", "description": "As that event has them."},
            },
        },
        "idempotency_key": {
            **_TEXT,
            "description": "The same call with the same key enrolls once; a repeated one is "
            "answered as the first was.",
        },
    },
    "examples": [
        {
            "user_id": "ada",
            "event": {"properties": {"cart_id": "c1"}},
            "idempotency_key": "ada-c1",
        }
    ],
}


@router.post(
    "/{journey}/enrollments",
    summary="Enroll a customer",
    responses=documented(
        {
            400: "A body that cannot be taken; the field is named.",
            404: "There is no such journey, or no customer with this `customer_id`.",
            409: "This idempotency key was used for another customer or another event.",
            413: "A body of more than 32 KB.",
            415: "A content encoding that is not understood.",
            422: "An event by which this journey does not begin.",
        }
    ),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}
    },
)
async def enroll(request: Request, parts: PartsOf, grant: Operator, journey: str) -> EntryOut:
    """Enroll a customer by an event that is given here, as if it had just happened.

    The rules of entry are those of any other way in; a refusal is kept with its reason. No other
    journey hears the event, and nothing is computed from it. A customer whom nobody knows yet is
    made. Answered when it is decided and stored; the workflow starts a moment later.
    """
    declared = parts.catalog.get(journey)
    if declared is None:
        raise HTTPException(404, "no such journey")
    raw = await read_body(request)
    body = decode(raw)
    check_event(body, Doubts.of(raw), "body")
    wanted = _Wanted(body)
    user_id, anonymous_id = await wanted.identity(parts)
    now = datetime.now(UTC)
    key = wanted.key or str(uuid.uuid4())
    message_id = f"{ENROLL}/{journey}/{key}"
    event, properties = wanted.event(declared, Occurrence(message_id, now))
    entry = parts.catalog.entry(journey, event)
    if entry is None:
        raise Refused(f"{journey} does not begin by this event: its `where` declines", status=422)
    item = Incoming(
        source_id=grant.source_id,
        message_id=message_id,
        user_id=user_id,
        anonymous_id=anonymous_id,
        type=ENROLL,
        name=event.name,
        occurred_at=now,
        received_at=now,
        properties=orjson.dumps(properties).decode(),
        effects={"entries": [entry_effect(entry)]},
    )
    parts.admission.events(grant, 1)
    new = await parts.acceptor.accept([item])
    parts.metrics.accepted(new)
    return await _answer(request, parts, item, properties, repeated=not new[0])


async def _answer(
    request: Request, parts: Parts, item: Incoming, properties: Mapping[str, Any], *, repeated: bool
) -> EntryOut:
    record = await parts.reading.entry(item.source_id, item.message_id)
    kind, value = ("user_id", item.user_id) if item.user_id else ("anonymous_id", item.anonymous_id)
    (customer,) = await parts.reading.find(kind, value or "")  # type: ignore[arg-type]
    same = record.event.customer_id in {customer.customer.id, *customer.former_ids}
    if (record.event.name, record.event.properties) != (item.name, properties) or not same:
        raise Refused(
            "this idempotency_key was used for another customer or another event",
            field="idempotency_key",
            status=409,
        )
    enrollment, refusal = record.enrollment, record.refusal
    return EntryOut(
        customer_id=customer.customer.id,
        enrollment=enrollment and enrollment_out(request.app.state.settings, enrollment),
        refusal=refusal and RefusalOut(code=refusal.code, reason=refusal.reason),
        repeated=repeated,
    )


class _Wanted:
    """The body of a call, checked as it is read.

    Raises:
        Refused: a field is wrong; it is named.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        if unknown := sorted(body.keys() - _FIELDS):
            fields = ", ".join(sorted(_FIELDS))
            raise Refused(f"there is no field {unknown[0][:40]!r}; there are {fields}")
        self._body = body
        self._event = object_of(body, "event")
        if self._event is None:
            raise Refused("event is required", field="event")
        if unknown := sorted(self._event.keys() - {"name", "properties"}):
            raise Refused("an event has `name` and `properties`", field=f"event.{unknown[0][:40]}")
        self.key = id_of(body, "idempotency_key")

    async def identity(self, parts: Parts) -> tuple[str | None, str | None]:
        """The user id or the anonymous id of who is meant."""
        given = {name: value for name in _NAMES if (value := id_of(self._body, name)) is not None}
        if len(given) != 1:
            raise Refused(f"say who: exactly one of {', '.join(_NAMES)}", field="user_id")
        ((name, value),) = given.items()
        if name == "customer_id":
            record = await parts.reading.customer(value)
            if record is None or not record.identities:
                raise HTTPException(404, "no such customer")
            # A user id before a device, which somebody else may use by now.
            known = min(record.identities, key=lambda i: (i.kind != "user_id", i.created_at))
            name, value = known.kind, known.value
        elif names_nobody(value):
            raise Refused(f"{name} {value!r} names nobody", field=name)
        return (value, None) if name == "user_id" else (None, value)

    def event(
        self, declared: Declaration[Any], occurrence: Occurrence
    ) -> tuple[Event, Mapping[str, Any]]:
        """The event, and its properties as they came."""
        assert self._event is not None
        name = text_of(self._event, "name")
        kinds = {kind.name: kind for kind in declared.triggers}
        kind = event_type(name) if name is not None else None
        if name is None and len(kinds) == 1:
            (kind,) = kinds.values()
        if kind is None or kind.name not in kinds:
            raise Refused(
                f"{declared.name} begins by {' or '.join(kinds)}: say which in event.name",
                field="event.name",
                status=422,
            )
        properties = object_of(self._event, "properties") or {}
        try:
            return kind.of(properties, occurrence), properties
        except Refused as error:
            raise Refused(error.reason, field=f"event.{error.field}") from None
