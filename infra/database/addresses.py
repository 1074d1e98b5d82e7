"""Who is meant by an e-mail address or a message, for tools that know customers by nothing else."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import asyncpg

from domain.errors import Unavailable
from infra.database.pool import UNREACHABLE, Pool

_FIND = """
select e.email, i.kind, i.value
from unnest($1::text[]) e (email)
cross join lateral (
    select a.customer_id from address a
    where a.channel = 'email' and lower(a.value) = e.email
    order by exists (
        select 1 from identity k where k.customer_id = a.customer_id and k.kind = 'user_id') desc,
        a.updated_at desc, a.customer_id
    limit 1) c
cross join lateral (
    select k.kind, k.value from identity k
    where k.customer_id = c.customer_id and k.kind in ('user_id', 'anonymous_id')
    order by k.kind desc, k.created_at, k.value
    limit 1) i
"""

_FIND_RECIPIENTS = """
select m.id, i.kind, i.value
from message m
cross join lateral (
    select k.kind, k.value from identity k
    where k.customer_id = m.customer_id and k.kind in ('user_id', 'anonymous_id')
    order by k.kind desc, k.created_at, k.value
    limit 1) i
where m.id = any ($1)
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A name under which a source knows a customer."""

    kind: Literal["user_id", "anonymous_id"]
    value: str


async def known_by_email(pool: Pool, addresses: Collection[str]) -> dict[str, Known]:
    """The customers who are reachable at e-mail addresses, by the address in small letters.

    Of several at one address, one whom a source knows by a user id comes first, then the one
    of whom the address was told last.

    Raises:
        Unavailable: the database does not answer.
    """
    wanted = sorted({normal(address) for address in addresses})
    if not wanted:
        return {}
    try:
        rows = await pool.fetch(_FIND, wanted)
    except (*UNREACHABLE, asyncpg.OperatorInterventionError) as error:
        raise Unavailable("PostgreSQL does not answer") from error
    return {row["email"]: Known(row["kind"], row["value"]) for row in rows}


async def known_by_message(pool: Pool, messages: Collection[str]) -> dict[str, Known]:
    """The customers whose messages these are, by the message's id; others are left out.

    Raises:
        Unavailable: the database does not answer.
    """
    if not messages:
        return {}
    try:
        rows = await pool.fetch(_FIND_RECIPIENTS, list(messages))
    except (*UNREACHABLE, asyncpg.OperatorInterventionError) as error:
        raise Unavailable("PostgreSQL does not answer") from error
    return {row["id"]: Known(row["kind"], row["value"]) for row in rows}


def normal(address: str) -> str:
    """An e-mail address as it is compared: nobody tells two people apart by capitals."""
    return address.strip().lower()
