"""Opening the store, and appending to it in one synced transaction at a time."""

import datetime as dt
import os
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import msgspec
from sqlite_utils import Database

from receiver.arrivals import ActivityRow, Arrival, ClockSample, RunRow
from receiver.confidence import CONFIDENCES
from receiver.limits import MAX_UNKNOWN_FRAMES
from receiver.store.errors import (
    StoreDamagedError,
    StoreError,
    StoreMissingError,
    StoreNewerError,
)
from receiver.store.interning import Interning
from receiver.store.outbox import SinkNote, write_note
from receiver.store.read_only import refuse_foreign
from receiver.store.rows import INSERTS, Row, RowMaker
from receiver.store.schema import CLOCK_QUALITIES, VERSIONS, migrations

PAGE_BYTES = 512
"""A commit writes whole pages; with the smallest ones a commit of a few detections touches 1.3 disk
blocks of 4 KiB on average, with pages of 4 KiB three."""

_BUSY_TIMEOUT_MS = 30_000
"""An import holds the write lock for one batch, well under a second; a backup for longer."""

_WAL_PAGES_BEFORE_CHECKPOINT = 4_000
"""2 MB of log: a page that fills up over many commits is then written once to the file itself."""


class Store:
    """One store, open for reading and writing, for one thread at a time.

    Promises: `append` returns only after its rows are synced to the disk, all of them or none.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        row = connection.execute("SELECT station_id, store_uuid FROM station").fetchone()
        self.station_id: str = row[0]
        self.store_uuid: str = row[1]
        self.row_maker = RowMaker(Interning(connection))

    @classmethod
    def open(cls, path: Path, *, station_id: str | None = None, create: bool = True) -> Self:
        """Open the store at `path`; make it (for `station_id`) where there is none.

        Raises:
            StoreMissingError: there is none and `create` is False.
            StoreDamagedError: the file is no database or is damaged; the caller decides whether
                it is set aside (`set_aside`).
            StoreForeignError: it is another program's database and `create` is False.
            StoreNewerError: a newer version of this program wrote it.
            StoreError: the folder cannot be written.
        """
        is_new = not path.exists() or path.stat().st_size == 0
        if is_new and has_orphaned_log(path):
            raise StoreDamagedError(
                f"{path}: the store is empty, yet its log {path.name}-wal is not"
            )
        if is_new and not create:
            raise StoreMissingError(f"{path}: there is no store here; name one with --db FILE")
        if not create:
            refuse_foreign(path)
        try:
            connection = connect(path, is_new=is_new)
        except sqlite3.Error as error:
            raise explained(path, error) from error
        try:
            if is_new or create or _is_a_store(connection):
                _migrate(connection, station_id)
            if is_new:
                sync_folder(path.parent)
            store = cls(path, connection)
        except sqlite3.Error as error:
            connection.close()
            raise explained(path, error) from error
        except StoreError:
            connection.close()
            raise
        return store

    def close(self) -> None:
        """Move the log into the file and close it."""
        self.connection.close()

    def __enter__(self) -> Self:
        """Return the store; it is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block in one transaction: all of it is synced to the disk at its end, or nothing.

        Raises:
            sqlite3.Error: disk full, I/O error; nothing of the block was kept.
        """
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
            self.row_maker.committed()
        except BaseException:
            self.row_maker.forget()
            if self.connection.in_transaction:
                # What went wrong first is what is told; who sees it may open the store anew.
                with suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
            raise

    def append(self, arrivals: Iterable[Arrival]) -> None:
        """Put a batch into the store; when this returns it is on the disk.

        Raises:
            sqlite3.Error: disk full, I/O error; nothing of the batch was kept.
        """
        with self.transaction():
            self.insert(self.row_maker.rows(arrivals))

    def insert(self, by_table: dict[str, list[Row]]) -> None:
        """Insert prepared rows; call it inside `transaction`."""
        for table, rows in by_table.items():
            self.connection.executemany(INSERTS[table], rows)
        if "unknown_frames" in by_table:
            self.connection.execute(
                "DELETE FROM unknown_frames WHERE id <= (SELECT max(id) FROM unknown_frames) - ?",
                (MAX_UNKNOWN_FRAMES,),
            )

    def note_sinks(self, notes: Iterable[SinkNote], now_utc_ns: int) -> None:
        """Write what happened to sinks; call it inside `transaction`.

        Notes about another store are void, since its numbers mean other rows.
        """
        for note in notes:
            if note.store_uuid in (None, self.store_uuid):
                write_note(self.connection, note, now_utc_ns)

    def add_clock_sample(self, sample: ClockSample) -> None:
        """Keep one pair of the two clocks; call it inside `transaction`."""
        self.connection.execute(
            "INSERT INTO clock_samples (boot, mono_ns, utc_ns, clock, reason)"
            " VALUES (?, ?, ?, ?, ?)",
            (
                self.row_maker.text_number(sample.boot),
                sample.mono_ns,
                sample.utc_ns,
                CLOCK_QUALITIES.index(sample.clock),
                sample.reason,
            ),
        )

    def put_run(self, run: RunRow) -> None:
        """Keep a run as it stands; call it inside `transaction`, before its first detections."""
        run_id = self.write_run(run, self.row_maker.run_id(run.number))
        self.row_maker.remember_run(run.number, run_id)

    def write_run(self, run: RunRow, run_id: int | None) -> int:
        """Write a run under `run_id`, or as a new one; return its id. Inside `transaction`."""
        cursor = self.connection.execute(
            "INSERT OR REPLACE INTO runs (id, protocol, tag, place, first_utc_ns, last_utc_ns,"
            " detections, verified, missed, interval_s, interval_error_ms, confidence, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run_id,
                run.protocol,
                self.row_maker.text_number(run.tag_id),
                run.place,
                run.first_utc_ns,
                run.last_utc_ns,
                run.detections,
                run.verified,
                run.missed,
                run.interval_s,
                run.interval_error_ms,
                CONFIDENCES.index(run.confidence),
                run.reason,
            ),
        )
        if cursor.lastrowid is None:
            raise sqlite3.IntegrityError("the run was given no id")
        return cursor.lastrowid

    def put_activity(self, row: ActivityRow) -> None:
        """Keep what an antenna did in an hour so far; call it inside `transaction`."""
        self.connection.execute(
            "INSERT OR REPLACE INTO activity (hour_utc_s, session, link, antenna, listening_s,"
            " frames, detections, pulses, noise_dbm, rejects, revision)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
            " (SELECT coalesce(max(revision), 0) + 1 FROM activity))",
            (
                row.hour_utc_s,
                row.session,
                row.link,
                row.antenna,
                round(row.listening_s, 1),
                row.frames,
                row.detections,
                row.pulses,
                row.noise_dbm,
                msgspec.json.encode(row.rejects, order="sorted").decode() if row.rejects else None,
            ),
        )


def connect(path: Path, *, is_new: bool = False) -> sqlite3.Connection:
    """Return a connection with the store's settings, each for its reason.

    Raises:
        sqlite3.Error: as sqlite3 does.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        if is_new:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        # Readers do not wait for the writer, and a commit is one append to the log.
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit is on the disk when it returns, not only in the kernel's memory.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES_BEFORE_CHECKPOINT}")
        # The log file is cut after a checkpoint: a burst must not hold disk space for ever.
        connection.execute(f"PRAGMA journal_size_limit = {4 * _WAL_PAGES_BEFORE_CHECKPOINT * 512}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def has_orphaned_log(path: Path) -> bool:
    """Tell whether a log lies beside a store that is missing or empty: SQLite would delete it."""
    log = path.with_name(path.name + "-wal")
    is_empty = not path.exists() or path.stat().st_size == 0
    return is_empty and log.exists() and log.stat().st_size > 0


def sync_folder(folder: Path) -> None:
    """Put a new or changed file name of `folder` onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_a_store(connection: sqlite3.Connection) -> bool:
    """Tell whether it is a store of any version: somebody else's database is left as it is."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'station'").fetchone()
    return found is not None


def _migrate(connection: sqlite3.Connection, station_id: str | None) -> None:
    database = Database(connection, execute_plugins=False)
    known = {migration.name for migration in migrations.pending(database)}
    applied = {migration.name for migration in migrations.applied(database)}
    newer = applied - VERSIONS
    if newer:
        raise StoreNewerError(
            f"the store was written by a newer version of stopover (it knows {', '.join(newer)}):"
            " install that version"
        )
    if known:
        migrations.apply(database)
    if not connection.execute("SELECT count(*) FROM station").fetchone()[0]:
        connection.execute(
            "INSERT INTO station (store_uuid, station_id, created_utc_ns) VALUES (?, ?, ?)",
            (str(uuid.uuid4()), station_id or "unnamed", _now_ns()),
        )


def _now_ns() -> int:
    return int(dt.datetime.now(dt.UTC).timestamp() * 1e9)


def explained(path: Path, error: sqlite3.Error) -> StoreError:
    """Return the error of the store that SQLite's error means."""
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreDamagedError(f"{path}: the store is damaged: {error}")
    if code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
        return StoreError(f"{path}: cannot be opened for writing: check folder and permissions")
    return StoreError(f"{path}: {error}")
