"""The packed records that CTT radios of firmware 4 and later print as lines of hex.

Little-endian. Byte 0 is the opcode, the last byte the level of the last hop in dBm. Nothing
protects a whole record: its length by opcode is the only check, besides the tag's own CRC-8.
Fields called `undecoded_…` are bytes whose meaning nobody has published; they are kept, so that
building what was parsed gives the same bytes.

Node ids are unsigned numbers, printed in hex without leading zeros.

Source: celltracktech.com station software notes on its hex protocol, node user guides V2 and V3.
"""

import struct
from typing import Any, Final, TypeAlias

from construct import (
    Bytes,
    Const,
    Construct,
    ConstructError,
    Default,
    Float32l,
    FormatField,
    Int8sl,
    Int8ul,
    Int16sl,
    Int16ul,
    Int32sl,
    Int32ul,
    Struct,
)

from protocols.ctt.packet import TAG_PACKET
from protocols.errors import EncodeError, PacketError

Fields: TypeAlias = dict[str, Any]
"""The fields of one record by name: numbers as they are on the wire, and bytes."""

BEEP_0: Final = 0x00
BEEP_1: Final = 0x01
BEEP_2: Final = 0x02
ES200_0: Final = 0x03
NODE2_HEALTH: Final = 0x04
NODE2_BEEP: Final = 0x05
NODE3_HEALTH: Final = 0x06
NODE3_BEEP_SUB_GHZ: Final = 0x07
NODE3_BEEP_BLE: Final = 0x08


def _undecoded(size: int) -> Construct:
    return Default(Bytes(size), bytes(size))


BEEP_0_RECORD = Struct(
    "opcode" / Const(BEEP_0, Int8ul),
    "tag_id" / Bytes(4),
    "rssi_dbm" / Int8sl,
)
"""A tag beep without a CRC, or whose CRC was wrong.

    offset  size  field
    0       1     opcode 00
    1       4     tag id, in the order in which it is printed
    5       1     level, signed, dBm
"""

BEEP_1_RECORD = Struct(
    "opcode" / Const(BEEP_1, Int8ul),
    *TAG_PACKET.subcons,
    "rssi_dbm" / Int8sl,
)
"""A tag beep whose CRC the radio found right.

    offset  size  field
    0       1     opcode 01
    1       4     tag id, in the order in which it is printed
    5       1     CRC-8 as received
    6       1     level, signed, dBm
"""

ES200_RECORD = Struct(
    "opcode" / Const(ES200_0, Int8ul),
    "tag_number" / Int32ul,
    "undecoded_5" / _undecoded(2),
    "time_unix_s" / Int32ul,
    "latitude_deg" / Float32l,
    "longitude_deg" / Float32l,
    "activity" / Int32ul,
    "hdop" / Int16ul,
    "speed" / Int8ul,
    "altitude_m" / Int16sl,
    "battery_mv" / Int16ul,
    "solar_ma" / Int8ul,
    "temperature_c" / Int8sl,
    "ttff_s" / Int8ul,
    "undecoded_33" / _undecoded(2),
    "rssi_dbm" / Int8sl,
)
"""A report of an ES-200 GPS tag. A float that is a signalling NaN comes back as a quiet one.

    offset  size  field
    0       1     opcode 03
    1       4     tag number, unsigned
    5       2     undecoded
    7       4     time of the fix, unsigned, s since 1970
    11      4     latitude, float, degrees
    15      4     longitude, float, degrees
    19      4     activity, unsigned, no unit published
    23      2     HDOP, unsigned, as sent (its scale is not published)
    25      1     speed, unsigned, as sent (its unit is not published)
    26      2     altitude, signed, m
    28      2     battery, unsigned, mV (inferred: values near 3900)
    30      1     solar current, unsigned, mA
    31      1     temperature, signed, degrees C
    32      1     time to first fix, unsigned, s
    33      2     undecoded
    35      1     level, signed, dBm
"""

