"""Open journeys are played again with the code at hand, before it takes over (G8)."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment
from typer.testing import CliRunner, Result

from cli.main import app
from infra.database.live import LiveEnrollment, LiveEnrollments
from journeys.catalog import Catalog
from tests.api import Api
from tests.integration import changed, mended
from tests.integration.lasting import DAY, AsksSales, LeadsThrough
from tests.integration.test_lasting import running
from tests.patience import PATIENCE, eventually
from tests.unit.test_cli import assert_one_sentence, sojourn
from worker.replay import Replayed, replay, why
from workflows import Journey

PEOPLE = ("u1", "u2", "u3")
_WAITS = EventType.EVENT_TYPE_TIMER_STARTED


@pytest.fixture(params=[None, 0])
async def api(
    request: pytest.FixtureRequest, database_url: str, temporal: WorkflowEnvironment
) -> AsyncIterator[Api]:
    """Three customers, each of whom somebody is asked to call; in their first runs, and later."""
    async with running(database_url, temporal, AsksSales, run_length=request.param) as api:
        for user in PEOPLE:
            await api.track("cart_abandoned", {"cart_id": "c1"}, userId=user)

        async def asked() -> bool:
            return len((await api.get("/tasks", state="open")).json()["tasks"]) == len(PEOPLE)

        async def waits() -> bool:
            rows = await api.pool.fetch("select workflow_id from enrollment")
            handles = [temporal.client.get_workflow_handle(row["workflow_id"]) for row in rows]
            histories = [(await handle.fetch_history()).events for handle in handles]
            return all(any(event.event_type == _WAITS for event in each) for each in histories)

        await eventually(asked)
        await eventually(waits)
        yield api


async def _replayed(
    api: Api,
    temporal: WorkflowEnvironment,
    code: type[Journey[Any, Any]],
    *only: str,
    most: int | None = None,
) -> list[Replayed]:
    enrollments = LiveEnrollments(api.pool, only or None, most)
    played = [one async for one in replay(temporal.client, Catalog([code]), enrollments)]
    assert len(played) == await enrollments.count()
    return played


async def test_g8_a_replay_tells_who_could_not_go_on_with_other_code(
    api: Api, temporal: WorkflowEnvironment
) -> None:
    there = {row["id"] for row in await api.pool.fetch("select id from enrollment")}
    for code in (AsksSales, mended.AsksSales):
        good = await _replayed(api, temporal, code)
        assert {one.enrollment.id for one in good} == there
        assert {one.why_not for one in good} == {None}
    bad = await _replayed(api, temporal, changed.AsksSales)
    assert {one.enrollment.id for one in bad} == there
    for one in bad:
        assert one.why_not is not None
        assert one.why_not.startswith("[TMPRL1100] Nondeterminism error: ")
    gone = await _replayed(api, temporal, LeadsThrough)
    assert [one.why_not for one in gone] == ["there is no such journey in this code"] * 3


async def test_g8_who_has_done_nothing_yet_is_not_played_and_who_is_gone_is_passed_over(
    temporal: WorkflowEnvironment,
) -> None:
    handle = await temporal.client.start_workflow(
        "AsksSales", id=f"later/{uuid.uuid4()}", task_queue="nobody", start_delay=DAY
    )

    async def both() -> AsyncIterator[LiveEnrollment]:
        yield LiveEnrollment("enr_gone", "asks_sales", f"gone/{uuid.uuid4()}")
        yield LiveEnrollment("enr_later", "asks_sales", handle.id)

    async with asyncio.timeout(PATIENCE):
        played = [one async for one in replay(temporal.client, Catalog([AsksSales]), both())]
    assert [(one.enrollment.id, one.why_not, one.untried) for one in played] == [
        ("enr_later", None, True)
    ]
    await handle.terminate()


async def test_a_replay_may_be_of_some_and_changes_nothing(
    api: Api, temporal: WorkflowEnvironment
) -> None:
    before = await api.pool.fetch("select * from enrollment order by id")
    assert len(await _replayed(api, temporal, AsksSales, "asks_sales", most=2)) == 2
    assert await _replayed(api, temporal, AsksSales, "abandoned_cart") == []
    (task, *_) = (await api.get("/tasks", state="open")).json()["tasks"]
    assert await api.pool.fetch("select * from enrollment order by id") == before
    answer = await api.post(f"/tasks/{task['id']}/answer", {"answer": "yes", "by": "Ben"})
    assert answer.status_code == 200, answer.text


async def test_g8_the_command_says_who_could_not_go_on_and_why(
    api: Api, temporal: WorkflowEnvironment, database_url: str
) -> None:
    environment = {
        "SOJOURN_DATABASE_URL": database_url,
        "SOJOURN_TEMPORAL_ADDRESS": temporal.client.service_client.config.target_host,
    }

    async def command(*words: str) -> Result:
        done = CliRunner().invoke
        return await asyncio.to_thread(done, app, ["journeys", "replay", *words], env=environment)

    done = await command("--limit", "2")
    assert done.exit_code == 1
    *lines, last = done.stdout.splitlines()
    there = {row["id"] for row in await api.pool.fetch("select id from enrollment")}
    for line in lines:
        assert line.split("  ")[0] in there
        assert line.endswith("  asks_sales  there is no such journey in this code")
    assert (len(lines), last) == (2, "2 played again, 2 of which could not go on.")

    done = await command("abandoned_cart")
    assert done.exit_code == 0
    assert done.stdout == "0 played again, 0 of which could not go on.\n"
    assert (await command("no_such")).exit_code == 2

    begun = f"just begun/{uuid.uuid4()}"
    await api.pool.execute(
        "update enrollment set journey = 'abandoned_cart', workflow_id = $1"
        " where id = (select min(id) from enrollment)",
        begun,
    )
    started = await temporal.client.start_workflow(
        "AbandonedCart", id=begun, task_queue="nobody", start_delay=DAY
    )
    done = await command("abandoned_cart")
    assert done.exit_code == 0
    assert "\n1 could not be played: " in done.stdout
    await started.terminate()


def test_a_replay_without_its_parts_is_one_sentence(database_url: str) -> None:
    assert_one_sentence(sojourn("journeys", "replay"), "SOJOURN_DATABASE_URL")
    nobody = sojourn(
        "journeys",
        "replay",
        SOJOURN_DATABASE_URL=database_url,
        SOJOURN_TEMPORAL_ADDRESS="127.0.0.1:1",
    )
    assert_one_sentence(nobody, "Temporal does not answer at 127.0.0.1:1")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            r'4: Failure { message: "the step \"news\"\nhas left", r#type: "LostResult" }',
            'LostResult: the step "news" has left',
        ),
        ('Failure { message: "[TMPRL1100] no", r#type: "", details: None }', "[TMPRL1100] no"),
        ("something\nelse", "something else"),
    ],
)
def test_what_the_sdk_says_of_a_failure_is_one_line(told: str, said: str) -> None:
    assert why(RuntimeError(told)) == said
