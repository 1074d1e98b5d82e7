"""The tables. Migrations make them; a test holds the two together.

Hot paths are plain SQL beside this module; these models are what reading back uses.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Numeric,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy import (
    Identity as Counter,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
SQLModel.metadata.naming_convention = NAMING


def _text(*, nullable: bool = False, default: str | None = None, key: bool = False) -> Any:
    column: Column[str] = Column(
        Text, nullable=nullable, primary_key=key, server_default=default and text(default)
    )
    return Field(sa_column=column)


def _reference(target: str, *, key: bool = False) -> Any:
    return Field(sa_column=Column(Text, ForeignKey(target), primary_key=key, nullable=False))


def _time(*, nullable: bool = False, now: bool = False) -> Any:
    return Field(
        sa_column=Column(
            DateTime(timezone=True),
            nullable=nullable,
            server_default=text("now()") if now else None,
        )
    )


def _json(default: str | None = "'{}'") -> Any:
    return Field(
        sa_column=Column(JSONB, nullable=default is None, server_default=default and text(default))
    )


def _number(default: str | None = None) -> Any:
    return Field(
        sa_column=Column(BigInteger, nullable=False, server_default=default and text(default))
    )


class Source(SQLModel, table=True):
    """Who posts events."""

    __tablename__ = "source"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    created_at: datetime = _time(now=True)


class ApiKey(SQLModel, table=True):
    """A key, hashed at rest, and what it may do for which source."""

    __tablename__ = "api_key"

    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    source_id: int = Field(foreign_key="source.id", nullable=False)
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    hint: str = _text()
    limit_requests: int | None = Field(default=None)
    limit_events: int | None = Field(default=None)
    limit_burst: int | None = Field(default=None)
    created_at: datetime = _time(now=True)
    last_used_at: datetime | None = _time(nullable=True)
    expires_at: datetime | None = _time(nullable=True)
    revoked_at: datetime | None = _time(nullable=True)


class CustomerRow(SQLModel, table=True):
    """One person. Its row lock orders everything that is decided about the person."""

    __tablename__ = "customer"
    __table_args__ = (
        Index(
            "ix_customer_merged_into",
            "merged_into",
            postgresql_where=text("merged_into is not null"),
        ),
    )

    id: str = _text(key=True)
    time_zone: str | None = _text(nullable=True)
    locale: str | None = _text(nullable=True)
    merged_into: str | None = Field(
        default=None, sa_column=Column(Text, ForeignKey("customer.id"), nullable=True)
    )
    created_at: datetime = _time(now=True)


class IdentityRow(SQLModel, table=True):
    """A name by which a source knows a customer: `user_id`, `anonymous_id`."""

    __tablename__ = "identity"
    __table_args__ = (Index(None, "customer_id"),)

    kind: str = _text(key=True)
    value: str = _text(key=True)
    customer_id: str = Field(
        # Deferred: the identity is claimed first, and its customer made only by the winner.
        sa_column=Column(
            Text, ForeignKey("customer.id", deferrable=True, initially="DEFERRED"), nullable=False
        )
    )
    created_at: datetime = _time(now=True)


class TraitRow(SQLModel, table=True):
    """What a source told of a customer; the latest word wins."""

    __tablename__ = "trait"

    customer_id: str = _reference("customer.id", key=True)
    name: str = _text(key=True)
    value: Any = _json(None)
    updated_at: datetime = _time(now=True)


class TraitChange(SQLModel, table=True):
    """A change of a trait, kept under the id that the customer had then."""

    __tablename__ = "trait_change"
    __table_args__ = (
        Index(None, "customer_id", "name", "id"),
        Index(None, "customer_id", "changed_at"),
    )

    id: int = Field(sa_column=Column(BigInteger, Counter(always=True), primary_key=True))
    customer_id: str = _text()
    name: str = _text()
    old_value: Any = _json(None)
    new_value: Any = _json(None)
    source_id: int = _number()
    message_id: str = _text()
    changed_at: datetime = _time(now=True)


class CustomerMerge(SQLModel, table=True):
    """A merge of two customers, or why there was none; `customer_id` is the one who stays."""

    __tablename__ = "customer_merge"
    __table_args__ = (
        Index(None, "customer_id", "created_at"),
        Index(
            "uq_customer_merge_refused",
            "customer_id",
            "other_id",
            unique=True,
            postgresql_where=text("refused is not null"),
        ),
    )

    id: int = Field(sa_column=Column(BigInteger, Counter(always=True), primary_key=True))
    customer_id: str = _text()
    other_id: str = _text()
    cause: str = _text()
    refused: str | None = _text(nullable=True)
    source_id: int = _number()
    message_id: str = _text()
    moved: dict[str, Any] = _json()
    created_at: datetime = _time(now=True)


class AddressRow(SQLModel, table=True):
    """Where a customer can be reached. The newest live address of a channel is used."""

    __tablename__ = "address"
    __table_args__ = (
        Index(None, "channel", "value"),
        Index("ix_address_email", text("lower(value)"), postgresql_where=text("channel = 'email'")),
    )

    customer_id: str = _reference("customer.id", key=True)
    channel: str = _text(key=True)
    value: str = _text(key=True)
    updated_at: datetime = _time(now=True)
    dead_since: datetime | None = _time(nullable=True)


class HoldRow(SQLModel, table=True):
    """Something that holds a customer's promotional messages while it is open."""

    __tablename__ = "hold"

    customer_id: str = _reference("customer.id", key=True)
    kind: str = _text(key=True)
    reference: str = _text(key=True)
    opened_at: datetime | None = _time(nullable=True)
    closed_at: datetime | None = _time(nullable=True)


