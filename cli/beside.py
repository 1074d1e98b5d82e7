"""Commands that work with the API's parts, beside the API."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from domain.errors import ConfigurationError, JourneyError, NotNow, Refused, Unavailable
from infra.settings import Settings, load_settings

if TYPE_CHECKING:
    from api.state import Parts

T = TypeVar("T")


def with_parts(work: "Callable[[Parts], Awaitable[T]]") -> T:
    """Do something with the API's parts; one sentence and exit code 2 where that is impossible."""
    from cli.main import refuse  # noqa: PLC0415 -- which imports the modules that use this one

    try:
        return asyncio.run(_run(load_settings(), work))
    except (ConfigurationError, JourneyError) as error:
        refuse(error)
    except (NotNow, Refused, Unavailable) as error:
        refuse(ConfigurationError(str(error)))


async def _run(settings: Settings, work: "Callable[[Parts], Awaitable[T]]") -> T:
    from api.process import running_app  # noqa: PLC0415 -- `--help` should not wait for it
    from infra.database.pool import UNREACHABLE, open_pool  # noqa: PLC0415

    # An api waits for its database; a person would rather know.
    pool = await open_pool(settings.required_database_url(), size=1)
    await pool.close()
    try:
        async with running_app(settings) as app:
            return await work(app.state.parts)
    except UNREACHABLE as error:
        raise Unavailable(f"PostgreSQL does not answer: {error}") from error
