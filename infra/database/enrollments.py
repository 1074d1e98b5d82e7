"""Enrollments: ending them, and noticing that they were ended from outside."""

from domain.enrollments import EndAnswer, EndRequest
from domain.events import Envelope
from domain.outcomes import Outcome, OutcomeKind
from infra.database.gate import NEWS_AT_ONCE
from infra.database.pool import Connection, Pool

_LOCK = "select 1 from customer where id = $1 for no key update"


class PostgresEnrollments:
    """Enrollments over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def end(self, request: EndRequest) -> EndAnswer:
        """End an enrollment under its customer's lock, unless there is news it has not heard.

        Ending what has ended changes nothing.

        Raises:
            LookupError: there is no such enrollment.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_LOCK, request.customer_id)
            row = await connection.fetchrow(
                "select state, last_number from enrollment where id = $1", request.enrollment_id
            )
            if row is None:
                raise LookupError(f"no enrollment {request.enrollment_id}")
            if row["state"] == "live" and row["last_number"] > request.heard:
                news = await connection.fetchval(
                    "select envelopes($1, $2, $3)",
                    request.enrollment_id,
                    request.heard,
                    NEWS_AT_ONCE,
                )
                return EndAnswer(ended=False, news=[Envelope(**item) for item in news])
            if row["state"] == "live":
                await _close(connection, request.enrollment_id, request.outcome)
            return EndAnswer(ended=True, news=[])

    async def ended_outside(self, enrollment_id: str, reason: str) -> bool:
        """Record that an enrollment's workflow is gone without its own consent (semantics 16).

        Makes room for re-entry.

        Returns:
            Whether it was live until now.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            customer = await connection.fetchval(
                "select customer_id from enrollment where id = $1", enrollment_id
            )
            await connection.execute(_LOCK, customer)
            live = await connection.fetchval(
                "select state = 'live' from enrollment where id = $1", enrollment_id
            )
            if live:
                outcome = Outcome(kind=OutcomeKind.TERMINATED, reason=reason)
                await _close(connection, enrollment_id, outcome)
            return bool(live)


async def _close(connection: Connection, enrollment_id: str, outcome: Outcome) -> None:
    await connection.execute(
        "update enrollment set state = 'ended', outcome = $2, outcome_reason = $3,"
        " ended_at = clock_timestamp() where id = $1",
        enrollment_id,
        outcome.kind.value,
        outcome.reason,
    )
    await connection.execute("delete from backlog where enrollment_id = $1", enrollment_id)
    # Called and not answered: it may have been sent. A late answer still completes the row.
    await connection.execute(
        "update message set verdict = 'unknown', reason = 'provider_did_not_say',"
        " in_flight_since = null, detail = $2, completed_at = now()"
        " where enrollment_id = $1 and in_flight_since is not null",
        enrollment_id,
        "the journey ended before the provider answered",
    )
    # What was parked will not be sent any more, and the ledger says so (G6).
    detail = f"the journey ended before: {outcome.kind.value}"
    if outcome.reason:
        detail += f", {outcome.reason}"
    await connection.execute(
        "update message set verdict = 'suppressed', reason = 'journey_ended', detail = $2,"
        " decisions = decisions || jsonb_build_array(jsonb_build_object('at', now(),"
        " 'verdict', 'suppressed', 'reason', 'journey_ended', 'detail', $2::text))"
        " where enrollment_id = $1 and verdict in ('held', 'stale', 'sending')",
        enrollment_id,
        detail,
    )
