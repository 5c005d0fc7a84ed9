"""What rtl_433 publishes about CTT tags: any RTL-SDR stick as a tag receiver.

rtl_433 sends one JSON object an event. Two of its decoders hear CTT tags:

    built-in (protocol 320, version 25.12 on)
        {"model":"CTT-Tag","id":2018855987,"valid_motus":1,"mic":"CRC"}
        `id` is the four id bytes as a signed 32-bit number, big-endian; `mic` says that the CRC-8
        was right, without telling it.
    flex decoder, any version:  -X 'n=CTT,m=FSK_PCM,s=40,l=40,r=2000,preamble=d391,bits>=56'
        {"model":"CTT","rows":[{"len":41,"data":"78554c33580"}],"codes":["{41}78554c33580"]}
        `len` bits that followed the sync word, most significant first, zero-filled to a hex digit:
        the packet and 0 to 2 stray bits, or a packet whose end was cut off. Nobody has checked a
        CRC.

With `-M level` come `rssi` and `noise`, relative to full scale (not dBm), and `snr`, their
difference in dB; `freq`, or for FSK `freq1` and `freq2`, in MHz. `time` is rtl_433's own: where it
says UTC it is kept as the measurement `recorded_at_unix_s`, since a broker may hold a message back
for hours while the link is down; local times and file offsets are not kept.

Source: rtl_433's ctt_life_power_hybrid.c and flex.c (read for the format), and runs of 22.11 and
25.12.
"""

import math
from collections.abc import Sequence
from typing import Final, Self

import msgspec

from protocols.checksums import crc8_smbus
from protocols.ctt.extended import PayloadCodecs, read_air_packet
from protocols.ctt.packet import ID_BYTES, PACKET_BYTES, id_legal
from protocols.ctt.readings import PROTOCOL_434, measured
from protocols.declared_payloads import DeclaredPayload
from protocols.records import Detection, Ignored, Integrity, Measurements, Record, Unknown
from protocols.registry import register
from protocols.times import NS_PER_S, iso_ns, unix_ns

ID_BITS: Final = 8 * ID_BYTES
PACKET_BITS: Final = 8 * PACKET_BYTES
MIN_ROW_BITS: Final = 34
"""A row with fewer bits of the CRC is noise more often than a tag."""

BUILT_IN_MODEL: Final = "CTT-Tag"
FLEX_MODEL: Final = "CTT"
"""The name that the flex decoder must be given: `n=CTT`."""

_HZ_PER_MHZ: Final = 1e6
_MAX_MHZ: Final = 1e5
"""No stick tunes to 100 GHz."""


class _Row(msgspec.Struct):
    len: int
    data: str = ""


class _Event(msgspec.Struct):
    model: str | None = None
    time: str | float | None = None
    id: int | str | None = None
    mic: str | None = None
    rows: list[_Row] | None = None
    freq: float | None = None
    freq1: float | None = None
    freq2: float | None = None
    rssi: float | None = None
    snr: float | None = None
    noise: float | None = None