NODE2_HEALTH_RECORD = Struct(
    "opcode" / Const(NODE2_HEALTH, Int8ul),
    "node_number" / Int32ul,
    "undecoded_5" / _undecoded(2),
    "sent_at_unix_s" / Int32ul,
    "firmware_major" / Int8ul,
    "firmware_minor" / Int8ul,
    "firmware_patch" / Int8ul,
    "temperature_c" / Int8sl,
    "battery_cv" / Int16ul,
    "solar_cv" / Int16ul,
    "solar_ma" / Int16ul,
    "solar_ma_total" / Int32ul,
    "fix_at_unix_s" / Int32ul,
    "latitude_e6" / Int32sl,
    "longitude_e6" / Int32sl,
    "undecoded_37" / _undecoded(2),
    "rssi_dbm" / Int8sl,
)
"""What a V2 node says of itself.

    offset  size  field
    0       1     opcode 04
    1       4     node id, unsigned
    5       2     undecoded
    7       4     sent at, unsigned, s since 1970
    11      3     firmware major, minor, patch
    14      1     temperature, signed, degrees C
    15      2     battery, unsigned, 0.01 V
    17      2     solar, unsigned, 0.01 V
    19      2     solar current, unsigned, mA
    21      4     solar current summed up, unsigned, mA
    25      4     time of the last fix, unsigned, s since 1970
    29      4     latitude, signed, 1e-6 degrees
    33      4     longitude, signed, 1e-6 degrees
    37      2     undecoded
    39      1     level of the node at the station, signed, dBm
"""

NODE2_BEEP_RECORD = Struct(
    "opcode" / Const(NODE2_BEEP, Int8ul),
    "node_number" / Int32ul,
    "undecoded_5" / _undecoded(2),
    "collection_id" / Int32ul,
    "collection_count" / Int16ul,
    "collection_index" / Int16ul,
    "recorded_at_unix_s" / Int32ul,
    "tag_bytes" / Bytes(5),
    "tag_size" / Int8ul,
    "tag_rssi_dbm" / Int8sl,
    "undecoded_26" / _undecoded(2),
    "rssi_dbm" / Int8sl,
)
"""A tag beep that a V2 node heard and passed on.

    offset  size  field
    0       1     opcode 05
    1       4     node id, unsigned
    5       2     undecoded
    7       4     collection id, unsigned
    11      2     collection count, unsigned
    13      2     index in the collection, unsigned
    15      4     recorded at by the node's clock, unsigned, s since 1970
    19      5     tag id, then its CRC-8 where the size says 5
    24      1     size of the id: 4 without CRC, 5 with
    25      1     level of the tag at the node, signed, dBm
    26      2     undecoded
    28      1     level of the node at the station, signed, dBm
"""

NODE3_HEALTH_RECORD = Struct(
    "opcode" / Const(NODE3_HEALTH, Int8ul),
    "node_number" / Int32ul,
    "undecoded_5" / _undecoded(2),
    "sent_at_unix_s" / Int32ul,
    "uptime_s" / Int32ul,
    "battery_dv" / Int8ul,
    "charge_x10_ma" / Int16ul,
    "temperature_c" / Int8sl,
    "energy_used_mah" / Int16ul,
    "sd_free_percent" / Int8sl,
    "detections" / Int16ul,
    "errors" / Int8ul,
    "fix_at_unix_s" / Int32ul,
    "latitude_e6" / Int32sl,
    "longitude_e6" / Int32sl,
    "undecoded_37" / _undecoded(2),
    "rssi_dbm" / Int8sl,
)
"""What a V3 node says of itself.

    offset  size  field
    0       1     opcode 06
    1       4     node id, unsigned
    5       2     undecoded
    7       4     sent at, unsigned, s since 1970
    11      4     up time, unsigned, s (inferred: the source names no unit)
    15      1     battery, unsigned, 0.1 V
    16      2     charge current, mean, unsigned, 10 mA
    18      1     battery temperature, signed, degrees C
    19      2     energy used, unsigned, mAh
    21      1     SD card free, signed, percent
    22      2     detections, unsigned
    24      1     errors, unsigned
    25      4     time of the last fix, unsigned, s since 1970
    29      4     latitude, signed, 1e-6 degrees
    33      4     longitude, signed, 1e-6 degrees
    37      2     undecoded
    39      1     level of the node at the station, signed, dBm
"""

NODE3_BEEP_RECORD = Struct(
    "opcode" / Const(NODE3_BEEP_SUB_GHZ, Int8ul),
    "node_number" / Int32ul,
    "undecoded_5" / _undecoded(2),
    "collection_id" / Int8ul,
    "collection_count" / Int8ul,
    "collection_index" / Int8ul,
    "recorded_at_unix_s" / Int32ul,
    "tag_bytes" / Bytes(5),
    "tag_size" / Int8ul,
    "tag_rssi_dbm" / Int8sl,
    "undecoded_21" / _undecoded(2),
    "rssi_dbm" / Int8sl,
)
"""A 434 MHz tag beep that a V3 node heard and passed on.

    offset  size  field
    0       1     opcode 07
    1       4     node id, unsigned
    5       2     undecoded
    7       1     collection id, unsigned
    8       1     collection count, unsigned
    9       1     index in the collection, unsigned
    10      4     recorded at by the node's clock, unsigned, s since 1970
    14      5     tag id, then its CRC-8 where the size says 5
    19      1     size of the id: 4 without CRC, 5 with
    20      1     level of the tag at the node, signed, dBm
    21      2     undecoded
    23      1     level of the node at the station, signed, dBm
"""

