"""What customers did before, read from the index of their events."""

from domain.events import Envelope
from domain.history import LookBack
from infra.database.pool import Pool


class PostgresHistory:
    """The history over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def look_back(self, request: LookBack) -> list[Envelope]:
        """The events asked for, under every id of the customer, in the order they happened.

        Raises:
            LookupError: there is no such enrollment.
        """
        found = await self._pool.fetchval(
            "select look_back($1, $2, $3, $4, $5)",
            request.customer_id,
            request.enrollment_id,
            request.names,
            request.since,
            request.most,
        )
        if found is None:
            raise LookupError(f"no enrollment {request.enrollment_id}")
        return [Envelope(**event) for event in found]
