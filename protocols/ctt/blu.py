"""BluSeries receivers: up to four 2.4 GHz radios behind one serial adapter that answers questions.

FTDI FT231X (0403:6015), 230400 baud, DTR low switches the receiver on; 1.5 s later it takes the
first request. Requests and replies are JSON objects, one a line (`protocols.ctt.blu_poller` asks).
"""

import binascii
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

import msgspec
from construct import Bytes, GreedyBytes, Int8ul, Int16ul

from protocols.ctt.readings import PROTOCOL_2G4
from protocols.declared_payloads import DeclaredPayload, layouts_of
from protocols.errors import PacketError
from protocols.layouts import build, parse, valued
from protocols.payload_codec import PayloadCodec, PayloadField
from protocols.records import (
    CommandReply,
    Detection,
    Ignored,
    Measurements,
    RadioInfo,
    Record,
    Setting,
    StationHealth,
    Unknown,
)
from protocols.registry import register

BAUD: Final = 230_400
START_DELAY_S: Final = 1.5

_TICK_MODULUS: Final = 1 << 32
_LONGEST_AGE_MS: Final = 86_400_000
"""A receiver that kept a detection for over a day restarted in between: no age then."""


class RequestType(enum.IntEnum):
    """What a request asks for; its reply has the same number."""

    VERSION = 1
    DFU_START = 2
    DFU_FRAGMENT = 3
    DFU_FINISH = 4
    DFU_CANCEL = 5
    DETECTIONS = 6
    LEDS = 7
    REBOOT = 8
    STATS = 9
    CONFIG = 10


class BluReply(msgspec.Struct, frozen=True, kw_only=True):
    """One reply line: from which radio, to which type of request, and what it says."""

    type: int
    channel: int
    data: dict[str, Any] = {}

    @property
    def ends_batch(self) -> bool:
        """The radio has no more detections to tell."""
        return self.type == RequestType.DETECTIONS and not self.data


class Beacon(msgspec.Struct, frozen=True, kw_only=True):
    """What a Blu tag sent, as the receiver passes it on in base64.

    offset  size  field
    0       4     tag id, all 32 bits, no dictionary
    4       2     sync, little-endian: names one transmission to all who heard it
    6       1     family: 0 BluMorpho, 1 BluBat
    7       1     revision of the payload
    8       n     payload; revision 0: supply u16 mV, temperature i16 0.01 °C, little-endian

    Source: CTT's station software and celltracktech (R), which reads the temperature signed.
    """

    tag_id: bytes
    sync: int
    family: int
    revision: int
    payload: bytes


BEACON = valued(
    Beacon,
    "tag_id" / Bytes(4),
    "sync" / Int16ul,
    "family" / Int8ul,
    "revision" / Int8ul,
    "payload" / GreedyBytes,
)

REVISION_0: Final = PayloadCodec(
    [
        PayloadField(name="battery_v", type="u16le", scale=0.001),
        PayloadField(name="temperature_c", type="i16le", scale=0.01),
    ]
)
"""`battery_v` is that of the solar cell in tags that have no battery (BluMorpho)."""


class _DetectionFields(msgspec.Struct):
    detection: str
    rssi: float | None = None
    current_tick_ms: int | None = None
    detect_tick_ms: int | None = None


def request(request_type: RequestType, channel: int, **fields: int | str) -> bytes:
    """Return a request line, terminator and all.

    LEDS takes `state`, `blink_rate_ms`, `blink_count` (-1 for ever); CONFIG `scan` and `rx_blink`,
    each 0 or 1; the others nothing.
    """
    return msgspec.json.encode({"type": int(request_type), "channel": channel, "data": fields}) + (
        b"\r\n"
    )


def reply(reply_to: RequestType, channel: int, fields: Mapping[str, object]) -> bytes:
    """Return a reply line as a receiver sends it, terminator and all."""
    return msgspec.json.encode({"type": int(reply_to), "channel": channel, "data": fields}) + (
        b"\r\n"
    )


def detection_fields(
    beacon: Beacon, *, rssi_dbm: int, current_tick_ms: int, detect_tick_ms: int
) -> dict[str, object]:
    """Return what a DETECTIONS reply says of one beacon.

    Raises:
        EncodeError: a field of the beacon does not fit.
    """
    return {
        "detection": binascii.b2a_base64(build(BEACON, beacon), newline=False).decode(),
        "rssi": rssi_dbm,
        "current_tick_ms": current_tick_ms,
        "detect_tick_ms": detect_tick_ms,
    }


