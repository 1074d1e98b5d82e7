"""`sojourn dev` and `sojourn demo` as a newcomer meets them: real processes, real parts."""

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.parts import free_port
from tests.patience import PATIENCE

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).resolve().parents[2]
PARTS = {"api", "mailbox", "postgres", "temporal", "worker"}


def free_ports() -> dict[str, str]:
    names = ("API", "TEMPORAL", "TEMPORAL_UI", "SMTP", "MAILBOX")
    return {f"SOJOURN_{name}_PORT": str(free_port()) for name in names}


class Dev:
    """A running `sojourn dev`."""

    def __init__(self, data_dir: Path, *words: str) -> None:
        self.data_dir = data_dir
        self.ports = free_ports()
        env = {name: value for name, value in os.environ.items() if not name.startswith("SOJOURN_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", *(words or ("dev",))],
            cwd=ROOT,
            env=env | self.ports | {"SOJOURN_DATA_DIR": str(data_dir)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._heard: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.ever: list[psutil.Process] = []

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            self._heard.put(line)
        self._heard.put(None)

    def wait_for(self, text: str, seconds: float = PATIENCE) -> str:
        """The first line, not read yet, that contains `text`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._heard.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"did not say {text!r} within {seconds} s:\n{self.output}")
            if line is None:
                pytest.fail(f"ended without saying {text!r}:\n{self.output}")
            if text in line:
                return line

    @property
    def output(self) -> str:
        return "".join(self.said)

    def wait_until_ready(self) -> None:
        self.wait_for("Ready after")
        self.ever += psutil.Process(self.process.pid).children(recursive=True)

    def worked(self) -> float:
        """Seconds of a processor that it has taken until now, with all that it has started."""
        taken = [one.cpu_times() for one in (psutil.Process(self.process.pid), *self.ever)]
        return float(sum(one.user + one.system for one in taken))

    def running(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = json.loads((self.data_dir / "run.json").read_text())
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def alive(self) -> list[psutil.Process]:
        """Those of its processes that still run."""
        return [one for one in self.ever if one.is_running() and not is_zombie(one)]

    def client(self) -> httpx.Client:
        url = f"http://127.0.0.1:{self.ports['SOJOURN_API_PORT']}"
        return httpx.Client(base_url=url, auth=("dev", ""), trust_env=False, timeout=PATIENCE)

    def close(self) -> None:
        """End what a failed test left, by pid."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for one in self.alive():
            with contextlib.suppress(psutil.Error):
                one.kill()
        self._reader.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()


def is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def start() -> Iterator[Any]:
    begun: list[Dev] = []
    # Not below pytest's own directory, which every run on this machine shuts for other users:
    # where root runs the tests, PostgreSQL is one.
    with tempfile.TemporaryDirectory(prefix="sojourn-dev-") as directory:

        def starter(*words: str) -> Dev:
            begun.append(Dev(Path(directory) / "data with a space", *words))
            return begun[-1]

        yield starter
        for one in begun:
            one.close()


def identify(dev: Dev, user_id: str) -> None:
    body = {"userId": user_id, "traits": {"email": f"{user_id}@example.com", "first_name": "Ada"}}
    with dev.client() as client:
        answer = client.post("/v1/identify", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"success": True}


def customers(dev: Dev, user_id: str) -> list[dict[str, Any]]:
    with dev.client() as client:
        answer = client.get("/customers", params={"user_id": user_id})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["customers"]
    return found


def test_dev_starts_takes_an_event_and_ends_cleanly(start: Any) -> None:
    dev = start()
    dev.wait_until_ready()
    assert dev.worked() < 15  # so it is ready within as many, wherever it has the machine to itself
    dev.wait_for("an hour later she gets a reminder")
    shown = dev.wait_for("export SOJOURN_DATABASE_URL=")
    dev.wait_for("Ctrl-C ends everything")
    assert set(dev.running()) == PARTS
    keys = ("-m", "cli", "keys", "list")
    url = {"SOJOURN_DATABASE_URL": shlex.split(shown)[1].partition("=")[2]}
    listed = subprocess.check_output([sys.executable, *keys], cwd=ROOT, env=os.environ | url)
    assert b"dev" in listed
    identify(dev, "ada")
    cart = {"cart_id": "c1", "total": 81.5, "currency": "EUR"}
    event = {"userId": "ada", "event": "cart_abandoned", "properties": cart}
    with dev.client() as client:
        assert client.get("/docs").status_code == 200
        assert client.post("/v1/track", json=event).json() == {"success": True}
        path = f"/customers/{customers(dev, 'ada')[0]['id']}/enrollments"
        enrollments = client.get(path).json()["enrollments"]
    assert [one["journey"] for one in enrollments] == ["abandoned_cart"]
    assert dev.end() == 0
    assert dev.alive() == []
    assert dev.running() == {}
    assert "Traceback" not in dev.output
    ended = [line.split()[1] for line in dev.said if " ended (" in line]
    assert ended == ["worker", "api", "mailbox", "temporal", "postgres"]


def test_data_is_found_again_at_the_next_start(start: Any) -> None:
    first = start()
    first.wait_until_ready()
    identify(first, "grace")
    known = customers(first, "grace")
    assert first.end(signal.SIGINT) == 0
    second = start()
    second.wait_until_ready()
    assert customers(second, "grace") == known
    assert second.end(signal.SIGHUP) == 0
    assert first.alive() == second.alive() == []


def test_a_killed_supervisor_is_cleaned_up_after_by_the_next(start: Any) -> None:
    first = start()
    first.wait_until_ready()
    identify(first, "linus")
    first.process.kill()
    first.process.wait()
    second = start()
    second.wait_until_ready()
    assert "an earlier run left behind" in second.output
    assert first.alive() == []
    assert len(customers(second, "linus")) == 1
    assert second.end() == 0
    assert second.alive() == []


@pytest.mark.parametrize("part", ["api", "mailbox", "worker"])
def test_a_killed_part_comes_back_by_itself(start: Any, part: str) -> None:
    dev = start()
    dev.wait_until_ready()
    killed = dev.running()[part]["pid"]
    os.kill(killed, signal.SIGKILL)
    dev.wait_for("died: killed by SIGKILL")
    dev.wait_for(f"{part:<8} ready")
    assert dev.running()[part]["pid"] != killed
    dev.ever += psutil.Process(dev.process.pid).children(recursive=True)
    assert dev.end() == 0
    assert dev.alive() == []


@pytest.mark.parametrize("store", ["postgres", "temporal"])
def test_without_its_stores_everything_ends(start: Any, store: str) -> None:
    dev = start()
    dev.wait_until_ready()
    os.kill(dev.running()[store]["pid"], signal.SIGKILL)
    assert dev.process.wait(PATIENCE) == 1
    dev.wait_for(f"cannot go on without {store}")
    deadline = time.monotonic() + PATIENCE  # the orphans of a killed PostgreSQL need a moment
    while dev.alive() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert dev.alive() == []


def test_a_second_one_on_the_same_data_is_refused(start: Any) -> None:
    first = start()
    first.wait_until_ready()
    second = start()
    assert second.process.wait(PATIENCE) == 2
    second.wait_for(f"already runs on {first.data_dir} (pid {first.process.pid})")
    assert len(second.said) == 1
    assert first.end() == 0


def test_told_to_end_while_starting_it_ends(start: Any) -> None:
    dev = start()
    dev.wait_for("starting on")
    time.sleep(0.5)
    dev.ever += psutil.Process(dev.process.pid).children(recursive=True)
    assert dev.end() == 0
    assert dev.alive() == []
    assert "Traceback" not in dev.output


def test_told_twice_it_hurries(start: Any) -> None:
    dev = start()
    dev.wait_until_ready()
    dev.process.send_signal(signal.SIGINT)
    dev.wait_for("ending")
    assert dev.end(signal.SIGINT) == 0
    assert dev.alive() == []


def test_the_demo_plays_its_story(start: Any) -> None:
    dev = start("demo", "--exit")
    dev.wait_until_ready()
    assert dev.process.wait(PATIENCE) == 0, dev.output
    assert "The story ended as it should" in dev.output
    assert dev.alive() == []