class EventRow(SQLModel, table=True):
    """A fact about a customer, as accepted; exactly one a source and message id.

    No foreign keys: this is the hottest table, and rows come only from `accept`.
    """

    __tablename__ = "event"
    __table_args__ = (
        # What it includes, `look_back` asks without a look at the events.
        Index(
            None,
            "customer_id",
            "received_at",
            postgresql_include=["name", "type", "occurred_at", "id"],
        ),
    )

    source_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    message_id: str = _text(key=True)
    id: int = Field(sa_column=Column(BigInteger, Counter(always=True), nullable=False))
    customer_id: str = _text()
    type: str = _text()
    name: str = _text()
    occurred_at: datetime = _time()
    received_at: datetime = _time()
    properties: dict[str, Any] = _json()
    context: dict[str, Any] | None = _json(None)


class QuarantineRow(SQLModel, table=True):
    """What could not be taken, as it came; the same item again only counts."""

    __tablename__ = "quarantine"
    __table_args__ = (
        UniqueConstraint("source_id", "digest"),
        Index(None, "received_at"),
        Index("ix_quarantine_waiting", "id", postgresql_where=text("replayed_at is null")),
    )

    id: int = Field(sa_column=Column(BigInteger, Counter(always=True), primary_key=True))
    source_id: int = _number()
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    door: str = _text()
    envelope: dict[str, Any] = _json()
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    truncated: bool = Field(nullable=False)
    reason: str = _text()
    field: str | None = _text(nullable=True)
    message_id: str | None = _text(nullable=True)
    times: int = _number()
    received_at: datetime = _time()
    last_at: datetime = _time()
    edited_at: datetime | None = _time(nullable=True)
    replayed_at: datetime | None = _time(nullable=True)


class HeardName(SQLModel, table=True):
    """The names of events that some journey, of whatever version, starts by or listens to."""

    __tablename__ = "heard_name"

    name: str = _text(key=True)


class EnrollmentRow(SQLModel, table=True):
    """One customer's way through one journey.

    `several` says that others of the same customer, journey and key may be under way beside it.
    """

    __tablename__ = "enrollment"
    __table_args__ = (
        Index(
            "uq_enrollment_live",
            "customer_id",
            "journey",
            "key",
            unique=True,
            postgresql_where=text("state = 'live' and not several"),
        ),
        UniqueConstraint("customer_id", "journey", "key", "ordinal"),
        Index(None, "customer_id", "created_at"),
        Index("ix_enrollment_verified", "verified_at", postgresql_where=text("state = 'live'")),
    )

    id: str = _text(key=True)
    customer_id: str = _reference("customer.id")
    journey: str = _text()
    workflow_type: str = _text()
    workflow_id: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    task_queue: str = _text()
    key: str = _text(default="''")
    ordinal: int = Field(nullable=False)
    several: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false"))
    )
    state: str = _text(default="'live'")
    listens: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    parameters: dict[str, Any] = _json()
    summary: str = _text(default="''")
    last_number: int = _number()
    run_id: str | None = _text(nullable=True)
    outcome: str | None = _text(nullable=True)
    outcome_reason: str | None = _text(nullable=True)
    created_at: datetime = _time(now=True)
    ended_at: datetime | None = _time(nullable=True)
    verified_at: datetime = _time(now=True)


