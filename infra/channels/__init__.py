"""The channels: each hands a message to one provider and says precisely what became of it."""

from collections.abc import Mapping
from urllib.parse import quote

from pydantic import SecretStr

from domain.ports import Channel
from infra.channels.email import EmailChannel
from infra.channels.push import PushChannel
from infra.channels.webhook import WebhookChannel
from infra.settings import Settings

__all__ = [
    "ConfiguredEndpoints",
    "EmailChannel",
    "PushChannel",
    "WebhookChannel",
    "build_channels",
]


class ConfiguredEndpoints:
    """The endpoints of our own people, as the settings name them.

    Args:
        webhooks: URLs by name.
        default_base: where names that nobody configured go, such as the development mailbox;
            None: they go nowhere.
    """

    def __init__(self, webhooks: Mapping[str, str], default_base: str | None = None) -> None:
        self._webhooks = dict(webhooks)
        self._default_base = default_base

    def address(self, name: str) -> str | None:
        """The endpoint's URL, or None where nobody configured one."""
        if url := self._webhooks.get(name):
            return url
        if self._default_base is None:
            return None
        return f"{self._default_base.rstrip('/')}/webhooks/{quote(name, safe='')}"


def build_channels(settings: Settings) -> dict[str, Channel]:
    """Every channel that the settings describe, by its name.

    Raises:
        ConfigurationError: a setting of a channel makes no sense; it is named.
    """
    channels: list[Channel] = [
        EmailChannel(
            settings.smtp_host,
            settings.smtp_port,
            settings.email_from,
            username=settings.smtp_username,
            password=_secret(settings.smtp_password),
            starttls=settings.smtp_starttls,
        ),
        WebhookChannel(),
    ]
    if settings.push_url is not None:
        token = _secret(settings.push_token)
        channels.append(PushChannel(settings.push_url, settings.push_project, token=token))
    return {channel.name: channel for channel in channels}


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()
