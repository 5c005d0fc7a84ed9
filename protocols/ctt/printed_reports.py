"""Reports as CTT radios print them: nodes' health and GPS tags, from the decoder's own records."""

import re
from collections.abc import Mapping

from protocols.ctt.hex_records import ES200_0, NODE2_HEALTH, NODE3_HEALTH, Fields
from protocols.ctt.json_messages import (
    Header,
    Message,
    NodeAlive,
    NodeBluHealth,
    NodeHealth,
    OriginalBody,
    Source,
    Telemetry,
)
from protocols.ctt.line_writing import (
    hex_line,
    json_body,
    json_line,
    level,
    node_number,
    protocol_line,
    relay_level,
    scaled,
    whole,
)
from protocols.ctt.packet import id_bytes_of
from protocols.ctt.printed_lines import Generation, NodeVersion
from protocols.errors import EncodeError
from protocols.records import Measurements, RelayHealth

_FIRMWARE = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})")


def node_health_line(
    generation: Generation, health: RelayHealth, *, node_version: NodeVersion = 2
) -> bytes:
    """Return the line for a node's report of itself; what `health` lacks is sent as 0 in hex."""
    if generation == "G3":
        alive = NodeAlive(
            id=health.relay_id,
            battery_mv=scaled(health.battery_v, 1000),
            celsius=health.temperature_c,
            firmware=health.firmware,
        )
        rssi = relay_level(health.relay_rssi_dbm)
        return json_line(Message(rssi=rssi, data=json_body(OriginalBody(node_alive=alive))))
    if generation not in ("G4", "G5"):
        raise EncodeError(f"generation: {generation} radios do not hear nodes")
    write = {2: _node2_health, 3: _node3_health}[node_version]
    return write(generation, health)


def _node2_health(generation: Generation, health: RelayHealth) -> bytes:
    rest = health.measurements or {}
    if generation == "G4":
        body = NodeHealth(
            sent_at=whole(health.sent_at_unix_s),
            fix_at=whole(health.fix_at_unix_s) or 0,
            fw=health.firmware,
            bat_v=scaled(health.battery_v, 100),
            sol_v=scaled(health.solar_v, 100),
            sol_ma=health.solar_ma,
            sum_sol_ma=_number(rest, "solar_ma_total"),
            temp_c=health.temperature_c,
            lat=scaled(health.latitude, 10**6) or 0,
            lon=scaled(health.longitude, 10**6) or 0,
        )
        return protocol_line(_health_header("node_health", health), body)
    firmware = _FIRMWARE.fullmatch(health.firmware or "0.0.0")
    if firmware is None:
        raise EncodeError(f"firmware: {health.firmware!r} must be like 2.1.0 in a hex record")
    return hex_line(
        NODE2_HEALTH,
        _health_fields(health)
        | {
            "firmware_major": int(firmware[1]),
            "firmware_minor": int(firmware[2]),
            "firmware_patch": int(firmware[3]),
            "battery_cv": scaled(health.battery_v, 100) or 0,
            "solar_cv": scaled(health.solar_v, 100) or 0,
            "solar_ma": whole(health.solar_ma) or 0,
            "solar_ma_total": whole(_number(rest, "solar_ma_total")) or 0,
        },
    )


