"""The run index: stored detections, sorted into runs off the hot path.

Those of coded-ID tags are no matter of it: their decoder finds their runs, and bursts that another
program found (SensorGnome's B and b lines) have none.

It reads detections in `seq` order behind the writer, gives each its run and each run its verdict,
and keeps how far it came in the store, in the same transaction. So a crash, a restart and an
import are one code path, and no row of `detections` is touched. After a restart open runs end and
new ones begin; what was heard in the hours before still counts as evidence.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final

from protocols.records import Detection
from receiver.limits import RUN_INDEX_INTERVAL_S
from receiver.runs import RunTracker
from receiver.store.database import Store

ROWS_AT_ONCE: Final = 5_000
"""Rows of one transaction: 5 µs each, so the writer waits for 25 ms."""

_EVIDENCE_ROWS: Final = 20_000
"""Rows before the mark that are read again at start, as evidence only: at most 0.1 s."""

_SELECT_ALL: Final = """SELECT seq, tag_id, integrity, id_legal, protocol, link, antenna, relay_id,
    time_ns, recorded_at_ns FROM readable_detections WHERE seq > ? AND seq <= ?
    AND protocol <> 'coded-id'"""
_SELECT: Final = f"{_SELECT_ALL} AND run IS NULL ORDER BY seq"


class RunIndex:
    """Brings the runs of one store up to date; for the thread that owns the store."""

    def __init__(self, store: Store, known_tags: Iterable[str] = ()) -> None:
        """`known_tags` is the station's list: ids that are deployed somewhere."""
        self._store = store
        self._tracker = RunTracker(known_tags)
        self._ids: dict[int, int] = {}
        self._newest_ns = 0
        mark = self._mark()
        for row in store.connection.execute(_SELECT_ALL, (mark - _EVIDENCE_ROWS, mark)):
            self._hear(row)
        # Those runs have ended with the process that found them: they were evidence only.
        self._tracker.end()

    def advance(self, *, last: bool = False) -> int:
        """Sort the next rows into runs; return how many `seq` it went on by, 0 at the end.

        With `last` the open runs end too: nothing more will come.

        Raises:
            sqlite3.Error: disk full, I/O error; nothing of this step was kept. Make another index.
        """
        with self._store.transaction() as connection:
            mark = self._mark()
            until = mark + ROWS_AT_ONCE
            rows = connection.execute(_SELECT, (mark, until)).fetchall()
            numbers = [(row[0], self._hear(row)) for row in rows]
            reached = self._reached(until)
            verdicts = self._tracker.verdicts(self._newest_ns)
            if last and reached < until:
                verdicts += self._tracker.end()
            for verdict in verdicts:
                run_id = self._store.write_run(verdict, self._ids.get(verdict.number))
                self._ids[verdict.number] = run_id
            connection.executemany(
                "INSERT OR IGNORE INTO detection_runs (seq, run) VALUES (?, ?)",
                [(seq, self._ids[number]) for seq, number in numbers],
            )
            if reached > mark:
                connection.execute("UPDATE run_index SET indexed_seq = ?", (reached,))
        open_numbers = self._tracker.open_numbers()
        for verdict in verdicts:
            if verdict.number not in open_numbers:
                self._ids.pop(verdict.number, None)
        return max(0, reached - mark)

    def _mark(self) -> int:
        row = self._store.connection.execute("SELECT indexed_seq FROM run_index").fetchone()
        return int(row[0])

    def _reached(self, until: int) -> int:
        newest = self._store.connection.execute("SELECT max(seq) FROM detections").fetchone()[0]
        return min(int(newest or 0), until)

    def _hear(self, row: tuple[object, ...]) -> int:
        _, tag_id, integrity, id_legal, protocol, link, antenna, relay_id, time_ns, sent_ns = row
        detection = Detection(
            protocol=str(protocol),
            tag_id=str(tag_id),
            integrity=integrity,  # type: ignore[arg-type]  # The view spells it out.
            id_legal=None if id_legal is None else bool(id_legal),
        )
        assert isinstance(time_ns, int)  # noqa: S101  The view's column is an integer.
        assert sent_ns is None or isinstance(sent_ns, int)  # noqa: S101  Same.
        self._newest_ns = max(self._newest_ns, time_ns)
        place = str(relay_id or antenna or link)
        return self._tracker.heard(detection, place, time_ns, sent_ns)


class RunSorting:
    """Sorts what was stored into runs now and then: the writer's chore."""

    def __init__(
        self,
        known_tags: Callable[[], Iterable[str]] = tuple,
        *,
        every_s: float = RUN_INDEX_INTERVAL_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`known_tags` is asked when a store is opened."""
        self._known_tags = known_tags
        self._every_s = every_s
        self._monotonic = monotonic
        self._due = monotonic() + every_s
        self._index: tuple[Store, RunIndex] | None = None

    def step(self, store: Store, is_awaited: Callable[[], bool]) -> None:
        """Sort the rows of the last minute, if that is over; stop soon once `is_awaited`.

        Raises:
            sqlite3.Error: nothing of the step was kept; it is tried again in a minute.
        """
        if self._monotonic() < self._due:
            return
        self._due = self._monotonic() + self._every_s
        while self._advance(store, last=False) == ROWS_AT_ONCE:
            if is_awaited():
                self._due = self._monotonic()
                return

    def finish(self, store: Store) -> None:
        """Sort what is left and end all runs.

        Raises:
            sqlite3.Error: as `step`.
        """
        while self._advance(store, last=True):
            pass

    def _advance(self, store: Store, *, last: bool) -> int:
        if self._index is None or self._index[0] is not store:
            self._index = (store, RunIndex(store, self._known_tags()))
        try:
            return self._index[1].advance(last=last)
        except BaseException:
            # The tracker has heard rows whose runs were not kept.
            self._index = None
            raise


def index_runs(
    store: Store,
    known_tags: Iterable[str] = (),
    on_progress: Callable[[int], None] = lambda _rows: None,
) -> None:
    """Sort all stored detections that are not sorted yet, as after an import.

    Raises:
        sqlite3.Error: disk full, I/O error; what was sorted so far is kept.
    """
    index = RunIndex(store, known_tags)
    while rows := index.advance(last=True):
        on_progress(rows)
