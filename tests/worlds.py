"""One enrollment in the real store, and the same in memory: for contracts that both must hold."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import orjson

from domain.enrollments import Entry
from domain.events import CartAbandoned, Event, report_of
from domain.messages import Cap, Message, SendRequest, Template, Topic, email, push
from domain.ports import Enrollments, Gate
from infra.channels import ConfiguredEndpoints
from infra.database.accept import Acceptor, Incoming, entry_effect, report_effect
from infra.database.enrollments import PostgresEnrollments
from infra.database.gate import PostgresGate
from infra.database.pool import Pool
from journeys.abandoned_cart import AbandonedCart, CartParameters
from rehearsal import MemoryStore, Person

CART = CartAbandoned(cart_id="c1")
PROMOTION = Template("abandoned_cart/reminder", CartAbandoned)
SERVICE = Template("abandoned_cart/gentle_reminder", CartAbandoned, topic=Topic.SERVICE)


class World(Protocol):
    """A store with one live enrollment of one customer."""

    @property
    def gate(self) -> Gate:
        """The gate."""

    @property
    def enrollments(self) -> Enrollments:
        """The enrollments."""

    @property
    def customer_id(self) -> str:
        """The customer."""

    @property
    def enrollment_id(self) -> str:
        """The enrollment."""

    async def acknowledge(self, event: Event, *, at: datetime | None = None) -> None:
        """Accept an event of the customer, which happened now unless told otherwise."""

    async def arrives(self, **traits: str) -> None:
        """Make the customer reachable, such as by `email=…`."""

    async def heard(self) -> list[str]:
        """The names of what the enrollment hears, in order."""

    async def addresses(self) -> dict[str, str]:
        """Where the customer can be reached, by channel."""

    async def messages(self) -> list[str]:
        """The ids of what is in the ledger."""

    async def verdicts(self) -> list[tuple[str, str]]:
        """The ledger as (verdict, reason), oldest first."""


def ask(
    world: World,
    *,
    heard: int = 1,
    step: str = "reminder",
    cap: Cap | None = None,
    objective: str | None = None,
) -> SendRequest:
    """A request of the world's enrollment."""
    return SendRequest(
        enrollment_id=world.enrollment_id,
        customer_id=world.customer_id,
        journey="abandoned_cart",
        step=step,
        heard=heard,
        messages=[push(PROMOTION, CART)],
        objective=objective,
        cap=cap or Cap(),
    )


def by_push() -> Message:
    """A promotional message by push."""
    return push(PROMOTION, CART)


def by_email() -> Message:
    """A promotional message by e-mail."""
    return email(PROMOTION, CART)


def service() -> Message:
    """A service message by push."""
    return push(SERVICE, CART)


@dataclass
class MemoryWorld:
    """In memory."""

    gate: MemoryStore
    enrollments: MemoryStore
    person: Person
    enrollment_id: str = "enr_1"

    @property
    def customer_id(self) -> str:
        """The person's id."""
        return self.person.customer_id

    async def acknowledge(self, event: Event, *, at: datetime | None = None) -> None:
        """As the accepting transaction would."""
        self.person.acknowledge(event, at=at)

    async def arrives(self, **traits: str) -> None:
        """As an identify call would."""
        self.person.addresses |= _by_channel(traits)

    async def heard(self) -> list[str]:
        """What was acknowledged for it."""
        enrollment = self.person.enrollments[self.enrollment_id]
        return [envelope.name for envelope in enrollment.acknowledged]

    async def addresses(self) -> dict[str, str]:
        """What is left of them."""
        return self.person.addresses

    async def messages(self) -> list[str]:
        """From the ledger."""
        return [row.message_id for row in self.person.ledger.values()]

    async def verdicts(self) -> list[tuple[str, str]]:
        """The ledger."""
        return [(verdict, reason) for _, verdict, reason in self.person.said()]


def memory_world() -> MemoryWorld:
    """A customer with a push token, enrolled by a cart."""
    store = MemoryStore()
    person = store.person(addresses={"push": "token"})
    person.enroll("enr_1", CART)
    return MemoryWorld(store, store, person)


