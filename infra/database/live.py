"""The enrollments that are under way, for whoever goes through them all."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from infra.database.pool import Pool

_PAGE = 1_000

# Those that the relay has started.
_COUNT = """
select coalesce(sum(least(open, $2::bigint)), 0)::bigint
from (
    select count(*) as open from enrollment
    where state = 'live' and run_id is not null and ($1::text[] is null or journey = any ($1))
    group by journey) j
"""

_NEXT = """
select id, journey, workflow_id from enrollment
where state = 'live' and run_id is not null and ($1::text[] is null or journey = any ($1))
    and id > $2
order by id limit $3
"""

_SAMPLE = """
select id, journey, workflow_id
from (
    select *, row_number() over (partition by journey order by random()) as place
    from enrollment
    where state = 'live' and run_id is not null and ($1::text[] is null or journey = any ($1))) e
where place <= $2 order by journey, id
"""


@dataclass(frozen=True, slots=True)
class LiveEnrollment:
    """An enrollment whose workflow runs."""

    id: str
    journey: str
    workflow_id: str


class LiveEnrollments:
    """The enrollments whose workflows run, or a sample of them.

    Args:
        pool: the database.
        journeys: of these journeys only; None for all.
        most: so many of each journey at most, chosen at random; None for all.
    """

    def __init__(
        self, pool: Pool, journeys: Sequence[str] | None = None, most: int | None = None
    ) -> None:
        self._pool = pool
        self._journeys = list(journeys) if journeys is not None else None
        self._most = most

    async def count(self) -> int:
        """How many there are now."""
        found: int = await self._pool.fetchval(_COUNT, self._journeys, self._most)
        return found

    async def __aiter__(self) -> AsyncIterator[LiveEnrollment]:
        """Each of them; one that ends meanwhile may be among them."""
        if self._most is not None:
            for row in await self._pool.fetch(_SAMPLE, self._journeys, self._most):
                yield LiveEnrollment(**row)
            return
        after = ""
        while rows := await self._pool.fetch(_NEXT, self._journeys, after, _PAGE):
            for row in rows:
                yield LiveEnrollment(**row)
            after = rows[-1]["id"]