class RefusalRow(SQLModel, table=True):
    """An entry refused: `reason` says why in words, `code` in one."""

    __tablename__ = "refusal"
    __table_args__ = (Index(None, "customer_id", "created_at"),)

    id: int = Field(sa_column=Column(BigInteger, Counter(always=True), primary_key=True))
    customer_id: str = _reference("customer.id")
    journey: str = _text()
    key: str = _text(default="''")
    code: str = _text(default="''")
    reason: str = _text()
    source_id: int = _number()
    message_id: str = _text()
    created_at: datetime = _time(now=True)


class EntranceRow(SQLModel, table=True):
    """An enrollment's entrance into another journey, granted or refused.

    `wait` says that the parent hears of the child's end.
    """

    __tablename__ = "entrance"

    parent_id: str = _text(key=True)
    step: str = _text(key=True)
    child_id: str | None = Field(sa_column=Column(Text, nullable=True, unique=True))
    refused: str | None = _text(nullable=True)
    wait: bool = Field(nullable=False)
    created_at: datetime = _time(now=True)


class AssignmentRow(SQLModel, table=True):
    """The variant of an experiment that a customer was dealt first, which stays.

    After a merge that of the customer who stays counts; the other is left under its old id.
    """

    __tablename__ = "assignment"

    customer_id: str = _reference("customer.id", key=True)
    name: str = _text(key=True)
    variant: str = _text()
    kind: str = _text()
    journey: str = _text()
    enrollment_id: str = _text()
    weights: dict[str, float] = _json()
    assigned_at: datetime = _time(now=True)


class TaskRow(SQLModel, table=True):
    """What a journey asks of a person, and what became of it."""

    __tablename__ = "task"
    __table_args__ = (
        UniqueConstraint("enrollment_id", "step"),
        Index(None, "customer_id"),
        Index("ix_task_open", "role", "number", postgresql_where=text("state = 'open'")),
    )

    id: str = _text(key=True)
    number: int = Field(
        sa_column=Column(BigInteger, Counter(always=True), nullable=False, unique=True)
    )
    customer_id: str = _reference("customer.id")
    enrollment_id: str = _text()
    journey: str = _text()
    step: str = _text()
    role: str = _text()
    title: str = _text()
    details: str = _text(default="''")
    choices: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    deadline: datetime | None = _time(nullable=True)
    state: str = _text()
    answer: dict[str, Any] | None = _json(None)
    by: str | None = _text(nullable=True)
    opened_at: datetime = _time(now=True)
    settled_at: datetime | None = _time(nullable=True)
    history: list[dict[str, Any]] = _json("'[]'")


class EntryCountRow(SQLModel, table=True):
    """How many enrollments a journey with a limit a day has taken on a day."""

    __tablename__ = "entry_count"

    journey: str = _text(key=True)
    day: date = Field(sa_column=Column(Date, primary_key=True))
    entries: int = _number()


class DeliveryRow(SQLModel, table=True):
    """An event on its way to an enrollment, numbered 1, 2, 3 … for it."""

    __tablename__ = "delivery"

    enrollment_id: str = _text(key=True)
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    source_id: int = _number()
    message_id: str = _text()


class BacklogRow(SQLModel, table=True):
    """An enrollment with deliveries that the relay has not carried to Temporal yet.

    `relayed` is the last number carried, `last` the last there is. A relay claims the row
    by moving `due_at` into the future.
    """

    __tablename__ = "backlog"
    __table_args__ = (Index(None, "due_at"),)

    enrollment_id: str = _text(key=True)
    relayed: int = _number()
    last: int = _number()
    oldest_at: datetime = _time(now=True)
    due_at: datetime = _time(now=True)
    attempts: int = _number("0")
    error: str | None = _text(nullable=True)


