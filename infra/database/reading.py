"""Reading back: customers, their enrollments, their messages, their timeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from infra.database.pool import sqlalchemy_url
from infra.database.tables import (
    AddressRow,
    CustomerRow,
    EnrollmentRow,
    EventRow,
    HoldRow,
    IdentityRow,
    MessageRow,
    RefusalRow,
    Source,
    TraitRow,
)

IdentityKind = Literal["user_id", "anonymous_id", "email", "phone"]
_CHANNELS = {"email": "email", "phone": "sms"}


@dataclass(frozen=True, slots=True)
class CustomerRecord:
    """All that is known of a customer."""

    customer: CustomerRow
    identities: Sequence[IdentityRow]
    traits: Sequence[TraitRow]
    addresses: Sequence[AddressRow]
    open_holds: Sequence[HoldRow]


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One thing that happened, of any kind; `id` tells it from others of its kind."""

    at: datetime
    kind: Literal["event", "message", "enrollment", "refusal"]
    id: int | str
    summary: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a timeline: before a moment, but for some things at that very moment.

    A batch's events are all received at one moment, so a moment alone is no place.

    Attributes:
        past: how many things at that moment lie before the place; zero: all of them.
    """

    at: datetime
    past: int = 0


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """A part of a timeline, newest first, and where the rest begins, if there is one."""

    items: Sequence[TimelineItem]
    next: Place | None


class Reading:
    """Reads the store through the tables' models."""

    def __init__(self, database_url: str) -> None:
        self._engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(database_url), pool_size=5, max_overflow=5, pool_pre_ping=True
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._engine.dispose()

    async def find(self, kind: IdentityKind, value: str) -> list[CustomerRecord]:
        """Customers known by an identity or reachable at an address."""
        async with AsyncSession(self._engine) as session:
            if kind in _CHANNELS:
                query = (
                    select(AddressRow.customer_id)
                    .where(col(AddressRow.channel) == _CHANNELS[kind])
                    .where(col(AddressRow.value) == value)
                    .limit(50)
                )
            else:
                query = (
                    select(IdentityRow.customer_id)
                    .where(col(IdentityRow.kind) == kind)
                    .where(col(IdentityRow.value) == value)
                )
            ids = (await session.exec(query)).all()
            return [record for i in ids if (record := await _record(session, i)) is not None]

    async def customer(self, customer_id: str) -> CustomerRecord | None:
        """One customer, or None."""
        async with AsyncSession(self._engine) as session:
            return await _record(session, customer_id)

    async def enrollments(self, customer_id: str, limit: int) -> Sequence[EnrollmentRow]:
        """A customer's enrollments, newest first."""
        async with AsyncSession(self._engine) as session:
            query = (
                select(EnrollmentRow)
                .where(col(EnrollmentRow.customer_id) == customer_id)
                .order_by(col(EnrollmentRow.created_at).desc(), col(EnrollmentRow.id))
                .limit(limit)
            )
            return (await session.exec(query)).all()

    async def messages(self, customer_id: str, limit: int) -> Sequence[MessageRow]:
        """A customer's messages, sent or not, newest decision first."""
        async with AsyncSession(self._engine) as session:
            query = (
                select(MessageRow)
                .where(col(MessageRow.customer_id) == customer_id)
                .order_by(col(MessageRow.decided_at).desc(), col(MessageRow.id))
                .limit(limit)
            )
            return (await session.exec(query)).all()

    async def timeline(self, customer_id: str, before: Place | None, limit: int) -> TimelinePage:
        """What happened to a customer before a place, newest first."""
        past = before.past if before is not None else 0
        most = limit + past
        async with AsyncSession(self._engine) as session:
            items = [
                *await _events(session, customer_id, before, most),
                *await _messages(session, customer_id, before, most),
                *await _enrollments(session, customer_id, before, most),
                *await _refusals(session, customer_id, before, most),
            ]
        items.sort(key=lambda item: (item.at, item.kind, item.id), reverse=True)
        page = items[past : past + limit]
        if len(page) < limit:
            return TimelinePage(page, None)
        at = page[-1].at
        return TimelinePage(page, Place(at, sum(item.at == at for item in items[: past + limit])))


