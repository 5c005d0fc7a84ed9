"""The one thread that writes: batches in, synced transactions out.

The loop never waits for the disk. A batch that cannot be written is kept and tried again; a damaged
store is set aside and a new one begun. What happened comes back to the loop as calls.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec
import structlog

from receiver.arrivals import ActivityRow, Arrival, ClockSample
from receiver.limits import STORE_RETRY_FIRST_S, STORE_RETRY_LONGEST_S
from receiver.store.database import Store, check, set_aside
from receiver.store.errors import StoreDamagedError, StoreError

log = structlog.get_logger()


class StoreState(StrEnum):
    """How the store is, in words that `status` and the log use."""

    OPENING = "opening"
    WRITING = "writing"
    DISK_FULL = "disk-full"
    FAILING = "failing"


class Batch(msgspec.Struct):
    """What goes into the store in one transaction."""

    arrivals: Sequence[Arrival] = ()
    clock_samples: Sequence[ClockSample] = ()
    activity: Sequence[ActivityRow] = ()
    on_durable: Sequence[Callable[[], None]] = ()
    """Called on the loop once the batch is on the disk."""


class Writer:
    """Owns the write connection, in a thread of its own.

    `submit` never blocks. Batches are committed in the order they came; each `on_durable` is called
    on the loop after its batch is synced. `stop` returns when all is written, or gives up at the
    deadline and returns the number of rows that were not.
    """

    def __init__(
        self,
        path: Path,
        station_id: str,
        *,
        on_committed: Callable[[int], None] = lambda _rows: None,
        now_utc_ns: Callable[[], int] = time.time_ns,
        retry_first_s: float = STORE_RETRY_FIRST_S,
    ) -> None:
        self.path = path
        self.state = StoreState.OPENING
        self.commits = 0
        self.stores_set_aside = 0
        self.store_uuid: str | None = None
        self._station_id = station_id
        self._on_committed = on_committed
        self._now_utc_ns = now_utc_ns
        self._retry_first_s = retry_first_s
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._give_up = threading.Event()
        self._rows_given_up = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._store: Store | None = None

    def start(self) -> None:
        """Start the thread; call it on the loop that `on_durable` belongs to."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def submit(self, batch: Batch) -> None:
        """Hand over a batch."""
        self._batches.put(batch)

    async def stop(self, deadline_s: float) -> int:
        """Write what was submitted, close the store, end the thread; return rows not written."""
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join, deadline_s)
        if self._thread.is_alive():
            self._give_up.set()
            await asyncio.to_thread(self._thread.join)
        return self._rows_given_up

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            self._write_until_done(batch)
        if self._store is None and not self._give_up.is_set():
            self._write_until_done(Batch())  # a station that heard nothing has a store all the same
        if self._store is not None:
            self._store.close()

    def _write_until_done(self, batch: Batch) -> None:
        delay_s = self._retry_first_s
        while not self._give_up.is_set():
            try:
                self._write(batch)
            except StoreDamagedError as error:
                self._set_aside(error)
            except (sqlite3.Error, StoreError, OSError) as error:
                if _is_damage(error):
                    self._set_aside(error)
                    continue
                self._tell_failing(error)
                self._give_up.wait(delay_s)
                delay_s = min(2 * delay_s, STORE_RETRY_LONGEST_S)
            else:
                self._tell_written(batch)
                return
        self._rows_given_up += len(batch.arrivals)

    def _write(self, batch: Batch) -> None:
        if self._store is None:
            if self.path.exists():
                check(self.path)
            self._store = Store.open(self.path, station_id=self._station_id)
            self.store_uuid = self._store.store_uuid
        store = self._store
        with store.transaction():
            store.insert(store.row_maker.rows(batch.arrivals))
            for sample in batch.clock_samples:
                store.add_clock_sample(sample)
            for row in batch.activity:
                store.put_activity(row)

    def _tell_written(self, batch: Batch) -> None:
        self.commits += 1
        if self.state is not StoreState.WRITING:
            if self.state is not StoreState.OPENING:
                log.warning("store is written again", path=str(self.path))
            self.state = StoreState.WRITING
        self._call(self._on_committed, len(batch.arrivals))
        for on_durable in batch.on_durable:
            self._call(on_durable)

    def _tell_failing(self, error: Exception) -> None:
        full = getattr(error, "sqlite_errorname", "").startswith("SQLITE_FULL")
        state = StoreState.DISK_FULL if full else StoreState.FAILING
        if state is not self.state:
            self.state = state
            log.warning(
                "store cannot be written; what is heard waits in memory",
                path=str(self.path),
                state=str(state),
                reason=str(error),
                do="free space on this disk" if full else "check the disk and the permissions",
            )

    def _set_aside(self, error: Exception) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
        aside = set_aside(self.path, self._now_utc_ns())
        self.stores_set_aside += 1
        log.error(
            "store is damaged; set aside, a new one begins",
            path=str(self.path),
            set_aside=str(aside),
            reason=str(error),
            do="keep the damaged file: sqlite3's .recover may save rows from it",
        )

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None  # noqa: S101  start() set it before the thread ran.
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The loop has ended: what is written is written, nobody waits to be told.
            log.debug("loop ended before the store")


def _is_damage(error: Exception) -> bool:
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
