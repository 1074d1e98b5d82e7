"""A customer's timeline: everything that happened, in one list, filtered and in pages.

Each kind of thing is a query of its own that gives its newest rows before a place; the list is
merged from them. A place is a moment, a kind and an id, so that a page costs the same wherever
it begins, and a batch's events, which all have one moment, can be cut anywhere.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    FromClause,
    Select,
    Text,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.messages import Reason
from infra.database.tables import (
    AssignmentRow,
    CustomerMerge,
    DeliveryRow,
    EnrollmentRow,
    EventRow,
    MessageRow,
    RefusalRow,
    Source,
    TaskRow,
    TraitChange,
)

Kind = Literal["event", "trait", "merge", "refusal", "enrollment", "task", "decision", "message"]
"""In the order in which things of one moment are told: what causes before what is caused."""

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One thing that happened, of any kind; `id` tells it from others of its kind."""

    at: datetime
    kind: Kind
    id: int | str
    summary: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a timeline: before a moment, or before one thing at that moment."""

    at: datetime
    kind: Kind | None = None
    id: int | str | None = None


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """A part of a timeline, newest first, and where the rest begins, if there is one."""

    items: Sequence[TimelineItem]
    next: Place | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which things are wanted; what a condition cannot be said of is left out.

    Attributes:
        kinds: these kinds; empty: all.
        journey: of this journey: its entries, exits, refusals and messages, and the events
            that its enrollments heard.
        name: events of this name, changes of the trait of this name.
        type: events of this type, such as `track` or `page`.
        since: not older than this.
    """

    kinds: frozenset[Kind] = frozenset()
    journey: str | None = None
    name: str | None = None
    type: str | None = None
    since: datetime | None = None

    def of(self, kind: Kind) -> bool:
        """Whether there can be things of this kind."""
        if self.kinds and kind not in self.kinds:
            return False
        if self.type is not None and kind != "event":
            return False
        if self.name is not None and kind not in {"event", "trait"}:
            return False
        return self.journey is None or kind not in {"trait", "merge"}


async def read_timeline(
    session: AsyncSession, ids: Sequence[str], wanted: Wanted, before: Place | None, limit: int
) -> TimelinePage:
    """What happened to a customer before a place, newest first.

    Args:
        session: where to read.
        ids: all ids of the customer; the present one, which has the ledger, among them.
        wanted: what.
        before: where to begin; None: at the newest.
        limit: how many at most.
    """
    asked = _Asked(ids, wanted, before, limit)
    connection = await session.connection()
    items: list[TimelineItem] = []
    for kind, queries in _QUERIES.items():
        if wanted.of(kind):
            for query in queries(asked):
                rows = (await connection.execute(query)).mappings()
                items += (_TELL[kind](dict(row)) for row in rows)
    items.sort(key=lambda item: (item.at, KINDS.index(item.kind), item.id), reverse=True)
    page = items[:limit]
    if len(page) < limit:
        return TimelinePage(page, None)
    last = page[-1]
    return TimelinePage(page, Place(last.at, last.kind, last.id))


@dataclass(frozen=True, slots=True)
class _Asked:
    ids: Sequence[str]
    wanted: Wanted
    before: Place | None
    limit: int

    def newest(
        self,
        kind: Kind,
        owner: Any,
        at: Any,
        key: Any,
        columns: Iterable[Any],
        *conditions: ColumnElement[bool],
        beside: FromClause | None = None,
    ) -> Select[Any]:
        """The newest rows of one kind before the place.

        Of each of the customer's ids as many as are wanted at most: so each is read from its
        index and no further than that.
        """
        who = (
            func.unnest(literal(list(self.ids), ARRAY(Text)))
            .table_valued(Column("id", Text), name="who")
            .render_derived()
        )
        rows = select(at.label("at"), key.label("id"), *columns)
        if beside is not None:
            rows = rows.join(beside, true())
        of_one = (
            rows.where(
                owner == who.c.id, at.is_not(None), *conditions, *self._within(kind, at, key)
            )
            .order_by(at.desc(), key.desc())
            .limit(self.limit)
            .lateral("of_one")
        )
        return (
            select(of_one)
            .select_from(who)
            .join(of_one, true())
            .order_by(of_one.c.at.desc(), of_one.c.id.desc())
            .limit(self.limit)
        )

    def _within(self, kind: Kind, at: Any, key: Any) -> Iterator[ColumnElement[bool]]:
        if self.wanted.since is not None:
            yield at >= self.wanted.since
        if self.before is None:
            return
        rank = -1 if self.before.kind is None else KINDS.index(self.before.kind)
        if KINDS.index(kind) < rank:
            yield at <= self.before.at
        elif KINDS.index(kind) > rank:
            yield at < self.before.at
        else:
            # The first says no more than the second, but an index can be entered by it.
            yield at <= self.before.at
            yield or_(at < self.before.at, key < self.before.id)


def _text_id(column: Any) -> Any:
    """An id that the database orders as Python does."""
    return column.collate("C")


