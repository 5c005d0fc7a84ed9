"""What text, JSON and hex lines of CTT radios have in common once they are numbers."""

import math

from protocols.ctt.packet import ID_DIGITS, identify
from protocols.records import Detection, Measurements, Relay

PROTOCOL_434 = "ctt-434"
"""Tags that send the packet of `packet.py` on 434 MHz."""
PROTOCOL_2G4 = "ctt-2g4"
"""Blu tags on 2.4 GHz. Their ids use all 32 bits and no dictionary. `tag_id` is in the order in
which the tag sends its bytes, as the 2.4 GHz receiver at the station prints it; CTT's node software
prints the same id as a number, and so with its four bytes reversed."""
PROTOCOL_ES200 = "ctt-es200"
"""ES-200 GPS tags, whose reports are longer packets with a plain number for an id."""

LEVEL_MIN_DBM = -200
LEVEL_MAX_DBM = 100
"""Outside this a level is damage: thermal noise in 1 Hz is -174 dBm, a kilowatt is 60 dBm."""

_LATITUDE_MAX = 90.0
_LONGITUDE_MAX = 180.0


def position(
    latitude: float | None, longitude: float | None
) -> tuple[float, float] | tuple[None, None]:
    """Return a position in degrees, or two None where there is no fix.

    Nodes and tags without a fix send 0 and 0. A NaN or a latitude of more than 90 degrees is no
    position either; what arrived stays in the record's raw bytes.
    """
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        return None, None
    if not math.isfinite(latitude) or not math.isfinite(longitude):
        return None, None
    if abs(latitude) > _LATITUDE_MAX or abs(longitude) > _LONGITUDE_MAX:
        return None, None
    return latitude, longitude


def position_e6(latitude_e6: int, longitude_e6: int) -> tuple[float, float] | tuple[None, None]:
    """Return a position sent in millionths of a degree, or two None where there is no fix."""
    return position(latitude_e6 / 1e6, longitude_e6 / 1e6)


def measured(**readings: float | str | None) -> Measurements:
    """Return the readings that are there."""
    return {name: reading for name, reading in readings.items() if reading is not None}


def tag_beep(
    digits: str,
    rssi_dbm: float | None,
    raw: bytes,
    *,
    relay: Relay | None = None,
    age_us: int | None = None,
) -> Detection:
    """Return the detection of a 434 MHz tag by its 8 hex digits, or 10 with the CRC-8.

    What the line or its opcode claims of the CRC is not asked: the verdict is computed here.
    """
    crc = int(digits[ID_DIGITS:], 16) if len(digits) > ID_DIGITS else None
    tag_id, integrity, id_legal = identify(bytes.fromhex(digits[:ID_DIGITS]), crc)
    return Detection(
        protocol=PROTOCOL_434,
        tag_id=tag_id,
        integrity=integrity,
        id_legal=id_legal,
        rssi_dbm=rssi_dbm,
        age_us=age_us,
        relay=relay,
        raw=raw,
    )
