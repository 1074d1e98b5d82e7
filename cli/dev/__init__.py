"""`sojourn dev` and `sojourn demo`: the whole runtime in one terminal, on embedded parts."""

import asyncio

from cli.dev.extras import require_extras
from infra.settings import Settings


def run(settings: Settings) -> int:
    """Start everything and stay until told to end.

    Returns:
        The exit code: 0 after Ctrl-C or SIGTERM, 1 if a part could not be kept running.

    Raises:
        ConfigurationError: something stands in the way of starting.
    """
    require_extras(settings)
    from cli.dev.supervisor import Supervisor  # noqa: PLC0415 -- needs the extras

    return asyncio.run(Supervisor(settings).run())


def run_demo(settings: Settings, *, leave: bool) -> int:
    """Start everything with short waits, play the story, and stay (or `leave`).

    Returns:
        The exit code: as `run`; with `leave` 1 also if the story did not go as expected.

    Raises:
        ConfigurationError: something stands in the way of starting.
    """
    require_extras(settings)
    from cli.dev.demo import Demo  # noqa: PLC0415 -- needs the extras
    from cli.dev.supervisor import Supervisor  # noqa: PLC0415

    demo = Demo(settings)
    return asyncio.run(Supervisor(demo.settings, play=demo.play, leave=leave).run())
