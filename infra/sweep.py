"""The sweep: entries into segments and exits from them that time alone brings about."""

import asyncio
from collections.abc import Callable

import structlog

from infra.database.audiences import AudienceKeeper
from infra.database.pool import UNREACHABLE, Pool

_log = structlog.get_logger()

_EVERY = 1.0


class Sweep:
    """Looks after customers whose segments are due. Any number may run.

    Args:
        pool: the database.
        keeper: looks at segments.
        on_routed: called after a commit that left the relay something to carry.
    """

    def __init__(self, pool: Pool, keeper: AudienceKeeper, on_routed: Callable[[], None]) -> None:
        self._pool = pool
        self._keeper = keeper
        self._on_routed = on_routed

    async def run(self) -> None:
        """Look, until cancelled: once a second, and without a pause while there are more."""
        while True:
            found = 0
            try:
                found, routed = await self._keeper.sweep(self._pool)
                if routed:
                    self._on_routed()
            except UNREACHABLE as error:
                _log.debug("could not look for due segments", error=str(error))
            except Exception:  # noqa: BLE001 - logged; it must not end the API beside it
                _log.exception("could not look for due segments")
            if not found:
                await asyncio.sleep(_EVERY)
