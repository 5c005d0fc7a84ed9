"""The hex records of CTT radios read and write, and the fast reader is the schema's twin."""

import math
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocols.ctt.hex_records import (
    RECORD_BY_OPCODE,
    RECORD_BYTES,
    build_record,
    read_record,
)
from protocols.errors import EncodeError, PacketError

PUBLISHED_BYTES = {0: 6, 1: 7, 3: 36, 4: 40, 5: 29, 6: 40, 7: 24, 8: 24}


@st.composite
def records(draw: Callable[[st.SearchStrategy[bytes]], bytes], opcode: int) -> bytes:
    size = RECORD_BYTES[opcode] - 1
    return bytes([opcode]) + draw(st.binary(min_size=size, max_size=size))


any_record = st.sampled_from(sorted(RECORD_BYTES)).flatmap(records)


def test_every_opcode_has_its_published_length() -> None:
    assert RECORD_BYTES == PUBLISHED_BYTES
    assert {op: schema.sizeof() for op, schema in RECORD_BY_OPCODE.items()} == PUBLISHED_BYTES


@given(record=any_record)
def test_the_fast_reader_agrees_with_the_schema_on_every_field(record: bytes) -> None:
    parsed = RECORD_BY_OPCODE[record[0]].parse(record)
    fields = read_record(record)
    assert fields.keys() == {name for name in parsed if name != "_io"}
    for name, number in fields.items():
        same_nan = isinstance(number, float) and math.isnan(number) and math.isnan(parsed[name])
        assert same_nan or number == parsed[name]


@given(record=any_record)
def test_building_what_was_read_gives_the_same_bytes(record: bytes) -> None:
    fields = read_record(record)
    assume(not any(isinstance(field, float) and math.isnan(field) for field in fields.values()))
    assert build_record(record[0], fields) == record


@given(record=any_record, cut=st.integers(1, 5))
def test_a_record_of_another_length_is_refused(record: bytes, cut: int) -> None:
    with pytest.raises(PacketError, match=r"bytes, must be|no known layout"):
        read_record(record[:-cut])
    with pytest.raises(PacketError, match="bytes, must be"):
        read_record(record + bytes(cut))


@pytest.mark.parametrize("opcode", [0x02, 0x09, 0x7B, 0xFF])
def test_an_opcode_without_a_layout_is_refused(opcode: int) -> None:
    with pytest.raises(PacketError, match="no known layout"):
        read_record(bytes([opcode]) + bytes(6))
    with pytest.raises(EncodeError, match="no known layout"):
        build_record(opcode, {})


def test_no_bytes_are_refused() -> None:
    with pytest.raises(PacketError, match="none"):
        read_record(b"")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tag_id": b"\x78\x66\x4c\x33", "crc": 4},
        {"tag_id": b"\x78\x66\x4c\x33", "crc": 256, "rssi_dbm": -88},
        {"tag_id": b"\x78\x66\x4c\x33", "crc": 4, "rssi_dbm": -129},
        {"tag_id": b"\x78\x66\x4c", "crc": 4, "rssi_dbm": -88},
        {"tag_id": "78664C33", "crc": 4, "rssi_dbm": -88},
        {"tag_id": b"\x78\x66\x4c\x33", "crc": "4", "rssi_dbm": -88},
    ],
)
def test_fields_that_are_missing_or_do_not_fit_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(EncodeError):
        build_record(1, fields)


def test_published_records_are_built_from_their_fields() -> None:
    beep = {"tag_id": bytes.fromhex("78664C33"), "rssi_dbm": -88}
    assert build_record(0, beep).hex().upper() == "0078664C33A8"
    assert build_record(1, beep | {"crc": 4}).hex().upper() == "0178664C3304A8"


def test_a_published_node_beep_reads_as_its_fields() -> None:
    record = bytes.fromhex("05F596370000001100000003000000237D02621E4C3433EB059E0000C3")
    assert read_record(record) == {
        "opcode": 5,
        "node_number": 0x3796F5,
        "undecoded_5": b"\0\0",
        "collection_id": 17,
        "collection_count": 3,
        "collection_index": 0,
        "recorded_at_unix_s": 1644330275,
        "tag_bytes": bytes.fromhex("1E4C3433EB"),
        "tag_size": 5,
        "tag_rssi_dbm": -98,
        "undecoded_26": b"\0\0",
        "rssi_dbm": -61,
    }


def test_a_published_v3_node_health_reads_as_its_fields() -> None:
    record = bytes.fromhex(
        "06F596370A0000FC1BE96780510100297B00F9C80158B00402D01AE9678D1B5302E6E788FB0000BA"
    )
    fields = read_record(record)
    assert fields["battery_dv"] == 41
    assert fields["charge_x10_ma"] == 123
    assert fields["temperature_c"] == -7
    assert fields["energy_used_mah"] == 456
    assert fields["uptime_s"] == 86400
