"""Finding damage in bounded time, and putting a damaged store out of the way."""

import datetime as dt
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from receiver.limits import STORE_CHECK_S
from receiver.store.database import connect, explained, has_orphaned_log, sync_folder
from receiver.store.errors import StoreDamagedError

log = structlog.get_logger()

_INDEXED_TABLES = ("texts", "sources", "imports", "import_rows", "sink_marks")
"""Small tables whose indexes must agree with them: a wrong number for a tag would be a wrong tag.
The large tables have no second index."""

_INTERRUPT_EVERY_S = 0.05


def check(path: Path, longest_s: float = STORE_CHECK_S) -> bool:
    """Check the file's structure; return False where the time did not suffice to check all of it.

    The small tables and their indexes come first. An index that does not agree with its table is
    made anew: it says nothing that the table does not.

    Raises:
        StoreDamagedError: SQLite found damage; the message quotes its first finding.
        StoreError: it cannot be opened or read.
    """
    if has_orphaned_log(path):
        raise StoreDamagedError(f"{path}: the store is empty, yet its log {path.name}-wal is not")
    try:
        connection = connect(path)
        try:
            deadline = time.monotonic() + longest_s
            with _interrupted_after(connection, longest_s):
                _check_indexes(path, connection)
                if time.monotonic() > deadline:
                    return False
                (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
            return False
        raise explained(path, error) from error
    if finding != "ok":
        raise StoreDamagedError(f"{path}: the store is damaged: {finding}")
    return True


def set_aside(path: Path, now_utc_ns: int, why: str = "damaged") -> Path:
    """Rename a store and its log out of the way, never delete them; return the new name.

    Raises:
        OSError: the folder cannot be written.
    """
    when = dt.datetime.fromtimestamp(now_utc_ns // 10**9, dt.UTC)
    first = aside = path.with_name(f"{path.name}.{why}-{when:%Y%m%dT%H%M%SZ}")
    number = 1
    while any(_companion(aside, suffix).exists() for suffix in _SUFFIXES):
        number += 1
        aside = first.with_name(f"{first.name}-{number}")
    for suffix in _SUFFIXES:
        if _companion(path, suffix).exists():
            _companion(path, suffix).rename(_companion(aside, suffix))
    sync_folder(path.parent)
    return aside


_SUFFIXES = ("-wal", "-shm", "")
"""The log goes first: a power cut between two renames must not leave it to a new store."""


def _companion(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _check_indexes(path: Path, connection: sqlite3.Connection) -> None:
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    for table in _INDEXED_TABLES:
        if table not in present:
            continue
        (finding,) = connection.execute(f"PRAGMA integrity_check({table})").fetchone()
        if finding == "ok":
            continue
        log.warning("index of the store is made anew", path=str(path), reason=finding)
        try:
            connection.execute(f"REINDEX {table}")
        except sqlite3.IntegrityError as error:
            raise StoreDamagedError(f"{path}: the store is damaged: {finding}") from error


@contextmanager
def _interrupted_after(connection: sqlite3.Connection, longest_s: float) -> Iterator[None]:
    """Interrupt what SQLite does on this connection once the time is over.

    SQLite's progress handler would not do: it is not called while one large table is checked.
    """
    done = threading.Event()

    def interrupt() -> None:
        left_s = longest_s
        while not done.wait(left_s):
            connection.interrupt()
            left_s = _INTERRUPT_EVERY_S  # One that came between two statements had no effect.

    interrupter = threading.Thread(target=interrupt, name="store-check-limit", daemon=True)
    interrupter.start()
    try:
        yield
    finally:
        done.set()
        interrupter.join()
