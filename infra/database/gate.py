"""The gate and its ledger: facts read, decided and written under the customer's row lock."""

from datetime import datetime
from typing import Any

from domain.audiences import Audiences
from domain.events import Envelope
from domain.gate import Facts, LedgerRow, Proceed, judge
from domain.messages import (
    Decision,
    Go,
    Held,
    Message,
    Reason,
    SendRequest,
    Sent,
    Stale,
    Suppressed,
    Topic,
    Unknown,
    Verdict,
)
from domain.ports import Endpoints
from infra.database.customers import CUSTOMER_FACTS, lock_customer, read_customer
from infra.database.pool import Connection, Pool

NEWS_AT_ONCE = 100

_FACTS = f"""
select {CUSTOMER_FACTS},
    e.state = 'live' as live,
    case when e.last_number > $3 then envelopes(e.id, $3, {NEWS_AT_ONCE}) end as news,
    (select to_jsonb(m) from message m where m.key = $4) as earlier,
    (select jsonb_object_agg(a.channel,
            s.cause || ' on ' || to_char(s.told_at at time zone 'UTC', 'YYYY-MM-DD'))
        from (select distinct on (channel) channel, value from address
            where customer_id = c.id and dead_since is null order by channel, updated_at desc) a
        cross join lateral unsubscribed(c.id, a.channel, a.value) s) as unsubscribed,
    (select m.id from message m
        where m.customer_id = c.id and m.objective = $5 and m.key <> $4
        and m.verdict in ('sending', 'sent', 'unknown') and m.reason <> 'bounced'
        limit 1) as objective_met_by,
    (select count(*) from message m
        where m.customer_id = c.id and m.topic = any ($6) and m.key <> $4
        and m.verdict in ('sending', 'sent', 'unknown') and m.reason <> 'bounced'
        and m.decided_at > now() - $7::interval) as recent
from customer c left join enrollment e on e.id = $2 where c.id = $1
"""  # noqa: S608 - only constants are put in

_WRITE = """
insert into message as m (
    id, key, customer_id, enrollment_id, journey, step, channel, template, topic, objective,
    verdict, reason, detail, address, in_flight_since, decisions)
values (new_id('msg'), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
    case when $10 = 'sending' then now() end,
    jsonb_build_array(jsonb_build_object(
        'at', now(), 'verdict', $10::text, 'reason', $11::text, 'detail', $12::text)))
on conflict (key) do update set
    verdict = excluded.verdict, reason = excluded.reason, detail = excluded.detail,
    address = excluded.address, in_flight_since = excluded.in_flight_since, decided_at = now(),
    completed_at = null,
    -- The story of a message that is asked for again and again keeps its end.
    decisions = case when jsonb_array_length(m.decisions) < 50
        then m.decisions else m.decisions - 1 end || excluded.decisions
-- What a provider has said stays said, and a call without an answer is not forgotten.
where m.verdict not in ('sent', 'unknown', 'rejected') and m.in_flight_since is null
returning id
"""

_COMPLETE = """
update message set verdict = $2, reason = $3, detail = $4, provider_id = $5,
    in_flight_since = null, completed_at = now(),
    decisions = decisions || jsonb_build_array(jsonb_build_object(
        'at', now(), 'verdict', $2::text, 'reason', $3::text, 'detail', $4::text))
where id = $1 and (verdict in ('sending', 'unknown')
    -- What was told of it since then is what counts.
    or $2 = 'sent' and verdict <> 'sent' and reported_at is null)
"""

_CAPPED = [topic.value for topic in Topic if topic.capped]


