"""What was heard and is not yet on the disk: bounded, and handed to the writer in time.

One batch waits for the writer; it goes when the commit interval is over, when it is large, or
sooner where a broker waits.
"""

import asyncio
import functools
from collections.abc import Callable, Iterable, Sequence

from receiver.activity import Activity
from receiver.arrivals import Arrival, RunRow
from receiver.clock import Clock
from receiver.limits import (
    COMMIT_TIME_PART,
    MAX_BATCH_ROWS,
    MAX_WAITING_RAW_BYTES,
    MAX_WAITING_ROWS,
    MQTT_COMMIT_DELAY_S,
)
from receiver.store.writer import Batch, Writer


class WaitingRows:
    """The batch that is being filled, and how much of those before it is still to be written."""

    def __init__(
        self, clock: Clock, writer: Writer, activity: Activity, *, commit_interval_s: float
    ) -> None:
        self.rows = 0
        """Rows heard that are not yet on the disk."""
        self._raw_bytes = 0
        self._clock = clock
        self._writer = writer
        self._activity = activity
        self._arrivals: list[Arrival] = []
        self._arrived_raw_bytes = 0
        self._runs: dict[int, RunRow] = {}
        self._on_durable: list[Callable[[], None]] = []
        self._commit_timer: asyncio.TimerHandle | None = None
        self.commit_at_s = 0.0
        """When the batch goes to the writer, by the loop's clock."""
        self.commit_every(commit_interval_s)

    def commit_every(self, commit_interval_s: float) -> None:
        """Hold what is heard for this long at most, from the next batch on."""
        self._commit_delay_s = commit_interval_s * (1 - COMMIT_TIME_PART)

    def has_room(self, rows: int, raw_bytes: int) -> bool:
        """Say whether so much more may wait."""
        return (
            self.rows + rows <= MAX_WAITING_ROWS
            and self._raw_bytes + raw_bytes <= MAX_WAITING_RAW_BYTES
        )

    def add(
        self,
        arrivals: Sequence[Arrival],
        raw_bytes: int,
        *,
        runs: Iterable[RunRow] = (),
        on_durable: Callable[[], None] | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Let rows wait; `on_durable` and `then` are as for `receiver.pipeline.Pipeline.take`."""
        if then is not None and not arrivals and not self.rows:
            asyncio.get_running_loop().call_soon(then)  # All that came before is in the store.
            then = None
        self._arrivals += arrivals
        self._arrived_raw_bytes += raw_bytes
        self._runs |= {run.number: run for run in runs}
        self.rows += len(arrivals)
        self._raw_bytes += raw_bytes
        if then is not None:
            self._on_durable.append(then)
        if on_durable is not None:
            self._on_durable.append(on_durable)
            self._commit_within(MQTT_COMMIT_DELAY_S)
        elif len(self._arrivals) >= MAX_BATCH_ROWS:
            self._commit_within(0)
        elif self._commit_timer is None and (arrivals or self._runs or then is not None):
            self._commit_within(self._commit_delay_s)

    def flush(self, *, with_activity: bool = False) -> None:
        """Hand everything that waits to the writer now."""
        if self._commit_timer is not None:
            self._commit_timer.cancel()
            self._commit_timer = None
        samples = self._clock.take_samples()
        activity = self._activity.rows(self._clock.stamp().utc_ns) if with_activity else []
        if not (self._arrivals or self._runs or self._on_durable or samples or activity):
            return
        arrivals, self._arrivals = self._arrivals, []
        runs, self._runs = list(self._runs.values()), {}
        on_durable, self._on_durable = self._on_durable, []
        rows, raw_bytes, self._arrived_raw_bytes = len(arrivals), self._arrived_raw_bytes, 0
        written = functools.partial(self._written, rows, raw_bytes)
        self._writer.submit(Batch(arrivals, samples, activity, [*on_durable, written], runs))

    def _written(self, rows: int, raw_bytes: int) -> None:
        self.rows -= rows
        self._raw_bytes -= raw_bytes

    def _commit_within(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        at_s = loop.time() + delay_s
        if self._commit_timer is not None:
            if at_s >= self.commit_at_s:
                return
            self._commit_timer.cancel()
        self.commit_at_s = at_s
        self._commit_timer = loop.call_at(at_s, self.flush)
