"""Tasks for people: opened, escalated, settled, each with its time and by whom."""

from domain.tasks import OpenedTask, TaskRequest, TaskSettlement
from infra.database.customers import lock_customer
from infra.database.pool import Pool

# A journey that was ended from outside may still have had this on its way: nobody waits for it.
_OPEN = """
insert into task (
    id, customer_id, enrollment_id, journey, step, role, title, details, choices, deadline,
    state, settled_at, history)
select new_id('tsk'), e.customer_id, e.id, $8, $2, $3, $4, $5, $6, $7,
    case when e.state = 'live' then 'open' else 'withdrawn' end,
    case when e.state <> 'live' then now() end,
    jsonb_build_array(jsonb_build_object('at', now(), 'what', 'opened', 'role', $3::text))
    || case when e.state = 'live' then '[]' else jsonb_build_array(jsonb_build_object(
        'at', now(), 'what', 'withdrawn', 'role', $3::text,
        'detail', 'the journey had ended already')) end
from enrollment e where e.id = $1
on conflict (enrollment_id, step) do nothing
returning id, state, answer, by
"""

# Its step asks again, as if for the first time: a reset has undone what had withdrawn it.
_REOPEN = """
update task set state = 'open', settled_at = null, role = $3, title = $4, details = $5,
    choices = $6, deadline = $7, history = history || jsonb_build_array(jsonb_build_object(
        'at', clock_timestamp(), 'what', 'reopened', 'role', $3::text,
        'detail', 'the journey asks again'))
where enrollment_id = $1 and step = $2 and state = 'withdrawn' and settled_at < $8
    and exists (select from enrollment e where e.id = enrollment_id and e.state = 'live')
"""

_OPENED = "select id, state, answer, by from task where enrollment_id = $1 and step = $2"

# What a person has answered counts also where the journey's end was faster to be recorded.
_SETTLE = """
update task set state = $2, answer = $3, by = $4, settled_at = clock_timestamp(),
    history = history || jsonb_build_array(jsonb_build_object(
        'at', clock_timestamp(), 'what', $2::text, 'role', role, 'by', $4::text,
        'answer', $3::jsonb))
where id = $1 and (state = 'open' or state = 'withdrawn' and $2 = 'answered')
"""

_ESCALATE = """
update task set role = $2, deadline = $3,
    history = history || jsonb_build_array(jsonb_build_object(
        'at', clock_timestamp(), 'what', 'escalated', 'role', $2::text, 'from', role,
        'by', $4::text))
where id = $1 and state = 'open' and role <> $2
"""


class PostgresTasks:
    """Tasks over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, request: TaskRequest) -> OpenedTask:
        """Open a task, or find the one that this step has opened; withdrawn, it is open again.

        Under the customer's lock, so that none is opened behind the end of its enrollment.

        Raises:
            LookupError: there is no such enrollment.
        """
        step = (request.enrollment_id, request.step)
        asked = (request.role, request.title, request.details, request.choices, request.deadline)
        async with self._pool.acquire() as connection, connection.transaction():
            await lock_customer(connection, request.customer_id)
            row = await connection.fetchrow(_OPEN, *step, *asked, request.journey)
            if row is None:
                await connection.execute(_REOPEN, *step, *asked, request.asked_at)
                row = await connection.fetchrow(_OPENED, *step)
        if row is None:
            raise LookupError(f"no enrollment {request.enrollment_id}")
        return OpenedTask.of(row["id"], row["state"], row["answer"], row["by"])

    async def settle(self, settlement: TaskSettlement) -> None:
        """Record what became of a task; what it has become already stays."""
        if settlement.state == "escalated":
            await self._pool.execute(
                _ESCALATE,
                settlement.task_id,
                settlement.role,
                settlement.deadline,
                settlement.by,
            )
        else:
            await self._pool.execute(
                _SETTLE,
                settlement.task_id,
                settlement.state,
                settlement.answer,
                settlement.by,
            )
