"""docker-compose.yml as Compose reads it: interpolated, merged, and checked by a real parser."""

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compose_spec import PyOptions

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / ".env.example"
DOCKERFILE = ROOT / "Dockerfile"

SECRETS = ("POSTGRES_PASSWORD", "POSTGRES_SOJOURN_PASSWORD", "POSTGRES_TEMPORAL_PASSWORD")
"""What `.env` must give."""

_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?:(?P<operator>:?[-?])(?P<word>[^}]*))?\}|(?P<bare>\w+))"
)


class Missing(Exception):
    """A variable that the file requires has no value."""


@dataclass(frozen=True)
class Variable:
    """A variable that the file asks for."""

    name: str
    required: bool
    default: str | None


def _matches() -> Iterator[re.Match[str]]:
    for match in _VARIABLE.finditer(FILE.read_text()):
        if not match["escaped"]:
            yield match


def variables() -> list[Variable]:
    """The variables that the file's values are made of."""
    return [
        Variable(
            match["name"] or match["bare"],
            required=(match["operator"] or "").endswith("?"),
            default=match["word"] if (match["operator"] or "").endswith("-") else None,
        )
        for match in _matches()
    ]


def interpolate(text: str, environment: Mapping[str, str]) -> str:
    """Fill variables in as Compose does.

    Raises:
        Missing: a required one is unset or, with a colon, empty.
    """

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name, operator = match["name"] or match["bare"], match["operator"] or ""
        given = environment.get(name)
        absent = given is None or (operator.startswith(":") and not given)
        if absent and operator.endswith("?"):
            raise Missing(f"{name}: {match['word']}")
        if absent and operator.endswith("-"):
            return str(match["word"])
        return given or ""

    return _VARIABLE.sub(value, text)


@dataclass(frozen=True)
class Compose:
    """The file with an environment filled in."""

    services: dict[str, dict[str, Any]]
    configs: dict[str, dict[str, Any]]
    volumes: dict[str, Any]
    given: Mapping[str, str]

    def environment(self, service: str) -> dict[str, str]:
        """A service's environment; names without a value are passed on from outside."""
        wanted: dict[str, Any] = self.services[service].get("environment", {})
        passed = {name: self.given[name] for name in wanted if name in self.given}
        return {name: str(value) for name, value in wanted.items() if value is not None} | {
            name: value for name, value in passed.items() if wanted[name] is None
        }

    def built(self) -> list[str]:
        """The services that run this repository's image."""
        return [name for name, service in self.services.items() if "build" in service]

    def waited_for(self) -> dict[str, set[str]]:
        """For each service, on what others wait for of it."""
        conditions: dict[str, set[str]] = {}
        for service in self.services.values():
            for name, wait in service.get("depends_on", {}).items():
                conditions.setdefault(name, set()).add(wait["condition"])
        return conditions

    def one_shots(self) -> set[str]:
        """The services that do one thing and end."""
        return {
            name
            for name, conditions in self.waited_for().items()
            if "service_completed_successfully" in conditions
        }


def read(environment: Mapping[str, str] | None = None) -> Compose:
    """Read the file.

    Args:
        environment: what `.env` says; by default only what it must say.

    Raises:
        Missing: it does not say enough.
        ValueError: the parser refuses the file.
    """
    given = dict.fromkeys(SECRETS, "secret") if environment is None else environment
    text = interpolate(FILE.read_text(), given)
    parsed = PyOptions(apply_merge=True).from_yaml(text)
    parsed.validate()
    whole = parsed.to_dict()
    return Compose(whole["services"], whole["configs"], whole["volumes"], given)


def copied() -> list[tuple[list[str], str]]:
    """What the Dockerfile copies from the checkout: sources, destination."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    return [(words[:-1], words[-1]) for words in (line.split() for line in lines)]


def copy_build_context(to: Path) -> None:
    """Copy into a directory what the Dockerfile would copy into its build stage."""
    for sources, destination in copied():
        for source in sources:
            origin = ROOT / source
            if origin.is_dir():
                shutil.copytree(
                    origin, to / destination, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
                )
            else:
                target = to / destination
                target = target / origin.name if destination.endswith("/") else target
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(origin, target)
