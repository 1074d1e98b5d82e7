"""Settings, read once a process from the environment (prefix `SOJOURN_`) and passed in."""

import re
from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.errors import ConfigurationError

_PREFIX = "SOJOURN_"
# Of docker-compose.yml, and what Kubernetes sets in every container beside a service `sojourn…`.
_OTHERS = re.compile(r"SOJOURN_TAG|SOJOURN_(\w+_)?(SERVICE_(HOST|PORT\w*)|PORT(_\d+_\w+)?)")


class Settings(BaseSettings):
    """Everything that can be set from outside; `SOJOURN_DATA_DIR` sets `data_dir`, and so on."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore")

    data_dir: Path = Field(Path(".sojourn"), description="Where `make dev` keeps its data.")
    host: str = Field("127.0.0.1", description="The address that the API listens on.")
    api_port: int = Field(8000, ge=1, le=65535, description="The API's port.")
    temporal_port: int = Field(7233, ge=1, le=65535, description="The embedded Temporal's port.")
    temporal_ui_port: int = Field(8233, ge=1, le=65535, description="The Temporal UI's port.")
    smtp_port: int = Field(1025, ge=1, le=65535, description="The development mailbox's SMTP port.")
    mailbox_port: int = Field(
        8025, ge=1, le=65535, description="The development mailbox's page and HTTP providers."
    )
    database_url: SecretStr | None = Field(
        None, description="postgresql://… Use this PostgreSQL instead of embedding one."
    )
    temporal_address: str | None = Field(
        None, description="host:port. Use this Temporal instead of embedding one."
    )
    temporal_namespace: str = Field("default", description="The Temporal namespace.")
    temporal_ui_url: str | None = Field(
        None, description="Where people reach the Temporal UI; links in the API point there."
    )
    journey_parameters: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description='Overrides by journey, JSON: {"abandoned_cart": {"patience": "PT3S"}}.',
    )
    smtp_host: str = Field("127.0.0.1", description="The SMTP server that takes our e-mail.")
    smtp_username: str | None = Field(None, description="SMTP user name, where it asks for one.")
    smtp_password: SecretStr | None = Field(None, description="SMTP password.")
    smtp_starttls: bool | None = Field(
        None, description="True: insist on STARTTLS; false: never; unset: where offered."
    )
    email_from: str = Field(
        "Sojourn <hello@sojourn.localhost>", description="The sender of our e-mail."
    )
    email_headers: dict[str, str] = Field(
        default_factory=dict,
        description=(
            'More headers for our e-mails, JSON: {"X-PM-Metadata-sojourn": "{message_id}"}.'
        ),
    )
    push_url: str | None = Field(
        None,
        description="The push provider's base URL (FCM v1's shape). Unset: no push; `make dev` "
        "sets it to its simulator.",
    )
    push_project: str = Field("sojourn-dev", description="The push provider's project.")
    push_token: SecretStr | None = Field(None, description="Bearer token of the push provider.")
    webhooks: dict[str, str] = Field(
        default_factory=dict,
        description='Endpoints of our own people by name, JSON: {"care": "https://…"}.',
    )
    cloudevents_prefixes: list[str] = Field(
        default_factory=list,
        description='What to take off the front of a CloudEvent\'s type, JSON: ["com.example."].',
    )
    hooks_dir: Path | None = Field(
        None, description="The folder with a file for each tool that posts webhooks to us."
    )
    hook_secrets: dict[str, list[SecretStr]] = Field(
        default_factory=dict,
        description='Their secrets, JSON: {"helpdesk": ["new", "old"]}. Each one holds.',
    )
    quarantine_days: int = Field(
        30, ge=1, le=3_650, description="How many days rejected events are kept in quarantine."
    )
    quarantine_megabytes: int = Field(
        100, ge=1, description="How much of it is kept of one source; the oldest goes first."
    )
    limit_requests: int = Field(
        0, ge=0, description="Requests a second of a key without limits of its own; 0: any."
    )
    limit_events: int = Field(
        0, ge=0, description="Events a second of a key without limits of its own; 0: any."
    )
    limit_burst: int = Field(
        10, ge=1, description="How many seconds' worth of them may come at once after a pause."
    )
    accept_megabytes: int = Field(
        64,
        ge=1,
        description="What may be on its way into PostgreSQL in one API; above it: 503.",
    )
    admit_backlog_age: timedelta = Field(
        timedelta(hours=6),
        ge=timedelta(0),
        description="Above this age of the backlog no journey begins: 503. `PT0S`: never.",
    )
    relay_in_api: bool = Field(
        True, description="Run the relay inside the API process; false: run `sojourn relay`."
    )
    run_length: int | None = Field(
        None,
        ge=0,
        description=(
            "After how many events of history a journey goes on in a new run; "
            "empty: when the Temporal server suggests it."
        ),
    )
    log_format: str = Field("text", pattern="^(text|json)$", description="text or json.")
    log_level: str = Field("info", description="debug, info, warning or error.")

    @property
    def mailbox_url(self) -> str:
        """The development mailbox and provider simulator."""
        return f"http://127.0.0.1:{self.mailbox_port}"

    @property
    def temporal_target(self) -> str:
        """The address of the Temporal server in use."""
        return self.temporal_address or f"127.0.0.1:{self.temporal_port}"

    @property
    def temporal_ui(self) -> str:
        """The base URL of the Temporal UI."""
        return (self.temporal_ui_url or f"http://127.0.0.1:{self.temporal_ui_port}").rstrip("/")

    def required_database_url(self) -> str:
        """The database's URL.

        Raises:
            ConfigurationError: none is set.
        """
        if self.database_url is None:
            raise ConfigurationError(
                "SOJOURN_DATABASE_URL is not set. Set it to postgresql://user:password@host/name; "
                "`make dev` embeds a database and shows its URL."
            )
        return self.database_url.get_secret_value()


def not_settings(environment: Iterable[str]) -> dict[str, str]:
    """Names of the environment that look like settings and are none.

    Returns:
        For each, a sentence that says so, with what may be meant.
    """
    known = [_PREFIX + name.upper() for name in Settings.model_fields]
    said: dict[str, str] = {}
    for name in sorted(environment):
        if name.startswith(_PREFIX) and name not in known and not _OTHERS.fullmatch(name):
            near = get_close_matches(name, known, n=1, cutoff=0.8)
            meant = f": is {near[0]} meant?" if near else ""
            said[name] = f"{name} is set, which is no setting{meant}"
    return said


def load_settings(**overrides: Any) -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: a setting does not validate; it is named.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = _PREFIX + "_".join(str(part) for part in first["loc"][:1]).upper()
        raise ConfigurationError(f"{name}: {first['msg']}") from None
    except ValueError as error:  # pydantic-settings: a value that should be JSON is not
        field = re.search(r'field "(\w+)"', str(error))
        name = f"{_PREFIX}{field[1].upper()}" if field else "a setting"
        raise ConfigurationError(f"{name} is not the JSON that is expected") from None
