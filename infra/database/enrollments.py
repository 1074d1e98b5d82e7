"""Enrollments: ending them, entering one from another, noticing that they were ended outside."""

from domain.enrollments import EndAnswer, EndRequest, EnterAnswer, EnterRequest
from domain.events import Envelope
from domain.outcomes import Outcome, OutcomeKind
from infra.database.accept import entry_effect
from infra.database.customers import lock_customer
from infra.database.gate import NEWS_AT_ONCE
from infra.database.pool import Connection, Pool

_MAY_ENTER = """
select e.state = 'live'
    or exists (select 1 from entrance n where n.parent_id = e.id and n.step = $2)
from enrollment e where e.id = $1
"""


class PostgresEnrollments:
    """Enrollments over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def end(self, request: EndRequest) -> EndAnswer:
        """End an enrollment under its customer's lock, unless there is news it has not heard.

        A hand-over enters the other journey in the same transaction, after the end, so that its
        rules of re-entry see this enrollment as over.

        Ending what has ended changes nothing. Whoever asks again having heard less than at the
        end still gets the news first: the answers of a workflow task that was lost with its
        worker are forgotten, what it did is not, and the relay brings an ended one nothing.

        Raises:
            LookupError: there is no such enrollment.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            customer = await lock_customer(connection, request.customer_id)
            row = await connection.fetchrow(
                "select state, last_number from enrollment where id = $1", request.enrollment_id
            )
            if row is None:
                raise LookupError(f"no enrollment {request.enrollment_id}")
            if row["last_number"] > request.heard and (
                news := await connection.fetchval(
                    "select envelopes($1, $2, $3)",
                    request.enrollment_id,
                    request.heard,
                    NEWS_AT_ONCE,
                )
            ):
                return EndAnswer(ended=False, news=[Envelope(**item) for item in news])
            over = request.hand_over
            # Asked before the end: of one that somebody else has ended nobody is handed over.
            may = over is not None and await _may_enter(connection, over)
            if row["state"] == "live":
                await _close(connection, request.enrollment_id, request.outcome)
            handed_over = None if over is None else await _enter(connection, customer, over, may)
            return EndAnswer(ended=True, news=[], handed_over=handed_over)

    async def enter(self, request: EnterRequest) -> EnterAnswer:
        """Take an enrollment's customer into another journey, by that one's rules of re-entry.

        Once for each enrollment and step: whoever asks again gets the same answer. From an
        enrollment that has ended nobody is taken anywhere new.

        Raises:
            LookupError: there is no such enrollment.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            customer = await lock_customer(connection, request.customer_id)
            may = await _may_enter(connection, request)
            return await _enter(connection, customer, request, may)

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
            await lock_customer(connection, customer)
            live = await connection.fetchval(
                "select state = 'live' from enrollment where id = $1", enrollment_id
            )
            if live:
                outcome = Outcome(kind=OutcomeKind.TERMINATED, reason=reason)
                await _close(connection, enrollment_id, outcome)
            return bool(live)


async def _close(connection: Connection, enrollment_id: str, outcome: Outcome) -> None:
    await connection.execute(
        "select close_enrollment($1, $2, $3)", enrollment_id, outcome.kind.value, outcome.reason
    )
    await connection.execute("delete from backlog where enrollment_id = $1", enrollment_id)


async def _may_enter(connection: Connection, request: EnterRequest) -> bool:
    """Whether the enrollment that asks is live, or has asked for this before."""
    may: bool | None = await connection.fetchval(_MAY_ENTER, request.enrollment_id, request.step)
    if may is None:
        raise LookupError(f"no enrollment {request.enrollment_id}")
    return may


async def _enter(
    connection: Connection, customer: str, request: EnterRequest, may: bool
) -> EnterAnswer:
    if not may:
        return EnterAnswer(refused="the enrollment that asks has ended")
    assert request.entry is not None, "whoever asks the store says what the journey declares"
    row = await connection.fetchrow(
        "select * from enter_from($1, $2, $3, $4, $5, $6, $7)",
        customer,
        request.enrollment_id,
        request.step,
        entry_effect(request.entry),
        request.event_name,
        request.properties,
        request.wait,
    )
    return EnterAnswer(enrollment_id=row["child_id"], refused=row["refused"])