def _of_source(column: Any) -> Any:
    """A source's name; rows of ours have none."""
    return select(col(Source.name)).where(col(Source.id) == column).scalar_subquery()


def _events(asked: _Asked) -> Iterator[Select[Any]]:
    wanted, row = asked.wanted, EventRow
    conditions: list[ColumnElement[bool]] = [col(row.type) != "merge"]
    if wanted.name is not None:
        conditions.append(col(row.name) == wanted.name)
    if wanted.type is not None:
        conditions.append(col(row.type) == wanted.type)
    if wanted.journey is not None:
        heard = (
            select(col(DeliveryRow.source_id), col(DeliveryRow.message_id))
            .join(EnrollmentRow, col(EnrollmentRow.id) == col(DeliveryRow.enrollment_id))
            .where(
                col(EnrollmentRow.customer_id).in_(asked.ids),
                col(EnrollmentRow.journey) == wanted.journey,
            )
        )
        conditions.append(tuple_(col(row.source_id), col(row.message_id)).in_(heard))
    yield asked.newest(
        "event",
        col(row.customer_id),
        col(row.received_at),
        col(row.id),
        (
            col(row.type),
            col(row.name),
            col(row.message_id),
            col(row.occurred_at),
            col(row.properties),
            col(row.context),
            _of_source(row.source_id).label("source"),
        ),
        *conditions,
    )


def _event(row: dict[str, Any]) -> TimelineItem:
    names = ("type", "source", "message_id", "occurred_at", "properties", "context")
    return TimelineItem(row["at"], "event", row["id"], row["name"], {n: row[n] for n in names})


def _traits(asked: _Asked) -> Iterator[Select[Any]]:
    row, name = TraitChange, asked.wanted.name
    yield asked.newest(
        "trait",
        col(row.customer_id),
        col(row.changed_at),
        col(row.id),
        (
            col(row.name),
            col(row.old_value),
            col(row.new_value),
            col(row.message_id),
            _of_source(row.source_id).label("source"),
        ),
        *(() if name is None else (col(row.name) == name,)),
    )


def _trait(row: dict[str, Any]) -> TimelineItem:
    verb = "forgot" if row["new_value"] is None else "learned"
    names = ("name", "old_value", "new_value", "source", "message_id")
    details = {n: row[n] for n in names}
    return TimelineItem(row["at"], "trait", row["id"], f"{verb} {row['name']}", details)


def _merges(asked: _Asked) -> Iterator[Select[Any]]:
    row = CustomerMerge
    yield asked.newest(
        "merge",
        col(row.customer_id),
        col(row.created_at),
        col(row.id),
        (
            col(row.customer_id),
            col(row.other_id),
            col(row.cause),
            col(row.refused),
            col(row.moved),
            col(row.message_id),
            _of_source(row.source_id).label("source"),
        ),
    )


def _merge(row: dict[str, Any]) -> TimelineItem:
    words = (
        f"{row['other_id']} is the same customer"
        if row["refused"] is None
        else f"{row['other_id']} was not merged: {row['refused']}"
    )
    names = ("customer_id", "other_id", "cause", "refused", "moved", "source", "message_id")
    return TimelineItem(row["at"], "merge", row["id"], words, {n: row[n] for n in names})


def _refusals(asked: _Asked) -> Iterator[Select[Any]]:
    row = RefusalRow
    yield asked.newest(
        "refusal",
        col(row.customer_id),
        col(row.created_at),
        col(row.id),
        (col(row.journey), col(row.key), col(row.code), col(row.reason), col(row.message_id)),
        *_of_journey(row, asked.wanted),
    )


def _refusal(row: dict[str, Any]) -> TimelineItem:
    words = f"did not enter {row['journey']}: {row['reason']}"
    details = {"key": row["key"] or None, "code": row["code"], "message_id": row["message_id"]}
    return TimelineItem(row["at"], "refusal", row["id"], words, details)


def _enrollments(asked: _Asked) -> Iterator[Select[Any]]:
    row = EnrollmentRow
    for at, verb in ((row.created_at, "entered"), (row.ended_at, "left")):
        yield asked.newest(
            "enrollment",
            col(row.customer_id),
            col(at),
            _text_id(col(row.id) + "/" + verb),
            (
                col(row.id).label("enrollment_id"),
                col(row.journey),
                col(row.key),
                col(row.workflow_id),
                col(row.outcome),
                col(row.outcome_reason),
                literal(verb).label("verb"),
            ),
            *_of_journey(row, asked.wanted),
        )


def _enrollment(row: dict[str, Any]) -> TimelineItem:
    words = f"{row['verb']} {row['journey']}"
    details = {
        "id": row["enrollment_id"],
        "key": row["key"] or None,
        "workflow_id": row["workflow_id"],
    }
    if row["verb"] == "left":
        details |= {"outcome": row["outcome"], "reason": row["outcome_reason"]}
    return TimelineItem(row["at"], "enrollment", row["id"], words, details)