class PostgresGate:
    """The gate over PostgreSQL.

    Args:
        pool: the database.
        endpoints: our own people's.
        audiences: what templates may ask of the customer.
    """

    def __init__(
        self, pool: Pool, endpoints: Endpoints, audiences: Audiences | None = None
    ) -> None:
        self._pool = pool
        self._endpoints = endpoints
        self._audiences = audiences or Audiences()

    async def decide(self, request: SendRequest, message: Message) -> Decision:
        """Decide about one message under the customer's lock, and write it down."""
        async with self._pool.acquire() as connection, connection.transaction():
            request = await _under_lock(connection, request)
            facts = await self._facts(connection, request, message)
            judgement = judge(facts, request, message)
            match judgement:
                case Proceed(address):
                    message_id = await self._write(
                        connection, request, message, Verdict.SENDING, Reason.SENDING, "", address
                    )
                    return Go(message_id, address, facts.customer)
                case Stale(news=news):
                    detail = "acknowledged and not heard yet: " + ", ".join(e.name for e in news)
                    await self._write(
                        connection, request, message, Verdict.STALE, Reason.NEWS, detail
                    )
                case Held(reason=reason, detail=detail):
                    await self._write(connection, request, message, Verdict.HELD, reason, detail)
                case Suppressed(reason=reason, detail=detail) if reason is not Reason.REJECTED:
                    await self._write(
                        connection, request, message, Verdict.SUPPRESSED, reason, detail
                    )
                case Go() | Sent() | Unknown() | Suppressed():
                    pass  # an earlier answer, already in the ledger
            return judgement

    async def skip(
        self, request: SendRequest, message: Message, reason: Reason, detail: str
    ) -> None:
        """Write down that a message is not sent for a reason that is not the gate's."""
        async with self._pool.acquire() as connection, connection.transaction():
            request = await _under_lock(connection, request)
            await self._write(connection, request, message, Verdict.SUPPRESSED, reason, detail)

    async def complete(
        self,
        message_id: str,
        verdict: Verdict,
        reason: Reason,
        *,
        detail: str = "",
        provider_id: str | None = None,
        dead_address: str | None = None,
    ) -> Verdict:
        """Complete a ledger row with the provider's answer; a rejection gives the place back."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                _COMPLETE, message_id, verdict.value, reason.value, detail, provider_id
            )
            if dead_address is not None:
                await connection.execute(
                    "update address a set dead_since = now() from message m where m.id = $1"
                    " and a.customer_id = m.customer_id and a.channel = m.channel and a.value = $2",
                    message_id,
                    dead_address,
                )
            return Verdict(
                await connection.fetchval("select verdict from message where id = $1", message_id)
            )

    async def unsettled(self, request: SendRequest) -> set[str]:
        """The keys of the request's messages whose provider was called and has not answered."""
        rows = await self._pool.fetch(
            "select key from message where key = any ($1) and in_flight_since is not null",
            [request.key(message) for message in request.messages],
        )
        return {row["key"] for row in rows}

    async def not_taken(self, message_id: str, detail: str) -> None:
        """Note that the provider definitely did not take it this time; it may be called again."""
        await self._pool.execute(
            "update message set in_flight_since = null, detail = $2"
            " where id = $1 and verdict = 'sending'",
            message_id,
            detail,
        )

    async def _facts(self, connection: Connection, request: SendRequest, message: Message) -> Facts:
        row = await connection.fetchrow(
            _FACTS,
            request.customer_id,
            request.enrollment_id,
            request.heard,
            request.key(message),
            request.objective,
            _CAPPED,
            request.cap.per,
        )
        if row is None:
            raise LookupError(f"no customer {request.customer_id}")
        addresses = dict(row["addresses"] or {})
        if message.to is not None:
            addresses[message.channel] = self._endpoints.address(message.to) or ""
        return Facts(
            customer=read_customer(request.customer_id, row, self._audiences),
            live=bool(row["live"]),
            earlier=_ledger_row(row["earlier"]),
            news=[Envelope(**item) for item in row["news"] or ()],
            unsubscribed=row["unsubscribed"] or {},
            objective_met_by=row["objective_met_by"],
            addresses=addresses,
            recent=row["recent"],
        )

    async def _write(
        self,
        connection: Connection,
        request: SendRequest,
        message: Message,
        verdict: Verdict,
        reason: Reason,
        detail: str,
        address: str | None = None,
    ) -> str:
        written: str = await connection.fetchval(
            _WRITE,
            request.key(message),
            request.customer_id,
            request.enrollment_id,
            request.journey,
            request.step,
            message.channel,
            message.template,
            message.topic.value,
            request.objective,
            verdict.value,
            reason.value,
            detail,
            address,
        )
        return written


async def _under_lock(connection: Connection, request: SendRequest) -> SendRequest:
    """Lock the request's customer; the request as of who that is now."""
    customer_id = await lock_customer(connection, request.customer_id)
    if customer_id == request.customer_id:
        return request
    return request.model_copy(update={"customer_id": customer_id})


def _ledger_row(row: dict[str, Any] | None) -> LedgerRow | None:
    if row is None:
        return None
    since = row["in_flight_since"]
    return LedgerRow(
        message_id=row["id"],
        verdict=Verdict(row["verdict"]),
        reason=Reason(row["reason"]),
        detail=row["detail"],
        in_flight_since=datetime.fromisoformat(since) if since else None,
    )
