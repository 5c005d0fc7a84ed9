"""The newest log lines, numbered, for the page: what a technician would read in the journal."""

import datetime as dt
import threading
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec
from structlog.typing import EventDict, WrappedLogger

from receiver.limits import LOG_LINES_KEPT

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_TEXT: Final = 2_000
_NO_KEYS: Final = frozenset(("event", "level", "timestamp"))


class LoggedLine(msgspec.Struct, frozen=True, gc=False):
    """One line of the log."""

    n: int
    """Counts the lines of this process, from 1."""
    time: str
    """ISO 8601 UTC with Z."""
    level: str
    event: str
    text: str
    """What stands behind the event: `key=value …`."""


class LogRing:
    """Keeps the newest lines; any thread may log, any may look."""

    def __init__(self, kept: int = LOG_LINES_KEPT) -> None:
        self.count = 0
        """Lines so far: the newest one's number."""
        self._ring: deque[LoggedLine] = deque(maxlen=kept)
        self.listeners: set[Callable[[], None]] = set()
        """Called at each line, by the thread that logs."""
        self._lock = threading.Lock()

    def keep(self, _: WrappedLogger, level: str, event: EventDict) -> EventDict:
        """Keep a line: a processor of structlog, after what makes values printable."""
        text = " ".join(f"{key}={value}" for key, value in event.items() if key not in _NO_KEYS)
        now = dt.datetime.now(dt.UTC)
        with self._lock:
            self.count += 1
            line = LoggedLine(
                self.count,
                f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z",
                level,
                str(event.get("event", "")),
                text[:_LONGEST_TEXT],
            )
            self._ring.append(line)
        for listener in tuple(self.listeners):
            listener()
        return event

    def since(self, number: int) -> list[LoggedLine]:
        """Return what came after that number, oldest first, as far as it is still kept."""
        with self._lock:
            missing = max(0, self.count - number)
            return list(islice(self._ring, max(0, len(self._ring) - missing), None))


KEPT: Final = LogRing()
"""The log of this process: `receiver.log.configure` fills it."""
