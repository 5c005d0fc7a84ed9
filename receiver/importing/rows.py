"""Lines of a recorded file as rows of the store, fast where lines repeat but for their time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from protocols.recorded import LineReader
from protocols.records import Detection, Ignored, Unknown
from protocols.times import FIRST_RELAY_NS, FIRST_STATION_NS, FUTURE_SLACK_NS, is_plausible
from receiver.arrivals import ClockQuality, Source, Stamp
from receiver.limits import IMPORT_TEMPLATES, MAX_RAW_BYTES, UNKNOWN_LINES_KEPT_PER_FILE
from receiver.store.database import Store
from receiver.store.rows import COLUMNS, Row

_DETECTION_COLUMNS: Final = COLUMNS["detections"]
_TOLD: Final = ("tag", "integrity", "id_legal", "rssi_dbm")
_BEEP_COLUMNS: Final = ("utc_ns", "raw", "source", "clock", *_TOLD)
"""What most tag lines tell; the other columns of such rows stay NULL."""

_STAMP_COLUMN_COUNT: Final = 5
_AT: Final = {
    name: place - _STAMP_COLUMN_COUNT
    for place, name in enumerate(_DETECTION_COLUMNS)
    if place >= _STAMP_COLUMN_COUNT
}
_ELSEWHERE: Final = tuple(_AT[name] for name in _AT if name not in (*_TOLD, "raw"))

_ROWS_AT_ONCE: Final = 40
"""Beeps in one INSERT statement: 40 rows of 8 values pass SQLite's oldest bound of 999 values, and
take 2.4 us each where one by one they take 3.8 us."""


def _insert_beeps(rows: int) -> str:
    row = f"({', '.join('?' * len(_BEEP_COLUMNS))})"
    return (
        f"INSERT INTO detections ({', '.join(_BEEP_COLUMNS)})"  # noqa: S608  Names from this file only.
        f" VALUES {', '.join([row] * rows)}"
    )


_INSERT_MANY: Final = _insert_beeps(_ROWS_AT_ONCE)
_INSERT_ONE: Final = _insert_beeps(1)


class Outcome(msgspec.Struct):
    """What became of a file's lines."""

    rows: Counter[str] = msgspec.field(default_factory=Counter)
    """By table."""
    unknown: Counter[str] = msgspec.field(default_factory=Counter)
    """By reason."""
    first_unknown: tuple[int, str] | None = None
    """Line number and reason."""


