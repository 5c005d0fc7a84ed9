"""Samples on their way from a source to whoever looks at them: read at once, bounded, counted."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from receiver.radio_worker.sources import Source, SourceError


class Arrival(NamedTuple):
    """One read: what came, its end as a count of all bytes so far, and when."""

    chunk: bytes
    end: int
    mono_ns: int


class Feed:
    """Reads a source in a thread of its own, so that arrivals are timed and none is missed.

    What waits is bounded: of a live source the oldest is dropped, a recording waits. Reads that
    were dropped show as a gap between `Arrival.end` and the next arrival's beginning.
    """

    def __init__(
        self,
        source: Source,
        most_waiting_bytes: int,
        *,
        mono_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
    ) -> None:
        self._source = source
        self._most_waiting_bytes = most_waiting_bytes
        self._mono_ns = mono_ns
        self._waiting: deque[Arrival] = deque()
        self._waiting_bytes = 0
        self._received_bytes = 0
        self._ended: SourceError | None = None
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="samples", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    @property
    def waiting_bytes(self) -> int:
        """What was read and not yet taken."""
        return self._waiting_bytes

    def take(self, enough_bytes: int, timeout_s: float) -> list[Arrival]:
        """Return what waits, in order, once it is enough, or all there is after `timeout_s`.

        At most one read more than enough is returned.

        Raises:
            SourceError: nothing waits, and the source has ended.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._waiting_bytes >= enough_bytes or self._ended, timeout_s
            )
            if not self._waiting and self._ended is not None:
                raise self._ended
            taken: list[Arrival] = []
            taken_bytes = 0
            while self._waiting and taken_bytes < enough_bytes:
                arrival = self._waiting.popleft()
                taken.append(arrival)
                taken_bytes += len(arrival.chunk)
            self._waiting_bytes -= taken_bytes
            self._changed.notify_all()
            return taken

    def drop(self, left_bytes: int) -> None:
        """Drop the oldest of what waits, until no more than so much is left."""
        with self._changed:
            self._drop(left_bytes)

    def close(self) -> None:
        """Read no more; what waits can still be taken."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._source.stop()
        self._thread.join()

    def _read(self) -> None:
        while not self._is_closed:
            try:
                chunk = self._source.read()
            except SourceError as error:
                ended = error
                break
            except OSError as error:
                ended = SourceError(error.strerror or str(error), "see the log of the source")
                break
            now_ns = self._mono_ns()
            with self._changed:
                self._received_bytes += len(chunk)
                self._waiting.append(Arrival(chunk, self._received_bytes, now_ns))
                self._waiting_bytes += len(chunk)
                if self._source.is_live:
                    self._drop(self._most_waiting_bytes)
                self._changed.notify_all()
                self._changed.wait_for(
                    lambda: self._waiting_bytes <= self._most_waiting_bytes or self._is_closed
                )
        else:
            ended = SourceError("closed", "")
        self._source.close()
        with self._changed:
            self._ended = ended
            self._changed.notify_all()

    def _drop(self, left_bytes: int) -> None:
        while self._waiting_bytes > left_bytes and len(self._waiting) > 1:
            self._waiting_bytes -= len(self._waiting.popleft().chunk)
