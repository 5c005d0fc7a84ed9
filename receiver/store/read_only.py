"""Opening a store for reading, also where nothing can be written beside it."""

import sqlite3
from pathlib import Path

from receiver.store.errors import StoreDamagedError, StoreError, StoreForeignError
from receiver.store.lock import is_held

_NO_FILES_BESIDE = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_FULL")
"""SQLite must make a file beside a store in WAL mode that nobody has open, also to read it: on a
card that is mounted read-only, in somebody else's folder, on a full disk it cannot."""

_OURS = frozenset(("station", "detections"))
_BEFORE_OURS = frozenset(("_sqlite_migrations",))
"""What a store has that was begun and not finished."""


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Return a connection that reads the store at `path`.

    Where nothing can be written beside the store, and it has no log, it is read as a file that
    nobody changes: a station that is started meanwhile would not be noticed.

    Raises:
        StoreForeignError: it is another program's database.
        StoreDamagedError: it is no database, or is damaged.
        StoreError: it cannot be read; the message says what to do.
    """
    try:
        return _opened(path, "mode=ro")
    except sqlite3.Error as error:
        if not getattr(error, "sqlite_errorname", "").startswith(_NO_FILES_BESIDE):
            raise explained(path, error) from error
        if _has_log(path):
            raise StoreError(
                f"{path}: its newest rows are in {path.name}-wal, which cannot be read where"
                f" nothing can be written beside it ({error}): copy both files to a folder with"
                " room that you may write and read them there, use sudo, or start the station"
            ) from error
        if is_held(path):
            raise explained(path, error) from error
    try:
        return _opened(path, "mode=ro&immutable=1")
    except sqlite3.Error as error:
        raise explained(path, error) from error


def refuse_foreign(path: Path) -> None:
    """Refuse another program's database; a store, no file, and what cannot be read pass.

    Raises:
        StoreForeignError: it is one.
    """
    if not path.is_file():
        return
    try:
        connect_read_only(path).close()
    except StoreForeignError:
        raise
    except StoreError:
        pass  # Whoever opens it for writing says what is wrong.


def explained(path: Path, error: sqlite3.Error) -> StoreError:
    """Return the error of the store that SQLite's error means for who reads it."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_NOTADB"):
        return StoreDamagedError(f"{path}: is no store of stopover: {error}")
    if name.startswith("SQLITE_CORRUPT"):
        return StoreDamagedError(f"{path}: the store is damaged: {error}")
    if name.startswith(_NO_FILES_BESIDE):
        return StoreError(
            f"{path}: cannot be read: {error}; see that you may read it and that its disk is"
            " neither full nor worn, or copy it to another disk and read it there"
        )
    return StoreError(f"{path}: cannot be read: {error}")


def _opened(path: Path, how: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{how}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        found = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            " ORDER BY name"
        ).fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    tables = {name for (name,) in found}
    if not tables >= _OURS:
        connection.close()
        others = sorted(tables - _BEFORE_OURS)
        if others:
            raise StoreForeignError(path, others)
        raise StoreError(
            f"{path}: is empty, no store was finished in it: start the station once more, with room"
            " on its disk, or import into it"
        )
    return connection


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0
