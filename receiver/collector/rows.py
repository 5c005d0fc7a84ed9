"""Rows as a collector takes them: every field's type is checked before anything is stored.

Each kind of row is a struct; its fields, in order, are the columns after the key. Fields that a
newer station sends and this collector does not know are kept in `other`.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from receiver.sinks.batches import BatchError, Header, by_kind, unpack

Time: TypeAlias = dt.datetime


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """One reception of one tag transmission."""

    seq: int
    time_stamped: Time
    time: Time | None = None
    time_quality: str
    boot: str | None = None
    mono_ns: int | None = None
    link: str
    antenna: str | None = None
    protocol: str | None = None
    tag_id: str
    integrity: str
    id_legal: bool | None = None
    rssi_dbm: float | None = None
    snr_db: float | None = None
    noise_dbm: float | None = None
    frequency_offset_hz: float | None = None
    relay_id: str | None = None
    relay_rssi_dbm: float | None = None
    recorded_at: Time | None = None
    collection: str | None = None
    run: int | None = None
    decoder: str
    measurements: dict[str, Any] | None = None
    payload: str | None = None
    raw: str | None = None


class ClockSample(msgspec.Struct, frozen=True, kw_only=True):
    """One pair of a station's two clocks."""

    id: int
    time_stamped: Time
    time_quality: str
    boot: str
    mono_ns: int
    reason: str


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """What an antenna did in an hour, also when it heard nothing."""

    revision: int
    hour: Time
    session: str
    link: str
    antenna: str
    listening_s: float
    frames: int
    detections: int
    pulses: int
    noise_dbm: float | None = None
    rejects: dict[str, int] | None = None


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A row of another kind: a fix, a node's health, an event, a pulse."""

    id: int
    time_stamped: Time


Row: TypeAlias = Detection | ClockSample | Activity

NOTE_KINDS = ("gps_fixes", "relay_health", "events", "pulses", "unknown_frames")
"""Kinds that are kept as they came, in one table."""


class NoteLine(msgspec.Struct, frozen=True):
    """A row that is kept as it came."""

    kind: str
    note: Note
    body: bytes


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """A batch, read and checked."""

    header: Header
    detections: Sequence[Detection]
    clock_samples: Sequence[ClockSample]
    activity: Sequence[Activity]
    notes: Sequence[NoteLine]

    @property
    def rows(self) -> int:
        """How many rows it has, of all kinds."""
        return sum(map(len, (self.detections, self.clock_samples, self.activity, self.notes)))


def read(body: bytes, most_bytes: int) -> Contents:
    """Return what a batch holds.

    Raises:
        BatchError: it is no batch, or a row of it is not what it should be.
    """
    header, lines = unpack(body, most_bytes)
    if not header.station_id or not header.store_uuid:
        raise BatchError("the header names no station or no store")
    detections: list[Detection] = []
    samples: list[ClockSample] = []
    activity: list[Activity] = []
    notes: list[NoteLine] = []
    for kind, of_kind in by_kind(header, lines):
        if kind == "detections":
            detections += _decoded(kind, of_kind, _DETECTION)
        elif kind == "clock_samples":
            samples += _decoded(kind, of_kind, _CLOCK_SAMPLE)
        elif kind == "activity":
            activity += _decoded(kind, of_kind, _ACTIVITY)
        elif kind in NOTE_KINDS:
            decoded = _decoded(kind, of_kind, _NOTE)
            notes += (
                NoteLine(kind, note, line) for note, line in zip(decoded, of_kind, strict=True)
            )
        else:
            raise BatchError(f"rows of kind {kind!r} are not known: update the collector")
    return Contents(
        header=header,
        detections=detections,
        clock_samples=samples,
        activity=activity,
        notes=notes,
    )


_DETECTION = msgspec.json.Decoder(Detection)
_CLOCK_SAMPLE = msgspec.json.Decoder(ClockSample)
_ACTIVITY = msgspec.json.Decoder(Activity)
_NOTE = msgspec.json.Decoder(Note)

_TEXT_NUL = (b"\\u0000", b"\x00")
"""PostgreSQL keeps no NUL in text."""


def _decoded(kind: str, lines: Sequence[bytes], decoder: "msgspec.json.Decoder[Any]") -> list[Any]:
    found = []
    for number, line in enumerate(lines, 1):
        try:
            row = decoder.decode(line)
        except msgspec.DecodeError as error:
            raise BatchError(f"row {number} of {kind}: {error}") from error
        if any(nul in line for nul in _TEXT_NUL):
            raise BatchError(f"row {number} of {kind}: a NUL in text")
        found.append(row)
    return found


def values(row: msgspec.Struct, convert: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a row's fields in order, those in `convert` passed through it."""
    return tuple(
        convert[name](value) if name in convert and value is not None else value
        for name, value in zip(row.__struct_fields__, msgspec.structs.astuple(row), strict=True)
    )