@dataclass
class PostgresWorld:
    """On the real store."""

    pool: Pool
    gate: PostgresGate
    enrollments: PostgresEnrollments
    user_id: str
    customer_id: str = ""
    enrollment_id: str = ""

    async def accept(self, *items: Incoming) -> list[bool]:
        """Through the real accepting transaction."""
        acceptor = Acceptor(self.pool, lambda: None)
        try:
            return await acceptor.accept(items)
        finally:
            await acceptor.close()

    async def acknowledge(self, event: Event, *, at: datetime | None = None) -> None:
        """Accept an event of the customer."""
        await self.accept(track(self.user_id, event, at=at))

    async def arrives(self, **traits: str) -> None:
        """By an identify call."""
        await self.accept(tell(self.user_id, **traits))

    async def heard(self) -> list[str]:
        """Its deliveries."""
        rows = await self.pool.fetch(
            "select e.name from delivery d join event e using (source_id, message_id)"
            " where d.enrollment_id = $1 order by d.number",
            self.enrollment_id,
        )
        return [row["name"] for row in rows]

    async def addresses(self) -> dict[str, str]:
        """Those that are not dead."""
        rows = await self.pool.fetch(
            "select channel, value from address where customer_id = $1 and dead_since is null",
            self.customer_id,
        )
        return {row["channel"]: row["value"] for row in rows}

    async def messages(self) -> list[str]:
        """From the ledger."""
        return [row["id"] for row in await self.pool.fetch("select id from message")]

    async def verdicts(self) -> list[tuple[str, str]]:
        """The ledger."""
        rows = await self.pool.fetch(
            "select verdict, reason from message where customer_id = $1 order by decided_at, id",
            self.customer_id,
        )
        return [(row["verdict"], row["reason"]) for row in rows]


def track(
    user_id: str,
    event: Event,
    *entries: Entry,
    message_id: str | None = None,
    at: datetime | None = None,
) -> Incoming:
    """An event, read and checked."""
    effects: dict[str, object] = {}
    if event.hold is not None:
        effects["hold"] = {
            "kind": event.hold.kind,
            "reference": getattr(event, event.hold.reference),
            "action": event.hold.action,
        }
    if (report := report_of(event)) is not None:
        effects["report"] = report_effect(report)
    if entries:
        effects["entries"] = [entry_effect(entry) for entry in entries]
    now = at or datetime.now(UTC)
    return Incoming(
        source_id=1,
        message_id=message_id or uuid.uuid4().hex,
        user_id=user_id,
        anonymous_id=None,
        type="track",
        name=type(event).name,
        occurred_at=now,
        received_at=now,
        properties=orjson.dumps(event.model_dump(mode="json", exclude_none=True)).decode(),
        effects=effects or None,
    )


def _by_channel(traits: Mapping[str, str]) -> dict[str, str]:
    return {{"push_token": "push", "phone": "sms"}.get(k, k): v for k, v in traits.items()}


def tell(user_id: str, **traits: str) -> Incoming:
    """An identify call with addresses."""
    now = datetime.now(UTC)
    addresses = _by_channel(traits)
    return Incoming(
        source_id=1,
        message_id=uuid.uuid4().hex,
        user_id=user_id,
        anonymous_id=None,
        type="identify",
        name="identify",
        occurred_at=now,
        received_at=now,
        properties=orjson.dumps(traits).decode(),
        effects={"traits": traits, "addresses": addresses},
    )


def cart_entry(cart: CartAbandoned = CART) -> Entry:
    """The cart's wish to start its journey."""
    entry = AbandonedCart.declaration.entry(cart, CartParameters())
    assert entry is not None
    return entry


async def postgres_world(pool: Pool) -> PostgresWorld:
    """A customer with a push token, enrolled by a cart."""
    await pool.execute("insert into source (name) values ('test') on conflict do nothing")
    await pool.execute(
        "insert into heard_name select unnest($1::text[]) on conflict do nothing",
        ["cart_abandoned", "purchase_made", "ticket_opened", "ticket_closed"],
    )
    endpoints = ConfiguredEndpoints({})
    world = PostgresWorld(
        pool, PostgresGate(pool, endpoints), PostgresEnrollments(pool), uuid.uuid4().hex
    )
    await world.accept(tell(world.user_id, push_token="token"))
    await world.accept(track(world.user_id, CART, cart_entry()))
    row = await pool.fetchrow(
        "select e.id, e.customer_id from enrollment e join identity i using (customer_id)"
        " where i.value = $1",
        world.user_id,
    )
    world.enrollment_id, world.customer_id = row["id"], row["customer_id"]
    return world
