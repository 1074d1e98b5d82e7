"""Reading back: customers, their traits, their enrollments, their messages, tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ARRAY, ColumnElement, Text, func, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.tasks import TaskState
from infra.database.pool import sqlalchemy_url
from infra.database.tables import (
    AddressRow,
    CustomerRow,
    DeliveryRow,
    EnrollmentRow,
    EventRow,
    HoldRow,
    IdentityRow,
    MessageRow,
    RefusalRow,
    Source,
    TaskRow,
    TraitChange,
    TraitRow,
)
from infra.database.timeline import Place, TimelinePage, Wanted, read_timeline

IdentityKind = Literal["user_id", "anonymous_id", "email", "phone"]
_CHANNELS = {"email": "email", "phone": "sms"}
_UNSUBSCRIBED = text("""
select a.channel, a.value, u.told_at
from address a cross join lateral unsubscribed(a.customer_id, a.channel, a.value) u
where a.customer_id = :customer
""")
_LONGEST_WAIT = 3.0
"""Seconds for a connection: when all are busy for so long, more would only queue up."""


@dataclass(frozen=True, slots=True)
class CustomerRecord:
    """All that is known of a customer; `former_ids` are those that were merged away.

    `unsubscribed` has since when, by channel and address.
    """

    customer: CustomerRow
    former_ids: Sequence[str]
    identities: Sequence[IdentityRow]
    traits: Sequence[TraitRow]
    addresses: Sequence[AddressRow]
    unsubscribed: Mapping[tuple[str, str], datetime]
    open_holds: Sequence[HoldRow]


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """What became of an event's wish to start a journey: an enrollment, or a refusal."""

    event: EventRow
    enrollment: EnrollmentRow | None
    refusal: RefusalRow | None


class Reading:
    """Reads the store through the tables' models."""

    def __init__(self, database_url: str) -> None:
        self._engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(database_url),
            pool_size=5,
            max_overflow=5,
            pool_timeout=_LONGEST_WAIT,
            pool_pre_ping=True,
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
        """The customer who has or has had an id, or None."""
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

    async def entry(self, source_id: int, message_id: str) -> EntryRecord:
        """What became of an event that wished to start one journey.

        Raises:
            NoResultFound: there is no such event.
        """
        async with AsyncSession(self._engine) as session:
            of_event = (
                col(EventRow.source_id) == source_id,
                col(EventRow.message_id) == message_id,
            )
            event = (await session.exec(select(EventRow).where(*of_event))).one()
            present = select(func.survivor(event.customer_id, type_=Text))
            ids = await ids_of(session, (await session.exec(present)).one())
            entered = (
                select(EnrollmentRow)
                .join(DeliveryRow, col(DeliveryRow.enrollment_id) == col(EnrollmentRow.id))
                .where(col(EnrollmentRow.customer_id).in_(ids), col(DeliveryRow.number) == 1)
                .where(col(DeliveryRow.source_id) == source_id)
                .where(col(DeliveryRow.message_id) == message_id)
            )
            refused = (
                select(RefusalRow)
                .where(col(RefusalRow.customer_id).in_(ids))
                .where(col(RefusalRow.source_id) == source_id)
                .where(col(RefusalRow.message_id) == message_id)
            )
            return EntryRecord(
                event=event,
                enrollment=(await session.exec(entered)).one_or_none(),
                refusal=(await session.exec(refused)).one_or_none(),
            )

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

    async def task(self, task_id: str) -> TaskRow | None:
        """A task, or None."""
        async with AsyncSession(self._engine) as session:
            return await session.get(TaskRow, task_id)

    async def tasks(
        self,
        *,
        role: str | None = None,
        state: TaskState | None = None,
        customer_id: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[TaskRow]:
        """Tasks, newest first.

        Args:
            role: whose.
            state: in this state only.
            customer_id: about the customer who has or has had this id.
            before: only those with a smaller number.
            limit: how many at most.
        """
        query = select(TaskRow).order_by(col(TaskRow.number).desc()).limit(limit)
        if role is not None:
            query = query.where(col(TaskRow.role) == role)
        if state is not None:
            query = query.where(col(TaskRow.state) == state)
        if customer_id is not None:
            present = select(func.survivor(customer_id, type_=Text)).scalar_subquery()
            query = query.where(col(TaskRow.customer_id) == present)
        if before is not None:
            query = query.where(col(TaskRow.number) < before)
        async with AsyncSession(self._engine) as session:
            return (await session.exec(query)).all()

    async def trait_changes(
        self, customer_id: str, name: str | None, limit: int
    ) -> Sequence[tuple[TraitChange, str | None]]:
        """How a customer's traits changed, newest first, each with its source's name."""
        async with AsyncSession(self._engine) as session:
            query = (
                select(TraitChange, Source.name)
                .outerjoin(Source, col(Source.id) == col(TraitChange.source_id))
                .where(col(TraitChange.customer_id).in_(await ids_of(session, customer_id)))
                .order_by(col(TraitChange.changed_at).desc(), col(TraitChange.id).desc())
                .limit(limit)
            )
            if name is not None:
                query = query.where(col(TraitChange.name) == name)
            return (await session.exec(query)).all()

    async def timeline(
        self, customer_id: str, wanted: Wanted, before: Place | None, limit: int
    ) -> TimelinePage:
        """What happened to a customer before a place, newest first."""
        async with AsyncSession(self._engine) as session:
            ids = await ids_of(session, customer_id)
            return await read_timeline(session, ids, wanted, before, limit)


async def ids_of(session: AsyncSession, customer_id: str) -> list[str]:
    """All ids that a customer has and has had: history is kept under the id of its time."""
    query = select(func.ids_of(customer_id, type_=ARRAY(Text)))
    return list((await session.exec(query)).one())


async def _record(session: AsyncSession, customer_id: str) -> CustomerRecord | None:
    query = select(CustomerRow).where(
        col(CustomerRow.id) == select(func.survivor(customer_id, type_=Text)).scalar_subquery()
    )
    customer = (await session.exec(query)).one_or_none()
    if customer is None:
        return None
    customer_id = customer.id

    async def of(model: type[Any], *conditions: ColumnElement[bool]) -> Sequence[Any]:
        query = select(model).where(model.customer_id == customer_id, *conditions)
        return (await session.exec(query)).all()

    connection = await session.connection()
    unsubscribed = await connection.execute(_UNSUBSCRIBED, {"customer": customer_id})
    return CustomerRecord(
        customer=customer,
        former_ids=sorted({*await ids_of(session, customer_id)} - {customer_id}),
        identities=await of(IdentityRow),
        traits=await of(TraitRow),
        addresses=await of(AddressRow),
        unsubscribed={(channel, address): since for channel, address, since in unsubscribed},
        open_holds=await of(
            HoldRow, col(HoldRow.opened_at).is_not(None), col(HoldRow.closed_at).is_(None)
        ),
    )
