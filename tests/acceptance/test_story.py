"""The story over HTTP and SMTP, with the real processes, and what happens when they are killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.testing import WorkflowEnvironment

from infra.database.keys import ensure_development_key
from tests.mailbox import Mailbox, running_mailbox
from tests.parts import free_port
from tests.patience import PATIENCE, eventually

pytestmark = pytest.mark.acceptance

_ROOT = Path(__file__).parents[2]
_REMINDED_AFTER = 4


class Runtime:
    """The real processes, each of which can be killed and started again."""

    def __init__(self, environment: dict[str, str], port: int, logs: Path) -> None:
        self._environment = environment
        self._logs = logs
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._begun_at: dict[str, int] = {}
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", auth=("dev", ""), timeout=PATIENCE
        )

    def start(self, name: str) -> None:
        """Start `sojourn NAME`."""
        with self._log(name).open("ab") as log:
            self._begun_at[name] = log.tell()
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "cli.main", name],
                cwd=_ROOT,
                env={**os.environ, **self._environment},
                stdout=log,
                stderr=log,
            )

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self._processes[name].send_signal(signal.SIGKILL)
        self._processes[name].wait(PATIENCE)

    def again(self, name: str) -> None:
        """Kill it and start it again."""
        self.kill(name)
        self.start(name)

    async def ready(self) -> None:
        """Wait until all that run have said that they do: one that is told to end now, does."""

        async def silent() -> list[str]:
            return [
                name
                for name, process in self._processes.items()
                if process.poll() is None
                and b" ready" not in self._log(name).read_bytes()[self._begun_at[name] :]
            ]

        await eventually(silent, lambda names: not names)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def show_logs(self) -> None:
        """For whoever reads a failure."""
        for log in sorted(self._logs.glob("*.log")):
            sys.stdout.write(f"--- {log.name}\n{log.read_text()[-3000:]}\n")

    async def stop(self) -> list[int]:
        """SIGTERM to all; their exit codes."""
        await self.http.aclose()
        await self.ready()
        for process in self._processes.values():
            process.terminate()
        return [await asyncio.to_thread(p.wait, PATIENCE) for p in self._processes.values()]

    async def post(self, path: str, **body: Any) -> None:
        """Post a call that must be accepted."""
        answer = await self.http.post(path, json={"messageId": uuid.uuid4().hex, **body})
        assert (answer.status_code, answer.json()) == (200, {"success": True})

    async def customer(self, user: str) -> str:
        """The customer's id."""
        answer = await self.http.get("/customers", params={"user_id": user})
        return str(answer.json()["customers"][0]["id"])

    async def read(self, user: str, what: str) -> list[dict[str, Any]]:
        """Read something back."""
        answer = await self.http.get(f"/customers/{await self.customer(user)}/{what}")
        items: list[dict[str, Any]] = answer.json()[what]
        return items

    async def arrives(self, user: str) -> None:
        """A customer whom e-mail reaches."""
        await self.post("/v1/identify", userId=user, traits={"email": f"{user}@example.test"})

    async def tracks(self, user: str, event: str, **properties: Any) -> None:
        """Something happens to the customer."""
        await self.post("/v1/track", userId=user, event=event, properties=properties)


@pytest.fixture
async def mailbox(tmp_path: Path) -> AsyncIterator[Mailbox]:
    """A real SMTP peer."""
    async with running_mailbox(tmp_path) as opened:
        yield opened


@pytest.fixture
async def runtime(
    database_url: str, temporal: WorkflowEnvironment, mailbox: Mailbox, tmp_path: Path
) -> AsyncIterator[Runtime]:
    """Api, relay and worker, each a process."""
    await ensure_development_key(database_url)
    port = free_port()
    environment = {
        "SOJOURN_DATABASE_URL": database_url,
        "SOJOURN_TEMPORAL_ADDRESS": temporal.client.service_client.config.target_host,
        "SOJOURN_API_PORT": str(port),
        "SOJOURN_SMTP_PORT": str(mailbox.settings.smtp_port),
        "SOJOURN_MAILBOX_PORT": str(mailbox.settings.mailbox_port),
        "SOJOURN_RELAY_IN_API": "false",
        "SOJOURN_JOURNEY_PARAMETERS": json.dumps(
            {"abandoned_cart": {"patience": f"PT{_REMINDED_AFTER}S"}}
        ),
        "SOJOURN_HOOKS_DIR": str(_ROOT / "webhooks"),
        "SOJOURN_HOOK_SECRETS": json.dumps(
            {path.stem: ["user:secret"] for path in (_ROOT / "webhooks").glob("*.toml")}
        ),
    }
    started = Runtime(environment, port, tmp_path)
    for name in ("api", "relay", "worker"):
        started.start(name)
    try:
        await started.ready()
        yield started
    finally:
        codes = await started.stop()
        started.show_logs()
    assert codes == [0, 0, 0]


