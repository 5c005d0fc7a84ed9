"""Whether the station makes progress: what the watchdog of systemd is told only then.

The loop moves, since it is the loop that asks. The writer thread moves if its count of attempts
does while rows wait (a full disk is no standstill: it is tried again and again). Every link's task
must live; that a radio is unplugged is no fault of the program.
"""

from collections.abc import Callable
from typing import Protocol

import structlog

from receiver.limits import WRITER_STUCK_S
from receiver.supervision.notify import Notifier

log = structlog.get_logger()


class Tries(Protocol):
    """The writer, as far as it is watched."""

    @property
    def attempts(self) -> int:
        """How often it began to write."""
        ...


class Progress:
    """Judges the station's progress by a steady clock's seconds."""

    def __init__(
        self,
        writer: Tries,
        waiting_rows: Callable[[], int],
        dead_links: Callable[[], list[str]],
        *,
        stuck_after_s: float = WRITER_STUCK_S,
    ) -> None:
        self._writer = writer
        self._waiting_rows = waiting_rows
        self._dead_links = dead_links
        self._stuck_after_s = stuck_after_s
        self._attempts = -1
        self._moved_at_s = 0.0

    def standstill(self, now_s: float) -> str | None:
        """Return what stands still, None while nothing does."""
        attempts = self._writer.attempts
        if attempts != self._attempts or not self._waiting_rows():
            self._attempts = attempts
            self._moved_at_s = now_s
        if now_s - self._moved_at_s > self._stuck_after_s:
            return f"the writer has not moved for {now_s - self._moved_at_s:.0f} s"
        dead = self._dead_links()
        return f"links have ended: {', '.join(dead)}" if dead else None


class Watchdog:
    """Tells systemd that the station is alive while it makes progress, and the log when not."""

    def __init__(self, progress: Progress, notifier: Notifier) -> None:
        self.progress = progress
        self.standstill: str | None = None
        """What stood still at the last look."""
        self._notifier = notifier

    def look(self, now_s: float) -> None:
        """Judge the progress by now."""
        standstill = self.progress.standstill(now_s)
        if standstill is None:
            self._notifier.alive()
        if (standstill is None) is not (self.standstill is None):
            log.error(
                "station stands still" if standstill else "station moves again",
                reason=standstill or self.standstill,
            )
        self.standstill = standstill
