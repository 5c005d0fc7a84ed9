"""The log: one line is one fact, UTC with Z, nothing from the air unescaped.

Three forms: `pretty` for eyes, `journal` (`<N>key=value`, the priority first as systemd reads it)
and `json`. Code logs with `structlog.get_logger().info("what happened", key=value)`.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Mapping
from typing import Literal, TextIO, TypeAlias

import structlog
from structlog.typing import EventDict, WrappedLogger

from receiver import log_ring

LogFormat: TypeAlias = Literal["auto", "pretty", "journal", "json"]

_JOURNAL_PRIORITY: Mapping[str, int] = {
    "debug": 7,
    "info": 6,
    "warning": 4,
    "error": 3,
    "critical": 2,
}
_LONGEST_TEXT = 500
"""Characters of one value: a raw serial line fits, a message of 256 KiB does not fill a log."""


def configure(log_format: LogFormat, level: str, stream: TextIO = sys.stderr) -> None:
    """Set up the log of this process.

    `auto` is `journal` where systemd reads the stream (JOURNAL_STREAM), else `pretty`.
    """
    if log_format == "auto":
        log_format = "journal" if "JOURNAL_STREAM" in os.environ else "pretty"
    renderers: dict[LogFormat, list[structlog.typing.Processor]] = {
        "pretty": [
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=30, sort_keys=False)
        ],
        "journal": [structlog.processors.LogfmtRenderer(key_order=["event"]), _with_priority],
        "json": [structlog.processors.JSONRenderer(sort_keys=False)],
    }
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%SZ", utc=True),
        structlog.processors.format_exc_info,
        printable,
        log_ring.KEPT.keep,
    ]
    if log_format == "journal":
        shared[1] = _remember_level
    structlog.configure(
        processors=[*shared, *renderers[log_format]],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )


class _Lines(structlog.WriteLogger):
    """Writes lines; one that cannot be written is given up, and whoever logs goes on.

    A station hears on when its terminal is gone, who read its log has ended, or the disk with its
    log is full; the newest lines are in `log_ring` all the same.
    """

    def msg(self, message: str) -> None:
        """Write a line."""
        with contextlib.suppress(OSError, ValueError):  # ValueError: the stream was closed.
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape control characters in every text and bytes, and cut what is too long."""
    for key, value in event.items():
        if isinstance(value, bytes | str) and key != "exception":
            event[key] = escaped(value)
    return event


def escaped(text: str | bytes, longest: int = _LONGEST_TEXT) -> str:
    r"""Return text that is safe on a terminal: `\x1b` for an escape, … where it was cut.

    Bytes are shown as Latin-1, so that every byte is visible.
    """
    shown = text.decode("latin-1") if isinstance(text, bytes) else text
    if len(shown) > longest:
        shown = shown[:longest] + "…"
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown
    )


class _JournalLevel:
    """The priority of the line in work, from the processor that knows it to the one that writes."""

    priority = 6


def _remember_level(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    _JournalLevel.priority = _JOURNAL_PRIORITY.get(event.pop("level", "info"), 6)
    return event


def _with_priority(_: WrappedLogger, __: str, line: EventDict) -> str:
    return f"<{_JournalLevel.priority}>{line}"
