"""Journeys that start workflows of the team's own, and those."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from domain.events import CartAbandoned, PurchaseMade
from workflows import Journey, Outcome

HOUR = timedelta(hours=1)


def child_id(name: str) -> str:
    """The id of a child of the present workflow."""
    return f"{name} of {workflow.info().workflow_id}"


@workflow.defn
class Errand:
    """Takes an hour, unless it is told to hurry."""

    def __init__(self) -> None:
        self.hurried = False

    @workflow.signal
    def hurry(self) -> None:
        """Do not wait any more."""
        self.hurried = True

    @workflow.run
    async def run(self, what: str) -> str:
        """Run it."""
        parent, root = workflow.info().parent, workflow.info().root
        assert parent is not None
        assert root is not None
        assert parent.workflow_id == root.workflow_id
        try:
            await workflow.wait_condition(lambda: self.hurried, timeout=HOUR)
        except TimeoutError:
            return f"{what} in time"
        except asyncio.CancelledError:
            await workflow.sleep(timedelta(minutes=5))  # it tidies up
            raise
        return f"{what} in haste"


@workflow.defn
class Stumbles:
    """Fails."""

    @workflow.run
    async def run(self, what: str) -> str:
        """Fail."""
        raise ApplicationError(f"no such thing: {what}", type="NoSuchThing")


@workflow.defn(name="Errand")
class Mistaken:
    """The same, with a mistake in it."""

    @workflow.run
    async def run(self, what: str) -> float:
        """Make it."""
        return len(what) / 0


@workflow.defn
class Sends(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Has an errand run."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Wait for it."""
        said = await self.step(
            "errand",
            str,
            lambda: workflow.execute_child_workflow(
                "Errand", cart.cart_id, id=child_id("errand"), result_type=str
            ),
        )
        return Outcome.completed(said)


@workflow.defn
class TriesAgain(Journey[CartAbandoned]):
    """Has an errand run again and again until it is done."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Wait for it."""
        said = await self.step(
            "errand",
            str,
            lambda: workflow.execute_child_workflow(
                "Errand", cart.cart_id, result_type=str, retry_policy=RetryPolicy()
            ),
        )
        return Outcome.completed(said)


@workflow.defn
class SendsAnother(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Has a thing done that fails."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Catch it."""

        async def fail() -> str:
            try:
                await workflow.execute_child_workflow(
                    "Stumbles", cart.cart_id, id=child_id("other"), result_type=str
                )
            except ChildWorkflowError as error:
                cause = error.cause
                assert isinstance(cause, ApplicationError)
                return f"{error.workflow_type}: {cause.type}: {cause.message}"
            return "done"

        return Outcome.completed(await self.step("other", str, fail))


@workflow.defn
class Stops(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Does not want its errand any more when the cart is bought; it tidies up first."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Wait for it, or for the purchase."""
        began = await self.now()
        async with self.until(PurchaseMade) as bought:
            await self.step(
                "errand",
                str,
                lambda: workflow.execute_child_workflow(
                    "Errand", cart.cart_id, id=child_id("errand"), result_type=str
                ),
                whole=False,
            )
        minutes = (await self.now() - began).seconds // 60
        return Outcome.completed(f"bought: {bool(bought)}, after {minutes} minutes")


async def hurried(what: str) -> list[str]:
    """An errand that is told to hurry, and one that is under way already."""
    child = await workflow.start_child_workflow(
        "Errand", what, id=child_id("errand"), result_type=str
    )
    said: list[str] = []
    try:
        await workflow.start_child_workflow("Errand", "again", id=child.id)
    except WorkflowAlreadyStartedError as error:
        said.append(f"{error.workflow_type} is there")
    await child.signal("hurry")
    return [*said, await child]


@workflow.defn
class Hurries(Journey[CartAbandoned], listens=[PurchaseMade]):
    """Tells its errand to hurry."""

    @workflow.run
    async def run(self, cart: CartAbandoned) -> Outcome:
        """Tell it."""
        said = await self.step("hurry", list[str], lambda: hurried(cart.cart_id))
        return Outcome.completed("; ".join(said))


async def shouted(child: str) -> list[str]:
    """What is heard of a workflow that is not there, and of one that is."""
    said: list[str] = []
    for other in (workflow.get_external_workflow_handle(name) for name in ("nobody", child)):
        for shout in (other.signal("nudge"), other.cancel()):
            try:
                await shout
            except ApplicationError as error:
                said.append(f"{error.type}: {error.message}")
            else:
                said.append("well")
    return said


@workflow.defn
class Shouts:
    """Says something to others, one of whom is there."""

    @workflow.run
    async def run(self, what: str) -> list[str]:
        """Say it."""
        child = await workflow.start_child_workflow("Errand", what, id=child_id("errand"))
        return await shouted(child.id)


@workflow.defn
class LetsGo:
    """Does not want its errand any more, and does not wait for it to tidy up."""

    @workflow.run
    async def run(self, kind: str) -> str:
        """Ask it to stop, in one way or another."""
        child = await workflow.start_child_workflow(
            "Errand",
            kind,
            id=child_id("errand"),
            cancellation_type=ChildWorkflowCancellationType[kind],
        )
        child.cancel()
        try:
            said: str = await child
        except ChildWorkflowError as error:
            said = f"{error.workflow_id}: {type(error.cause).__name__}"
        return said


POLICIES = (
    ParentClosePolicy.ABANDON,
    ParentClosePolicy.REQUEST_CANCEL,
    ParentClosePolicy.TERMINATE,
)


@workflow.defn
class Leaves:
    """Leaves three errands behind, each with another word on what becomes of it."""

    @workflow.run
    async def run(self, how: str) -> None:
        """Start them; then end, or go on in a new run."""
        if how == "has gone on":
            await workflow.sleep(timedelta(days=1))
        for policy in POLICIES:
            await workflow.start_child_workflow(
                "Errand", how, id=child_id(policy.name), parent_close_policy=policy
            )
        if how == "goes on":
            workflow.continue_as_new("has gone on")
