"""What went wrong with the store, by what can be done about it."""

import sqlite3
from enum import Enum, auto
from pathlib import Path

from receiver.store.database import has_orphaned_log
from receiver.store.errors import StoreDamagedError, StoreError, StoreNewerError


class Fault(Enum):
    """Kinds of faults; each has its remedy in the writer."""

    DAMAGED = auto()
    """Set it aside, begin a new one. A store of a newer version is of no use either."""
    FULL = auto()
    """Delete what may go, and wait for room."""
    IO = auto()
    """Try again; where it stays so, set the store aside: this place of the disk is worn."""
    UNSTORABLE = auto()
    """A value that SQLite does not take: no retry will help the row that has it."""
    OTHER = auto()
    """Try again."""


def kind(error: BaseException) -> Fault:
    """Return what kind of fault an error of the store is; what it was raised from counts too."""
    if isinstance(error, StoreDamagedError | StoreNewerError):
        return Fault.DAMAGED
    if isinstance(error, StoreError) and error.__cause__ is not None:
        return kind(error.__cause__)
    name = getattr(error, "sqlite_errorname", "")
    for prefixes, fault in _BY_CODE:
        if name.startswith(prefixes):
            return fault
    if isinstance(error, sqlite3.OperationalError | OSError | StoreError):
        return Fault.OTHER
    return Fault.UNSTORABLE


_BY_CODE = (
    (("SQLITE_CORRUPT", "SQLITE_NOTADB"), Fault.DAMAGED),
    (("SQLITE_FULL",), Fault.FULL),
    (("SQLITE_IOERR",), Fault.IO),
)


def file_at(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file at `path`, by which it is known; None for none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_there(path: Path) -> bool:
    """Tell whether there is something to check: a store, or the log of one that is gone."""
    return path.exists() or has_orphaned_log(path)
