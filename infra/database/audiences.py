"""Computed traits and segments in the store: kept on write, read at decision time."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import asyncpg
import orjson

from domain.audiences import (
    FOREVER,
    Assessment,
    Audiences,
    Bucket,
    Contribution,
    Known,
    Move,
    Segment,
    Summary,
)
from domain.enrollments import Entry
from domain.errors import ConfigurationError
from domain.events import Event, Occurrence, SegmentEntered, SegmentLeft
from infra.database.accept import Incoming, entry_effect
from infra.database.pool import Connection, Pool

# One at a time: what is new and what is gone is decided by comparing with what others said.
_REGISTER_LOCK = "lock table audience in share row exclusive mode"

# Where there are no customers there is no history to be computed from. What was given up is not
# trusted again: events were accepted meanwhile that it does not have.
_REGISTER = """
insert into audience as a (key, name, filled_at)
select key, name, case when not exists (select 1 from customer) then now() end
from unnest($1::text[], $2::text[]) x (key, name)
on conflict (key) do update
    set retired_at = null, filled_to = '', filled_at = excluded.filled_at
    where a.retired_at is not null
"""

_RETIRE = "update audience set retired_at = now() where key <> all ($1) and retired_at is null"

_UNFILLED = """
select name from audience where key = any ($1) and filled_at is null order by name
"""

_KNOWN_KEYS = "select key, filled_at is not null as filled from audience where retired_at is null"

_ADD = "select add_contributions($1, $2, $3::text[]::jsonb[])"

_KNOWN = """
select c.id, audience_facts(c.id) as facts,
    (select jsonb_object_agg(t.name, t.value) from trait t
        where t.customer_id = c.id and t.name = any ($2)) as traits
from customer c where c.id = any ($1)
"""

_MOVE = "select move_members($1, $2, $3)"

_DUE = """
select customer_id from assessment where due_at <= clock_timestamp() order by due_at limit $1
"""

# Whoever holds a customer looks at the segments too, or leaves it to the next sweep; and
# another sweep may have been faster.
_LOCK_DUE = """
select c.id from customer c join assessment a on a.customer_id = c.id
where c.id = any ($1) and a.due_at <= clock_timestamp()
order by c.id for no key update of c skip locked
"""

_SWEEP_AT_ONCE = 200


class Facts(NamedTuple):
    """What is known of a customer, and the moment at which it is."""

    known: Known
    at: datetime


async def register(pool: Pool, audiences: Audiences) -> list[str]:
    """Make the store know this version's computed traits and segments, and give up all others.

    Returns:
        The names of those that wait for a backfill.

    Raises:
        ConfigurationError: the database is not migrated.
    """
    try:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(_REGISTER_LOCK)
            await connection.execute(
                _REGISTER, list(audiences.names), list(audiences.names.values())
            )
            await connection.execute(_RETIRE, audiences.keys)
            rows = await connection.fetch(_UNFILLED, audiences.keys)
    except asyncpg.UndefinedTableError:
        raise ConfigurationError(
            "the database has no tables of Sojourn: run `sojourn migrate` first"
        ) from None
    return [row["name"] for row in rows]


async def filled(pool: Pool) -> dict[str, bool]:
    """The keys that the store knows, and whether the history is in them."""
    return {row["key"]: row["filled"] for row in await pool.fetch(_KNOWN_KEYS)}


def effects_of(contributions: Iterable[Contribution]) -> list[dict[str, Any]]:
    """Contributions as the database's `add_contributions` wants them."""
    return [
        {**asdict(one), "until": _moment(one.until), "amount": str(one.amount)}
        for one in contributions
    ]


def read_facts(facts: Mapping[str, Any], traits: Mapping[str, Any] | None) -> Facts:
    """What the database's `audience_facts` says."""
    buckets: dict[str, list[Bucket]] = {}
    for key, until, count, total, first_at, first, last_at, last in facts["buckets"]:
        buckets.setdefault(key, []).append(
            Bucket(
                FOREVER if until == "infinity" else datetime.fromisoformat(until),
                Summary(
                    count,
                    Decimal(total),
                    datetime.fromisoformat(first_at),
                    first,
                    datetime.fromisoformat(last_at),
                    last,
                ),
            )
        )
    known = Known(
        traits=traits or {},
        buckets=buckets,
        filled=frozenset(facts["filled"]),
        retired=frozenset(facts["retired"]),
        moves={segment: (member, moves) for segment, (member, moves) in facts["moves"].items()},
    )
    return Facts(known, datetime.fromisoformat(facts["at"]))