def _user(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def test_the_story(runtime: Runtime, mailbox: Mailbox) -> None:
    ada, ben, cleo = _user("ada"), _user("ben"), _user("cleo")
    for user in (ada, ben, cleo):
        await runtime.arrives(user)
        await runtime.tracks(user, "cart_abandoned", cart_id=f"cart-{user}", total=81.5)
    await runtime.tracks(ada, "purchase_made", order_id="o1", cart_id=f"cart-{ada}")
    await runtime.tracks(cleo, "ticket_opened", ticket_id="t1")

    async def to_ben() -> list[Any]:
        return await mailbox.messages(to=f"{ben}@example.test")

    await eventually(to_ben, lambda messages: len(messages) == 1)
    await eventually(
        lambda: runtime.read(cleo, "messages"),
        lambda found: ("held", "ticket_open") in {(m["verdict"], m["reason"]) for m in found},
    )
    assert await mailbox.messages(to=f"{cleo}@example.test") == []

    await runtime.tracks(cleo, "ticket_closed", ticket_id="t1")

    async def to_cleo() -> list[Any]:
        return await mailbox.messages(to=f"{cleo}@example.test")

    await eventually(to_cleo, lambda messages: len(messages) == 1)
    assert await mailbox.messages(to=f"{ada}@example.test") == []
    carts = [e for e in await runtime.read(ada, "enrollments") if e["journey"] == "abandoned_cart"]
    assert [(e["state"], e["outcome"]) for e in carts] == [("ended", "converted")]


async def test_worker_and_relay_killed_in_the_middle_still_one_message(
    runtime: Runtime, mailbox: Mailbox
) -> None:
    user = _user("dora")
    await runtime.arrives(user)
    runtime.kill("relay")
    await runtime.tracks(user, "cart_abandoned", cart_id="c1")
    runtime.start("relay")
    await asyncio.sleep(_REMINDED_AFTER / 2)
    runtime.again("worker")
    runtime.again("relay")

    async def mail() -> list[Any]:
        return await mailbox.messages(to=f"{user}@example.test")

    await eventually(mail, lambda messages: len(messages) >= 1)
    runtime.again("worker")
    await runtime.ready()
    await asyncio.sleep(_REMINDED_AFTER)
    assert len(await mail()) == 1
    sent = [m for m in await runtime.read(user, "messages") if m["verdict"] == "sent"]
    assert [m["step"] for m in sent] == ["reminder"]


async def test_a_worker_killed_while_the_provider_has_the_message_sends_no_second_copy(
    runtime: Runtime, mailbox: Mailbox
) -> None:
    user = _user("emil")
    await runtime.arrives(user)
    # The mailbox keeps the message and takes its time to answer; the worker dies meanwhile.
    await mailbox.fault("email", "slow", times=1, seconds=60)
    await runtime.tracks(user, "cart_abandoned", cart_id="c1")
    await eventually(
        lambda: runtime.read(user, "messages"),
        lambda found: any(m["channel"] == "email" and m["verdict"] == "sending" for m in found),
    )
    await asyncio.sleep(0.5)
    runtime.again("worker")

    def settled(found: list[dict[str, Any]]) -> bool:
        return any(m["channel"] == "email" and m["verdict"] == "unknown" for m in found)

    await eventually(lambda: runtime.read(user, "messages"), settled)
    assert len(await mailbox.messages(to=f"{user}@example.test")) <= 1


async def test_21_a_webhook_says_what_became_of_a_mail_whose_server_broke_off(
    runtime: Runtime, mailbox: Mailbox, temporal: WorkflowEnvironment
) -> None:
    user = _user("gus")
    await runtime.arrives(user)
    await mailbox.fault("email", "drop_after_data")
    await runtime.tracks(user, "cart_abandoned", cart_id="c1")

    async def mail() -> dict[str, Any]:
        found = await runtime.read(user, "messages")
        return next((m for m in found if m["channel"] == "email"), {})

    unknown = await eventually(mail, lambda message: message.get("verdict") == "unknown")
    assert len(await mailbox.messages(to=f"{user}@example.test")) == 1
    (enrollment,) = await runtime.read(user, "enrollments")
    workflow = temporal.client.get_workflow_handle(enrollment["workflow_id"])

    async def story() -> str:
        return str((await workflow.query("status"))["story"])

    assert "not known whether sent" in await story()

    # Which message it was is all that the provider knows.
    told = {
        "RecordType": "Delivery",
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Recipient": f"{user}@example.test",
        "DeliveredAt": datetime.now(UTC).isoformat(),
        "Details": "smtp;250 2.0.0 OK",
        "Metadata": {"sojourn": unknown["id"]},
    }
    for expected in ("accepted", "duplicate"):
        answer = await runtime.http.post("/webhooks/mail", json=told, auth=("user", "secret"))
        assert [r["status"] for r in answer.json()["receipts"]] == [expected]
    completed = await mail()
    assert (completed["verdict"], completed["reason"]) == ("sent", "delivered")
    await eventually(
        story, lambda text: "arrived after all: email_delivered: smtp;250 2.0.0 OK" in text
    )
    assert len(await mailbox.messages(to=f"{user}@example.test")) == 1


async def test_g1_an_api_killed_under_load_loses_nothing_that_it_acknowledged(
    runtime: Runtime,
) -> None:
    user = _user("fay")
    await runtime.arrives(user)
    acknowledged: list[str] = []

    async def client(number: int) -> None:
        for n in range(200):
            message_id = f"{user}-{number}-{n}"
            try:
                answer = await runtime.http.post(
                    "/v1/track",
                    json={"userId": user, "event": "page_viewed", "messageId": message_id},
                )
            except httpx.TransportError:
                return
            if answer.status_code == 200:
                acknowledged.append(message_id)

    posting = asyncio.gather(*(client(number) for number in range(8)))

    async def number_acknowledged() -> int:
        return len(acknowledged)

    await eventually(number_acknowledged, lambda number: number > 50, pause=0.01)
    runtime.kill("api")
    await posting
    runtime.start("api")
    await runtime.ready()
    assert acknowledged
    kept: set[str] = set()
    before: str | None = None
    while True:
        page = (
            await runtime.http.get(
                f"/customers/{await runtime.customer(user)}/timeline",
                params={"limit": 500, **({"before": before} if before else {})},
            )
        ).json()
        kept |= {i["details"]["message_id"] for i in page["timeline"] if i["kind"] == "event"}
        before = page["next"]
        if before is None:
            break
    assert set(acknowledged) <= kept
