"""What a collector's database promises, whichever it is."""

import datetime as dt
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import msgspec

from receiver.collector.rows import Contents
from receiver.collector.tables import ACTIVITY, CLOCK_SAMPLES, DETECTIONS, NOTES, Table

Row: TypeAlias = tuple[Any, ...]


class DatabaseAwayError(Exception):
    """The database does not take rows now; the message says why."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch came to."""

    rows: int
    new: int
    """Those that were not there yet (or were there in an older state)."""
    other_store: str | None = None
    """The store that sends under the same station's name at the same time."""


class CollectorStore(Protocol):
    """A database; used by one thread."""

    def write(self, contents: Contents) -> Written:
        """Store a batch; when this returns it is committed, and rows that were there stay single.

        Raises:
            DatabaseAwayError: nothing of it is stored; try again later.
            BatchError: the database takes no such rows, ever.
        """
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


def rows_by_table(
    contents: Contents,
    *,
    time: Callable[[dt.datetime], Any],
    binary: Callable[[str], Any],
) -> dict[Table, list[Row]]:
    """Return the rows of a batch, sorted by key so that two collectors never wait in a circle.

    `time` and `binary` turn a time and hexadecimal text into what the database takes.
    """
    store = (contents.header.station_id, contents.header.store_uuid)

    def maybe(value: Any, convert: Callable[[Any], Any]) -> Any:  # noqa: ANN401  A field of any type.
        return None if value is None else convert(value)

    def json(raw: msgspec.Raw) -> str | None:
        return bytes(raw).decode() or None

    detections = [
        (
            *store,
            row.seq,
            time(row.time_stamped),
            time(row.time or row.time_stamped),
            row.time_quality,
            row.boot,
            row.mono_ns,
            row.link,
            row.antenna,
            row.protocol,
            row.tag_id,
            row.integrity,
            row.id_legal,
            row.rssi_dbm,
            row.snr_db,
            row.noise_dbm,
            row.frequency_offset_hz,
            row.relay_id,
            row.relay_rssi_dbm,
            maybe(row.recorded_at, time),
            row.collection,
            row.run,
            row.decoder,
            json(row.measurements),
            maybe(row.payload, binary),
            maybe(row.raw, binary),
        )
        for row in sorted(contents.detections, key=lambda row: row.seq)
    ]
    samples = [
        (
            *store,
            row.id,
            time(row.time_stamped),
            row.time_quality,
            row.boot,
            row.mono_ns,
            row.reason,
        )
        for row in sorted(contents.clock_samples, key=lambda row: row.id)
    ]
    newest = {
        (row.hour, row.session, row.link, row.antenna): row
        for row in sorted(contents.activity, key=lambda row: row.revision)
    }
    activity = [
        (
            *store,
            time(row.hour),
            row.session,
            row.link,
            row.antenna,
            row.revision,
            row.listening_s,
            row.frames,
            row.detections,
            row.pulses,
            row.noise_dbm,
            json(row.rejects),
        )
        for _, row in sorted(newest.items())
    ]
    notes = [
        (*store, row.kind, row.id, time(row.time_stamped), row.body.decode())
        for row in sorted(contents.notes, key=lambda row: (row.kind, row.id))
    ]
    return {
        table: rows
        for table, rows in (
            (DETECTIONS, detections),
            (CLOCK_SAMPLES, samples),
            (ACTIVITY, activity),
            (NOTES, notes),
        )
        if rows
    }
