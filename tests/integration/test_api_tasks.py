"""Tasks over HTTP and from the command line: read, answered, and what stands in the way."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from temporalio import workflow
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.tasks import TaskActivities
from domain.tasks import TaskAnswer, TaskRequest, TaskSettlement
from infra.database.enrollments import PostgresEnrollments
from infra.database.experiments import PostgresExperiments
from infra.database.keys import create_key
from infra.database.tasks import PostgresTasks
from tests.api import Api, door_to, running_api, slow_key
from tests.parts import BIN
from tests.records import assignment

YES = {"answer": "yes", "by": "Ben"}


@workflow.defn
class _Asks:
    """Takes one answer, as a journey that asks a person does."""

    def __init__(self) -> None:
        self.answer: TaskAnswer | None = None

    @workflow.run
    async def run(self) -> TaskAnswer | None:
        await workflow.wait_condition(lambda: self.answer is not None)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.answer

    @workflow.update
    async def answer_task(self, answer: TaskAnswer) -> None:
        self.answer = answer
        settled = TaskSettlement(
            task_id=answer.task_id,
            state="answered",
            answer={"choice": answer.choice, "note": answer.note},
            by=answer.by,
        )
        await workflow.execute_activity_method(
            TaskActivities.settle, settled, start_to_close_timeout=timedelta(seconds=10)
        )

    @answer_task.validator
    def _may_answer(self, answer: TaskAnswer) -> None:
        if self.answer is not None:
            raise ApplicationError("somebody was faster")
        if answer.choice == "no":
            raise ApplicationError("no is no answer")


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    """Without Temporal."""
    async with running_api(database_url) as running:
        yield running


@pytest.fixture
async def connected(database_url: str, temporal: WorkflowEnvironment) -> AsyncIterator[Api]:
    address = temporal.client.service_client.config.target_host
    async with running_api(database_url, temporal_address=address) as running:
        yield running


async def _ask(api: Api, step: str = "call", *, user: str = "u1", **more: Any) -> str:
    await api.track("cart_abandoned", {"cart_id": step}, user=user)
    row = await api.pool.fetchrow(
        "select e.id, e.customer_id from enrollment e join identity i using (customer_id)"
        " where i.value = $1 and e.key = $2",
        user,
        step,
    )
    about: dict[str, Any] = {"role": "sales", "title": "Call her", "choices": ["yes", "no"]}
    opened = await PostgresTasks(api.pool).open(
        TaskRequest(
            enrollment_id=row["id"],
            customer_id=row["customer_id"],
            journey="abandoned_cart",
            step=step,
            **(about | more),
        )
    )
    return opened.task_id


async def _settle(api: Api, task_id: str, state: Any, **more: Any) -> None:
    settlement = TaskSettlement(task_id=task_id, state=state, **more)
    await PostgresTasks(api.pool).settle(settlement)


async def _workflow(
    api: Api, temporal: WorkflowEnvironment, task_id: str, queue: str
) -> WorkflowHandle[Any, Any]:
    workflow_id = await api.pool.fetchval(
        "select workflow_id from enrollment e join task t on t.enrollment_id = e.id"
        " where t.id = $1",
        task_id,
    )
    return await temporal.client.start_workflow(_Asks.run, id=workflow_id, task_queue=queue)


def _worker(api: Api, temporal: WorkflowEnvironment, queue: str) -> Worker:
    return Worker(
        temporal.client,
        task_queue=queue,
        workflows=[_Asks],
        activities=[TaskActivities(PostgresTasks(api.pool)).settle],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )


async def _answer(api: Api, task_id: str, body: Any, key: str = "dev") -> httpx.Response:
    return await api.post(f"/tasks/{task_id}/answer", body, key)


async def _enrollment(api: Api, task_id: str) -> str:
    found: str = await api.pool.fetchval("select enrollment_id from task where id = $1", task_id)
    return found


# Reading.


async def test_a_task_is_read_with_all_that_a_person_needs(api: Api) -> None:
    deadline = datetime(2027, 1, 1, tzinfo=UTC)
    task_id = await _ask(api, details="She asked for it.", deadline=deadline)
    task = (await api.get(f"/tasks/{task_id}")).json()
    (history,) = task.pop("history")
    assert history.pop("at") == task.pop("opened_at")
    assert history == {"what": "opened", "role": "sales", "by": None}
    assert task == {
        "id": task_id,
        "customer_id": (await api.customer(user_id="u1"))["id"],
        "enrollment_id": await _enrollment(api, task_id),
        "journey": "abandoned_cart",
        "step": "call",
        "role": "sales",
        "title": "Call her",
        "details": "She asked for it.",
        "choices": ["yes", "no"],
        "deadline": "2027-01-01T00:00:00Z",
        "state": "open",
        "answer": None,
        "by": None,
        "settled_at": None,
    }
    for nobody in ("tsk_x", "%00"):
        assert (await api.get(f"/tasks/{nobody}")).status_code == 404


async def test_tasks_are_listed_by_role_state_and_customer_in_pages(api: Api) -> None:
    ids = [await _ask(api, f"c{n}", role="sales" if n % 2 else "care") for n in range(5)]
    other = await _ask(api, "c0", user="u2")
    await _settle(api, ids[0], "expired")
    await _settle(api, ids[1], "escalated", role="care")
    u2 = (await api.customer(user_id="u2"))["id"]

    async def listed(**filters: Any) -> list[str]:
        whole = (await api.get("/tasks", **filters)).json()
        assert whole["next"] is None
        found = [task["id"] for task in whole["tasks"]]
        paged: list[str] = []
        page: dict[str, Any] = {"next": None}
        while page["next"] is not None or not paged:
            before = {} if page["next"] is None else {"before": page["next"]}
            page = (await api.get("/tasks", limit=2, **filters, **before)).json()
            paged += [task["id"] for task in page["tasks"]]
            if not page["tasks"]:
                break
        assert paged == found
        return found

    assert await listed() == [other, *reversed(ids)]
    assert await listed(state="open", role="care") == [ids[4], ids[2], ids[1]]
    assert await listed(state="expired") == [ids[0]]
    assert await listed(customer_id=u2) == [other]
    await api.post("/v1/alias", {"userId": "u1", "previousId": "u2"})
    assert await listed(customer_id=u2) == [other, *reversed(ids)]
    assert await listed(customer_id="cus_x") == []
    assert await listed(role="\0") == []
    assert (await api.get("/tasks", state="escalated")).status_code == 422


# Answering.


async def test_an_answer_goes_to_the_journey_that_asked(
    connected: Api, temporal: WorkflowEnvironment
) -> None:
    api, queue = connected, uuid.uuid4().hex
    task_id = await _ask(api)
    async with _worker(api, temporal, queue):
        handle = await _workflow(api, temporal, task_id, queue)
        answer = await _answer(api, task_id, YES | {"note": "on the phone"})
        assert answer.status_code == 200, answer.text
        assert await handle.result() == TaskAnswer(
            task_id=task_id, choice="yes", by="Ben", note="on the phone"
        )
    task = answer.json()
    assert (task["state"], task["by"]) == ("answered", "Ben")
    assert task["answer"] == {"choice": "yes", "note": "on the phone"}
    assert [(step["what"], step["by"]) for step in task["history"]] == [
        ("opened", None),
        ("answered", "Ben"),
    ]
    # The same again, as a client repeats what it has lost the answer to; and another's.
    assert (await _answer(api, task_id, YES)).json() == task
    other = await _answer(api, task_id, YES | {"by": "Eve"})
    assert other.status_code == 409
    assert other.json()["detail"] == "it was answered already by Ben"


async def test_what_the_journey_does_not_take_is_a_conflict_with_its_reason(
    connected: Api, temporal: WorkflowEnvironment
) -> None:
    queue = uuid.uuid4().hex
    task_id = await _ask(connected)
    async with _worker(connected, temporal, queue):
        handle = await _workflow(connected, temporal, task_id, queue)
        answer = await _answer(connected, task_id, YES | {"answer": "no"})
        assert answer.status_code == 409
        assert answer.json()["detail"] == "the journey does not take this answer: no is no answer"
        assert (await connected.get(f"/tasks/{task_id}")).json()["state"] == "open"
        assert (await _answer(connected, task_id, YES)).status_code == 200
        await handle.result()


async def test_of_two_people_at_once_one_has_answered(
    connected: Api, temporal: WorkflowEnvironment
) -> None:
    queue = uuid.uuid4().hex
    task_id = await _ask(connected, choices=[])
    async with _worker(connected, temporal, queue):
        handle = await _workflow(connected, temporal, task_id, queue)
        people = [{"answer": f"I, {name}", "by": name} for name in ("Ben", "Eve", "Mia")]
        answers = await asyncio.gather(*(_answer(connected, task_id, one) for one in people))
        taken = await handle.result()
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    task = (await connected.get(f"/tasks/{task_id}")).json()
    assert task["by"] == taken.by
    assert len(task["history"]) == 2


async def test_the_same_answer_twice_at_once_is_one(
    connected: Api, temporal: WorkflowEnvironment
) -> None:
    queue = uuid.uuid4().hex
    task_id = await _ask(connected)
    async with _worker(connected, temporal, queue):
        handle = await _workflow(connected, temporal, task_id, queue)
        answers = await asyncio.gather(*(_answer(connected, task_id, YES) for _ in range(5)))
        await handle.result()
    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"answer": "maybe", "by": "Ben"}, "answer"),
        ({"answer": "yes"}, "by"),
        ({"answer": "", "by": "Ben"}, "answer"),
        ({"answer": "yes", "by": "B\0n"}, "by"),
        ({"answer": 1, "by": "Ben"}, "answer"),
        ({"answer": "yes", "by": "Ben", "notes": "lost"}, "notes"),
    ],
)
async def test_an_answer_that_is_none_names_its_field(api: Api, body: Any, field: str) -> None:
    answer = await _answer(api, await _ask(api), body)
    assert answer.status_code == 422
    assert answer.json()["field"] == field


async def test_an_answer_that_cannot_be_read_is_refused(api: Api) -> None:
    task_id = await _ask(api)
    assert (await _answer(api, task_id, b"{")).status_code == 400
    assert (await _answer(api, task_id, [])).status_code == 400
    assert (await _answer(api, "tsk_x", YES)).status_code == 404
    assert (await _answer(api, "%00", YES)).status_code == 404


async def test_reading_does_not_allow_answering(api: Api) -> None:
    await create_key(api.pool, "reader", ["read"], key="reader")
    await create_key(api.pool, "writer", ["write"], key="writer")
    task_id = await _ask(api)
    assert (await _answer(api, task_id, YES, "reader")).status_code == 403
    assert (await api.get(f"/tasks/{task_id}", "reader")).status_code == 200
    assert (await api.get("/tasks", "writer")).status_code == 403


async def test_without_temporal_an_answer_is_asked_for_again(api: Api) -> None:
    task_id = await _ask(api)
    answer = await _answer(api, task_id, YES)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert "Temporal does not answer" in answer.json()["detail"]
    assert (await api.get(f"/tasks/{task_id}")).json()["state"] == "open"


async def test_without_a_worker_an_answer_is_asked_for_again_and_taken_once(
    connected: Api, temporal: WorkflowEnvironment
) -> None:
    queue = uuid.uuid4().hex
    task_id = await _ask(connected)
    handle = await _workflow(connected, temporal, task_id, queue)
    connected.parts.answering._within = timedelta(seconds=1)
    answer = await _answer(connected, task_id, YES)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert "the journey does not answer" in answer.json()["detail"]
    connected.parts.answering._within = timedelta(seconds=10)
    async with _worker(connected, temporal, queue):
        assert (await _answer(connected, task_id, YES)).status_code == 200
        await handle.result()


async def test_an_answer_to_a_journey_that_has_ended_is_gone(
    connected: Api, temporal: WorkflowEnvironment
) -> None:
    api, queue = connected, uuid.uuid4().hex
    task_id = await _ask(api)
    handle = await _workflow(api, temporal, task_id, queue)
    await handle.terminate()  # which the store does not know yet
    answer = await _answer(api, task_id, YES)
    assert answer.status_code == 410
    assert answer.json()["detail"] == "the journey that asked has ended"
    assert await PostgresEnrollments(api.pool).ended_outside(await _enrollment(api, task_id), "x")
    answer = await _answer(api, task_id, YES)
    assert answer.status_code == 410
    assert answer.json()["detail"] == "nobody waits for an answer any more: it is withdrawn"


async def test_an_answer_to_a_journey_that_was_deleted_is_gone(connected: Api) -> None:
    assert (await _answer(connected, await _ask(connected), YES)).status_code == 410


async def test_every_status_in_the_document_is_one_that_is_answered(
    database_url: str, temporal: WorkflowEnvironment
) -> None:
    address, queue = temporal.client.service_client.config.target_host, uuid.uuid4().hex
    async with (
        door_to(database_url) as door,
        running_api(database_url, door=door.url, temporal_address=address) as api,
        _worker(api, temporal, queue),
    ):
        task_id, gone = await _ask(api), await _ask(api, "gone")
        await _workflow(api, temporal, task_id, queue)
        await _settle(api, gone, "expired")
        path = f"/tasks/{task_id}/answer"
        await create_key(api.pool, "reader", ["read"], key="reader")
        await create_key(api.pool, "writer", ["write"], key="writer")
        await api.get("/tasks", limit=0)
        for body in (b"nonsense", b"x" * 4_400_000, {}, YES, YES | {"by": "Eve"}):
            await api.post(path, body)
        await api.post(f"/tasks/{gone}/answer", YES)
        await api.post("/tasks/nobody/answer", YES)
        headers = {"Content-Encoding": "br", "Authorization": "Bearer dev"}
        await api.send("POST", path, headers=headers)
        await api.get("/tasks/nobody")
        keys = ("dev", None, "writer", await slow_key(api))
        for key in (*keys, keys[-1]):
            await api.get("/tasks", key)
            await api.get(f"/tasks/{task_id}", key)
            await api.post(path, YES, "reader" if key == "writer" else key)
        await door.shut()
        await api.get("/tasks")
        await api.get(f"/tasks/{task_id}")
        await api.post(path, YES)
        told = {
            (method, path, int(status))
            for path, operations in api.app.openapi()["paths"].items()
            if path.startswith("/tasks")
            for method, operation in operations.items()
            for status in operation["responses"]
        }
        assert told - api.seen == set()


# What is told of it.


async def test_the_timeline_tells_what_people_did_and_what_was_dealt(api: Api) -> None:
    task_id = await _ask(api)
    await _settle(api, task_id, "escalated", role="lead", by="the deadline")
    await _settle(api, task_id, "answered", answer={"choice": "yes"}, by="Ben")
    gone = await _ask(api, "write")
    await PostgresEnrollments(api.pool).ended_outside(await _enrollment(api, gone), "test")
    customer = (await api.customer(user_id="u1"))["id"]
    await PostgresExperiments(api.pool).assign(
        assignment(customer, "subject", weights={"a": 1}, journey="abandoned_cart")
    )
    told = await api.about("timeline", kind=["task", "decision"], journey="abandoned_cart")
    assert [item["summary"] for item in told] == [
        "split subject: a",
        "Call her: withdrawn",
        "Call her: asked of sales",
        "Call her: answered by Ben",
        "Call her: escalated to lead by the deadline",
        "Call her: asked of sales",
    ]
    assert told[0]["details"]["weights"] == {"a": 1.0}
    assert told[3]["details"]["answer"] == {"choice": "yes"}
    assert told[3]["details"]["task"] == task_id
    assert await api.about("timeline", kind=["task", "decision"], journey="other") == []
    one_by_one: list[dict[str, Any]] = []
    before = None
    for _ in range(len(told)):
        place: dict[str, Any] = {} if before is None else {"before": before}
        page = (
            await api.get(
                f"/customers/{customer}/timeline", kind=["task", "decision"], limit=1, **place
            )
        ).json()
        one_by_one += page["timeline"]
        before = page["next"]
    assert one_by_one == told


async def test_what_the_other_was_dealt_is_still_told_after_a_merge(api: Api) -> None:
    for user, variant in (("u1", "stays"), ("u2", "was")):
        await api.track("seen", user=user)
        customer = (await api.customer(user_id=user))["id"]
        weights = {variant: 1.0}
        await PostgresExperiments(api.pool).assign(assignment(customer, weights=weights))
    await api.post("/v1/alias", {"userId": "u1", "previousId": "u2"})
    told = [item["summary"] for item in await api.about("timeline", kind="decision")]
    assert sorted(told) == ["split subject line: stays", "split subject line: was"]


# From the command line.


async def _sojourn(
    database_url: str, temporal: WorkflowEnvironment, *arguments: str
) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        str(BIN / "sojourn"),
        *("tasks", *arguments),
        env={
            **os.environ,
            "SOJOURN_DATABASE_URL": database_url,
            "SOJOURN_TEMPORAL_ADDRESS": temporal.client.service_client.config.target_host,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


async def test_tasks_are_listed_and_answered_from_the_command_line(
    database_url: str, connected: Api, temporal: WorkflowEnvironment
) -> None:
    queue = uuid.uuid4().hex
    task_id = await _ask(connected)
    code, out, _ = await _sojourn(database_url, temporal, "list", "--role", "sales")
    assert code == 0
    assert out.startswith(f"{task_id}  sales  abandoned_cart, cus_")
    assert out.endswith("Call her [yes | no]\n")
    async with _worker(connected, temporal, queue):
        handle = await _workflow(connected, temporal, task_id, queue)
        wrong = await _sojourn(database_url, temporal, "answer", task_id, "maybe", "--by", "Ben")
        assert wrong == (2, "", "sojourn: answer: one of yes, no is asked for\n")
        right = await _sojourn(database_url, temporal, "answer", task_id, "yes", "--by", "Ben")
        assert right == (0, f"{task_id}  answered\n", "")
        assert (await handle.result()).by == "Ben"
    code, out, err = await _sojourn(database_url, temporal, "list")
    assert (code, out, err) == (0, "", "There is nothing.\n")