def parse_reply(line: bytes) -> BluReply | None:
    """Return the reply in one line, NULs and blanks before it dropped; None where it is none."""
    try:
        return msgspec.json.decode(line.lstrip(b"\0 \t\r\n"), type=BluReply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


@register(
    "ctt-blu",
    version="1",
    framing="lines",
    takes="replies of CTT BluSeries 2.4 GHz receivers (230400 baud, polled)",
)
class BluDecoder:
    """Reply lines of BluSeries receivers.

    {"type":6,"channel":1,"data":{"detection":"<base64>","rssi":-70,
                                  "current_tick_ms":…,"detect_tick_ms":…}}

    A batch of detections comes as one reply each and ends with empty data. The age of a detection
    is the difference of the two ticks. VERSION gives a `RadioInfo`, STATS a `StationHealth`,
    CONFIG settings, any other known type a `CommandReply`.

    Source: CTT's station software 2.x.
    """

    def __init__(self, codecs: Mapping[int, PayloadCodec] | None = None) -> None:
        self._codecs = {0: REVISION_0, **(codecs or {})}

    @classmethod
    def with_payloads(cls, declared: Sequence[DeclaredPayload]) -> Self:
        """Return a decoder that reads the payload revisions which an owner declared."""
        layouts = layouts_of(declared, PROTOCOL_2G4)
        return cls({revision: codec for (revision, _), codec in layouts.items()})

    def decode(self, frame: bytes) -> tuple[Record, ...]:
        """Return the records in one line; never raises, never returns an empty tuple."""
        told = parse_reply(frame)
        if told is None:
            return (Unknown(reason="not-a-reply", raw=frame),)
        if told.type == RequestType.DETECTIONS:
            return (self._detection(told, frame),)
        read = _READERS.get(told.type)
        if read is not None:
            return read(told, frame)
        if told.type in set(RequestType):
            command = RequestType(told.type).name.lower().replace("_", "-")
            return (CommandReply(command=command, ok=True, raw=frame),)
        return (Unknown(reason="unknown-type", raw=frame),)

    def _detection(self, told: BluReply, raw: bytes) -> Record:
        if told.ends_batch:
            return Ignored(reason="end-of-batch")
        try:
            fields = msgspec.convert(told.data, _DetectionFields)
            beacon: Beacon = parse(BEACON, binascii.a2b_base64(fields.detection, strict_mode=True))
        except msgspec.ValidationError:
            return Unknown(reason="detection-fields", raw=raw)
        except PacketError:
            return Unknown(reason="length", raw=raw)
        except ValueError:  # binascii.Error and text that is not ASCII.
            return Unknown(reason="not-base64", raw=raw)
        codec = self._codecs.get(beacon.revision)
        ticks = {} if fields.detect_tick_ms is None else {"detect_tick_ms": fields.detect_tick_ms}
        return Detection(
            protocol=PROTOCOL_2G4,
            tag_id=beacon.tag_id.hex().upper(),
            integrity="unverified",
            antenna=str(told.channel),
            rssi_dbm=fields.rssi,
            age_us=_age_us(fields),
            measurements={
                **((codec and codec.measurements(beacon.payload)) or {}),
                "sync": beacon.sync,
                "family": beacon.family,
                "revision": beacon.revision,
                **ticks,
            },
            payload=beacon.payload,
            raw=raw,
        )


def _age_us(fields: _DetectionFields) -> int | None:
    if fields.current_tick_ms is None or fields.detect_tick_ms is None:
        return None
    age_ms = (fields.current_tick_ms - fields.detect_tick_ms) % _TICK_MODULUS
    return age_ms * 1000 if age_ms <= _LONGEST_AGE_MS else None


def _version(told: BluReply, raw: bytes) -> tuple[Record, ...]:
    return (
        RadioInfo(
            name="BluSeries",
            firmware=_text(told.data.get("version")),
            antenna=str(told.channel),
            measurements={"app": str(told.data["app"])} if "app" in told.data else None,
            raw=raw,
        ),
    )


def _stats(told: BluReply, raw: bytes) -> tuple[Record, ...]:
    numbers: Measurements = {
        "detections_dropped" if name == "det_dropped" else name: value
        for name, value in told.data.items()
        if isinstance(value, int | float | str)
    }
    return (StationHealth(antenna=str(told.channel), measurements=numbers, raw=raw),)


def _config(told: BluReply, raw: bytes) -> tuple[Record, ...]:
    return tuple(
        Setting(name=name, value=str(value), antenna=str(told.channel), raw=raw)
        for name, value in told.data.items()
    ) or (CommandReply(command="config", ok=True, raw=raw),)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


_READERS: dict[int, Callable[[BluReply, bytes], tuple[Record, ...]]] = {
    RequestType.VERSION: _version,
    RequestType.STATS: _stats,
    RequestType.CONFIG: _config,
}