def _node3_health(generation: Generation, health: RelayHealth) -> bytes:
    rest = health.measurements or {}
    if generation == "G4":
        body = NodeBluHealth(
            sent_at=whole(health.sent_at_unix_s),
            up_time=whole(_number(rest, "uptime_s")),
            batt_mv=scaled(health.battery_v, 1000),
            charge_ma_avg=_number(rest, "charge_ma"),
            temp_batt=health.temperature_c,
            energy_used=_number(rest, "energy_used_mah"),
            sd_free=_number(rest, "sd_free_percent"),
            detections=whole(_number(rest, "detections")),
            errors=whole(_number(rest, "errors")),
            fix_at=whole(health.fix_at_unix_s) or 0,
            lat=scaled(health.latitude, 10**6) or 0,
            lon=scaled(health.longitude, 10**6) or 0,
        )
        return protocol_line(_health_header("node_blu_health", health), body)
    return hex_line(
        NODE3_HEALTH,
        _health_fields(health)
        | {
            "uptime_s": whole(_number(rest, "uptime_s")) or 0,
            "battery_dv": scaled(health.battery_v, 10) or 0,
            "charge_x10_ma": round((_number(rest, "charge_ma") or 0) / 10),
            "energy_used_mah": whole(_number(rest, "energy_used_mah")) or 0,
            "sd_free_percent": whole(_number(rest, "sd_free_percent")) or 0,
            "detections": whole(_number(rest, "detections")) or 0,
            "errors": whole(_number(rest, "errors")) or 0,
        },
    )


def gps_tag_line(
    generation: Generation, tag_id: str, rssi_dbm: float, measurements: Measurements
) -> bytes:
    """Return the line for a report of an ES-200 GPS tag, by the names that the decoder gives."""
    number = int.from_bytes(id_bytes_of(tag_id), "big")
    rssi = level(rssi_dbm)
    told = {name: _number(measurements, name) for name in measurements}
    battery_mv = scaled(told.get("battery_v"), 1000)
    if generation == "G4":
        source = Source(type="tracker", id=f"{number:X}")
        body = Telemetry(
            time=whole(told.get("recorded_at_unix_s")),
            lat=told.get("latitude") or 0,
            lon=told.get("longitude") or 0,
            act=told.get("activity"),
            hdop=told.get("hdop"),
            speed=told.get("speed"),
            altitude=told.get("altitude_m"),
            battery=battery_mv,
            solar_ma=told.get("solar_ma"),
            temp_c=told.get("temperature_c"),
            ttff=told.get("ttff_s"),
        )
        return protocol_line(Header(data_type="telemetry", rssi=rssi, source=source), body)
    if generation != "G5":
        raise EncodeError(f"generation: {generation} radios do not hear GPS tags")
    return hex_line(
        ES200_0,
        {
            "tag_number": number,
            "time_unix_s": whole(told.get("recorded_at_unix_s")) or 0,
            "latitude_deg": told.get("latitude") or 0.0,
            "longitude_deg": told.get("longitude") or 0.0,
            "activity": whole(told.get("activity")) or 0,
            "hdop": whole(told.get("hdop")) or 0,
            "speed": whole(told.get("speed")) or 0,
            "altitude_m": whole(told.get("altitude_m")) or 0,
            "battery_mv": battery_mv or 0,
            "solar_ma": whole(told.get("solar_ma")) or 0,
            "temperature_c": whole(told.get("temperature_c")) or 0,
            "ttff_s": whole(told.get("ttff_s")) or 0,
            "rssi_dbm": rssi,
        },
    )


def _number(measurements: Mapping[str, float | int | str | bool], name: str) -> float | None:
    reading = measurements.get(name)
    if isinstance(reading, str):
        raise EncodeError(f"{name}: {reading!r} must be a number")
    return reading


def _health_header(data_type: str, health: RelayHealth) -> Header:
    return Header(
        data_type=data_type,
        rssi=relay_level(health.relay_rssi_dbm),
        source=Source(type="node", id=health.relay_id),
    )


def _health_fields(health: RelayHealth) -> Fields:
    return {
        "node_number": node_number(health.relay_id),
        "sent_at_unix_s": whole(health.sent_at_unix_s) or 0,
        "temperature_c": whole(health.temperature_c) or 0,
        "fix_at_unix_s": whole(health.fix_at_unix_s) or 0,
        "latitude_e6": scaled(health.latitude, 10**6) or 0,
        "longitude_e6": scaled(health.longitude, 10**6) or 0,
        "rssi_dbm": relay_level(health.relay_rssi_dbm) or 0,
    }
