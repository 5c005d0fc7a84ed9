"""The one thread that writes: batches in, synced transactions out.

The loop never waits for the disk. A batch that cannot be written is kept and tried again; a damaged
store is set aside and a new one begun; on a full disk what may go is deleted. What happened comes
back to the loop as calls.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from receiver.arrivals import ActivityRow, Arrival, ClockSample, RunRow
from receiver.limits import (
    FULL_DISK_ROWS,
    STORE_IO_FAILURES,
    STORE_RESERVE_BYTES,
    STORE_RETRY_FIRST_S,
    STORE_RETRY_LONGEST_S,
)
from receiver.store import faults
from receiver.store.damage import check, set_aside
from receiver.store.database import Store
from receiver.store.errors import StoreNewerError
from receiver.store.housekeeping import Housekeeping
from receiver.store.outbox import SinkNote
from receiver.store.reserve import Reserve
from receiver.store.retention import Retention
from receiver.store.unstorable import without_unstorable

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
    runs: Sequence[RunRow] = ()
    """Runs of `arrivals` that carry a number, as they now stand."""


class Chore(Protocol):
    """Work on the store for which the writer finds time between batches."""

    def step(self, store: Store, is_awaited: Callable[[], bool]) -> None:
        """Do what is due; stop soon once `is_awaited`: a batch waits.

        Raises:
            sqlite3.Error: what was begun was rolled back; it is tried again later.
        """
        ...

    def finish(self, store: Store) -> None:
        """Do what is left: the store is about to be closed for good."""
        ...


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
        retention: Retention | None = None,
        reserve_bytes: int = STORE_RESERVE_BYTES,
        chore: Chore | None = None,
        on_committed: Callable[[int], None] = lambda _rows: None,
        now_utc_ns: Callable[[], int] = time.time_ns,
        retry_first_s: float = STORE_RETRY_FIRST_S,
    ) -> None:
        self.path = path
        self.state = StoreState.OPENING
        self.commits = 0
        self.attempts = 0
        """Transactions begun; one that stops to count while rows wait means that the disk hangs."""
        self.stores_set_aside = 0
        self.rows_unstorable = 0
        """Rows that SQLite refused; their raw bytes are kept as unknown frames."""
        self.store_uuid: str | None = None
        self.file: tuple[int, int] | None = None
        """Which file is written, by `faults.file_at`: at `path`, while nobody takes it away."""
        self.housekeeping = Housekeeping(retention or Retention(), Reserve(path, reserve_bytes))
        self._station_id = station_id
        self._chore = chore
        self._on_committed = on_committed
        self._now_utc_ns = now_utc_ns
        self._retry_first_s = retry_first_s
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._sink_notes: list[SinkNote] = []
        self._give_up = threading.Event()
        self._rows_given_up = 0
        self._io_failures = 0
        self._full_in_a_row = 0
        self._is_checked = False
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

    def note(self, note: SinkNote) -> None:
        """Write what happened to a sink, such as how far its far end has the detections.

        It is written with the next batch, which this asks for; on a full disk before it, so that
        rows can go.
        """
        self._sink_notes.append(note)
        self.submit(Batch())

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
            self._tidy()
        if self._store is None and not self._give_up.is_set():
            self._write_until_done(Batch())  # a station that heard nothing has a store all the same
        self._finish_chore()
        self._close()

    def _write_until_done(self, batch: Batch) -> None:
        delay_s = self._retry_first_s
        while not self._give_up.is_set():
            try:
                self._write(batch)
            except Exception as error:  # noqa: BLE001  The thread outlives every fault.
                is_mended = self._is_mended(error, batch)
                if self._full_in_a_row > 1 and len(batch.arrivals) > FULL_DISK_ROWS:
                    self._write_first_half(batch)
                    continue
                if is_mended:
                    continue
                self._give_up.wait(delay_s)
                delay_s = min(2 * delay_s, STORE_RETRY_LONGEST_S)
            else:
                self._tell_written(batch)
                return
        self._rows_given_up += len(batch.arrivals)

    def _write_first_half(self, batch: Batch) -> None:
        """Let little room take what it can; `on_durable` still waits for all of the batch."""
        half = len(batch.arrivals) // 2
        self._write_until_done(Batch(batch.arrivals[:half], runs=batch.runs))
        batch.arrivals = batch.arrivals[half:]

    def _write(self, batch: Batch) -> None:
        self.attempts += 1
        store = self._store or self._open()
        notes = list(self._sink_notes)
        with store.transaction():
            for run in batch.runs:
                store.put_run(run)
            store.insert(store.row_maker.rows(batch.arrivals))
            for sample in batch.clock_samples:
                store.add_clock_sample(sample)
            for row in batch.activity:
                store.put_activity(row)
            store.note_sinks(notes, self._now_utc_ns())
        del self._sink_notes[: len(notes)]

    def _open(self) -> Store:
        if not self._is_checked:
            whole = check(self.path) if faults.is_there(self.path) else True
            self._is_checked = True
            if not whole:
                log.warning(
                    "store is checked in part: it is too large for the time that a start may take",
                    path=str(self.path),
                    megabytes=round(self.path.stat().st_size / 1e6),
                )
        self._store = Store.open(self.path, station_id=self._station_id)
        self.store_uuid = self._store.store_uuid
        self.file = faults.file_at(self.path)
        self.housekeeping.begin(self._store)
        return self._store

    def _close(self) -> None:
        if self._store is not None:
            self.file = None
            self._store.close()
            self._store = None

    def _tidy(self) -> None:
        """Keep the store to its size; what is heard meanwhile waits for one chunk at most."""
        if self._store is None or self.state is not StoreState.WRITING:
            return
        try:
            self.housekeeping.keep_to_size(self._store, lambda: not self._batches.empty())
        except sqlite3.Error as error:
            # The rows are safe; the next batch meets the same fault and has the remedies.
            log.warning("old rows could not be deleted", path=str(self.path), reason=str(error))
            return
        if self._chore is not None:
            try:
                self._chore.step(self._store, lambda: not self._batches.empty())
            except sqlite3.Error as error:
                log.warning("runs could not be sorted", path=str(self.path), reason=str(error))

    def _finish_chore(self) -> None:
        if self._chore is None or self._store is None or self.state is not StoreState.WRITING:
            return
        try:
            self._chore.finish(self._store)
        except sqlite3.Error as error:
            log.warning("runs could not be sorted", path=str(self.path), reason=str(error))

    def _is_mended(self, error: Exception, batch: Batch) -> bool:
        """Do what can be done about a fault; return whether trying again at once makes sense."""
        fault = faults.kind(error)
        self._io_failures = self._io_failures + 1 if fault is faults.Fault.IO else 0
        if fault is faults.Fault.DAMAGED or self._io_failures >= STORE_IO_FAILURES:
            return self._is_set_aside(error)
        self._tell_failing(error, fault)
        if fault is faults.Fault.FULL:
            return self._store is not None and self._is_room_made(self._store)
        if fault is faults.Fault.UNSTORABLE and self._store is not None:
            return self._is_cleared(self._store, batch)
        # What the connection still believes may be part of the fault.
        self._close()
        return False

    def _is_room_made(self, store: Store) -> bool:
        def note_sinks() -> None:
            notes = list(self._sink_notes)
            if notes:
                with store.transaction():
                    store.note_sinks(notes, self._now_utc_ns())
                del self._sink_notes[: len(notes)]

        self._full_in_a_row += 1
        has_pruned = self.housekeeping.make_room(store, note_sinks)
        # A log that was full may begin anew after the checkpoint, though nothing was deleted.
        return has_pruned or self._full_in_a_row == 1

    def _is_cleared(self, store: Store, batch: Batch) -> bool:
        """Put unknown frames in the place of what no store takes; return whether there was any."""
        try:
            refused = without_unstorable(store, batch.arrivals)
        except sqlite3.Error:
            return False
        if refused.rows:
            self.rows_unstorable += refused.rows
            batch.arrivals = refused.arrivals
            log.error(
                "rows cannot be stored; their raw bytes are kept as unknown frames",
                rows=refused.rows,
                reason=refused.reason,
            )
            return True
        # Then it is what the station notes of itself: better without than everything behind it.
        left_out = [*batch.clock_samples, *batch.activity, *batch.runs, *self._sink_notes]
        batch.clock_samples = batch.activity = batch.runs = ()
        self._sink_notes.clear()
        log.error("notes of the station cannot be stored; left out", notes=len(left_out))
        return len(left_out) > 0

    def _tell_written(self, batch: Batch) -> None:
        self.commits += 1
        self._io_failures = self._full_in_a_row = 0
        if self.state is not StoreState.WRITING:
            if self.state is not StoreState.OPENING:
                log.warning("store is written again", path=str(self.path))
            self.state = StoreState.WRITING
        self._call(self._on_committed, len(batch.arrivals))
        for on_durable in batch.on_durable:
            self._call(on_durable)

    def _tell_failing(self, error: Exception, fault: faults.Fault) -> None:
        full = fault is faults.Fault.FULL
        state = StoreState.DISK_FULL if full else StoreState.FAILING
        if state is not self.state:
            self.state = state
            log.warning(
                "store cannot be written; what is heard waits in memory",
                path=str(self.path),
                state=str(state),
                reason=str(error) or type(error).__name__,
                do="free space on this disk" if full else "check the disk and the permissions",
            )

    def _is_set_aside(self, error: Exception) -> bool:
        newer = isinstance(error, StoreNewerError)
        try:
            self._close()
            aside = set_aside(self.path, self._now_utc_ns(), "newer" if newer else "damaged")
        except (OSError, sqlite3.Error) as failed:
            self._tell_failing(failed, faults.Fault.OTHER)
            return False
        self._io_failures = 0
        self.stores_set_aside += 1
        log.error(
            "store cannot be used; set aside, a new one begins",
            path=str(self.path),
            set_aside=str(aside),
            reason=str(error),
            do="install the version that wrote it to read it"
            if newer
            else "keep the damaged file: sqlite3's .recover may save rows from it",
        )
        return True

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None  # noqa: S101  start() set it before the thread ran.
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The loop has ended: what is written is written, nobody waits to be told.
            log.debug("loop ended before the store")
