"""Customers, as they are known now."""

from typing import Any

from domain.audiences import Audiences
from domain.customers import Customer
from infra.database.audiences import read_facts
from infra.database.pool import Connection, Pool

CUSTOMER_FACTS = """
    c.time_zone, c.locale,
    (select jsonb_object_agg(t.name, t.value) from trait t where t.customer_id = c.id) as traits,
    (select jsonb_object_agg(a.channel, a.value) from (
        select distinct on (channel) channel, value from address
        where customer_id = c.id and dead_since is null
        order by channel, updated_at desc) a) as addresses,
    array(select h.kind || ' ' || h.reference from hold h
        where h.customer_id = c.id and h.opened_at is not null and h.closed_at is null
        order by h.opened_at, h.reference) as open_holds,
    audience_facts(c.id) as facts
"""
"""Columns about a customer `c`, for `read_customer`."""


def read_customer(customer_id: str, row: Any, audiences: Audiences) -> Customer:
    """A customer from a row with `CUSTOMER_FACTS`."""
    known, at = read_facts(row["facts"], row["traits"])
    return Customer(
        id=customer_id,
        traits=row["traits"] or {},
        time_zone=row["time_zone"],
        locale=row["locale"],
        channels=tuple(sorted(row["addresses"] or {})),
        open_holds=tuple(row["open_holds"]),
        computed=audiences.values(known, at),
        segments=audiences.members(known, at),
    )


_LOCK = "select merged_into from customer where id = $1 for no key update"


async def lock_customer(connection: Connection, customer_id: str) -> str:
    """Lock a customer until the transaction ends: decisions about one take this lock in turn.

    Whoever asks may still know the customer by an id that was merged away.

    Returns:
        The id of the customer who is locked.
    """
    while merged_into := await connection.fetchval(_LOCK, customer_id):
        customer_id = merged_into
    return customer_id


class PostgresCustomers:
    """Customers over PostgreSQL."""

    def __init__(self, pool: Pool, audiences: Audiences) -> None:
        self._pool = pool
        self._audiences = audiences

    async def get(self, customer_id: str) -> Customer:
        """What is known of a customer now, by whichever id the customer has had.

        Raises:
            LookupError: there is no such customer.
        """
        row = await self._pool.fetchrow(
            f"select c.id, {CUSTOMER_FACTS} from customer c where c.id = survivor($1)",  # noqa: S608 - a constant
            customer_id,
        )
        if row is None:
            raise LookupError(f"no customer {customer_id}")
        return read_customer(row["id"], row, self._audiences)
