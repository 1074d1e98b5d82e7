"""Figures of the whole store, looked up in the background and never for a request."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg
import structlog

from infra.database.pool import UNREACHABLE, Pool

_log = structlog.get_logger()

EVERY = 5.0
"""Seconds between two looks."""

_ASK = 5.0

# An enrollment that cannot be handed over for a reason of its own is no sign of a jam.
_BACKLOG = """
select count(*) as waiting, count(*) filter (where attempts > 0) as failing,
    coalesce(extract(epoch from now() - min(oldest_at) filter (where attempts = 0)), 0)::float
        as age
from backlog
"""

_QUARANTINED = "select count(*) from quarantine where replayed_at is null"
_MESSAGES = "select verdict, channel, messages from message_counts()"


@dataclass(frozen=True, slots=True)
class BacklogFigures:
    """What has not reached Temporal yet.

    Attributes:
        waiting: enrollments with something to carry.
        failing: those of them that could not be handed over, each for a reason of its own.
        age: for how many seconds the oldest of the others has been waiting.
    """

    waiting: int
    failing: int
    age: float


class Figures:
    """The last figures known; None where the database did not answer the last time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.backlog: BacklogFigures | None = None
        self.quarantined: int | None = None
        self.messages: Mapping[tuple[str, str], int] | None = None

    @property
    def backlog_age(self) -> float:
        """Seconds; zero where it is not known."""
        return self.backlog.age if self.backlog is not None else 0.0

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.refresh()
            except Exception:  # noqa: BLE001 - logged; it must not end what it only watches
                _log.exception("could not look up figures")

    async def refresh(self) -> None:
        """Look once."""
        try:
            async with asyncio.timeout(_ASK):
                row = await self._pool.fetchrow(_BACKLOG)
                quarantined = await self._pool.fetchval(_QUARANTINED)
                counted = await self._pool.fetch(_MESSAGES)
        except (asyncpg.ReadOnlySQLTransactionError, *UNREACHABLE):
            self.backlog, self.quarantined, self.messages = None, None, None
            return
        self.backlog = BacklogFigures(**row)
        self.quarantined = quarantined
        self.messages = {(r["verdict"], r["channel"]): r["messages"] for r in counted}
