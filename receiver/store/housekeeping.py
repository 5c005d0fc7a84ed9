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


class Housekeeping:
    """Deletes what retention lets go, and keeps the reserve that makes deleting possible."""

    def __init__(self, retention: Retention, reserve: Reserve) -> None:
        self.retention = retention
        self.reserve = reserve
        self.rows_pruned: Counter[str] = Counter()
        """Since the start: `acknowledged` and `unacknowledged` rows."""
        self._told_no_reserve = False
        self._told_over_size = False
        self._is_pruning = False

    def begin(self) -> None:
        """Take the reserve, where the disk has room for it twice."""
        kept = self.reserve.take(leaving_bytes=self.reserve.size_bytes)
        if not kept and not self._told_no_reserve:
            self._told_no_reserve = True
            log.warning(
                "no room for the reserve that lets old rows be deleted when the disk is full",
                path=str(self.reserve.path),
                do="free space on this disk",
            )

    def keep_to_size(self, store: Store, is_awaited: Callable[[], bool]) -> None:
        """Delete the oldest rows while the store is over its size.

        Once rows wait to be written (`is_awaited`) it goes on for `PRUNE_S` at most; the rest is
        done next time.

        Raises:
            sqlite3.Error: disk full, I/O error; nothing was deleted in this step.
        """
        if not self.reserve.is_held:
            self.begin()
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

    def make_room(self, store: Store, note_marks: Callable[[], None]) -> bool:
        """Delete what may go on a full disk; return whether there are free pages to write to.

        `note_marks` writes acknowledgements that have not reached the store: they decide what may
        go.
        """
        rows: Counter[str] = Counter()
        with self.reserve.opened():
            try:
                note_marks()
                deadline = time.monotonic() + PRUNE_S
                while self._prune(store, rows) and time.monotonic() < deadline:
                    pass
                # The log can then begin anew in the space that it has.
                store.connection.execute("PRAGMA wal_checkpoint").fetchone()
            except sqlite3.Error as error:
                log.debug("no room made", reason=str(error))
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
