"""Opening the plots' file, with the store beside it, and closing it.

While it is in use it says so: nothing in it is synced then, and a power cut leaves it of no use.
"""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from receiver.web.plots import tables

_FREE: Final = 0
_IN_USE: Final = 1
_SYNCED: Final = 2


class PlotsFileError(sqlite3.Error):
    """The plots' own file cannot be opened, whatever the store is like."""


def connected(path: Path, store: Path) -> sqlite3.Connection:
    """Return a connection to the plots' file at `path`, with the store, read only, as `store`.

    Raises:
        PlotsFileError: the plots' own file is none, or may not be opened.
        sqlite3.Error: the store is none.
    """
    connection = _opened(path)
    try:
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("ATTACH ? AS store", (f"{store.absolute().as_uri()}?mode=ro",))
        connection.execute("PRAGMA busy_timeout = 5000")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def take_into_use(connection: sqlite3.Connection) -> None:
    """Take the file as it is, or lay it out anew.

    Raises:
        sqlite3.Error: it is of no use.
    """
    (store_uuid,) = connection.execute("SELECT store_uuid FROM store.station").fetchone()
    made = connection.execute(
        "SELECT count(*) FROM main.sqlite_schema WHERE name = 'state'"
    ).fetchone()[0]
    if made:
        state = connection.execute("SELECT version, store_uuid, in_use FROM state").fetchone()
        if state != (tables.VERSION, store_uuid, _FREE):
            raise sqlite3.DatabaseError("they were not closed, or are of another store")
    else:
        connection.executescript(tables.TABLES)
        connection.executescript(tables.COUNTS.format(temporary="", prefix=""))
        connection.execute(
            "INSERT INTO state VALUES (?, ?, ?, 0, 0, 0, 0, 0)",
            (tables.VERSION, store_uuid, _FREE),
        )
    connection.executescript(tables.FRESH)
    connection.executescript(tables.COUNTS.format(temporary="TEMPORARY", prefix="minute_"))
    # From here on a power cut leaves it of no use, and so it says.
    connection.execute("PRAGMA main.synchronous = FULL")
    connection.execute("UPDATE state SET in_use = ?", (_IN_USE,))
    connection.execute("PRAGMA main.synchronous = OFF")


def close_synced(connection: sqlite3.Connection) -> None:
    """Close the file; what is in it is good from now on, but where it cannot be written."""
    with contextlib.suppress(sqlite3.Error):
        # Two syncs: what says that the rest is whole must not reach the disk before it.
        connection.execute("PRAGMA main.synchronous = FULL")
        connection.execute("UPDATE state SET in_use = ?", (_SYNCED,))
        connection.execute("UPDATE state SET in_use = ?", (_FREE,))
    connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(
            path.absolute().as_uri(), uri=True, isolation_level=None, check_same_thread=False
        )
        # It can be made again: nothing is synced, and what undoes a statement is in memory.
        connection.execute("PRAGMA main.synchronous = OFF")
        connection.execute("PRAGMA main.journal_mode = MEMORY")
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        problem = PlotsFileError(str(error))
        problem.sqlite_errorname = getattr(error, "sqlite_errorname", "")
        raise problem from error
    return connection