@register(
    "rtl433",
    version="1",
    framing="message",
    takes="rtl_433's JSON events about CTT tags, over MQTT",
)
class Rtl433Decoder:
    """JSON events of rtl_433, built-in CTT decoder and flex decoder named `CTT`.

    {"time":"2026-05-12T04:32:10.512345Z","model":"CTT-Tag","id":2018855987,"mic":"CRC",
     "freq":434.0,"rssi":-12.1,"snr":18.2,"noise":-30.3}

    A flex row is judged here: whole packets by their CRC; of a CRC that was cut off the bits that
    are there must agree (`unverified`, else `failed`). Levels are the measurements `rssi_db` and
    `noise_db`. Other devices and states are `Ignored`.
    """

    def __init__(self, codecs: PayloadCodecs | None = None) -> None:
        self._codecs = codecs or PayloadCodecs()

    @classmethod
    def with_payloads(cls, declared: Sequence[DeclaredPayload]) -> Self:
        """Return a decoder that reads the payloads which an owner declared.

        Raises:
            ProtocolError: a format that there is not.
        """
        return cls(PayloadCodecs.of(declared))

    def decode(self, frame: bytes) -> tuple[Record, ...]:
        """Return the records in one message; never raises, never returns an empty tuple."""
        try:
            model = msgspec.json.decode(frame, type=_Model).model
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return (Unknown(reason="not-an-event", raw=frame),)
        if model is None:
            return (Ignored(reason="not-a-device"),)
        if model not in {BUILT_IN_MODEL, FLEX_MODEL}:
            return (Ignored(reason="other-device"),)
        try:
            event = msgspec.json.decode(frame, type=_Event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return (Unknown(reason="event-fields", raw=frame),)
        if event.rows is not None:
            return tuple(self._row(row, event, frame) for row in event.rows) or (
                Unknown(reason="no-rows", raw=frame),
            )
        return (_built_in(event, frame),)

    def _row(self, row: _Row, event: _Event, raw: bytes) -> Record:
        if row.len < MIN_ROW_BITS:
            return Unknown(reason="length", raw=raw)
        try:
            received = bytes.fromhex(row.data + "0" * (len(row.data) % 2))
        except ValueError:
            return Unknown(reason="not-hex", raw=raw)
        if 8 * len(received) < row.len:
            return Unknown(reason="length", raw=raw)
        if row.len < PACKET_BITS:
            id_bytes = received[:ID_BYTES]
            verdict = _cut_crc_verdict(id_bytes, received[ID_BYTES], row.len - ID_BITS)
            return _detection(event, raw, id_bytes.hex().upper(), verdict, id_legal(id_bytes))
        heard = read_air_packet(received[: row.len // 8])
        if heard is None:
            return Unknown(reason="length", raw=raw)
        return _detection(
            event,
            raw,
            heard.tag_id,
            heard.integrity,
            heard.id_legal,
            payload=heard.payload,
            told=self._codecs.measurements(heard),
        )


class _Model(msgspec.Struct):
    model: str | None = None


def _built_in(event: _Event, raw: bytes) -> Record:
    if not isinstance(event.id, int) or not -(1 << 31) <= event.id < 1 << 32:
        return Unknown(reason="event-fields", raw=raw)
    id_bytes = (event.id % (1 << 32)).to_bytes(ID_BYTES, "big")
    verdict: Integrity = "verified" if event.mic == "CRC" else "unverified"
    return _detection(event, raw, id_bytes.hex().upper(), verdict, id_legal(id_bytes))


def _cut_crc_verdict(id_bytes: bytes, crc_start: int, crc_bits: int) -> Integrity:
    """Judge by the first bits of a CRC whose end was cut off: they can refute, not prove."""
    disagreement = crc8_smbus(id_bytes) ^ crc_start
    return "failed" if disagreement >> (8 - crc_bits) else "unverified"


def _detection(
    event: _Event,
    raw: bytes,
    tag_id: str,
    integrity: Integrity,
    is_legal: bool,  # noqa: FBT001  A verdict among verdicts.
    *,
    payload: bytes | None = None,
    told: Measurements | None = None,
) -> Detection:
    readings = measured(
        rssi_db=event.rssi,
        noise_db=event.noise,
        frequency_hz=_frequency_hz(event),
        recorded_at_unix_s=_unix_s(event.time),
    )
    return Detection(
        protocol=PROTOCOL_434,
        tag_id=tag_id,
        integrity=integrity,
        id_legal=is_legal,
        snr_db=event.snr,
        measurements={**readings, **(told or {})} or None,
        payload=payload,
        raw=raw,
    )


def _frequency_hz(event: _Event) -> float | None:
    if event.freq is not None:
        mhz = event.freq
    elif event.freq1 is not None and event.freq2 is not None:
        mhz = (event.freq1 + event.freq2) / 2
    else:
        return None
    return round(mhz * _HZ_PER_MHZ) if 0 < mhz < _MAX_MHZ else None


def _unix_s(time: str | float | None) -> float | None:
    """Return a time that says UTC: ISO with `Z`, or Unix seconds (as a number or in a string)."""
    if isinstance(time, int | float):
        return time if math.isfinite(time) and time > 0 else None
    if time is None:
        return None
    text = time.encode("utf-8", "replace")
    ns = unix_ns(text) if text[:1].isdigit() and b"-" not in text else None
    if ns is None and text.endswith((b"Z", b"z")):
        ns = iso_ns(text)
    return None if ns is None else ns / NS_PER_S
