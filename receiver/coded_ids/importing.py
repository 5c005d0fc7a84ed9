"""Imported pulses into detections of coded-ID tags, whatever was imported when.

The pulses of a station's antenna are one stream, across its files. They are read back from the
store in order of time, so that neither the order of the files nor how late their lines were written
matters. A silence longer than any run survives cuts the stream into passages, each of which gives
the same detections however often it is decoded. So an import decodes the passages that its files
touch: what comes out as it is stored stays as it is, what is new is added, and what was right for a
part of the passage only (a burst whose first pulse came with another file) is taken back.
"""

import contextlib
import itertools
import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from protocols.coded_id import (
    AntennaDecoder,
    Event,
    HeardPulse,
    IntervalMismatch,
    RunOpened,
    TagList,
    Tolerances,
)
from protocols.records import UnlistedInterval
from receiver.arrivals import Arrival, RunRow
from receiver.coded_ids.code_books import Chosen, CodeBooks
from receiver.coded_ids.imported_pulses import (
    PulseStream,
    imported_windows,
    json_array,
    read_only,
    stamp_of,
)
from receiver.coded_ids.runs import CodedRuns, HeardBurst, unlisted_interval
from receiver.store.database import Store
from receiver.store.rows import event_body

_PULSES_AT_ONCE: Final = 2_000
_ROWS_AT_ONCE: Final = 2_000
"""Detections of one transaction: 10 µs each, so a running daemon waits for 20 ms."""

_NS_PER_S: Final = 10**9
_LONGEST_BURST_NS: Final = _NS_PER_S // 2
"""Bursts of real tags last 0.43 s at most."""


class Mismatch(msgspec.Struct, frozen=True):
    """A tag whose interval is not that of the list, at one antenna."""

    antenna: str | None
    told: UnlistedInterval


class Decoded(msgspec.Struct, kw_only=True):
    """What became of the pulses."""

    pulses: int = 0
    bursts: int = 0
    """Detections that the passages give, those there already among them."""
    added: int = 0
    removed: int = 0
    runs: int = 0
    mismatches: list[Mismatch] = msgspec.field(default_factory=list)
    """The first of each antenna and tag."""


def decode_imported(store: Store, tag_list: TagList, import_ids: Iterable[int]) -> Decoded:
    """Decode the passages in which pulses of these imports lie.

    Raises:
        sqlite3.Error: the store cannot be read or written; run the same import again.
    """
    books = CodeBooks(tag_list, Tolerances())
    codes = books.of(None).book.codes
    longest_ns = max((code.silence_ns for code in codes), default=0)
    # No run, and no burst that waits for its second, lives through such a silence.
    silence_ns = 2 * longest_ns + 60 * _NS_PER_S
    numbers = itertools.count(1)
    decoded = Decoded()
    # What is read stands still while a running daemon, and this import itself, write.
    with contextlib.closing(read_only(store.path)) as reading:
        for (link, antenna), windows in imported_windows(reading, import_ids).items():
            stream = PulseStream(reading, link, antenna)
            passages = _touched(stream.times_ns(), windows, silence_ns)
            if passages:
                _StreamImport(store, stream, books, numbers).run(passages, decoded)
    return decoded


