"""Small journeys, each there to show one rule of what a journey may rely on."""

from datetime import time, timedelta
from decimal import Decimal

from pydantic import BaseModel, Field
from temporalio import workflow

from domain.events import (
    CartAbandoned,
    EmailBounced,
    EmailDelivered,
    PageAbandoned,
    PurchaseMade,
    SurveyAnswered,
    TicketClosed,
    TicketOpened,
)
from workflows import (
    Day,
    Journey,
    JourneyFailed,
    Outcome,
    Suppressed,
    Template,
    Topic,
    Window,
    email,
    on,
    push,
)

DAY = timedelta(days=1)
REMINDER = Template("abandoned_cart/reminder", CartAbandoned)
MISSING = Template("abandoned_cart/no_such_template", CartAbandoned)
RECEIPT = Template("abandoned_cart/gentle_reminder", CartAbandoned, topic=Topic.SERVICE)


@workflow.defn
class TwoWaits(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Two waits for the same event."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Each takes one."""
        await self.sleep(timedelta(hours=1))
        first = await self.wait_for(PurchaseMade, timeout=DAY)
        second = await self.wait_for(PurchaseMade, timeout=DAY)
        return Outcome.completed(
            f"{first and first.order_id} {second and second.order_id} {cart.cart_id}"
        )


@workflow.defn
class Nested(Journey[CartAbandoned], listens=[PurchaseMade, SurveyAnswered], key=None):
    """A scope within a scope."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Says which ended."""
        inner_ended = ""
        async with self.until(PurchaseMade, where=lambda p: p.cart_id == cart.cart_id) as outer:
            async with self.until(PurchaseMade) as inner:
                await self.sleep(DAY)
            inner_ended = f"inner {inner.event.order_id if inner.event else None}"
            await self.sleep(DAY)
        return Outcome.completed(
            f"outer {outer.event.order_id if outer.event else None} {inner_ended}".strip()
        )


@workflow.defn
class EmptyScope(Journey[CartAbandoned], listens=[PurchaseMade]):
    """A scope that is over before it waits."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """What follows the scope must not be interrupted by it."""
        await self.sleep(timedelta(hours=1))
        async with self.until(PurchaseMade) as purchase:
            said = cart.cart_id
        await self.sleep(timedelta(hours=1))
        return Outcome.completed(f"{said} {bool(purchase)}")


@workflow.defn
class OneSend(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Sends at once, inside a scope."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Says whether it was sent and whether the scope ended."""
        said = "interrupted"
        async with self.until(PurchaseMade) as purchase:
            delivery = await self.send_first(push(REMINDER, cart), email(REMINDER, cart))
            said = delivery.kind
            await self.sleep(DAY)
        return Outcome.completed(f"{said} {bool(purchase)}")


@workflow.defn
class OneSendLater(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Sleeps, then sends, inside a scope."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Says whether it was sent and whether the scope ended."""
        said = "interrupted"
        async with self.until(PurchaseMade) as purchase:
            await self.sleep(DAY)
            said = (await self.send(push(REMINDER, cart))).kind
        return Outcome.completed(f"{said} {bool(purchase)}")


@workflow.defn
class Receipt(Journey[CartAbandoned]):
    """A service message."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Passes whatever is open."""
        delivery = await self.send(email(RECEIPT, cart), objective=f"receipt {cart.cart_id}")
        return Outcome.completed(delivery.kind)


@workflow.defn
class AsksWhatBecame(Journey[CartAbandoned], listens=[EmailDelivered, EmailBounced, PurchaseMade]):
    """Waits for what becomes of its mail, and falls back on a notification."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Says what the provider answered, what was told later, and how the fallback went."""
        sent = await self.send(email(REMINDER, cart), objective=f"remind of {cart.cart_id}")
        if isinstance(sent, Suppressed):
            return Outcome.exited(sent.reason)
        message = sent.message_id
        told = await self.first_of(
            on(EmailDelivered, lambda mail: mail.email_id == message),
            on(EmailBounced, lambda mail: mail.email_id == message),
            timeout=DAY,
        )
        if not isinstance(told, EmailBounced):
            return Outcome.completed(f"{sent.kind}, {told and told.name}")
        other = await self.send(push(REMINDER, cart), objective=f"remind of {cart.cart_id}")
        return Outcome.completed(f"{sent.kind}, {told.name}, then {other.kind}")


@workflow.defn
class CleansUp(Journey[CartAbandoned]):
    """Has a clean-up."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Cancelled in its sleep, it still says goodbye."""
        try:
            await self.sleep(DAY)
        finally:
            self.note(f"cleaned up {cart.cart_id}")
        return Outcome.completed()


@workflow.defn
class Fails(Journey[CartAbandoned]):
    """Fails on purpose."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Its own error, so it ends."""
        raise JourneyFailed(f"nothing to do for {cart.cart_id}")


@workflow.defn
class Holds(Journey[CartAbandoned]):
    """Parks itself while a ticket is open."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Says how long it was parked."""
        began = await self.now()
        await self.hold()
        hours = (await self.now() - began) // timedelta(hours=1)
        customer = await self.customer()
        return Outcome.completed(f"{hours} {cart.cart_id} {customer.traits.get('tier')}")


@workflow.defn
class HearsTickets(Journey[CartAbandoned], listens=[TicketOpened]):
    """Waits for what also holds."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """A hold event is an event like others."""
        opened = await self.wait_for(TicketOpened, timeout=DAY)
        return Outcome.completed(f"{opened and opened.ticket_id} {cart.cart_id}")


@workflow.defn
class LookInScope(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Asks about its customer inside a scope."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Says how far it came."""
        said = "nothing"
        async with self.until(PurchaseMade) as bought:
            await self.customer()
            said = (await self.send(push(REMINDER, cart))).kind
        return Outcome.completed(f"{said} {bool(bought)}")


@workflow.defn
class NestedAtEntry(Journey[CartAbandoned], listens=[PurchaseMade, SurveyAnswered]):
    """Two scopes whose events may both be there before they are entered."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Says how far it came."""
        await self.sleep(timedelta(hours=1))
        said = "interrupted"
        async with self.until(PurchaseMade) as bought:
            async with self.until(SurveyAnswered) as answered:
                await self.sleep(DAY)
            said = (await self.send(push(REMINDER, cart))).kind
        return Outcome.completed(f"{said} {bool(bought)} {bool(answered)}")


@workflow.defn
class OwnWaitInScope(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Waits with Temporal's own means inside a scope."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """A scope interrupts these too."""
        async with self.until(PurchaseMade) as bought:
            await self.step("wait", type(None), lambda: workflow.sleep(DAY), whole=False)
        return Outcome.completed(f"{cart.cart_id} {bool(bought)}")


@workflow.defn
class OwnActivityInScope(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Asks an activity of its own inside a scope, and sends by its answer."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Says how far it came."""
        said = "nothing"
        async with self.until(PurchaseMade) as bought:
            score = await self.step(
                "score",
                str,
                lambda: workflow.execute_activity(
                    "score", result_type=str, start_to_close_timeout=DAY
                ),
                whole=False,
            )
            said = f"{score} {(await self.send(push(REMINDER, cart))).kind}"
        return Outcome.completed(f"{said} {bool(bought)}")


@workflow.defn
class NoTemplate(Journey[CartAbandoned]):
    """Sends what nobody wrote."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Another bug."""
        return Outcome.completed((await self.send(push(MISSING, cart))).kind)


@workflow.defn
class PlainEnd(Journey[CartAbandoned]):
    """Ends at once."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Nothing to do."""
        return Outcome.completed(cart.cart_id)


@workflow.defn
class HeldThenNot(Journey[CartAbandoned]):
    """Has a message that a long hold makes worthless."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Goes on for a while afterwards."""
        until = await self.now() + DAY
        messages = (push(REMINDER, cart), email(REMINDER, cart))
        delivery = await self.send_first(*messages, still=lambda: workflow.now() < until)
        await self.sleep(100 * DAY)
        return Outcome.completed(delivery.kind)


@workflow.defn
class RaisesInScope(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Fails inside a scope that is over."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Its own word counts."""
        await self.sleep(timedelta(hours=1))
        async with self.until(PurchaseMade):
            raise JourneyFailed(cart.cart_id)
        return Outcome.completed()


@workflow.defn
class Tidy(Journey[CartAbandoned], listens=[PurchaseMade]):
    """A journey that wants to say goodbye."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Wait in a scope, and try to wait again on the way out."""
        try:
            async with self.until(PurchaseMade):
                await self.sleep(timedelta(days=30))
        finally:
            self.note("tidying up")
            await self.sleep(timedelta(days=30))
        return Outcome.completed(cart.cart_id)


class Points(BaseModel):
    """What a loop remembers."""

    total: Decimal = Decimal(0)
    sent: list[str] = Field(default_factory=list)


@workflow.defn
class Everything(
    Journey[CartAbandoned], listens=[PurchaseMade, SurveyAnswered, TicketOpened, TicketClosed]
):
    """Waits in every way."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Says what each wait gave."""
        said: list[str] = []
        points = Points()
        async for _ in self.rounds(points, most=3):
            purchase = await self.wait_for(PurchaseMade, timeout=DAY)
            points.total += purchase.total or 0 if purchase else 0
            points.sent.append((await self.send(push(REMINDER, cart))).kind)
        said.append(f"{points.total} {points.sent}")
        first = await self.first_of(SurveyAnswered, on(PurchaseMade), timeout=DAY)
        said.append(type(first).__name__)
        both = await self.all_of(SurveyAnswered, PurchaseMade, timeout=DAY)
        said.append(str(both and [type(one).__name__ for one in both]))
        async with self.until(SurveyAnswered) as answered:
            await self.sleep(30 * DAY)
            said.append("not interrupted")
        said.append(str(bool(answered)))
        quiet = await self.quiet(PurchaseMade, duration=timedelta(hours=2))
        said.append(f"{quiet.count} {quiet.last and quiet.last.order_id}")
        return Outcome.completed("; ".join(said))


def _cart_id(event: CartAbandoned | PageAbandoned) -> str:
    return event.cart_id if isinstance(event, CartAbandoned) else ""


@workflow.defn
class EitherStarts(
    Journey[CartAbandoned | PageAbandoned],
    key=_cart_id,
    where=lambda event: isinstance(event, CartAbandoned) or event.url is not None,
):
    """Begins by either of two events."""

    @workflow.run
    async def run(self, event: CartAbandoned | PageAbandoned) -> Outcome:
        """Says which."""
        if isinstance(event, CartAbandoned):
            return Outcome.completed(f"cart {event.cart_id}")
        return Outcome.completed(f"page {event.url}")


@workflow.defn
class AtNine(Journey[CartAbandoned]):
    """Waits until tomorrow at nine."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Says when that was."""
        await self.sleep_until_local(time(9), day=1)
        return Outcome.completed(f"{(await self.now()).isoformat()} {cart.cart_id}")


@workflow.defn
class OnTuesdays(Journey[CartAbandoned]):
    """Waits for Tuesday morning."""

    @workflow.run
    async def run(self, _: CartAbandoned) -> Outcome:
        """Says when that was, and whether it was so already."""
        arrival = await self.sleep_until_window(Window(time(9), time(11), (Day.TUESDAY,)))
        said = " passed" if arrival.passed else ""
        return Outcome.completed(f"{(await self.now()).isoformat()}{said}")


ALL = (
    EitherStarts,
    TwoWaits,
    Nested,
    EmptyScope,
    OneSend,
    OneSendLater,
    Receipt,
    CleansUp,
    Fails,
    Holds,
    HearsTickets,
    LookInScope,
    NestedAtEntry,
    NoTemplate,
    PlainEnd,
    HeldThenNot,
    RaisesInScope,
    OwnWaitInScope,
    Tidy,
    Everything,
)
