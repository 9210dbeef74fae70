"""Structured logs: events with fields, never user content."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO, cast

import structlog

# Fields of these names, and those that end in one of them (`item_text`), are not written.
_FORBIDDEN = ("text", "content", "rationale", "password", "token", "secret", "database_url")


def _drop_content(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # A last guard, not the first: callers pass ids. A field with such a name is a slip.
    return {key: _guarded(key, value) for key, value in event.items()}


def _guarded(key: object, value: Any) -> Any:
    name = str(key).lower()
    if any(name == word or name.endswith(f"_{word}") for word in _FORBIDDEN):
        return "[withheld]"
    if isinstance(value, Mapping):
        return {inner: _guarded(inner, one) for inner, one in value.items()}
    if isinstance(value, list | tuple):
        return [_guarded("", one) for one in value]
    return value


class _StandardError:
    """Standard error as it is when a line is written; whoever redirects it gets the line."""

    def write(self, line: str) -> int:
        return sys.stderr.write(line)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(*, level: str = "INFO", as_json: bool = False) -> None:
    """Send logs to standard error. Called once, by whoever starts the process."""
    # Tracebacks name lines and never show locals, which may hold content or secrets.
    renderers: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _drop_content,
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, _StandardError())),
        cache_logger_on_first_use=False,
    )


def get(name: str) -> Any:
    """A logger for one room: `log = logs.get(__name__)`, then `log.info("batch_selected", …)`."""
    return structlog.get_logger(name)
