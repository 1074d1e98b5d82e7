"""Which variant each customer was dealt: the first one stays."""

from domain.experiments import Assignment
from infra.database.customers import lock_customer
from infra.database.pool import Pool

_DEALT = "select variant from assignment where customer_id = $1 and name = $2"

_DEAL = """
insert into assignment (customer_id, name, variant, kind, journey, enrollment_id, weights)
values ($1, $2, $3, $4, $5, $6, $7)
"""


class PostgresExperiments:
    """Experiments over PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def assign(self, request: Assignment) -> str:
        """The customer's variant: the first one dealt, under the customer's lock.

        Raises:
            ValueError: the weights make no split.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            customer_id = await lock_customer(connection, request.customer_id)
            variant: str | None = await connection.fetchval(_DEALT, customer_id, request.name)
            if variant is None:
                variant = request.dealt(customer_id)
                await connection.execute(
                    _DEAL,
                    customer_id,
                    request.name,
                    variant,
                    request.kind,
                    request.journey,
                    request.enrollment_id,
                    request.weights,
                )
            return variant
