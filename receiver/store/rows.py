"""Records as rows: which table takes which record, and in which columns.

Every table begins with the same five columns (source, utc_ns, mono_ns, boot, clock); what follows
comes from the record alone, so that a packet that repeats is prepared once.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from protocols.records import (
    Detection,
    GpsFix,
    Ignored,
    Pulse,
    Record,
    RelayHealth,
    Unknown,
)
from receiver.arrivals import Arrival, Source, Stamp
from receiver.limits import MAX_RAW_BYTES, ROW_TEMPLATES_CACHED
from receiver.store.interning import Interning
from receiver.store.schema import CLOCK_QUALITIES, INTEGRITIES

Row: TypeAlias = tuple[object, ...]

_STAMP_COLUMNS = ("source", "utc_ns", "mono_ns", "boot", "clock")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    table: _STAMP_COLUMNS + columns
    for table, columns in {
        "detections": (
            "tag",
            "integrity",
            "id_legal",
            "rssi_dbm",
            "snr_db",
            "noise_dbm",
            "frequency_offset_hz",
            "relay",
            "relay_rssi_dbm",
            "recorded_at_ns",
            "collection",
            "measurements",
            "payload",
            "raw",
        ),
        "pulses": (
            "frequency_offset_hz",
            "signal_db",
            "noise_db",
            "snr_db",
            "width_us",
            "raw",
        ),
        "gps_fixes": (
            "latitude",
            "longitude",
            "altitude_m",
            "accuracy_m",
            "fix_mode",
            "satellites",
            "gps_ns",
            "relay",
            "measurements",
            "raw",
        ),
        "relay_health": (
            "relay",
            "relay_rssi_dbm",
            "sent_at_ns",
            "fix_at_ns",
            "latitude",
            "longitude",
            "firmware",
            "battery_v",
            "solar_v",
            "solar_ma",
            "temperature_c",
            "measurements",
            "raw",
        ),
        "unknown_frames": ("reason", "raw"),
        "events": ("kind", "body", "raw"),
    }.items()
}
"""The columns that each table's rows fill, in the order of the row."""

IN_A_RUN = "detections in a run"
"""Key of the rows of `detections` whose decoder found their run: its id stands behind the rest."""


def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


INSERTS: Mapping[str, str] = {
    **{table: _insert(table, columns) for table, columns in COLUMNS.items()},
    IN_A_RUN: _insert("detections", (*COLUMNS["detections"], "run")),
}

_CLOCK_CODES = {quality: code for code, quality in enumerate(CLOCK_QUALITIES)}
_INTEGRITY_CODES = {integrity: code for code, integrity in enumerate(INTEGRITIES)}
_encode_json = msgspec.json.Encoder(order="sorted").encode


def nanoseconds(unix_s: float | None) -> int | None:
    """Return seconds since 1970 as nanoseconds, None where a column could not hold them.

    To the microsecond: the fractions of a float of this century are no finer.
    """
    if unix_s is None or not abs(unix_s) < 2**63 / 1e9:
        return None
    return round(unix_s * 1e6) * 1000


class RowMaker:
    """Makes rows of one store, whose numbers for texts and sources it uses."""

    def __init__(self, interning: Interning) -> None:
        self._interning = interning
        self._prepared: dict[tuple[int, int], tuple[Record, Source, str, int, Row]] = {}
        self._makers: Mapping[type, Callable[[Interning, Record], Row]] = {
            Detection: _detection,
            Pulse: _pulse,
            GpsFix: _gps_fix,
            RelayHealth: _relay_health,
            Unknown: _unknown,
        }

    def forget(self) -> None:
        """Void what was prepared, after a rollback."""
        self._prepared.clear()
        self._interning.forget()

    def committed(self) -> None:
        """Take what was prepared as lasting, after a commit."""
        self._interning.committed()

    def remember_run(self, number: int, run_id: int) -> None:
        """Take `run_id` as the store's number of the run that this process calls `number`."""
        self._interning.remember_run(number, run_id)

    def run_id(self, number: int) -> int | None:
        """Return the store's number of a run, None where it has none yet."""
        return self._interning.run(number)

    def text_number(self, text: str) -> int:
        """Return the number of an interned text."""
        return self._interning.text(text)

    def rows(self, arrivals: Iterable[Arrival]) -> dict[str, list[Row]]:
        """Return the rows of a batch by table, in order of arrival; `Ignored` makes none."""
        by_table: dict[str, list[Row]] = {}
        for arrival in arrivals:
            record = arrival.record
            if isinstance(record, Ignored):
                continue
            table, source, rest = self.prepared(record, arrival.source)
            age_us = getattr(record, "age_us", None)
            row = (source, *self.stamp(arrival.stamp, age_us), *rest)
            if arrival.run is not None:
                table, row = IN_A_RUN, (*row, self._interning.run(arrival.run))
            by_table.setdefault(table, []).append(row)
        return by_table

    def stamp(self, stamp: Stamp, age_us: int | None = None) -> Row:
        """Return the stamp's four columns, `age_us` earlier where the radio's ticks tell."""
        age_ns = 1000 * age_us if age_us else 0
        mono_ns = None if stamp.mono_ns is None else stamp.mono_ns - age_ns
        boot = None if stamp.boot is None else self._interning.text(stamp.boot)
        return (stamp.utc_ns - age_ns, mono_ns, boot, _CLOCK_CODES[stamp.clock])

    def prepared(self, record: Record, source: Source) -> tuple[str, int, Row]:
        """Return (table, source number, columns after the stamp) of a record.

        The same record object gives the same answer at once: decoders return one object for a
        packet that repeats.
        """
        key = (id(record), id(source))
        known = self._prepared.get(key)
        if known is not None:
            return known[2:]
        make = self._makers.get(type(record))
        if make is None:
            table, rest = "events", _event(record)
        else:
            table, rest = _TABLES[type(record)], make(self._interning, record)
        number = self._interning.source(
            source, getattr(record, "antenna", None), getattr(record, "protocol", None)
        )
        if len(self._prepared) >= ROW_TEMPLATES_CACHED:
            self._prepared.clear()
        # The record and the source are kept with it so that their id() stays theirs.
        self._prepared[key] = (record, source, table, number, rest)
        return table, number, rest


