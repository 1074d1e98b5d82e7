"""`/customers`: reading back what is known and what became of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from api.auth import may
from api.problems import documented
from api.state import Parts
from infra.database.reading import CustomerRecord, IdentityKind
from infra.database.tables import EnrollmentRow, TraitChange
from infra.settings import Settings

router = APIRouter(
    prefix="/customers",
    tags=["customers"],
    dependencies=[Depends(may("read"))],
    responses=documented(
        {
            401: "No key, or an unknown one.",
            403: "The key does not allow reading.",
            429: "The key's limit. Retry-After says when to try again.",
            503: "The database is away. Retry-After says when to try again.",
        }
    ),
)
NOT_FOUND = documented({404: "There is no such customer."})
PARAMETERS = documented({422: "A parameter is missing or of the wrong type; it is named."})

Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]


class IdentityOut(BaseModel):
    """A name by which a source knows the customer."""

    kind: str
    value: str


class AddressOut(BaseModel):
    """Where the customer can be reached; `dead_since` where a provider said it is gone.

    `unsubscribed_since`: only what is about a service is sent there.
    """

    channel: str
    value: str
    dead_since: datetime | None
    unsubscribed_since: datetime | None


class CustomerOut(BaseModel):
    """One customer. `former_ids` were other customers' until they were merged into this one."""

    id: str
    former_ids: list[str]
    identities: list[IdentityOut]
    traits: dict[str, Any]
    addresses: list[AddressOut]
    open_holds: list[str]
    computed: dict[str, Any]
    segments: list[str]
    time_zone: str | None
    locale: str | None
    created_at: datetime


class CustomersOut(BaseModel):
    """The customers found."""

    customers: list[CustomerOut]


class EnrollmentOut(BaseModel):
    """One way through one journey. `temporal_url` shows it to a person."""

    id: str
    journey: str
    key: str | None
    state: Literal["live", "ended"]
    outcome: str | None
    outcome_reason: str | None
    parameters: dict[str, Any]
    workflow_id: str
    temporal_url: str
    created_at: datetime
    ended_at: datetime | None


class EnrollmentsOut(BaseModel):
    """A customer's enrollments, newest first."""

    enrollments: list[EnrollmentOut]


class DecisionOut(BaseModel):
    """One decision about a message, or what a provider said of it."""

    at: datetime
    verdict: str
    reason: str
    detail: str


class MessageOut(BaseModel):
    """One message, sent or not, with every decision that was taken about it."""

    id: str
    journey: str
    enrollment_id: str
    step: str
    channel: str
    template: str
    topic: str
    objective: str | None
    verdict: str
    reason: str
    detail: str
    address: str | None
    idempotency_key: str
    provider_id: str | None
    decided_at: datetime
    completed_at: datetime | None
    reported_at: datetime | None = Field(
        description="When the last happened that was told of it after it was handed over."
    )
    decisions: list[DecisionOut] = Field(description="Oldest first; the last 50 or so.")


class MessagesOut(BaseModel):
    """A customer's messages, newest decision first."""

    messages: list[MessageOut]


class TraitOut(BaseModel):
    """A change of a trait; null is a trait that was not there, or is forgotten."""

    name: str
    old_value: Any
    new_value: Any
    at: datetime
    source: str | None
    message_id: str


class TraitChangesOut(BaseModel):
    """How traits changed, newest first."""

    changes: list[TraitOut]


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsOf = Annotated[Parts, Depends(_parts)]


class Names(BaseModel):
    """What a customer may be known by."""

    model_config = ConfigDict(extra="forbid")  # a misspelt name would find nobody, silently

    user_id: str | None = Field(None, examples=["ada"])
    anonymous_id: str | None = None
    email: str | None = None
    phone: str | None = None


@router.get("", summary="Find customers", responses=PARAMETERS)
async def find(parts: PartsOf, names: Annotated[Names, Query()]) -> CustomersOut:
    """Find the customers that have any of these names or addresses."""
    given: dict[IdentityKind, str | None] = {
        "user_id": names.user_id,
        "anonymous_id": names.anonymous_id,
        "email": names.email,
        "phone": names.phone,
    }
    found = [
        record
        for kind, value in given.items()
        if value is not None and "\0" not in value
        for record in await parts.reading.find(kind, value)
    ]
    each = {record.customer.id: record for record in found}.values()
    return CustomersOut(customers=[await _customer(parts, record) for record in each])