class _StreamImport:
    """One antenna's passages on their way from pulses to detections."""

    def __init__(
        self, store: Store, stream: PulseStream, books: CodeBooks, numbers: Iterator[int]
    ) -> None:
        self._store = store
        self._stream = stream
        self._books = books
        self._runs = CodedRuns(
            stream.antenna or stream.link, stream.antenna, numbers, stream.raw_of
        )
        self._tunings = stream.tunings()
        self._waiting: list[Arrival] = []
        self._run_rows: dict[int, RunRow] = {}
        self._matched: list[tuple[int, int | None, int]] = []
        """(seq, stored run, number of the run) of detections that are there already."""
        self._stored: dict[tuple[int, str], tuple[int, int | None]] = {}
        self._stored_events: set[tuple[int, str]] = set()
        self._run_ids: dict[int, int] = {}
        self._old_runs: set[int] = set()
        """Runs of stored detections that no run of this decoding has taken over."""
        self._added_ns: list[int] = []
        self._told: set[str] = set()

    def run(self, passages: Sequence[tuple[int, int]], decoded: Decoded) -> None:
        """Decode the passages, put the store right, and add to what is told."""
        first_ns, last_ns = passages[0][0], passages[-1][1]
        self._stored = self._stream.detections(first_ns - _LONGEST_BURST_NS, last_ns)
        self._stored_events = self._stream.mismatches(first_ns, last_ns)
        self._old_runs = {run for _, run in self._stored.values() if run is not None}
        begins = [begin_ns for begin_ns, _ in passages]

        def passage_of(pulse: HeardPulse) -> int:
            number = bisect_right(begins, pulse.time_ns) - 1
            return number if pulse.time_ns <= passages[number][1] else -1

        pulses = self._stream.pulses(first_ns, last_ns)
        for number, passage in itertools.groupby(pulses, passage_of):
            if number >= 0:
                self._decode(passage, decoded)
        self._write()
        decoded.removed += self._take_back()

    def _decode(self, passage: Iterator[HeardPulse], decoded: Decoded) -> None:
        for chosen, part in itertools.groupby(passage, self._looked_for_at):
            self._runs.use(chosen.tags)
            decoder = AntennaDecoder(chosen.book)
            while portion := list(itertools.islice(part, _PULSES_AT_ONCE)):
                decoded.pulses += len(portion)
                self._take(decoder.feed(portion), decoded)
            self._take(decoder.finish(), decoded)

    def _looked_for_at(self, pulse: HeardPulse) -> Chosen:
        """Return what the radio could hear when it heard this pulse."""
        number = bisect_right(self._tunings, pulse.time_ns, key=lambda tuning: tuning[0])
        return self._books.of(self._tunings[number - 1][1] if number else None)

    def _take(self, events: Iterable[Event], decoded: Decoded) -> None:
        for event in events:
            if isinstance(event, IntervalMismatch):
                self._take_mismatch(event, decoded)
                continue
            decoded.runs += isinstance(event, RunOpened)
            heard, run = self._runs.take(event)
            if run is not None:
                self._run_rows[run.number] = run
            for each in heard:
                decoded.bursts += 1
                decoded.added += self._take_burst(each)
        if len(self._waiting) + len(self._matched) >= _ROWS_AT_ONCE:
            self._write()

    def _take_burst(self, heard: HeardBurst) -> bool:
        """Return whether a burst makes a new row."""
        time_ns = heard.burst.time_ns
        known = self._stored.pop((time_ns, heard.detection.tag_id), None)
        if known is not None:
            self._matched.append((*known, heard.run))
            return False
        first = heard.burst.pulses[0]
        self._waiting.append(
            Arrival(
                heard.detection, self._stream.source_of(first), stamp_of(time_ns, first), heard.run
            )
        )
        self._added_ns.append(time_ns)
        return True

    def _take_mismatch(self, event: IntervalMismatch, decoded: Decoded) -> None:
        told = unlisted_interval(event, self._stream.antenna)
        last = event.bursts[-1]
        source = self._stream.source_of(last.pulses[0])
        if told.tag_id not in self._told:
            self._told.add(told.tag_id)
            decoded.mismatches.append(Mismatch(self._stream.antenna, told))
        if (last.time_ns, event_body(told)) not in self._stored_events:
            stamp = stamp_of(last.time_ns, last.pulses[0])
            self._waiting.append(Arrival(told, source, stamp))

    def _write(self) -> None:
        """Put what was found so far into the store."""
        for _, old_run, number in self._matched:
            if number not in self._run_ids and old_run in self._old_runs:
                # The run that was stored goes on under its number.
                self._old_runs.discard(old_run)
                self._run_ids[number] = old_run
        with self._store.transaction() as connection:
            for number, row in self._run_rows.items():
                run_id = self._store.write_run(row, self._run_ids.get(number))
                self._run_ids[number] = run_id
                self._store.row_maker.remember_run(number, run_id)
            self._store.insert(self._store.row_maker.rows(self._waiting))
            moved = [
                (self._run_ids[number], seq, old_run)
                for seq, old_run, number in self._matched
                if self._run_ids[number] != old_run
            ]
            connection.executemany(
                "UPDATE detections SET run = ? WHERE seq = ?", [each[:2] for each in moved]
            )
            _drop_empty_runs(connection, {old_run for *_, old_run in moved})
        self._waiting.clear()
        self._matched.clear()
        self._run_rows.clear()

    def _take_back(self) -> int:
        """Delete detections in whose place others were added; return how many."""
        self._added_ns.sort()
        gone = [
            (seq, run)
            for (time_ns, _), (seq, run) in self._stored.items()
            if self._is_replaced(time_ns)
        ]
        if gone:
            with self._store.transaction() as connection:
                connection.executemany(
                    "DELETE FROM detections WHERE seq = ?", [(seq,) for seq, _ in gone]
                )
                _drop_empty_runs(connection, {run for _, run in gone})
        return len(gone)

    def _is_replaced(self, time_ns: int) -> bool:
        place = bisect_left(self._added_ns, time_ns - _LONGEST_BURST_NS)
        return place < len(self._added_ns) and self._added_ns[place] <= time_ns + _LONGEST_BURST_NS


def _drop_empty_runs(connection: sqlite3.Connection, run_ids: Iterable[int | None]) -> None:
    """Delete those of these runs that have no detection left."""
    left = {run_id for run_id in run_ids if run_id is not None}
    if left:
        connection.execute(
            "DELETE FROM runs WHERE id IN (SELECT value FROM json_each(?))"
            " AND id NOT IN (SELECT run FROM detections WHERE run IS NOT NULL)",
            (json_array(left),),
        )


def _touched(
    times_ns: Iterable[int], windows: Iterable[tuple[int, int]], silence_ns: int
) -> list[tuple[int, int]]:
    """Return the passages (first and last pulse) in which one of the windows lies, in order."""
    passages: list[tuple[int, int]] = []
    begin_ns: int | None = None
    before_ns = 0
    for time_ns in times_ns:
        if begin_ns is None:
            begin_ns = time_ns
        elif time_ns - before_ns > silence_ns:
            passages.append((begin_ns, before_ns))
            begin_ns = time_ns
        before_ns = time_ns
    if begin_ns is not None:
        passages.append((begin_ns, before_ns))
    ordered = sorted(windows)
    return [
        passage
        for passage in passages
        if any(first <= passage[1] and last >= passage[0] for first, last in ordered)
    ]
