"""Journeys in skipped time: give a customer and events, let time pass, see what was sent."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.customers import CustomerActivities
from activities.enrollments import EnrollmentActivities
from activities.messaging import MessagingActivities
from domain.enrollments import Start
from domain.events import Envelope, Event
from domain.outcomes import Outcome
from domain.ports import Renderer
from infra.templates import JinjaRenderer
from journeys.catalog import Catalog
from tests.memory import MemoryStore, Person, PlainRenderer, RecordingChannel
from worker.sandbox import sandbox
from workflows import Journey
from workflows.queues import JOURNEYS, SENDS

_QUIET = 3  # looks in a row


@dataclass
class Play:
    """One enrollment in skipped time.

    Attributes:
        who: the customer, with the ledger.
    """

    stage: "Stage"
    who: Person
    handle: WorkflowHandle[Any, Outcome]

    async def happens(self, event: Event, *, relayed: bool = True) -> Envelope:
        """An event is acknowledged, and by default carried to the journey."""
        envelope = self.who.acknowledge(event)
        if relayed:
            await self.relay(envelope)
        return envelope

    async def relay(self, *envelopes: Envelope) -> None:
        """Carry envelopes, in whatever order."""
        name = envelopes[0].name if len({e.name for e in envelopes}) == 1 else "events"
        await self.handle.signal(name, list(envelopes))
        await self.settles()

    async def passes(self, time: timedelta) -> None:
        """Let time pass, and what is due then be done."""
        await self.settles()
        await self.stage.environment.sleep(time)
        await self.settles()

    async def settles(self) -> None:
        """Wait until the journey waits for time or events and for nothing else."""
        quiet = 0
        while quiet < _QUIET:
            now = (await self.handle.describe()).raw_description
            busy = now.pending_activities or now.HasField("pending_workflow_task")
            quiet = 0 if busy else quiet + 1
            await asyncio.sleep(0.005)

    async def ends(self) -> Outcome:
        """Wait for the end, skipping the time until then."""
        return Outcome.model_validate(await self.handle.result())

    async def story(self) -> str:
        """What support staff would read."""
        status = await self.handle.query("status")
        return str(status["story"])

    @property
    def sent(self) -> list[str]:
        """The keys of what was handed to providers for this customer, without the enrollment."""
        parcels = (p for c in self.stage.channels.values() for p in c.parcels)
        mine = (p for p in parcels if p.key in self.who.ledger)
        return [p.key.partition("/")[2] for p in sorted(mine, key=lambda p: p.sent_at)]


@dataclass
class Stage:
    """A worker with a store in memory on the time-skipping server."""

    environment: WorkflowEnvironment
    store: MemoryStore
    channels: dict[str, RecordingChannel]

    async def play(
        self,
        journey: type[Journey[Any, Any]],
        event: Event,
        *later: Event,
        parameters: dict[str, Any] | None = None,
        run_length: int | None = None,
        **about: Any,
    ) -> Play:
        """Enroll a new customer by an event; `later` ones are acknowledged before the start.

        Args:
            journey: the journey.
            event: the event that starts it.
            later: further events that travel with the start.
            parameters: overrides, as from outside.
            run_length: as in `Start`; 0 to go on in a new run whenever that is possible.
            about: what is known of the customer: `addresses`, `traits`, `holds`.
        """
        about.setdefault("addresses", {"email": "ada@example.test", "push": "token"})
        who = self.store.person(**about)
        declared = journey.declaration
        chosen = declared.parameters.with_overrides(declared.name, parameters or {})
        events = [who.acknowledge(e) for e in (event, *later)]
        start = Start(
            enrollment_id=f"enr_{who.customer_id}",
            customer_id=who.customer_id,
            journey=declared.name,
            parameters=chosen.model_dump(mode="json"),
            run_length=run_length,
            events=events,
        )
        handle = await self.environment.client.start_workflow(
            declared.workflow_type,
            start,
            id=f"journey/{declared.name}/{who.customer_id}/{uuid.uuid4()}",
            task_queue=JOURNEYS,
            result_type=Outcome,
        )
        return Play(self, who, handle)


@asynccontextmanager
async def staged(
    environment: WorkflowEnvironment,
    journeys: Iterable[type[Journey[Any, Any]]],
    renderer: Renderer | None = None,
) -> AsyncIterator[Stage]:
    """Run a worker with these journeys, a store in memory and recording channels."""
    store = MemoryStore()
    channels = {name: RecordingChannel(name) for name in ("push", "email", "webhook")}
    messaging = MessagingActivities(store, renderer or PlainRenderer(), channels)
    async with AsyncExitStack() as running:
        await running.enter_async_context(
            Worker(
                environment.client,
                task_queue=JOURNEYS,
                workflows=list(journeys),
                activities=[
                    CustomerActivities(store).look_up,
                    EnrollmentActivities(store, Catalog(journeys)).end,
                    messaging.send,
                    messaging.skip,
                ],
                workflow_runner=sandbox(),
            )
        )
        for queue in sorted(set(SENDS.values()) - {JOURNEYS}):
            await running.enter_async_context(
                Worker(
                    environment.client,
                    task_queue=queue,
                    activities=[messaging.send, messaging.skip],
                )
            )
        yield Stage(environment, store, channels)


__all__ = ["JinjaRenderer", "Play", "Stage", "staged"]
