"""A hook's file: one TOML file for each tool that posts to us, named as the hook is."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
    field_validator,
)

from api.hooks.mapping import Expression, Mapper, Rule
from api.hooks.signature import Headers, Signature
from domain.errors import ConfigurationError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_CUSTOMER = ("user_id", "anonymous_id", "message", "email")
_ALWAYS_SECRET = frozenset({"authorization", "cookie", "proxy-authorization"})
_STRICT = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _compiled(value: Any) -> Expression:
    if not isinstance(value, str):
        # ValueError, because pydantic reports no other.
        raise ValueError("an expression is a text; a constant has quotes within: \"'shop'\"")  # noqa: TRY004
    return Expression(value)


_Expression = Annotated[Expression, PlainValidator(_compiled)]


def _properties(value: Any) -> Expression | dict[str, Expression]:
    if isinstance(value, dict):
        compiled = {}
        for name, one in value.items():
            try:
                compiled[str(name)] = _compiled(one)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return compiled
    return _compiled(value)


class _Delivery(BaseModel):
    model_config = _STRICT

    id: _Expression | None = None
    time: _Expression | None = None


class _Event(BaseModel):
    model_config = _STRICT

    name: str = Field(min_length=1, max_length=255)
    when: _Expression | None = None
    each: _Expression | None = None
    id: _Expression | None = None
    time: _Expression | None = None
    properties: Annotated[Expression | dict[str, Expression], PlainValidator(_properties)] = Field(
        default_factory=dict
    )


class _File(BaseModel):
    model_config = _STRICT

    source: str | None = Field(None, min_length=1, max_length=100)
    signature: Signature
    delivery: _Delivery = _Delivery()
    customer: dict[str, _Expression]
    events: list[_Event] = Field(min_length=1)

    @field_validator("customer")
    @classmethod
    def _known(cls, customer: dict[str, Expression]) -> dict[str, Expression]:
        if not customer or set(customer) - set(_CUSTOMER):
            raise ValueError(f"it names {', '.join(_CUSTOMER)}, one or several")
        return {kind: customer[kind] for kind in _CUSTOMER if kind in customer}


@dataclass(frozen=True, slots=True)
class Hook:
    """One tool that posts to us.

    Attributes:
        name: the last part of its address.
        source: the source of its events.
        mapper: turns its payloads into events.
    """

    name: str
    source: str
    signature: Signature
    mapper: Mapper
    keys: Sequence[bytes] = ()

    def verify(self, headers: Headers, body: bytes, now: datetime) -> None:
        """Check that a delivery comes from the tool.

        Raises:
            Unauthorized: it does not, or too long ago.
        """
        self.signature.verify(headers, body, self.keys, now)

    def visible(self, headers: Headers) -> dict[str, str]:
        """The headers that expressions may see and that are kept: none with a secret."""
        hidden = _ALWAYS_SECRET | self.signature.secret_headers
        return {name: value for name, value in headers.items() if name not in hidden}


def read_hook(path: Path) -> Hook:
    """Read a hook's file, without its secrets.

    Raises:
        ConfigurationError: it cannot be read or makes no sense; one sentence.
    """
    if not _NAME.fullmatch(path.stem):
        raise ConfigurationError(
            f"{path}: a hook is named by small letters, digits, - and _, not {path.stem!r}"
        )
    try:
        file = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(_counted(part) for part in first["loc"] if part not in _TAGS)
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{path}: {where or 'the file'}: {said}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from None
    rules = [Rule(e.name, e.when, e.each, e.id, e.time, e.properties) for e in file.events]
    mapper = Mapper(file.delivery.id, file.delivery.time, file.customer, rules)
    return Hook(path.stem, file.source or path.stem, file.signature, mapper)


# The discriminator's values, which pydantic puts into the path of an error.
_TAGS = ("standard", "hmac", "bearer", "basic")


def _counted(part: int | str) -> str:
    return str(part + 1) if isinstance(part, int) else part


def load_hooks(folder: Path | None, secrets: Mapping[str, Sequence[SecretStr]]) -> dict[str, Hook]:
    """Read every hook of a folder, and give each its secrets.

    Raises:
        ConfigurationError: a file makes no sense, has no secret, or a secret has no file.
    """
    if folder is None:
        if secrets:
            raise ConfigurationError("SOJOURN_HOOK_SECRETS is set and SOJOURN_HOOKS_DIR is not")
        return {}
    if not folder.is_dir():
        raise ConfigurationError(f"SOJOURN_HOOKS_DIR: {folder} is not a folder")
    hooks = {path.stem: read_hook(path) for path in sorted(folder.glob("*.toml"))}
    if unknown := sorted(set(secrets) - set(hooks)):
        raise ConfigurationError(
            f"SOJOURN_HOOK_SECRETS has a secret for {unknown[0]!r}: there is no {unknown[0]}.toml "
            f"in {folder}"
        )
    return {name: _with_keys(hook, secrets.get(name, ())) for name, hook in hooks.items()}


def _with_keys(hook: Hook, secrets: Sequence[SecretStr]) -> Hook:
    if not secrets:
        raise ConfigurationError(
            f"the hook {hook.name!r} has no secret: set SOJOURN_HOOK_SECRETS, JSON, such as "
            f'{{"{hook.name}": ["…"]}}'
        )
    keys = []
    for secret in secrets:
        try:
            keys.append(hook.signature.key(secret.get_secret_value()))
        except ValueError as error:
            raise ConfigurationError(
                f"SOJOURN_HOOK_SECRETS: the secret of {hook.name!r} cannot be used: {error}"
            ) from None
        if not keys[-1]:
            raise ConfigurationError(f"SOJOURN_HOOK_SECRETS: a secret of {hook.name!r} is empty")
    return Hook(hook.name, hook.source, hook.signature, hook.mapper, tuple(keys))
