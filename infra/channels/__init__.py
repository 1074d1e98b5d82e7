"""The channels: each hands a message to one provider and says precisely what became of it."""

from collections.abc import Mapping

from pydantic import SecretStr

from domain.ports import Channel
from infra.channels.email import EmailChannel
from infra.channels.push import PushChannel
from infra.channels.webhook import WebhookChannel
from infra.settings import Settings

__all__ = [
    "SENDS_AT_ONCE",
    "ConfiguredEndpoints",
    "EmailChannel",
    "PushChannel",
    "WebhookChannel",
    "build_channels",
]

SENDS_AT_ONCE = 16
"""How many messages a worker hands over at once, for each queue of sends."""


class ConfiguredEndpoints:
    """The endpoints of our own people, as the settings name them: URLs by name."""

    def __init__(self, webhooks: Mapping[str, str]) -> None:
        self._webhooks = dict(webhooks)

    def address(self, name: str) -> str | None:
        """The endpoint's URL, or None where nobody configured one."""
        return self._webhooks.get(name) or None


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
            headers=settings.email_headers,
            username=settings.smtp_username,
            password=_secret(settings.smtp_password),
            starttls=settings.smtp_starttls,
            connections=2 * SENDS_AT_ONCE,  # both queues of sends at once
        ),
        WebhookChannel(),
    ]
    if settings.push_url is not None:
        token = _secret(settings.push_token)
        channels.append(PushChannel(settings.push_url, settings.push_project, token=token))
    return {channel.name: channel for channel in channels}


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()
