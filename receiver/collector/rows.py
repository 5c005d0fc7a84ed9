"""Rows as a collector takes them: every field's type is checked before anything is stored.

A station that sends fields which are not here has a newer `schema_version`, which is refused with
words that say so. Rows of a kind that is not known are kept as they came.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from receiver.sinks.batches import BatchError, Header, by_kind, unpack

Time: TypeAlias = Annotated[dt.datetime, Meta(tz=True)]
Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Hex: TypeAlias = Annotated[str, Meta(pattern=r"^([0-9a-f]{2})*\Z")]
Json: TypeAlias = msgspec.Raw
"""JSON as it came; empty where there is none."""

_NO_JSON = msgspec.Raw(b"")


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """One reception of one tag transmission."""

    seq: Int64
    time_stamped: Time
    time: Time | None = None
    time_quality: str
    boot: str | None = None
    mono_ns: Int64 | None = None
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
    run: Int64 | None = None
    decoder: str
    measurements: Json = _NO_JSON
    payload: Hex | None = None
    raw: Hex | None = None


class ClockSample(msgspec.Struct, frozen=True, kw_only=True):
    """One pair of a station's two clocks."""

    id: Int64
    time_stamped: Time
    time_quality: str
    boot: str
    mono_ns: Int64
    reason: str


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """What an antenna did in an hour, also when it heard nothing."""

    hour: Time
    session: str
    link: str
    antenna: str
    revision: Int64
    listening_s: float
    frames: Int64
    detections: Int64
    pulses: Int64
    noise_dbm: float | None = None
    rejects: Json = _NO_JSON


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A row of another kind: a fix, a node's health, an event, a pulse."""

    id: Int64
    time_stamped: Time


class NoteLine(msgspec.Struct, frozen=True):
    """A row that is kept as it came."""

    kind: str
    id: int
    time_stamped: dt.datetime
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
    try:
        uuid.UUID(header.store_uuid)
    except ValueError as error:
        raise BatchError(f"store_uuid: {error}") from error
    if not header.station_id or "\x00" in header.station_id:
        raise BatchError("the header names no station")
    lines = [_without_nul(line) if _NUL in line else line for line in lines]
    rows: dict[str, list[Any]] = {name: [] for name in _DECODERS}
    notes: list[NoteLine] = []
    for kind, of_kind in by_kind(header, lines):
        decoder = _DECODERS.get(kind)
        if decoder is not None:
            rows[kind] += _decoded(kind, of_kind, decoder)
            continue
        for line, note in zip(of_kind, _decoded(kind, of_kind, _NOTE), strict=True):
            notes.append(NoteLine(kind, note.id, note.time_stamped, line))
    return Contents(
        header=header,
        detections=rows["detections"],
        clock_samples=rows["clock_samples"],
        activity=rows["activity"],
        notes=notes,
    )


_DECODERS: "dict[str, msgspec.json.Decoder[Any]]" = {
    "detections": msgspec.json.Decoder(Detection),
    "clock_samples": msgspec.json.Decoder(ClockSample),
    "activity": msgspec.json.Decoder(Activity),
}
_NOTE = msgspec.json.Decoder(Note)

_NUL = b"\\u0000"
"""PostgreSQL keeps no NUL in text; the bytes of the frame are in `raw` all the same."""


def _decoded(kind: str, lines: Sequence[bytes], decoder: "msgspec.json.Decoder[Any]") -> list[Any]:
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(decoder.decode(line))
        except msgspec.DecodeError as error:
            raise BatchError(f"row {number} of {kind}: {error}") from error
    return found


def _without_nul(line: bytes) -> bytes:
    """Return a row with the replacement character in the place of NUL."""
    try:
        return msgspec.json.encode(_replaced(msgspec.json.decode(line)))
    except msgspec.DecodeError:
        return line  # It is refused with its reason where its fields are read.


def _replaced(value: Any) -> Any:  # noqa: ANN401  Whatever JSON holds.
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, list):
        return [_replaced(each) for each in value]
    if isinstance(value, dict):
        return {_replaced(name): _replaced(each) for name, each in value.items()}
    return value