async def _record(session: AsyncSession, customer_id: str) -> CustomerRecord | None:
    customer = await session.get(CustomerRow, customer_id)
    if customer is None:
        return None

    async def of(model: type[Any], *conditions: ColumnElement[bool]) -> Sequence[Any]:
        query = select(model).where(model.customer_id == customer_id, *conditions)
        return (await session.exec(query)).all()

    return CustomerRecord(
        customer=customer,
        identities=await of(IdentityRow),
        traits=await of(TraitRow),
        addresses=await of(AddressRow),
        open_holds=await of(
            HoldRow, col(HoldRow.opened_at).is_not(None), col(HoldRow.closed_at).is_(None)
        ),
    )


def _earlier(column: Any, before: Place | None) -> list[ColumnElement[bool]]:
    if before is None:
        return []
    return [column <= before.at if before.past else column < before.at]


async def _events(
    session: AsyncSession, customer_id: str, before: Place | None, limit: int
) -> list[TimelineItem]:
    query = (
        select(EventRow, Source.name)
        .join(Source, col(Source.id) == col(EventRow.source_id))
        .where(col(EventRow.customer_id) == customer_id, *_earlier(EventRow.received_at, before))
        .order_by(col(EventRow.received_at).desc(), col(EventRow.id).desc())
        .limit(limit)
    )
    return [
        TimelineItem(
            at=event.received_at,
            kind="event",
            id=event.id,
            summary=event.name,
            details={
                "type": event.type,
                "source": source,
                "message_id": event.message_id,
                "occurred_at": event.occurred_at,
                "properties": event.properties,
            },
        )
        for event, source in (await session.exec(query)).all()
    ]


async def _messages(
    session: AsyncSession, customer_id: str, before: Place | None, limit: int
) -> list[TimelineItem]:
    query = (
        select(MessageRow)
        .where(col(MessageRow.customer_id) == customer_id, *_earlier(MessageRow.decided_at, before))
        .order_by(col(MessageRow.decided_at).desc(), col(MessageRow.id).desc())
        .limit(limit)
    )
    return [
        TimelineItem(
            at=message.decided_at,
            kind="message",
            id=message.id,
            summary=f"{message.step} by {message.channel}: {message.verdict}",
            details={
                "id": message.id,
                "journey": message.journey,
                "reason": message.reason,
                "detail": message.detail,
                "decisions": message.decisions,
            },
        )
        for message in (await session.exec(query))
    ]


async def _enrollments(
    session: AsyncSession, customer_id: str, before: Place | None, limit: int
) -> list[TimelineItem]:
    items: list[TimelineItem] = []
    for column, verb in ((EnrollmentRow.created_at, "entered"), (EnrollmentRow.ended_at, "left")):
        query = (
            select(EnrollmentRow)
            .where(
                col(EnrollmentRow.customer_id) == customer_id,
                col(column).is_not(None),
                *_earlier(column, before),
            )
            .order_by(col(column).desc(), col(EnrollmentRow.id).desc())
            .limit(limit)
        )
        for row in await session.exec(query):
            at = row.created_at if verb == "entered" else row.ended_at
            assert at is not None
            details = {"id": row.id, "key": row.key or None, "workflow_id": row.workflow_id}
            if verb == "left":
                details |= {"outcome": row.outcome, "reason": row.outcome_reason}
            items.append(TimelineItem(at, "enrollment", row.id, f"{verb} {row.journey}", details))
    return items


async def _refusals(
    session: AsyncSession, customer_id: str, before: Place | None, limit: int
) -> list[TimelineItem]:
    query = (
        select(RefusalRow)
        .where(col(RefusalRow.customer_id) == customer_id, *_earlier(RefusalRow.created_at, before))
        .order_by(col(RefusalRow.created_at).desc(), col(RefusalRow.id).desc())
        .limit(limit)
    )
    return [
        TimelineItem(
            at=row.created_at,
            kind="refusal",
            id=row.id,
            summary=f"did not enter {row.journey}: {row.reason}",
            details={"key": row.key or None, "message_id": row.message_id},
        )
        for row in (await session.exec(query))
    ]
