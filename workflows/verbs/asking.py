"""Asking: what is known of the customer, what they did before, which variant is theirs."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Literal, TypeVar, cast

from temporalio import workflow

from activities.experiments import ExperimentActivities
from activities.history import HistoryActivities
from domain import wording
from domain.customers import Customer
from domain.events import Event
from domain.experiments import HELD_OUT, Assignment, holdout
from domain.history import LookBack
from workflows.journal import Step
from workflows.matching import Match, dump_event, load_event
from workflows.short_calls import short_call
from workflows.verbs.base import Verbs

_LOOKED_AT = 100
"""Of how many events a condition is asked at least."""

A = TypeVar("A", bound=Event)
T = TypeVar("T")
V = TypeVar("V", bound=str)


class Asks(Verbs):
    """Asks the store."""

    async def customer(self, *, step: str | None = None) -> Customer:
        """Look up the customer: traits, addresses and what is open, as they are now."""

        async def live(_: object) -> Customer:
            return await self._look_up()

        return await self._enrollment.step(
            step or "look_up",
            live,
            dump=lambda customer: customer.model_dump(mode="json"),
            load=Customer.model_validate,
        )

    async def look_back(
        self,
        event: type[A],
        /,
        *,
        within: timedelta,
        where: Callable[[A], bool] | None = None,
        most: int = 100,
        step: str | None = None,
    ) -> list[A]:
        """Events from before this enrollment began, oldest first.

        What was stored and cannot be read any more is left out, and the story says so.

        Args:
            event: the event type; it need not be declared.
            within: how long before now they may have happened.
            where: whether this one is meant. It is asked of the latest hundred of the type, or
                of `most` where that is more; were there others, the story says so.
            most: how many it gives at most; of more, the latest. From one to a thousand.
            step: the step's name.

        Raises:
            ValueError: `most` is less than one.
        """
        if most < 1:
            raise ValueError(f"look_back(…, most={most}): at least one")
        looked_at = most if where is None else max(most, _LOOKED_AT)

        async def live(_: object) -> list[A]:
            request = LookBack(
                customer_id=self.customer_id,
                enrollment_id=self._enrollment.start.enrollment_id,
                names=[event.name],
                since=workflow.now() - within,
                most=looked_at,
            )
            found = await self._enrollment.call(
                short_call(HistoryActivities.look_back, request, f"look back for {event.name}")
            )
            # Stored years ago, perhaps, when such an event need not have what it must today.
            events = [self._enrollment.read(envelope) for envelope in found]
            match = Match(event, where)
            meant = [one for one in events if isinstance(one, event) and match.takes(one)]
            if where is not None and len(found) == looked_at and len(meant) < most:
                self._enrollment.note(
                    f"looked back at the latest {looked_at} {event.name} only, "
                    f"{len(meant)} of which are meant"
                )
            return meant[-most:]

        return await self._enrollment.step(
            step or f"look_back_for_{event.name}",
            live,
            dump=lambda events: [dump_event(one) for one in events],
            load=lambda data: [one for d in data if (one := load_event(event, d)) is not None],
        )

    async def when(
        self,
        condition: Callable[[Customer], bool],
        /,
        *,
        timeout: timedelta,
        words: str = "a condition holds",
        look_again: timedelta = timedelta(hours=1),
        step: str | None = None,
    ) -> Customer | None:
        """Wait until a condition about the customer holds; one that does already does not wait.

        It is asked again whenever the journey hears an event, and once in a while.

        Args:
            condition: on what is known of the customer at that moment.
            timeout: how long to wait at most.
            words: the condition in words, for the Temporal UI.
            look_again: how often to ask if nothing is heard.
            step: the wait's name.

        Returns:
            The customer of whom it holds, or None at the timeout.
        """

        async def live(this: Step) -> Customer | None:
            if this.deadline is None:
                this.deadline = workflow.now() + timeout
            while True:
                seen = self._enrollment.applied
                customer = await self._look_up()
                if condition(customer):
                    return customer
                if workflow.now() >= this.deadline:
                    self._enrollment.note(f"not {words} within {wording.duration(timeout)}")
                    return None
                await self._enrollment.checkpoint()
                self._enrollment.now_at(f"Waiting until {words}", this.deadline)
                await self._enrollment.park(
                    lambda seen=seen: self._enrollment.applied != seen,  # type: ignore[misc]
                    min(this.deadline, workflow.now() + look_again),
                    f"waiting until {words}",
                    looks=True,
                )

        return await self._enrollment.step(
            step or "when",
            live,
            dump=lambda customer: None if customer is None else customer.model_dump(mode="json"),
            load=lambda data: None if data is None else Customer.model_validate(data),
        )

    async def hold(self) -> None:
        """Park here while something is open that holds promotional messages, such as a ticket.

        Sends do this by themselves. Use it to ask a question of your own afterwards.
        """

        async def live(_: object) -> None:
            while True:
                seen = self._enrollment.hold_events
                customer = await self._look_up()
                if not customer.open_holds:
                    return
                await self._enrollment.checkpoint()
                await self._enrollment.while_held(seen, " and ".join(customer.open_holds) + " open")

        await self._enrollment.step("hold", live, dump=_same, load=_same)

    async def split(self, name: str, variants: Mapping[V, float], /) -> V:
        """Which variant of an experiment this customer gets; recorded as a decision.

        The first one dealt stays, whatever the weights are by now and whichever journey asks.
        Buckets are GrowthBook's.

            match await self.split("subject line", {"plain": 1, "witty": 1}): ...

        Args:
            name: the experiment; the same name is the same experiment in every journey.
            variants: weights by name; only how they compare counts, and their order.
        """
        return cast(
            V,
            await self._assigned(
                name,
                {str.__str__(variant): weight for variant, weight in variants.items()},
                "split",
            ),
        )

    async def holdout(self, share: float, /, *, name: str | None = None) -> bool:
        """Whether this customer is held out, to compare the others with; recorded as a decision.

        Args:
            share: of all customers, from 0 to 1.
            name: the experiment; by default the journey's own.

        Raises:
            ValueError: the share is not between 0 and 1.
        """
        name = name or f"{self.declaration.name} holdout"
        return await self._assigned(name, holdout(share), "holdout") == HELD_OUT

    async def _assigned(
        self, name: str, weights: dict[str, float], kind: Literal["split", "holdout"]
    ) -> str:
        async def live(_: object) -> str:
            request = Assignment(
                customer_id=self.customer_id,
                enrollment_id=self._enrollment.start.enrollment_id,
                journey=self.declaration.name,
                name=name,
                weights=weights,
                kind=kind,
            )
            variant = await self._enrollment.call(
                short_call(ExperimentActivities.assign, request, f"{kind} {name!r}")
            )
            self._enrollment.note(f"⑂ {name}: **{variant}**")
            return variant

        return await self._enrollment.step(f"{kind}_{name}", live, dump=_same, load=_same)


def _same(value: T) -> T:
    return value
