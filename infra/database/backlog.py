"""The backlog: which enrollments have deliveries that have not reached Temporal.

A claim is a lease in the database, so any number of relays can work on one backlog. None of
these transactions waits while it holds a row, so none can be in a deadlock with `accept`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from domain.events import Envelope
from domain.outcomes import OutcomeKind
from infra.database.pool import Pool

LEASE = timedelta(seconds=20)
"""How long a claim holds: longer than the two calls that handing over takes at most."""

_AT_ONCE = 50  # events in one signal: 50 of the largest stay below Temporal's 2 MB a payload
_LONGEST_ERROR = 500

# Losing a claim or a done only repeats a delivery, so neither waits for the disk. Setting that
# within the statement saves the round trips of a transaction around it.
_CLAIM = """
with fast as materialized (select set_config('synchronous_commit', 'off', true)),
due as (
    select b.enrollment_id from fast, backlog b where b.due_at <= now()
    order by b.due_at limit $1 for update of b skip locked),
claimed as (
    update backlog b set due_at = now() + $2 from due
    where b.enrollment_id = due.enrollment_id
    returning b.enrollment_id, b.relayed, b.attempts)
select c.relayed, c.attempts, e.id, e.customer_id, e.journey, e.workflow_type, e.workflow_id,
    e.task_queue, e.key, e.parameters, e.summary, e.state, e.outcome,
    envelopes(e.id, c.relayed, $3) as events
from claimed c join enrollment e on e.id = c.enrollment_id
"""

# It waits for nobody: a row that an accepting transaction holds comes back and is done later.
# Waiting for it while holding others could be a deadlock.
_DONE = """
with fast as materialized (select set_config('synchronous_commit', 'off', true)),
done as (select d.* from fast, unnest($1::text[], $2::bigint[]) d (id, number)),
mine as (
    select d.id, d.number, b.last from done d join backlog b on b.enrollment_id = d.id
    for update of b skip locked),
emptied as (
    delete from backlog b using mine m where b.enrollment_id = m.id and m.last <= m.number),
moved as (
    update backlog b set relayed = greatest(b.relayed, m.number), due_at = now(),
        oldest_at = now(), attempts = 0, error = null
    from mine m where b.enrollment_id = m.id and m.last > m.number)
select d.id, d.number from done d join backlog b on b.enrollment_id = d.id
where d.id not in (select id from mine)
"""

_LATER = """
update backlog set due_at = now() + $2, attempts = attempts + $3, error = $4
where enrollment_id = $1
"""

# Started by a relay that did not know yet that a merge had ended it: it must be told.
_STARTED = """
with started as (
    update enrollment set run_id = $2 where id = $1 returning id, last_number, outcome)
insert into backlog (enrollment_id, relayed, last)
select id, 0, last_number from started where outcome = 'merged'
on conflict (enrollment_id) do nothing
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """An enrollment's next deliveries, in this relay's hands until its lease expires.

    Attributes:
        merged: whether it was ended by a merge, which its workflow does not know yet.
        relayed: the last number carried before.
        attempts: how often handing these over has failed.
        events: what to carry, in order.
    """

    enrollment_id: str
    customer_id: str
    journey: str
    workflow_type: str
    workflow_id: str
    task_queue: str
    key: str
    parameters: dict[str, Any]
    summary: str
    live: bool
    merged: bool
    relayed: int
    attempts: int
    events: Sequence[Envelope]


class Backlog:
    """The backlog over PostgreSQL.

    Args:
        pool: the database.
        lease: how long a claim holds, after which another relay may carry the same.
    """

    def __init__(self, pool: Pool, lease: timedelta = LEASE) -> None:
        self._pool = pool
        self._lease = lease

    async def claim(self, most: int) -> list[Claim]:
        """Claim enrollments with something to carry, the longest waiting first."""
        rows = await self._pool.fetch(_CLAIM, most, self._lease, _AT_ONCE)
        return [
            Claim(
                enrollment_id=row["id"],
                customer_id=row["customer_id"],
                journey=row["journey"],
                workflow_type=row["workflow_type"],
                workflow_id=row["workflow_id"],
                task_queue=row["task_queue"],
                key=row["key"],
                parameters=row["parameters"],
                summary=row["summary"],
                live=row["state"] == "live",
                merged=row["outcome"] == OutcomeKind.MERGED,
                relayed=row["relayed"],
                attempts=row["attempts"],
                events=[Envelope(**event) for event in row["events"]],
            )
            for row in rows
        ]

    async def done(self, carried: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Note that enrollments have got their deliveries up to a number.

        Returns:
            Those that an accepting transaction is just adding to: to be noted again.
        """
        rows = await self._pool.fetch(_DONE, [i for i, _ in carried], [n for _, n in carried])
        return [(row["id"], row["number"]) for row in rows]

    async def later(
        self, enrollment_id: str, error: str, pause: timedelta = timedelta(0), attempts: int = 0
    ) -> None:
        """Give a claim back, to be claimed again after a pause.

        Args:
            enrollment_id: whose.
            error: why, for whoever looks.
            pause: how long to leave it alone.
            attempts: how many attempts to count.
        """
        await self._pool.execute(_LATER, enrollment_id, pause, attempts, error[:_LONGEST_ERROR])

    async def started(self, enrollment_id: str, run_id: str | None) -> None:
        """Note the first run of an enrollment's workflow."""
        await self._pool.execute(_STARTED, enrollment_id, run_id)
