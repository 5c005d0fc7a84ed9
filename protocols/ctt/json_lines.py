"""JSON lines of CTT radios to records and back: generations G3, G4, G6 and every reply.

The shapes stand in `json_messages.py`. The line that bench firmware prints after each hex beep
(`terra_uhf`) describes a reception that was already told: it becomes a `StationHealth` with the
radio's measurements, never a second detection.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from protocols.ctt.json_messages import (
    CodedId,
    Header,
    Message,
    NodeAlive,
    NodeBeep,
    NodeBlue,
    NodeBluHealth,
    NodeCodedId,
    NodeHealth,
    NodeTag,
    OriginalBody,
    OriginalTag,
    Telemetry,
    TerraMessage,
)
from protocols.ctt.packet import ID_DIGITS
from protocols.ctt.readings import (
    PROTOCOL_2G4,
    PROTOCOL_ES200,
    measured,
    position,
    position_e6,
    tag_beep,
)
from protocols.records import (
    CommandReply,
    Detection,
    RadioError,
    RadioInfo,
    Record,
    Relay,
    RelayHealth,
    StationHealth,
    Unknown,
)

_Body = TypeVar("_Body")

_TERRA = "terra_uhf"
_MESSAGE = msgspec.json.Decoder(Message)
_ORIGINAL_BODY = msgspec.json.Decoder(OriginalBody)
_TERRA_MESSAGE = msgspec.json.Decoder(TerraMessage)


def decode_json_line(line: bytes, raw: bytes) -> Record:
    """Return the record in one JSON object; `raw` is what the record keeps. Never raises.

    `Unknown` by reason: `json` (cut or malformed), `field` (a value of the wrong type or out of
    bounds), `unknown-data-type`, `unknown-message` (an object that is none of those we know).
    """
    try:
        message = _MESSAGE.decode(line)
        return _record_of(message, line, raw)
    except msgspec.ValidationError:
        return Unknown(reason="field", raw=raw)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return Unknown(reason="json", raw=raw)


def _record_of(message: Message, line: bytes, raw: bytes) -> Record:
    data_type = message.meta.data_type if message.meta else None
    if data_type == _TERRA:
        return _terra(_TERRA_MESSAGE.decode(line), raw)
    if data_type is not None:
        read = _READERS.get(data_type)
        return read(message, raw) if read else Unknown(reason="unknown-data-type", raw=raw)
    return _reply(message, raw) or _original(message, raw)


def _reply(message: Message, raw: bytes) -> Record | None:
    if message.firmware is not None:
        return RadioInfo(name=message.name, firmware=message.firmware, raw=raw)
    if message.key is not None:
        if message.res is None:
            return Unknown(reason="field", raw=raw)
        return CommandReply(command=message.key, ok=message.res, message=message.err, raw=raw)
    if message.error is not None:
        return RadioError(message=message.error, raw=raw)
    return None


def _terra(message: TerraMessage, raw: bytes) -> Record:
    return StationHealth(
        measurements=measured(
            tag_id=message.data.id[:ID_DIGITS].upper(),
            rssi_dbm=message.meta.rssi,
            rssi_source=message.meta.rssi_src,
            noise_dbm=message.meta.noise,
            snr_db=message.meta.snr,
            frequency_offset_hz=message.meta.fei_hz,
            lna=message.meta.lna,
        ),
        raw=raw,
    )


def _original(message: Message, raw: bytes) -> Record:
    if not bytes(message.data):
        return Unknown(reason="unknown-message", raw=raw)
    body = _ORIGINAL_BODY.decode(message.data)
    rssi_dbm = _first(body.rssi, message.rssi, message.meta.rssi if message.meta else None)
    if body.tag is not None:
        return _original_tag(body.tag, rssi_dbm, raw)
    if body.node_beep is not None and body.node_tag is not None:
        return _original_node_beep(body.node_beep, body.node_tag, rssi_dbm, raw)
    if body.node_alive is not None:
        return _node_alive(body.node_alive, rssi_dbm, raw)
    if body.id is not None:
        return tag_beep(body.id, rssi_dbm, raw)
    return Unknown(reason="unknown-message", raw=raw)


def _original_tag(tag: OriginalTag, rssi_dbm: float | None, raw: bytes) -> Record:
    detection = tag_beep(tag.id, rssi_dbm, raw)
    if not tag.error_bits:
        return detection
    return msgspec.structs.replace(
        detection, integrity="failed", measurements={"error_bits": tag.error_bits}
    )


def _original_node_beep(beep: NodeBeep, tag: NodeTag, rssi_dbm: float | None, raw: bytes) -> Record:
    return tag_beep(
        tag.tag_id,
        beep.tag_rssi,
        raw,
        relay=Relay(relay_id=beep.id.upper(), relay_rssi_dbm=rssi_dbm),
        age_us=None if beep.offset_ms is None else beep.offset_ms * 1000,
    )


def _node_alive(alive: NodeAlive, rssi_dbm: float | None, raw: bytes) -> Record:
    return RelayHealth(
        relay_id=alive.id.upper(),
        relay_rssi_dbm=rssi_dbm,
        firmware=alive.firmware,
        battery_v=_scaled(alive.battery_mv, 1000),
        temperature_c=alive.celsius,
        raw=raw,
    )


def _first(*levels: float | None) -> float | None:
    return next((level for level in levels if level is not None), None)


def _scaled(number: float | None, units_per_whole: int) -> float | None:
    return None if number is None else number / units_per_whole


def _reader(
    shape: type[_Body], make: Callable[[_Body, Header, bytes], Record]
) -> Callable[[Message, bytes], Record]:
    body_decoder = msgspec.json.Decoder(shape)

    def read(message: Message, raw: bytes) -> Record:
        if message.meta is None or not bytes(message.data):
            return Unknown(reason="field", raw=raw)
        return make(body_decoder.decode(message.data), message.meta, raw)

    return read


def _coded_id(body: CodedId, header: Header, raw: bytes) -> Record:
    return tag_beep(body.id, _first(body.rssi, header.rssi), raw)


def _relay(header: Header, recorded_at_unix_s: int | None) -> Relay | None:
    if header.source is None:
        return None
    burst = header.collection
    return Relay(
        relay_id=header.source.id.upper(),
        relay_rssi_dbm=header.rssi,
        recorded_at_unix_s=recorded_at_unix_s,
        collection=None if burst is None else (burst.id, burst.count, burst.idx),
    )


def _node_coded_id(body: NodeCodedId, header: Header, raw: bytes) -> Record:
    relay = _relay(header, body.rec_at)
    if relay is None:
        return Unknown(reason="field", raw=raw)
    return tag_beep(body.id, body.rssi, raw, relay=relay)


def _node_blue(body: NodeBlue, header: Header, raw: bytes) -> Record:
    relay = _relay(header, body.rec_at)
    if relay is None:
        return Unknown(reason="field", raw=raw)
    return Detection(
        protocol=PROTOCOL_2G4,
        tag_id=bytes.fromhex(body.id)[::-1].hex().upper(),
        integrity="unverified",
        rssi_dbm=body.rssi,
        relay=relay,
        measurements=measured(sync=body.sync),
        raw=raw,
    )


def _node_health(body: NodeHealth, header: Header, raw: bytes) -> Record:
    if header.source is None:
        return Unknown(reason="field", raw=raw)
    latitude, longitude = position_e6(body.lat or 0, body.lon or 0)
    return RelayHealth(
        relay_id=header.source.id.upper(),
        relay_rssi_dbm=header.rssi,
        sent_at_unix_s=body.sent_at,
        fix_at_unix_s=body.fix_at or None,
        latitude=latitude,
        longitude=longitude,
        firmware=body.fw,
        battery_v=_scaled(body.bat_v, 100),
        solar_v=_scaled(body.sol_v, 100),
        solar_ma=body.sol_ma,
        temperature_c=body.temp_c,
        measurements=measured(solar_ma_total=body.sum_sol_ma) or None,
        raw=raw,
    )


def _node_blu_health(body: NodeBluHealth, header: Header, raw: bytes) -> Record:
    if header.source is None:
        return Unknown(reason="field", raw=raw)
    latitude, longitude = position_e6(body.lat or 0, body.lon or 0)
    return RelayHealth(
        relay_id=header.source.id.upper(),
        relay_rssi_dbm=header.rssi,
        sent_at_unix_s=body.sent_at,
        fix_at_unix_s=body.fix_at or None,
        latitude=latitude,
        longitude=longitude,
        battery_v=_scaled(body.batt_mv, 1000),
        temperature_c=body.temp_batt,
        measurements=measured(
            uptime_s=body.up_time,
            charge_ma=body.charge_ma_avg,
            energy_used_mah=body.energy_used,
            sd_free_percent=body.sd_free,
            detections=body.detections,
            errors=body.errors,
        )
        or None,
        raw=raw,
    )


def _telemetry(body: Telemetry, header: Header, raw: bytes) -> Record:
    if header.source is None:
        return Unknown(reason="field", raw=raw)
    latitude, longitude = position(body.lat, body.lon)
    return Detection(
        protocol=PROTOCOL_ES200,
        tag_id=header.source.id.upper().zfill(ID_DIGITS),
        integrity="unverified",
        rssi_dbm=header.rssi,
        measurements=measured(
            recorded_at_unix_s=body.time,
            latitude=latitude,
            longitude=longitude,
            altitude_m=body.altitude,
            activity=body.act,
            hdop=body.hdop,
            speed=body.speed,
            battery_v=_scaled(body.battery, 1000),
            solar_ma=body.solar_ma,
            temperature_c=body.temp_c,
            ttff_s=body.ttff,
        ),
        raw=raw,
    )


_READERS: dict[str, Callable[[Message, bytes], Record]] = {
    "coded_id": _reader(CodedId, _coded_id),
    "node_coded_id": _reader(NodeCodedId, _node_coded_id),
    "node_blue": _reader(NodeBlue, _node_blue),
    "node_health": _reader(NodeHealth, _node_health),
    "node_blu_health": _reader(NodeBluHealth, _node_blu_health),
    "telemetry": _reader(Telemetry, _telemetry),
}
