"""The plots' file beside the store: counts by quarter and by hour, kept up to what the store holds.

It is made when somebody first asks, brought up to date by what came since whenever somebody asks
again, and never touched otherwise: the store's own tables have no index by time or tag, since that
would cost ten times the writes of the rows (`receiver.store.schema`). Everything in it can be made
again from the store, so nothing in it is synced, and it is thrown away when it is damaged, of
another store or version, or was in use when the station lost its power.

Rows that were stamped by a wrong clock are counted apart by their boots, and again once a good
clock sample changes their times. What retention deleted from the store stays in the plots.

One thread uses it. The work is done by SQLite itself, which leaves the interpreter to the loop
meanwhile.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import structlog

from receiver.limits import (
    PLOTS_CHUNK_ROWS,
    PLOTS_HOURS_KEPT_S,
    PLOTS_LEAVE_FREE_BYTES,
    PLOTS_MINUTE_BLOCKS,
    PLOTS_QUARTERS_KEPT_S,
)
from receiver.web.plots import tables
from receiver.web.plots.opening import PlotsFileError, close_synced, connected, take_into_use

log = structlog.get_logger()

_Told = TypeVar("_Told")

_MINUTE_S: Final = 60


class PlotsError(Exception):
    """The plots cannot be had now; `do` says what would help."""

    def __init__(self, message: str, do: str) -> None:
        super().__init__(message)
        self.do = do


class PlotsStopped(Exception):  # noqa: N818  Not a fault: the daemon stops.
    """The work was given up."""


def plots_beside(store: Path) -> Path:
    """Return where the plots of a store are kept."""
    return store.with_name(store.name + ".plots")


class Plots:
    """The plots of one store, for one thread; `stop` and `progress` may be used by any."""

    def __init__(self, store: Path, *, chunk_rows: int = PLOTS_CHUNK_ROWS) -> None:
        self._store = store
        self._path = plots_beside(store)
        self._chunk_rows = chunk_rows
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._is_stopped = False
        self._is_told = False
        self.rows_counted = 0
        """By the update in work."""
        self.rows_to_count = 0

    def stop(self) -> None:
        """Give up what is being done, from another thread; nothing is done any more."""
        self._is_stopped = True
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(sqlite3.ProgrammingError):
                connection.interrupt()

    def close(self) -> None:
        """Close the file; what is in it is good from now on."""
        connection, self._connection = self._connection, None
        if connection is not None:
            close_synced(connection)

    def asked(self, ask: Callable[[], _Told]) -> _Told:
        """Return what a question returns that begins with `up_to_date`.

        Where the file turns out to be of no use, it is asked once more of a new one.

        Raises:
            PlotsError: there is no store, no room on the disk, or the store cannot be read.
            PlotsStopped: `stop` was called.
        """
        reason: sqlite3.Error | None = None
        try:
            told = ask()
        except sqlite3.Error as error:
            reason = error
            self._give_up(error)
            try:
                told = ask()
            except sqlite3.Error as again:
                self._give_up(again)
                raise self._refused(again) from again
        if self._is_told:
            self._is_told = False
            log.warning("plots can be made again", path=str(self._path))
        elif reason is not None:
            log.info("plots are made anew", path=str(self._path), reason=str(reason))
        return told

    def _refused(self, error: sqlite3.Error) -> PlotsError:
        """Return why there are no plots, though their file was thrown away; tell it once."""
        is_read_only = getattr(error, "sqlite_errorname", "").startswith("SQLITE_READONLY")
        if not is_read_only and not isinstance(error, PlotsFileError):
            return PlotsError(f"the store cannot be read now: {error}", "see its log")
        refused = PlotsError(
            f"{self._path}: the plots' file cannot be used: {error}",
            f"remove {self._path}: it holds counts only, and is made anew from the store",
        )
        if not self._is_told:
            self._is_told = True
            log.warning(
                "plots cannot be made", path=str(self._path), reason=str(error), do=refused.do
            )
        return refused

    def _give_up(self, error: sqlite3.Error) -> None:
        """Throw the file away for an error; raise where another file would not help."""
        if self._is_stopped:
            raise PlotsStopped from error
        reason = getattr(error, "sqlite_errorname", "")
        if reason.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise PlotsError("the store is busy", "ask again") from error
        self._throw_away()
        if reason == "SQLITE_FULL":
            raise _no_room() from error

    def count_minutes(self, start_s: int, end_s: int) -> bool:
        """Count a time minute by minute into the tables `minute_…`; False if it holds too much.

        Raises:
            sqlite3.Error: as it comes.
        """
        connection = self._open()
        blocks: dict[str, list[int]] = {}
        for kept_in, block in connection.execute(
            "SELECT DISTINCT kept_in, block FROM blocks WHERE hour_s > ? AND hour_s < ?"
            " ORDER BY kept_in, block",
            (start_s - tables.HOUR_S, end_s),
        ):
            blocks.setdefault(kept_in, []).append(block)
        if sum(map(len, blocks.values())) > PLOTS_MINUTE_BLOCKS:
            return False
        for table in ("bins", "levels", "readings"):
            connection.execute(f"DELETE FROM minute_{table}")
        for kept_in, numbers in blocks.items():
            for block in numbers:
                first = block * tables.RANGE_ROWS
                until = first + tables.RANGE_ROWS - 1
                self._fetch(kept_in, first - 1, until, tables.RANGE_ROWS)
                connection.execute(
                    "DELETE FROM fresh WHERE time_s < ? OR time_s >= ?", (start_s, end_s)
                )
                for statement in (*tables.GROUP, *tables.counting("minute_")):
                    connection.execute(statement, {"step_s": _MINUTE_S})
        return True

    def up_to_date(self, now_s: float) -> sqlite3.Connection:
        """Count what came since the last time; return the connection to ask, `store` attached.

        Raises:
            PlotsError, PlotsStopped: as `asked`.
            sqlite3.Error: the file is of no use, or the store.
        """
        connection = self._open()
        newest = {kept_in: self._number(ask) for kept_in, ask in tables.NEWEST.items()}
        marks = self._marks()
        if any(marks[kept_in] > newest[kept_in] and newest[kept_in] for kept_in in newest):
            raise sqlite3.DatabaseError("the store holds less than was counted")
        self.rows_counted = 0
        self.rows_to_count = sum(
            max(0, newest[kept_in] - self._begin(kept_in, marks[kept_in])) for kept_in in newest
        )
        while self._count_some(newest):
            if self._is_stopped:
                raise PlotsStopped
        self._drop_old(now_s)
        return connection

    def _begin(self, kept_in: str, mark: int) -> int:
        """Return the number after which there are rows to count."""
        key = "seq" if kept_in == "detections" else "id"
        first = self._number(f"SELECT coalesce(min({key}), 1) FROM store.{kept_in}")
        return max(mark, first - 1)

    def _count_some(self, newest: dict[str, int]) -> bool:
        """Count a part of what is new, in one transaction; return whether there is more."""
        marks = self._marks()
        kept_in = next((each for each in newest if marks[each] < newest[each]), None)
        with self._transaction() as connection:
            unsettled = connection.execute(tables.UNSETTLED).fetchall()
            for part in unsettled:
                self._count_again(*part)
            sample = self._number("SELECT coalesce(max(id), 0) FROM store.clock_samples")
            connection.execute("UPDATE state SET clock_sample_id = ?", (sample,))
            if kept_in is None:
                return False
            after, until = marks[kept_in], newest[kept_in]
            rows = self._fetch(kept_in, after, until, self._chunk_rows)
            reached = until
            if rows == self._chunk_rows:
                reached = self._number("SELECT max(id) FROM fresh")
            self._keep(kept_in)
            connection.execute(f"UPDATE state SET {tables.MARKS[kept_in]} = ?", (reached,))
        self.rows_counted += reached - after
        return True

    def _count_again(self, part: int, boot: str, kept_in: str, first_id: int, last_id: int) -> None:
        """Count the rows of a boot whose times have changed; inside a transaction."""
        connection = self._open()
        for statement in tables.FORGET_PART:
            connection.execute(statement, {"part": part})
        after = first_id - 1
        while after < last_id:
            rows = self._fetch(kept_in, after, last_id, self._chunk_rows)
            after = last_id
            if rows == self._chunk_rows:
                after = self._number("SELECT max(id) FROM fresh")
            connection.execute("DELETE FROM fresh WHERE wrong_boot IS NOT ?", (boot,))
            self._keep(kept_in)

    def _fetch(self, kept_in: str, after: int, until: int, rows: int) -> int:
        """Put rows of the store into `fresh`; return how many."""
        connection = self._open()
        connection.execute("DELETE FROM fresh")
        wanted = {"after": after, "until": until, "rows": rows}
        return connection.execute(tables.FETCH[kept_in], wanted).rowcount

    def _keep(self, kept_in: str) -> None:
        """Count the fresh rows; inside a transaction."""
        connection = self._open()
        told = {"kept_in": kept_in}
        connection.execute(tables.NOTE_PARTS, told)
        connection.execute(tables.TELL_PARTS, told)
        for statement in tables.NAME_WHAT_IS_NEW:
            connection.execute(statement)
        for statement in tables.GROUP:
            connection.execute(statement, {"step_s": tables.QUARTER_S})
        for statement in tables.counting(""):
            for step_s in (tables.QUARTER_S, tables.HOUR_S):
                connection.execute(statement, {"step_s": step_s})
        for statement in tables.KEEP:
            connection.execute(statement, told)

    def _drop_old(self, now_s: float) -> None:
        """Let go of what is too old to be plotted so finely."""
        connection = self._open()
        (newest_s,) = connection.execute(
            "SELECT max(time_s) FROM bins WHERE step_s = ?", (tables.HOUR_S,)
        ).fetchone()
        if newest_s is None:
            return
        now = min(int(now_s), newest_s)
        quarters_from_s = now - PLOTS_QUARTERS_KEPT_S
        with self._transaction():
            for table in ("bins", "levels", "readings"):
                for step_s, kept_s in (
                    (tables.QUARTER_S, PLOTS_QUARTERS_KEPT_S),
                    (tables.HOUR_S, PLOTS_HOURS_KEPT_S),
                ):
                    connection.execute(
                        f"DELETE FROM {table} WHERE step_s = ? AND time_s < ?",
                        (step_s, now - kept_s),
                    )
            connection.execute(
                "UPDATE state SET quarters_from_s = max(quarters_from_s, ?)", (quarters_from_s,)
            )

    def _open(self) -> sqlite3.Connection:
        """Return the connection, opened anew where the store's file is another one now."""
        try:
            status = self._store.stat()
        except OSError as error:
            self.close()
            raise PlotsError("there is no store now", "see its log") from error
        store = (status.st_dev, status.st_ino)
        if self._connection is not None and store == self._opened:
            return self._connection
        self.close()
        if self._is_stopped:
            raise PlotsStopped
        if shutil.disk_usage(self._store.parent).free < PLOTS_LEAVE_FREE_BYTES:
            self._throw_away()
            raise _no_room()
        self._connection = connected(self._path, self._store)
        self._opened = store
        take_into_use(self._connection)
        return self._connection

    def _throw_away(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        for path in (self._path, self._path.with_name(self._path.name + "-journal")):
            with contextlib.suppress(OSError):
                path.unlink()

    def _marks(self) -> dict[str, int]:
        columns = ", ".join(tables.MARKS.values())
        row = self._open().execute(f"SELECT {columns} FROM state").fetchone()
        return dict(zip(tables.MARKS, row, strict=True))

    def _number(self, ask: str) -> int:
        return int(self._open().execute(ask).fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._open()
        connection.execute("BEGIN")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise


def _no_room() -> PlotsError:
    return PlotsError(
        "the disk is nearly full: there is no room for plots", "free space on the store's disk"
    )
