"""Temporal: connecting to it, and what must be registered there before a journey starts."""

import asyncio

import structlog
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import ConfigurationError
from domain.temporal_names import SEARCH_ATTRIBUTES
from infra.converter import DATA_CONVERTER
from infra.settings import Settings

_log = structlog.get_logger()

ABSENT = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
    }
)
"""What a server answers that is not there, or has no room: nobody's event is at fault."""


def is_absent(error: RPCError | RuntimeError) -> bool:
    """Whether a call failed because nobody is there, or nobody has room."""
    if isinstance(error, RPCError):
        return error.status in ABSENT
    # What a lazy client raises when its first call finds nobody.
    return "Failed client connect" in str(error)


async def connect(settings: Settings, *, lazy: bool = False) -> Client:
    """A client for the configured server and namespace.

    Args:
        settings: the process's settings.
        lazy: connect at the first call, so that a process can start while Temporal is down.

    Raises:
        RuntimeError: nobody answers there (not when lazy).
    """
    return await Client.connect(
        settings.temporal_target,
        namespace=settings.temporal_namespace,
        data_converter=DATA_CONVERTER,
        lazy=lazy,
    )


async def wait_for_temporal(settings: Settings) -> Client:
    """Connect, however long the server takes to come up; then register search attributes."""
    pause = 0.2
    while True:
        try:
            client = await connect(settings)
            await register(client)
        except (RuntimeError, RPCError) as error:
            _log.warning(
                "Temporal does not answer yet", address=settings.temporal_target, error=str(error)
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5)
        else:
            return client


async def register(client: Client) -> None:
    """Register the search attributes that journeys set; does nothing where they are there.

    Raises:
        ConfigurationError: one of them exists with another type.
    """
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    there = listed.custom_attributes
    if wrong := [name for name in SEARCH_ATTRIBUTES if there.get(name, keyword) != keyword]:
        raise ConfigurationError(
            f"Temporal has {', '.join(wrong)} with another type than Keyword: "
            "remove it with `temporal operator search-attribute remove`"
        )
    missing = {name: keyword for name in SEARCH_ATTRIBUTES if name not in there}
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )
