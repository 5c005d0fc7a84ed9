"""Station-link frames turned into records."""

from collections.abc import Callable, Sequence
from typing import Final, Self

from protocols.ctt.extended import PayloadCodecs, read_air_packet
from protocols.ctt.readings import PROTOCOL_434, measured, position
from protocols.declared_payloads import DeclaredPayload
from protocols.errors import PacketError
from protocols.records import (
    CommandReply,
    Detection,
    GpsFix,
    Ignored,
    LogLine,
    Measurements,
    Pulse,
    RadioInfo,
    Record,
    StationHealth,
    Unknown,
)
from protocols.registry import register
from protocols.station_link.bodies import (
    Body,
    Gps,
    Hello,
    Log,
    Modulation,
    Packet,
    Pulses,
    Reply,
    Status,
)
from protocols.station_link.frames import parse_body, parse_frame

_TWO_DIMENSIONAL_FIX: Final = 2
_UNDECODED_PACKETS: Final[dict[int, str]] = {
    Modulation.LORA: "packet-lora",
    Modulation.BLE_ADVERTISEMENT: "packet-ble",
    Modulation.OTHER_FSK: "packet-fsk",
    Modulation.OTHER_OOK: "packet-ook",
}
_LOG_LEVELS: Final = ("critical", "critical", "critical", "error", "warning", "info", "info")
"""Severities 0 to 6 of RFC 5424, section 6.2.1; all above are `debug`."""


@register(
    "station-link",
    version="1",
    framing="cobs",
    takes="frames of receivers with stopover_link.h, on serial lines (COBS) or MQTT (whole)",
)
class StationLinkDecoder:
    """Station-link frames with COBS undone; an MQTT message is such a frame as it stands.

    offset  size  field
    0       1     version = 1
    1       1     type: 01 HELLO, 02 PACKET, 03 PULSES, 04 STATUS, 05 TIME, 06 GPS, 07 LOG,
                  08 ACK, 09 COMMAND, 0A REPLY
    2       2     seq, little-endian like all that follows
    4       8     uptime, us
    12      n     body (`protocols.station_link.bodies`)
    12+n    2     CRC-16/IBM-3740

    Packets that nobody here decodes, unknown types and damaged frames are `Unknown` with the whole
    frame. Bytes behind a body's known fields are counted in the measurement `unread_bytes`. Pulses
    keep no raw bytes: they hold every field of the frame.
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
        """Return the records in one frame; never raises, never returns an empty tuple."""
        envelope = parse_frame(frame)
        if isinstance(envelope, Unknown):
            return (envelope,)
        try:
            body = parse_body(envelope)
        except PacketError:
            return (Unknown(reason="body", raw=frame),)
        if body is None:
            return (Unknown(reason="unknown-type", raw=frame),)
        if isinstance(body, Packet):
            return (self._packet(body, frame),)
        if isinstance(body, Pulses):
            return _pulses(body, envelope.uptime_us)
        read = _READERS.get(type(body))
        return read(body, frame) if read else (Ignored(reason="link-upkeep"),)

    def _packet(self, body: Packet, raw: bytes) -> Detection | Unknown:
        if body.modulation != Modulation.CTT_FSK:
            reason = _UNDECODED_PACKETS.get(body.modulation, "packet-modulation")
            return Unknown(reason=reason, raw=raw)
        heard = read_air_packet(body.packet)
        if heard is None:
            return Unknown(reason="packet-length", raw=raw)
        return Detection(
            protocol=PROTOCOL_434,
            tag_id=heard.tag_id,
            integrity=heard.integrity,
            id_legal=heard.id_legal,
            antenna=str(body.radio),
            rssi_dbm=_tenths(body.rssi_ddbm),
            snr_db=_tenths(body.snr_ddb),
            frequency_offset_hz=body.frequency_error_hz,
            measurements={
                "frequency_hz": body.frequency_hz,
                **(self._codecs.measurements(heard) or {}),
                **_unread(body.rest),
            },
            payload=heard.payload,
            raw=raw,
        )


def _hello(body: Hello, raw: bytes) -> tuple[Record, ...]:
    return (
        RadioInfo(
            name=body.name or None,
            firmware=f"{body.firmware_major}.{body.firmware_minor}.{body.firmware_patch}",
            measurements={
                "uid": body.uid.hex().upper(),
                "reset_cause": body.reset_cause,
                "boot_count": body.boot_count,
                "radios": body.radios,
                **_unread(body.rest),
            },
            raw=raw,
        ),
    )


def _pulses(body: Pulses, uptime_us: int) -> tuple[Record, ...]:
    return tuple(
        Pulse(
            frequency_offset_hz=pulse.offset_hz,
            tuned_frequency_hz=body.frequency_hz,
            signal_db=pulse.signal_ddb / 10,
            noise_db=_tenths(pulse.noise_ddb),
            snr_db=None if pulse.noise_ddb is None else (pulse.signal_ddb - pulse.noise_ddb) / 10,
            width_us=pulse.width_us,
            antenna=str(body.radio),
            age_us=pulse.age_us,
            device_time_ns=1000 * (uptime_us - pulse.age_us),
        )
        for pulse in body.pulses
    ) or (Ignored(reason="no-pulses"),)


def _status(body: Status, raw: bytes) -> tuple[Record, ...]:
    board = measured(
        battery_v=_thousandths(body.battery_mv),
        solar_v=_thousandths(body.solar_mv),
        solar_ma=body.solar_ma,
        temperature_c=None if body.temperature_cdeg is None else body.temperature_cdeg / 100,
        frames_dropped=body.dropped,
        frames_queued=body.queued,
    )
    radios = (
        StationHealth(
            antenna=str(radio),
            measurements=measured(noise_dbm=_tenths(reading.noise_ddbm), packets=reading.packets),
            raw=raw,
        )
        for radio, reading in enumerate(body.radios)
    )
    return (StationHealth(measurements={**board, **_unread(body.rest)}, raw=raw), *radios)


def _gps(body: Gps, raw: bytes) -> tuple[Record, ...]:
    has_fix = body.fix >= _TWO_DIMENSIONAL_FIX
    latitude, longitude = position(body.latitude_1e7 / 1e7, body.longitude_1e7 / 1e7)
    pps = {"pps_uptime_us": body.pps_uptime_us} if body.pps_uptime_us else {}
    return (
        GpsFix(
            latitude=latitude if has_fix else None,
            longitude=longitude if has_fix else None,
            altitude_m=_thousandths(body.altitude_mm) if has_fix else None,
            accuracy_m=_thousandths(body.accuracy_mm) if has_fix else None,
            fix_mode=max(body.fix, 1),
            satellites=body.satellites,
            gps_unix_s=body.unix_us / 1e6 if body.unix_us else None,
            measurements={**pps, **_unread(body.rest)} or None,
            raw=raw,
        ),
    )


def _log(body: Log, raw: bytes) -> tuple[Record, ...]:
    level = _LOG_LEVELS[body.level] if body.level < len(_LOG_LEVELS) else "debug"
    return (LogLine(message=body.text, level=level, raw=raw),)


def _reply(body: Reply, raw: bytes) -> tuple[Record, ...]:
    command, _, verdict_and_message = body.text.partition(" ")
    verdict, _, message = verdict_and_message.partition(" ")
    if verdict not in {"ok", "error"}:
        verdict, message = "ok", verdict_and_message
    return (CommandReply(command=command, ok=verdict == "ok", message=message or None, raw=raw),)


_READERS: dict[type[Body], Callable[..., tuple[Record, ...]]] = {
    Hello: _hello,
    Status: _status,
    Gps: _gps,
    Log: _log,
    Reply: _reply,
}
"""TIME is the link's own business; ACK and COMMAND go the other way."""


def _tenths(number: int | None) -> float | None:
    return None if number is None else number / 10


def _thousandths(number: int | None) -> float | None:
    return None if number is None else number / 1000


def _unread(rest: bytes) -> Measurements:
    return {"unread_bytes": len(rest)} if rest else {}