@router.get("/{customer_id}", summary="One customer", responses=NOT_FOUND)
async def one(parts: PartsOf, customer_id: str) -> CustomerOut:
    """Traits, identities, addresses, what is open, what is computed, segments at this moment.

    By any id that the customer has had.
    """
    return await _customer(parts, await _known(parts, customer_id))


@router.get(
    "/{customer_id}/enrollments",
    summary="Ways through journeys",
    responses=NOT_FOUND | PARAMETERS,
)
async def enrollments(
    request: Request, parts: PartsOf, customer_id: str, limit: Limit = 100
) -> EnrollmentsOut:
    """Where the customer stands in every journey, and how earlier ones ended."""
    customer_id = await known(parts, customer_id)
    settings: Settings = request.app.state.settings
    rows = await parts.reading.enrollments(customer_id, limit)
    return EnrollmentsOut(enrollments=[enrollment_out(settings, row) for row in rows])


@router.get(
    "/{customer_id}/messages", summary="Messages, sent or not", responses=NOT_FOUND | PARAMETERS
)
async def messages(parts: PartsOf, customer_id: str, limit: Limit = 100) -> MessagesOut:
    """Every message decided, with the reason."""
    customer_id = await known(parts, customer_id)
    rows = await parts.reading.messages(customer_id, limit)
    return MessagesOut(
        messages=[
            MessageOut(idempotency_key=row.key, **row.model_dump(exclude={"customer_id", "key"}))
            for row in rows
        ]
    )


@router.get(
    "/{customer_id}/trait-changes", summary="History of traits", responses=NOT_FOUND | PARAMETERS
)
async def trait_changes(
    parts: PartsOf,
    customer_id: str,
    name: Annotated[str | None, Query(description="Of this trait only.")] = None,
    limit: Limit = 100,
) -> TraitChangesOut:
    """What was told of the customer before, when, by which source; the last 50 of each trait."""
    customer_id = await known(parts, customer_id)
    rows: Sequence[tuple[TraitChange, str | None]] = ()
    if name is None or "\0" not in name:
        rows = await parts.reading.trait_changes(customer_id, name, limit)
    return TraitChangesOut(
        changes=[
            TraitOut(
                name=change.name,
                old_value=change.old_value,
                new_value=change.new_value,
                at=change.changed_at,
                source=source,
                message_id=change.message_id,
            )
            for change, source in rows
        ]
    )


def enrollment_out(settings: Settings, row: EnrollmentRow) -> EnrollmentOut:
    """An enrollment, as it is read back."""
    return EnrollmentOut(
        id=row.id,
        journey=row.journey,
        key=row.key or None,
        state="live" if row.state == "live" else "ended",
        outcome=row.outcome,
        outcome_reason=row.outcome_reason,
        parameters=row.parameters,
        workflow_id=row.workflow_id,
        temporal_url=_temporal_url(settings, row.workflow_id, row.run_id),
        created_at=row.created_at,
        ended_at=row.ended_at,
    )


async def known(parts: Parts, customer_id: str) -> str:
    """The present id of the customer who has or has had an id.

    Raises:
        HTTPException: 404, nobody has.
    """
    return (await _known(parts, customer_id)).customer.id


async def _known(parts: Parts, customer_id: str) -> CustomerRecord:
    record = None if "\0" in customer_id else await parts.reading.customer(customer_id)
    if record is None:
        raise HTTPException(404, "no such customer")
    return record


async def _customer(parts: Parts, record: CustomerRecord) -> CustomerOut:
    now = await parts.customers.get(record.customer.id)
    return CustomerOut(
        id=record.customer.id,
        former_ids=list(record.former_ids),
        identities=[IdentityOut(kind=i.kind, value=i.value) for i in record.identities],
        traits={trait.name: trait.value for trait in record.traits},
        addresses=[
            AddressOut(
                channel=a.channel,
                value=a.value,
                dead_since=a.dead_since,
                unsubscribed_since=record.unsubscribed.get((a.channel, a.value)),
            )
            for a in record.addresses
        ],
        open_holds=[f"{hold.kind} {hold.reference}" for hold in record.open_holds],
        computed=now.computed,
        segments=list(now.segments),
        time_zone=record.customer.time_zone,
        locale=record.customer.locale,
        created_at=record.customer.created_at,
    )


def _temporal_url(settings: Settings, workflow_id: str, run_id: str | None) -> str:
    """The page for support staff; without a run yet, the page that will find it."""
    base = f"{settings.temporal_ui}/namespaces/{settings.temporal_namespace}/workflows"
    url = f"{base}/{quote(workflow_id, safe='')}"
    return f"{url}/{run_id}/user-metadata" if run_id else url