class LineConverter:
    """Makes rows of one file's lines, in one transaction for each `store` call.

    Call it inside `Store.transaction`; after a rollback it is void.
    """

    def __init__(
        self,
        store: Store,
        reader: LineReader,
        source: Source,
        *,
        is_synchronised: bool,
        started_ns: int,
        now_ns: int,
    ) -> None:
        """Prepare to convert.

        Args:
            store: where the rows go.
            reader: reads the lines.
            source: the file's link, decoder and number.
            is_synchronised: whether the file claims a good clock.
            started_ns: the time of lines that tell none, before the first that does.
            now_ns: what no recording can be later than.
        """
        self.outcome = Outcome()
        self._store = store
        self._reader = reader
        self._source = source
        self._claimed: ClockQuality = "file" if is_synchronised else "unsynchronised"
        self._now_ns = now_ns
        self._last_ns = started_ns
        self._templates: dict[bytes, Row] = {}
        self._beeps: list[object] = []
        self._rows: dict[str, list[Row]] = {}

    def store_lines(self, lines: Sequence[bytes], first_line: int) -> None:
        """Insert the rows of lines that follow each other; `first_line` is the first's number."""
        time_from, (time_to, shorter_to) = self._reader.time_from, self._reader.time_to
        time_ns, template_of, beeps = self._reader.time_ns, self._templates.get, self._beeps
        earliest_ns, latest_ns = FIRST_STATION_NS, self._now_ns + FUTURE_SLACK_NS
        for number, line in enumerate(lines, first_line):
            time_end = time_to
            template = template_of(line[:time_from] + line[time_to:])
            if template is None:
                time_end = shorter_to
                template = template_of(line[:time_from] + line[shorter_to:])
            if template is not None:
                utc_ns = time_ns(line[time_from:time_end])
                if utc_ns is not None and earliest_ns <= utc_ns <= latest_ns:
                    if self._rows:
                        self._flush_rows()
                    beeps += (utc_ns, line, *template)
                    continue
            self._convert(line, number)
        self._flush_beeps()
        self._flush_rows()

    def _convert(self, line: bytes, number: int) -> None:
        record, utc_ns, is_relay_clock = self._reader.read(line)
        if isinstance(record, Ignored):
            # A header in the middle may have given the reader other columns.
            self._templates.clear()
            return
        if isinstance(record, Unknown):
            self.outcome.unknown[record.reason] += 1
            self.outcome.first_unknown = self.outcome.first_unknown or (number, record.reason)
            if self.outcome.unknown[record.reason] > UNKNOWN_LINES_KEPT_PER_FILE:
                return
        clock = self._claimed
        if utc_ns is None:
            utc_ns = self._last_ns
        earliest_ns = FIRST_RELAY_NS if is_relay_clock else FIRST_STATION_NS
        if not is_plausible(utc_ns, now_ns=self._now_ns, earliest_ns=earliest_ns):
            clock = "implausible"
        else:
            self._last_ns = utc_ns
        row_maker = self._store.row_maker
        table, source, rest = row_maker.prepared(record, self._source)
        stamp = row_maker.stamp(Stamp(utc_ns, clock))
        if table == "detections" and all(rest[place] is None for place in _ELSEWHERE):
            template = (source, stamp[-1], *(rest[_AT[name]] for name in _TOLD))
            self._flush_rows()
            self._beeps += (utc_ns, line[:MAX_RAW_BYTES], *template)
            if clock == self._claimed and not is_relay_clock:
                self._remember(line, record, utc_ns, template)
        else:
            self._flush_beeps()
            raw = line[:MAX_RAW_BYTES]
            self._rows.setdefault(table, []).append((source, *stamp, *rest[:-1], raw))

    def _remember(self, line: bytes, record: object, utc_ns: int, template: Row) -> None:
        """Keep the row of a line for all lines that differ from it in their time only."""
        if not isinstance(record, Detection):
            return
        time_from = self._reader.time_from
        for time_to in self._reader.time_to:
            if self._reader.time_ns(line[time_from:time_to]) == utc_ns:
                if len(self._templates) >= IMPORT_TEMPLATES:
                    self._templates.clear()
                self._templates[line[:time_from] + line[time_to:]] = template
                return

    def _flush_beeps(self) -> None:
        values, width = self._beeps, len(_BEEP_COLUMNS)
        if not values:
            return
        count, connection = len(values) // width, self._store.connection
        step = _ROWS_AT_ONCE * width
        whole = len(values) - len(values) % step
        connection.executemany(
            _INSERT_MANY, (values[at : at + step] for at in range(0, whole, step))
        )
        connection.executemany(
            _INSERT_ONE, (values[at : at + width] for at in range(whole, len(values), width))
        )
        self.outcome.rows["detections"] += count
        values.clear()

    def _flush_rows(self) -> None:
        self._store.insert(self._rows)
        for table, rows in self._rows.items():
            self.outcome.rows[table] += len(rows)
        self._rows.clear()


def rows_told(rows: Mapping[str, int]) -> str:
    """Return row counts for people: `2807 detections, 30 other records`."""
    names = {"detections": "detections", "pulses": "pulses", "gps_fixes": "GPS fixes"}
    others = sum(count for table, count in rows.items() if table not in names)
    told = [f"{rows[table]} {name}" for table, name in names.items() if rows.get(table)]
    return ", ".join([*told, *([f"{others} other records"] if others else [])]) or "no rows"