NODE3_BLE_RECORD = Struct(
    "opcode" / Const(NODE3_BEEP_BLE, Int8ul),
    "node_number" / Int32ul,
    "undecoded_5" / _undecoded(2),
    "collection_id" / Int8ul,
    "collection_count" / Int8ul,
    "collection_index" / Int8ul,
    "recorded_at_unix_s" / Int32ul,
    "tag_id" / Bytes(4),
    "sync" / Int16ul,
    "tag_rssi_dbm" / Int8sl,
    "undecoded_21" / _undecoded(2),
    "rssi_dbm" / Int8sl,
)
"""A 2.4 GHz tag beep that a V3 node heard and passed on.

    offset  size  field
    0       1     opcode 08
    1       4     node id, unsigned
    5       2     undecoded
    7       1     collection id, unsigned
    8       1     collection count, unsigned
    9       1     index in the collection, unsigned
    10      4     recorded at by the node's clock, unsigned, s since 1970
    14      4     tag id in the order in which the tag sends it
    18      2     sync, unsigned: names the transmission, the same at every receiver
    20      1     level of the tag at the node, signed, dBm
    21      2     undecoded
    23      1     level of the node at the station, signed, dBm
"""

RECORD_BY_OPCODE: dict[int, Struct] = {
    BEEP_0: BEEP_0_RECORD,
    BEEP_1: BEEP_1_RECORD,
    ES200_0: ES200_RECORD,
    NODE2_HEALTH: NODE2_HEALTH_RECORD,
    NODE2_BEEP: NODE2_BEEP_RECORD,
    NODE3_HEALTH: NODE3_HEALTH_RECORD,
    NODE3_BEEP_SUB_GHZ: NODE3_BEEP_RECORD,
    NODE3_BEEP_BLE: NODE3_BLE_RECORD,
}
"""Every record whose layout is known. Opcode 02 is reserved: no station has ever decoded it."""


def _wire_format(field: Construct) -> str:
    """Return the `struct` code of one field of a schema, its wrappers taken off."""
    while not isinstance(field, FormatField | Bytes):
        field = field.subcon
    return f"{field.length}s" if isinstance(field, Bytes) else field.fmtstr.lstrip("<>=")


class _FlatReader:
    """Reads a fixed-size schema in a tenth of the schema's own time; derived from it alone."""

    def __init__(self, schema: Struct) -> None:
        self.names: tuple[str, ...] = tuple(field.name for field in schema.subcons)
        self.layout = struct.Struct("<" + "".join(map(_wire_format, schema.subcons)))

    def read(self, record: bytes) -> Fields:
        return dict(zip(self.names, self.layout.unpack(record), strict=True))


_READERS = {opcode: _FlatReader(schema) for opcode, schema in RECORD_BY_OPCODE.items()}

RECORD_BYTES: dict[int, int] = {opcode: reader.layout.size for opcode, reader in _READERS.items()}
"""The length of each record; every other length of that opcode is a damaged line."""


def read_record(record: bytes) -> Fields:
    """Return the fields of one record, `opcode` among them, as its schema parses them.

    Raises:
        PacketError: no opcode, one without a known layout, or a length that is not the opcode's.
    """
    if not record or record[0] not in _READERS:
        raise PacketError(f"opcode: {record[:1].hex() or 'none'} has no known layout")
    if len(record) != RECORD_BYTES[record[0]]:
        raise PacketError(
            f"opcode {record[0]:02X}: {len(record)} bytes, must be {RECORD_BYTES[record[0]]}"
        )
    return _READERS[record[0]].read(record)


def build_record(opcode: int, fields: Fields) -> bytes:
    """Return the bytes of one record; `undecoded_…` fields default to zeros.

    Raises:
        EncodeError: no layout for the opcode, a field that is missing or does not fit.
    """
    if opcode not in RECORD_BY_OPCODE:
        raise EncodeError(f"opcode: {opcode:#04x} has no known layout")
    try:
        record: bytes = RECORD_BY_OPCODE[opcode].build(fields)
    except (ConstructError, KeyError, TypeError, OverflowError) as error:
        raise EncodeError(f"opcode {opcode:02X}: {error}") from error
    return record
