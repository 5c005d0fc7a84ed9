"""Keeping the store to its size, and making room on a full disk, in steps that nobody waits for."""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable

import structlog

from receiver.limits import PRUNE_BELOW, PRUNE_S
from receiver.store.database import Store
from receiver.store.reserve import Reserve
from receiver.store.retention import Retention, prune, used_bytes

log = structlog.get_logger()

_UNBOUNDED_PAGES = 2**30
"""512 GB of pages of 512 bytes: more than a disk has."""


class Housekeeping:
    """Deletes what retention lets go, and keeps the reserve that makes deleting possible."""

    def __init__(self, retention: Retention, reserve: Reserve) -> None:
        self.retention = retention
        self.reserve = reserve
        self.rows_pruned: Counter[str] = Counter()
        """Since the start: `acknowledged` and `unacknowledged` rows."""
        self._is_bounded = False
        self._told_over_size = False
        self._is_pruning = False

    def begin(self, store: Store) -> bool:
        """Take the reserve; call it once a store is opened. Returns whether the file may grow.

        While the reserve is not held, the file may not grow: rows go into pages that deletions
        freed, or wait. Else the log could fill up with pages that find no place in the file, and
        not even a deletion could be written any more.
        """
        held = self.reserve.take()
        pages = _UNBOUNDED_PAGES if held else 1  # SQLite makes of 1 what the file has now.
        store.connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
        self._is_bounded = not held
        return held

    def keep_to_size(self, store: Store, is_awaited: Callable[[], bool]) -> None:
        """Delete the oldest rows while the store is over its size.

        Once rows wait to be written (`is_awaited`) it goes on for `PRUNE_S` at most; the rest is
        done next time.

        Raises:
            sqlite3.Error: disk full, I/O error; nothing was deleted in this step.
        """
        if self._is_bounded:
            self.begin(store)
        most = self.retention.max_bytes
        if most is None:
            return
        used = used_bytes(store.connection)
        self._is_pruning = used > (most * PRUNE_BELOW if self._is_pruning else most)
        deadline = time.monotonic() + PRUNE_S
        rows: Counter[str] = Counter()
        while self._is_pruning:
            if not self._prune(store, rows):
                self._tell_over_size(used)
                break
            self._told_over_size = False
            self._is_pruning = used_bytes(store.connection) > most * PRUNE_BELOW
            if time.monotonic() > deadline and is_awaited():
                break
        self._tell_pruned(rows, "the store has reached its size")

    def make_room(self, store: Store, note_sinks: Callable[[], None]) -> bool:
        """Delete what may go on a full disk; return whether there are free pages to write to.

        `note_sinks` writes acknowledgements that have not reached the store: they decide what may
        go.
        """
        if self._is_bounded and self.begin(store):
            return True  # The disk has room again: nothing has to go.
        rows: Counter[str] = Counter()
        with self.reserve.opened():
            try:
                note_sinks()
                enough = used_bytes(store.connection) * PRUNE_BELOW
                while self._prune(store, rows) and used_bytes(store.connection) > enough:
                    pass
                # The log can then begin anew in the space that it has.
                store.connection.execute("PRAGMA wal_checkpoint").fetchone()
            except sqlite3.Error as error:
                log.debug("no room made", reason=str(error))
        self.begin(store)
        self._tell_pruned(rows, "the disk is full")
        return rows.total() > 0

    def _prune(self, store: Store, rows: Counter[str]) -> bool:
        pruned = prune(store, self.retention)
        if pruned is None:
            return False
        rows["acknowledged" if pruned.is_acknowledged else "unacknowledged"] += pruned.rows
        return True

    def _tell_pruned(self, rows: Counter[str], why: str) -> None:
        self.rows_pruned += rows
        if rows["unacknowledged"]:
            log.warning("rows deleted that no sink has handed on", **rows, why=why)
        elif rows:
            log.info("old rows deleted", **rows, why=why)

    def _tell_over_size(self, used: int) -> None:
        if not self._told_over_size:
            self._told_over_size = True
            log.warning(
                "store is over its size, and no row of it may be deleted",
                megabytes=round(used / 1e6, 1),
                do="see that the sinks reach their far ends, or set store.delete_unacknowledged",
            )
