"""What there is when all is quiet: the store's rows, the journeys' diaries, what was received."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError

from infra.database.pool import UNREACHABLE
from tests.faults.acknowledgements import Posted
from tests.mailbox import Mailbox

_AT_ONCE = 8
_CALL = timedelta(seconds=10)

Heard = tuple[int, str]
"""An event's number for an enrollment, and its `ref`."""


@dataclass(slots=True)
class Enrolled:
    """An enrollment, as the store and its own code know it.

    Attributes:
        ended: when the store says that it ended; seconds of the epoch, or None.
        numbers: the numbers of its deliveries in the store.
        last: the last number that the store has given.
        diary: what its code was given.
    """

    id: str
    journey: str
    user: str
    key: str
    ordinal: int
    outcome: str | None
    ended: float | None
    last: int
    workflow_id: str = ""
    numbers: list[int] = field(default_factory=list)
    diary: list[Heard] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Message:
    """A row of the messages' ledger.

    Attributes:
        decided: when the gate last said "send", seconds of the epoch; None if it never did.
    """

    key: str
    enrollment_id: str
    channel: str
    verdict: str
    decided: float | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the judge looks at.

    Attributes:
        posted: the clients' log.
        stored: how often each event is in the store, by its `ref`.
        received: the idempotency keys of what the providers took, one an item.
        unsettled: what did not come to rest, in words.
    """

    posted: Sequence[Posted]
    stored: dict[str, int]
    enrolled: Sequence[Enrolled]
    messages: Sequence[Message]
    received: Sequence[str]
    unsettled: Sequence[str] = ()

    def met_an_exit(self) -> int:
        """How many balls a rally was given while it was ending: none, and exits went untested."""
        wanted = {event.ref: event.properties.get("ends_after") for event in self.posted}
        return sum(
            max(0, len(one.diary) - (wanted.get(one.diary[0][1]) or 0))
            for one in self.enrolled
            if one.journey == "rally" and one.diary
        )


async def wait_until_quiet(
    database_url: str, within: float, tell: Callable[[str], None]
) -> list[str]:
    """Wait until nothing is on its way any more.

    Returns:
        What still is after so many seconds, in words; empty if all went well.
    """
    deadline = time.monotonic() + within
    said = time.monotonic()
    while True:
        left: list[str]
        try:
            left = await _on_its_way(database_url)
        except (*UNREACHABLE, asyncpg.PostgresError) as error:
            left = [f"PostgreSQL: {error!r}"]
        if not left or time.monotonic() > deadline:
            return left
        if time.monotonic() - said > 5:
            said = time.monotonic()
            tell("not quiet yet: " + "; ".join(left))
        await asyncio.sleep(0.25)


async def _on_its_way(database_url: str) -> list[str]:
    connection = await asyncpg.connect(database_url)
    try:
        row = await connection.fetchrow(
            "select (select count(*) from backlog) as backlog,"
            " (select max(error) from backlog) as error,"
            " (select count(*) from message where verdict = 'sending') as sending,"
            " (select count(*) from enrollment where journey = 'offer' and state = 'live')"
            " as offers"
        )
    finally:
        await connection.close()
    words = {
        "backlog": "enrollments with a backlog",
        "sending": "messages being sent",
        "offers": "offers not told yet",
    }
    left = [f"{row[name]} {what}" for name, what in words.items() if row[name]]
    return left + ([row["error"]] if left and row["error"] else [])


async def gather_facts(
    database_url: str,
    client: Client,
    mailbox: Mailbox,
    posted: Sequence[Posted],
    unsettled: Sequence[str],
    within: float,
) -> Facts:
    """Read everything."""
    connection = await asyncpg.connect(database_url)
    try:
        stored = await connection.fetch(
            "select s.name || '/' || e.message_id as ref, count(*) as times"
            " from event e join source s on s.id = e.source_id group by ref"
        )
        enrolled = await _enrolled(connection)
        messages = await connection.fetch(
            "select key, enrollment_id, channel, verdict, (select max(d ->> 'at')"
            " from jsonb_array_elements(decisions) d where d ->> 'verdict' = 'sending') as decided"
            " from message"
        )
    finally:
        await connection.close()
    missing = await _read_diaries(client, enrolled, within)
    return Facts(
        posted=posted,
        stored={row["ref"]: row["times"] for row in stored},
        enrolled=enrolled,
        messages=[
            Message(
                row["key"],
                row["enrollment_id"],
                row["channel"],
                row["verdict"],
                row["decided"] and datetime.fromisoformat(row["decided"]).timestamp(),
            )
            for row in messages
        ],
        received=[one["idempotency_key"] for one in await mailbox.messages()],
        unsettled=[*unsettled, *missing],
    )


async def _enrolled(connection: Any) -> list[Enrolled]:
    rows = await connection.fetch(
        "select e.id, e.journey, i.value as user, e.key, e.ordinal, e.outcome, e.workflow_id,"
        " extract(epoch from e.ended_at)::float8 as ended, e.last_number as last,"
        " array(select number from delivery d where d.enrollment_id = e.id order by number)"
        " as numbers"
        " from enrollment e join identity i using (customer_id) where i.kind = 'user_id'"
        " order by e.journey, i.value, e.ordinal, e.key"
    )
    return [Enrolled(**{name: row[name] for name in row.keys()}) for row in rows]  # noqa: SIM118


async def _read_diaries(client: Client, enrolled: Sequence[Enrolled], within: float) -> list[str]:
    """Ask each journey, until it has heard what the store says; return those that have not."""
    deadline = time.monotonic() + within
    slots = asyncio.Semaphore(_AT_ONCE)
    behind: list[str] = []

    async def ask(one: Enrolled) -> None:
        async with slots:
            while True:
                with contextlib.suppress(RPCError, WorkflowQueryFailedError):
                    heard = await client.get_workflow_handle(one.workflow_id).query(
                        "diary", rpc_timeout=_CALL
                    )
                    one.diary = [(number, ref) for number, ref in heard]
                if max((number for number, _ in one.diary), default=0) >= one.last:
                    return
                if time.monotonic() > deadline:
                    behind.append(f"{one.workflow_id} heard {one.diary[-1:]} of {one.last}")
                    return
                await asyncio.sleep(0.2)

    await asyncio.gather(*(ask(one) for one in enrolled))
    return behind