class SuppressionRow(SQLModel, table=True):
    """Whether a customer wants no more at an address (in small letters), and what said so last.

    `by_message` says that they had a message there, so that it holds for others with the address.
    """

    __tablename__ = "suppression"

    channel: str = _text(key=True)
    address: str = _text(key=True)
    customer_id: str = _text(key=True)
    suppressed: bool = Field(nullable=False)
    by_message: bool = Field(nullable=False)
    cause: str = _text()
    told_at: datetime = _time()


class MessageRow(SQLModel, table=True):
    """The ledger: every message decided, sent or not, and why.

    `reported_at` is when the last of what was told of it after it was handed over happened.
    """

    __tablename__ = "message"
    __table_args__ = (
        Index(None, "customer_id", "decided_at"),
        Index(None, "enrollment_id"),
        Index(
            "ix_message_objective",
            "customer_id",
            "objective",
            postgresql_where=text("objective is not null"),
        ),
    )

    id: str = _text(key=True)
    key: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    customer_id: str = _reference("customer.id")
    enrollment_id: str = _text()
    journey: str = _text()
    step: str = _text()
    channel: str = _text()
    template: str = _text()
    topic: str = _text()
    objective: str | None = _text(nullable=True)
    verdict: str = _text()
    reason: str = _text()
    detail: str = _text(default="''")
    address: str | None = _text(nullable=True)
    provider_id: str | None = _text(nullable=True)
    in_flight_since: datetime | None = _time(nullable=True)
    decided_at: datetime = _time(now=True)
    completed_at: datetime | None = _time(nullable=True)
    reported_at: datetime | None = _time(nullable=True)
    decisions: list[dict[str, Any]] = _json("'[]'")


class AudienceRow(SQLModel, table=True):
    """A computed trait or a segment in one of its meanings, and how far its backfill is.

    `key` is the name with a digest of the meaning. The history of every customer up to
    `filled_to` is in it, and of all once `filled_at` is set. `retired_at` says that newer code
    does not know it any more.
    """

    __tablename__ = "audience"

    key: str = _text(key=True)
    name: str = _text()
    filled_to: str = _text(default="''")
    filled_at: datetime | None = _time(nullable=True)
    retired_at: datetime | None = _time(nullable=True)
    created_at: datetime = _time(now=True)


class ComputedRow(SQLModel, table=True):
    """What is kept of a customer's events for one computed trait: a summary a span of time.

    `until` is when the span's events leave the trait's window; infinity where it has none.
    """

    __tablename__ = "computed"

    customer_id: str = _reference("customer.id", key=True)
    key: str = _text(key=True)
    until: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    count: int = _number()
    total: Decimal = Field(sa_column=Column(Numeric, nullable=False))
    first_at: datetime = _time()
    first: Any = _json(None)
    last_at: datetime = _time()
    last: Any = _json(None)


class MembershipRow(SQLModel, table=True):
    """Whether a customer was in a segment when it was looked at last, and since when."""

    __tablename__ = "membership"

    customer_id: str = _reference("customer.id", key=True)
    segment: str = _text(key=True)
    member: bool = Field(nullable=False)
    moves: int = _number()
    since: datetime = _time()


class AssessmentRow(SQLModel, table=True):
    """When a customer's segments must be looked at again though nothing happens."""

    __tablename__ = "assessment"
    __table_args__ = (Index(None, "due_at"),)

    customer_id: str = _reference("customer.id", key=True)
    due_at: datetime = _time()


class RefillRow(SQLModel, table=True):
    """A customer whose history a running backfill must read anew, because of a merge."""

    __tablename__ = "refill"

    customer_id: str = _reference("customer.id", key=True)


class MessageCount(SQLModel, table=True):
    """How many messages the ledger has, but for the changes not added yet."""

    __tablename__ = "message_count"

    verdict: str = _text(key=True)
    channel: str = _text(key=True)
    messages: int = _number()


class MessageChange(SQLModel, table=True):
    """A change of those counts: a trigger of the ledger writes it, `message_counts` adds it."""

    __tablename__ = "message_change"

    id: int = Field(sa_column=Column(BigInteger, Counter(always=True), primary_key=True))
    verdict: str = _text()
    channel: str = _text()
    by: int = Field(sa_column=Column(SmallInteger, nullable=False))