_TABLES: Mapping[type, str] = {
    Detection: "detections",
    Pulse: "pulses",
    GpsFix: "gps_fixes",
    RelayHealth: "relay_health",
    Unknown: "unknown_frames",
}


def _json(values: Mapping[str, object] | None) -> str | None:
    return _encode_json(values).decode() if values else None


def _raw(raw: bytes) -> bytes | None:
    return raw[:MAX_RAW_BYTES] or None


def _detection(interning: Interning, record: Record) -> Row:
    assert isinstance(record, Detection)  # noqa: S101  The table of makers says so.
    relay = record.relay
    return (
        interning.text(record.tag_id),
        _INTEGRITY_CODES[record.integrity],
        record.id_legal,
        record.rssi_dbm,
        record.snr_db,
        record.noise_dbm,
        record.frequency_offset_hz,
        interning.text(relay.relay_id) if relay else None,
        relay.relay_rssi_dbm if relay else None,
        nanoseconds(relay.recorded_at_unix_s) if relay else None,
        ",".join(map(str, relay.collection)) if relay and relay.collection else None,
        _json(record.measurements),
        record.payload,
        _raw(record.raw),
    )


def _pulse(_: Interning, record: Record) -> Row:
    assert isinstance(record, Pulse)  # noqa: S101  The table of makers says so.
    return (
        record.frequency_offset_hz,
        record.signal_db,
        record.noise_db,
        record.snr_db,
        record.width_us,
        _raw(record.raw),
    )


def _gps_fix(interning: Interning, record: Record) -> Row:
    assert isinstance(record, GpsFix)  # noqa: S101  The table of makers says so.
    return (
        record.latitude,
        record.longitude,
        record.altitude_m,
        record.accuracy_m,
        record.fix_mode,
        record.satellites,
        nanoseconds(record.gps_unix_s),
        None if record.relay_id is None else interning.text(record.relay_id),
        _json(record.measurements),
        _raw(record.raw),
    )


def _relay_health(interning: Interning, record: Record) -> Row:
    assert isinstance(record, RelayHealth)  # noqa: S101  The table of makers says so.
    return (
        interning.text(record.relay_id),
        record.relay_rssi_dbm,
        nanoseconds(record.sent_at_unix_s),
        nanoseconds(record.fix_at_unix_s),
        record.latitude,
        record.longitude,
        record.firmware,
        record.battery_v,
        record.solar_v,
        record.solar_ma,
        record.temperature_c,
        _json(record.measurements),
        _raw(record.raw),
    )


def _unknown(_: Interning, record: Record) -> Row:
    assert isinstance(record, Unknown)  # noqa: S101  The table of makers says so.
    return (record.reason, record.raw[:MAX_RAW_BYTES])


def event_body(record: Record) -> str:
    """Return a rarer record's fields as a row of `events` has them: JSON, absent left out."""
    fields = msgspec.structs.asdict(record)
    for name in ("raw", "antenna"):
        fields.pop(name, None)
    told = {name: value for name, value in fields.items() if value is not None}
    return _encode_json(told).decode()


def _event(record: Record) -> Row:
    """Return the row of a rarer record: its kind, its fields, the raw bytes beside."""
    return (type(record).__name__, event_body(record), _raw(getattr(record, "raw", b"")))
