"""Logging of a process: readable lines at a terminal, one JSON object a line elsewhere."""

import logging
import os
import sys
from datetime import UTC, datetime
from typing import TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from domain.errors import ConfigurationError
from infra.settings import Settings

LEVELS = ("debug", "info", "warning", "error")
QUIETER = ("asyncio", "httpcore", "httpx", "mail.log")
"""Libraries that say at `info` what only their own developers want to know."""

_COLOURS = {"debug": "2", "warning": "33", "error": "31", "critical": "31"}
_SHORT = {"warning": "warn", "critical": "error"}


def colours_wanted(stream: TextIO) -> bool:
    """Whether a stream shows colours: a terminal, unless NO_COLOR or FORCE_COLOR decide."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


class TextLine:
    """Renders `12:34:56 worker   info  message key=value`, local time.

    Args:
        process: the name of this process.
        colours: whether to use terminal colours.
    """

    def __init__(self, process: str, *, colours: bool) -> None:
        self._process = process
        self._colours = colours

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        """Render one event."""
        level = str(event.pop("level", "info"))
        event.pop("timestamp", None)
        event.pop("process", None)
        event.pop("logger", None)
        message = str(event.pop("event", ""))
        trace = event.pop("exception", None)
        stack = event.pop("stack", None)
        now = datetime.now(UTC).astimezone()
        words = [
            self._paint("2", f"{now:%H:%M:%S}"),
            self._paint("36", f"{self._process:<8}"),
            self._paint(_COLOURS.get(level, "32"), f"{_SHORT.get(level, level):<5}"),
            message,
            *(self._paint("2", f"{key}=") + _value(value) for key, value in event.items()),
        ]
        return "\n".join([" ".join(words), *(str(more) for more in (trace, stack) if more)])

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text


def _value(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text) if any(mark in text for mark in ' "\n=') else text


def _json(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def configure(settings: Settings, process: str) -> None:
    """Send every log line of this process, ours and the libraries', to standard output.

    Args:
        settings: `log_format` and `log_level` decide what it looks like and how much it is.
        process: the process's name, in every line.

    Raises:
        ConfigurationError: the level is not one of `LEVELS`.
    """
    level = settings.log_level.lower()
    if level not in LEVELS:
        raise ConfigurationError(
            f"SOJOURN_LOG_LEVEL: {settings.log_level!r} is not one of {', '.join(LEVELS)}."
        )

    def name_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_process,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    as_json = settings.log_format == "json"
    last: Processor = (
        structlog.processors.JSONRenderer(serializer=_json)
        if as_json
        else TextLine(process, colours=colours_wanted(sys.stdout))
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "temporalio"):
        library = logging.getLogger(name)
        library.handlers.clear()  # uvicorn brings its own, which would say everything twice
        library.propagate = True
    for name in QUIETER:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