def _messages(asked: _Asked) -> Iterator[Select[Any]]:
    row = MessageRow
    yield asked.newest(
        "message",
        col(row.customer_id),
        col(row.decided_at),
        _text_id(col(row.id)),
        (
            col(row.journey),
            col(row.step),
            col(row.channel),
            col(row.verdict),
            col(row.reason),
            col(row.detail),
            col(row.decisions),
        ),
        *_of_journey(row, asked.wanted),
    )


def _message(row: dict[str, Any]) -> TimelineItem:
    words = f"{row['step']} by {row['channel']}: {row['verdict']}"
    if row["reason"] in {Reason.DELIVERED, Reason.BOUNCED}:
        words += f", {row['reason']}"  # what was sent may have come back
    details = {n: row[n] for n in ("id", "journey", "reason", "detail", "decisions")}
    return TimelineItem(row["at"], "message", row["id"], words, details)


def _decisions(asked: _Asked) -> Iterator[Select[Any]]:
    """Every decision about a message, also those that a later one has replaced."""
    row = MessageRow
    decision = (
        func.jsonb_array_elements(col(row.decisions))
        .table_valued(Column("value", JSONB), with_ordinality="number", name="decision")
        .render_derived()
    )
    at = decision.c.value["at"].astext.cast(DateTime(timezone=True))
    number = func.lpad(decision.c.number.cast(Text), 4, "0")
    yield asked.newest(
        "decision",
        col(row.customer_id),
        at,
        _text_id(col(row.id) + "/" + number),
        (
            col(row.id).label("message_id"),
            col(row.journey),
            col(row.step),
            col(row.channel),
            decision.c.value.label("decision"),
        ),
        *_of_journey(row, asked.wanted),
        beside=decision,
    )
    yield _assignments(asked)


def _assignments(asked: _Asked) -> Select[Any]:
    """Which variants of experiments were dealt; no message's id begins as these do."""
    row = AssignmentRow
    return asked.newest(
        "decision",
        col(row.customer_id),
        col(row.assigned_at),
        _text_id("experiment/" + col(row.customer_id) + "/" + col(row.name)),
        (
            col(row.name),
            col(row.kind).label("experiment"),
            col(row.variant),
            col(row.weights),
            col(row.journey),
            col(row.enrollment_id),
        ),
        *_of_journey(row, asked.wanted),
    )


def _decision(row: dict[str, Any]) -> TimelineItem:
    if "experiment" in row:
        names = ("experiment", "name", "variant", "weights", "journey", "enrollment_id")
        words = f"{row['experiment']} {row['name']}: {row['variant']}"
        return TimelineItem(row["at"], "decision", row["id"], words, {n: row[n] for n in names})
    told = row["decision"]
    words = f"{row['step']} by {row['channel']}: {told.get('verdict')}, {told.get('reason')}"
    details = {
        "message": row["message_id"],
        "journey": row["journey"],
        "verdict": told.get("verdict"),
        "reason": told.get("reason"),
        "detail": told.get("detail"),
    }
    return TimelineItem(row["at"], "decision", row["id"], words, details)


def _tasks(asked: _Asked) -> Iterator[Select[Any]]:
    """What people were asked for, and what they did."""
    row = TaskRow
    step = (
        func.jsonb_array_elements(col(row.history))
        .table_valued(Column("value", JSONB), with_ordinality="number", name="step")
        .render_derived()
    )
    number = func.lpad(step.c.number.cast(Text), 4, "0")
    yield asked.newest(
        "task",
        col(row.customer_id),
        step.c.value["at"].astext.cast(DateTime(timezone=True)),
        _text_id(col(row.id) + "/" + number),
        (
            col(row.id).label("task_id"),
            col(row.journey),
            col(row.title),
            step.c.value.label("told"),
        ),
        *_of_journey(row, asked.wanted),
        beside=step,
    )


_WHOM = {"opened": "asked of", "escalated": "escalated to", "reopened": "asked again of"}


def _task(row: dict[str, Any]) -> TimelineItem:
    told = row["told"]
    by = f" by {told['by']}" if told.get("by") else ""
    whom = _WHOM.get(told["what"])
    what = f"{told['what']}{by}" if whom is None else f"{whom} {told['role']}{by}"
    details = {"task": row["task_id"], "journey": row["journey"], **told}
    return TimelineItem(row["at"], "task", row["id"], f"{row['title']}: {what}", details)


def _of_journey(
    row: type[RefusalRow | EnrollmentRow | MessageRow | AssignmentRow | TaskRow], wanted: Wanted
) -> tuple[ColumnElement[bool], ...]:
    return () if wanted.journey is None else (col(row.journey) == wanted.journey,)


_QUERIES: dict[Kind, Callable[[_Asked], Iterator[Select[Any]]]] = {
    "event": _events,
    "trait": _traits,
    "merge": _merges,
    "refusal": _refusals,
    "enrollment": _enrollments,
    "task": _tasks,
    "decision": _decisions,
    "message": _messages,
}
_TELL: dict[Kind, Callable[[dict[str, Any]], TimelineItem]] = {
    "event": _event,
    "trait": _trait,
    "merge": _merge,
    "refusal": _refusal,
    "enrollment": _enrollment,
    "task": _task,
    "decision": _decision,
    "message": _message,
}
