"""Hex records of CTT radios (generation G5) to records. The layouts stand in `hex_records.py`."""

from collections.abc import Callable

from protocols.ctt.hex_records import (
    BEEP_0,
    BEEP_1,
    BEEP_2,
    ES200_0,
    NODE2_BEEP,
    NODE2_HEALTH,
    NODE3_BEEP_BLE,
    NODE3_BEEP_SUB_GHZ,
    NODE3_HEALTH,
    RECORD_BYTES,
    Fields,
    read_record,
)
from protocols.ctt.packet import ID_BYTES, PACKET_BYTES
from protocols.ctt.readings import (
    PROTOCOL_2G4,
    PROTOCOL_ES200,
    measured,
    position,
    position_e6,
    tag_beep,
)
from protocols.records import Detection, Record, Relay, RelayHealth, Unknown


def decode_hex_record(record: bytes, raw: bytes) -> Record:
    """Return what one binary record says; `raw` is what the result keeps. Never raises.

    `Unknown` by reason: `length` (not that opcode's), `unsupported-opcode` (02, whose layout was
    never published), `unknown-opcode`, `field` (an id that is neither 4 nor 5 bytes long).
    """
    opcode = record[0] if record else None
    size = RECORD_BYTES.get(opcode) if opcode is not None else None
    if opcode is None or size is None:
        reason = "unsupported-opcode" if opcode == BEEP_2 else "unknown-opcode"
        return Unknown(reason=reason, raw=raw)
    if len(record) != size:
        return Unknown(reason="length", raw=raw)
    return _MAKERS[opcode](read_record(record), raw)


def _beep_without_crc(fields: Fields, raw: bytes) -> Record:
    return tag_beep(fields["tag_id"].hex(), fields["rssi_dbm"], raw)


def _beep_with_crc(fields: Fields, raw: bytes) -> Record:
    return tag_beep(f"{fields['tag_id'].hex()}{fields['crc']:02X}", fields["rssi_dbm"], raw)


def _relay(fields: Fields) -> Relay:
    return Relay(
        relay_id=f"{fields['node_number']:X}",
        relay_rssi_dbm=fields["rssi_dbm"],
        recorded_at_unix_s=fields["recorded_at_unix_s"],
        collection=(
            fields["collection_id"],
            fields["collection_count"],
            fields["collection_index"],
        ),
    )


def _node_beep(fields: Fields, raw: bytes) -> Record:
    size = fields["tag_size"]
    if size not in (ID_BYTES, PACKET_BYTES):
        return Unknown(reason="field", raw=raw)
    return tag_beep(
        fields["tag_bytes"][:size].hex(), fields["tag_rssi_dbm"], raw, relay=_relay(fields)
    )


def _node_ble_beep(fields: Fields, raw: bytes) -> Record:
    return Detection(
        protocol=PROTOCOL_2G4,
        tag_id=fields["tag_id"].hex().upper(),
        integrity="unverified",
        rssi_dbm=fields["tag_rssi_dbm"],
        relay=_relay(fields),
        measurements={"sync": fields["sync"]},
        raw=raw,
    )


def _gps_tag(fields: Fields, raw: bytes) -> Record:
    latitude, longitude = position(fields["latitude_deg"], fields["longitude_deg"])
    return Detection(
        protocol=PROTOCOL_ES200,
        tag_id=f"{fields['tag_number']:08X}",
        integrity="unverified",
        rssi_dbm=fields["rssi_dbm"],
        measurements=measured(
            recorded_at_unix_s=fields["time_unix_s"],
            latitude=latitude,
            longitude=longitude,
            altitude_m=fields["altitude_m"],
            activity=fields["activity"],
            hdop=fields["hdop"],
            speed=fields["speed"],
            battery_v=fields["battery_mv"] / 1000,
            solar_ma=fields["solar_ma"],
            temperature_c=fields["temperature_c"],
            ttff_s=fields["ttff_s"],
        ),
        raw=raw,
    )


def _node2_health(fields: Fields, raw: bytes) -> Record:
    latitude, longitude = position_e6(fields["latitude_e6"], fields["longitude_e6"])
    return RelayHealth(
        relay_id=f"{fields['node_number']:X}",
        relay_rssi_dbm=fields["rssi_dbm"],
        sent_at_unix_s=fields["sent_at_unix_s"],
        fix_at_unix_s=fields["fix_at_unix_s"] or None,
        latitude=latitude,
        longitude=longitude,
        firmware=(
            f"{fields['firmware_major']}.{fields['firmware_minor']}.{fields['firmware_patch']}"
        ),
        battery_v=fields["battery_cv"] / 100,
        solar_v=fields["solar_cv"] / 100,
        solar_ma=fields["solar_ma"],
        temperature_c=fields["temperature_c"],
        measurements={"solar_ma_total": fields["solar_ma_total"]},
        raw=raw,
    )


def _node3_health(fields: Fields, raw: bytes) -> Record:
    latitude, longitude = position_e6(fields["latitude_e6"], fields["longitude_e6"])
    return RelayHealth(
        relay_id=f"{fields['node_number']:X}",
        relay_rssi_dbm=fields["rssi_dbm"],
        sent_at_unix_s=fields["sent_at_unix_s"],
        fix_at_unix_s=fields["fix_at_unix_s"] or None,
        latitude=latitude,
        longitude=longitude,
        battery_v=fields["battery_dv"] / 10,
        temperature_c=fields["temperature_c"],
        measurements={
            "uptime_s": fields["uptime_s"],
            "charge_ma": fields["charge_x10_ma"] * 10,
            "energy_used_mah": fields["energy_used_mah"],
            "sd_free_percent": fields["sd_free_percent"],
            "detections": fields["detections"],
            "errors": fields["errors"],
        },
        raw=raw,
    )


_MAKERS: dict[int, Callable[[Fields, bytes], Record]] = {
    BEEP_0: _beep_without_crc,
    BEEP_1: _beep_with_crc,
    ES200_0: _gps_tag,
    NODE2_HEALTH: _node2_health,
    NODE2_BEEP: _node_beep,
    NODE3_HEALTH: _node3_health,
    NODE3_BEEP_SUB_GHZ: _node_beep,
    NODE3_BEEP_BLE: _node_ble_beep,
}