async def members_of(
    pool: Pool, audiences: Audiences, segment: Segment, customers: Collection[str]
) -> set[str]:
    """Which of these customers are in a segment at this moment."""
    rows = await pool.fetch(_KNOWN, list(customers), list(audiences.told))
    read = ((row["id"], read_facts(row["facts"], row["traits"])) for row in rows)
    return {c for c, facts in read if audiences.is_member(segment, facts.known, facts.at)}


class AudienceKeeper:
    """Keeps computed traits and segments up to date.

    Args:
        audiences: what there is.
        entries: which journeys an event wishes to start.
    """

    def __init__(self, audiences: Audiences, entries: Callable[[Event], Sequence[Entry]]) -> None:
        self.audiences = audiences
        self._entries = entries

    async def add(self, connection: Connection, accepted: Sequence[Incoming]) -> bool:
        """Add newly accepted events, and look at their customers' segments.

        In the accepting transaction, which has locked the customers.

        Returns:
            Whether the relay has something to carry.
        """
        customers = await connection.fetchval(
            _ADD,
            [item.source_id for item in accepted],
            [item.message_id for item in accepted],
            [orjson.dumps((item.effects or {})["computed"]).decode() for item in accepted],
        )
        return await self.assess(connection, customers)

    async def assess(
        self,
        connection: Connection,
        customers: Collection[str],
        *,
        new: frozenset[str] = frozenset(),
        announce: bool = False,
    ) -> bool:
        """Look at customers' segments. The caller holds their locks.

        Args:
            connection: in a transaction.
            customers: whose.
            new: what was computed from the history just now, as `Audiences.assess` has it.
            announce: as there.

        Returns:
            Whether the relay has something to carry.
        """
        if not self.audiences.segments or not customers:
            return False
        rows = await connection.fetch(_KNOWN, list(customers), list(self.audiences.told))
        found: dict[str, Assessment] = {}
        moves: list[dict[str, Any]] = []
        for row in rows:
            facts = read_facts(row["facts"], row["traits"])
            looked = self.audiences.assess(facts.known, facts.at, new=new, announce=announce)
            found[row["id"]] = looked
            moves += [self._move(row["id"], move, facts.at) for move in looked.moves]
        routed: bool = await connection.fetchval(
            _MOVE, moves, list(found), [looked.due for looked in found.values()]
        )
        return routed

    async def sweep(self, pool: Pool) -> tuple[int, bool]:
        """Look at some customers' segments whose membership changes by the passing of time.

        Returns:
            How many there were, and whether the relay has something to carry.
        """
        due = [row["customer_id"] for row in await pool.fetch(_DUE, _SWEEP_AT_ONCE)]
        if not due:
            return 0, False
        async with pool.acquire() as connection, connection.transaction():
            locked = [row["id"] for row in await connection.fetch(_LOCK_DUE, due)]
            return len(locked), await self.assess(connection, locked)

    def _move(self, customer: str, move: Move, at: datetime) -> dict[str, Any]:
        written: dict[str, Any] = {
            "customer": customer,
            "segment": move.segment,
            "entered": move.entered,
            "event": None,
        }
        if not move.silent:
            kind = SegmentEntered if move.entered else SegmentLeft
            properties = {"segment": move.segment, "evidence": move.evidence}
            # The customer's id makes it unique, the ordinal makes it happen once.
            event_id = f"{customer}/{move.segment}/{move.ordinal}"
            event = kind.of(properties, Occurrence(event_id, at))
            written["event"] = {
                "name": kind.name,
                "id": event_id,
                "properties": properties,
                "entries": [entry_effect(entry) for entry in self._entries(event)],
            }
        return written


def _moment(at: datetime) -> str:
    return "infinity" if at == FOREVER else at.isoformat()
