"""Packets of data tags: told from short ones by their CRCs, read by what owners declared."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.checksums import crc16_dnp
from protocols.ctt.extended import (
    DATA_BYTES_BY_FORMAT,
    LENGTHS,
    PayloadCodecs,
    build_extended_packet,
    read_air_packet,
)
from protocols.ctt.packet import build_packet, id_from_number
from protocols.errors import EncodeError, ProtocolError
from protocols.payload_codec import NUMBER_TYPES, PayloadCodec, PayloadField

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "ctt-packets.json"
TAG_IDS = st.integers(0, (1 << 20) - 1).map(id_from_number)
BAROMETER = PayloadCodec.declared(
    [
        {"name": "pressure_pa", "type": "u24le"},
        {"name": "", "type": "u8"},
        {"name": "temperature_c", "type": "i16le", "scale": 0.01, "offset": -5},
    ]
)


@pytest.fixture
def vectors() -> list[dict[str, Any]]:
    if not VECTORS.exists():
        pytest.skip(f"no vectors at {VECTORS}")
    extended: list[dict[str, Any]] = json.loads(VECTORS.read_text())["extended"]
    return extended


def test_the_published_packets_read_and_build(vectors: list[dict[str, Any]]) -> None:
    for vector in vectors:
        after_sync = bytes.fromhex(vector["after_sync"])
        heard = read_air_packet(after_sync)
        assert heard is not None
        assert (heard.tag_id, heard.integrity, heard.id_legal) == (vector["id"], "verified", True)
        assert (heard.format, heard.subformat) == (vector["format"], vector["subformat"])
        assert heard.payload == bytes.fromhex(vector["data"])
        assert (
            build_extended_packet(
                vector["id"],
                form=vector["format"],
                subform=vector["subformat"],
                payload=bytes.fromhex(vector["data"]),
            )
            == after_sync
        )


def test_the_lengths_are_those_of_the_proposal() -> None:
    assert LENGTHS == (18, 14, 12, 10)


@settings(max_examples=200)
@given(tag_id=TAG_IDS, form=st.integers(1, 15), data=st.data(), noise=st.binary(max_size=8))
def test_a_long_packet_is_found_with_noise_behind_it(
    tag_id: str, form: int, data: st.DataObject, noise: bytes
) -> None:
    size = DATA_BYTES_BY_FORMAT[form]
    payload = data.draw(st.binary(min_size=size, max_size=size))
    subform = data.draw(st.integers(0, 15))
    packet = build_extended_packet(tag_id, form=form, subform=subform, payload=payload)
    heard = read_air_packet(packet + noise)
    assert heard is not None
    assert (heard.tag_id, heard.integrity) == (tag_id, "verified")
    assert (heard.format, heard.subformat, heard.payload) == (form, subform, payload)
    assert heard.packet_bytes == len(packet)


@settings(max_examples=200)
@given(tag_id=TAG_IDS)
def test_a_short_packet_with_noise_behind_it_stays_short(tag_id: str) -> None:
    heard = read_air_packet(build_packet(tag_id) + bytes.fromhex("A55A0FF0123456789ABCDEF012"))
    assert heard is not None
    assert (heard.tag_id, heard.integrity, heard.packet_bytes) == (tag_id, "verified", 5)
    assert (heard.format, heard.payload) == (None, None)


def test_the_length_of_the_format_goes_before_one_that_fits_by_chance() -> None:
    packet = build_extended_packet("78554C33", form=1, payload=b"\x12\x34")
    longer = packet + bytes(6)
    both_fit = longer + crc16_dnp(longer).to_bytes(2, "little")
    heard = read_air_packet(both_fit)
    assert heard is not None
    assert (heard.packet_bytes, heard.payload) == (10, b"\x12\x34")


def test_a_long_packet_with_damaged_data_still_names_its_tag() -> None:
    packet = bytearray(build_extended_packet("78554C33", form=5, payload=b"\1\2\3\4"))
    packet[7] ^= 0x10
    heard = read_air_packet(bytes(packet))
    assert heard is not None
    assert (heard.tag_id, heard.integrity, heard.payload) == ("78554C33", "verified", None)


def test_a_packet_with_two_wrong_checksums_failed() -> None:
    packet = bytearray(build_extended_packet("78554C33", form=5, payload=b"\1\2\3\4"))
    packet[0] ^= 0xFF
    heard = read_air_packet(bytes(packet))
    assert heard is not None
    assert heard.integrity == "failed"


@settings(max_examples=200)
@given(after_sync=st.binary(max_size=40))
def test_any_bytes_are_judged_without_an_exception(after_sync: bytes) -> None:
    heard = read_air_packet(after_sync)
    assert (heard is None) == (len(after_sync) < 4)
    if heard:
        assert PayloadCodecs({(1, None): BAROMETER}).measurements(heard) is None or heard.format


@pytest.mark.parametrize(
    ("form", "subform", "payload", "named"),
    [
        (0, 0, b"", "format 0"),
        (1, 0, b"123", "format 1"),
        (1, 16, b"12", "subformat"),
    ],
)
def test_a_packet_that_cannot_be_is_not_built(
    form: int, subform: int, payload: bytes, named: str
) -> None:
    with pytest.raises(EncodeError, match=named):
        build_extended_packet("78554C33", form=form, subform=subform, payload=payload)


def test_measurements_are_those_the_owner_declared_for_the_format() -> None:
    codecs = PayloadCodecs({(9, None): BAROMETER})
    payload = BAROMETER.payload({"pressure_pa": 101_325, "temperature_c": -12.34})
    packet = read_air_packet(build_extended_packet("78554C33", form=9, subform=3, payload=payload))
    assert packet is not None
    assert codecs.measurements(packet) == {
        "format": 9,
        "subformat": 3,
        "pressure_pa": 101_325,
        "temperature_c": -12.34,
    }


def test_a_sub_format_of_its_own_goes_before_its_format() -> None:
    other = PayloadCodec.declared([{"name": "voltage_v", "type": "u16be", "scale": 0.001}])
    codecs = PayloadCodecs({(1, None): BAROMETER, (1, 2): other})
    packet = read_air_packet(
        build_extended_packet("78554C33", form=1, subform=2, payload=b"\x0b\xb8")
    )
    assert packet is not None
    assert codecs.measurements(packet) == {"format": 1, "subformat": 2, "voltage_v": 3.0}


def test_a_format_nobody_declared_keeps_its_payload() -> None:
    packet = read_air_packet(build_extended_packet("78554C33", form=1, payload=b"\x0b\xb8"))
    assert packet is not None
    assert PayloadCodecs().measurements(packet) == {"format": 1, "subformat": 0}
    assert packet.payload == b"\x0b\xb8"


def test_a_short_packet_has_no_format() -> None:
    packet = read_air_packet(build_packet("78554C33"))
    assert packet is not None
    assert PayloadCodecs().measurements(packet) is None


def test_a_format_is_a_nibble() -> None:
    with pytest.raises(ProtocolError, match="0 to 15"):
        PayloadCodecs({(16, None): BAROMETER})


@settings(max_examples=200)
@given(payload=st.binary(max_size=20), number=st.sampled_from(sorted(NUMBER_TYPES)))
def test_any_payload_reads_or_is_too_short(payload: bytes, number: str) -> None:
    codec = PayloadCodec([PayloadField(name="x", type=number, scale=0.1)])
    assert (codec.measurements(payload) is None) == (len(payload) < codec.payload_bytes)


@given(pressure=st.integers(0, (1 << 24) - 1), cdeg=st.integers(-32768, 32767))
def test_what_is_written_reads_back(pressure: int, cdeg: int) -> None:
    told = {"pressure_pa": pressure, "temperature_c": round(cdeg / 100 - 5, 2)}
    assert BAROMETER.measurements(BAROMETER.payload(told)) == told


def test_a_float_that_is_no_number_is_left_out() -> None:
    codec = PayloadCodec([PayloadField(name="x", type="f32le")])
    assert codec.measurements(bytes.fromhex("0000C07F")) == {}


def test_a_measurement_that_does_not_fit_is_named() -> None:
    with pytest.raises(EncodeError, match="temperature_c"):
        BAROMETER.payload({"pressure_pa": 1})
    with pytest.raises(EncodeError):
        BAROMETER.payload({"pressure_pa": 1 << 24, "temperature_c": 0})


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ([], "at least one name"),
        ([{"name": "a", "type": "u7"}], "u7"),
        ([{"name": "a", "type": "u8", "scale": 0}], "scale"),
        ([{"name": "a", "type": "u8"}, {"name": "a", "type": "u8"}], "only once"),
        ([{"name": "Temperature (C)", "type": "u8"}], "lower case"),
        ([{"name": "a"}], "type"),
        ("u8", "fields"),
        ([{"name": "", "type": "u8"}], "at least one name"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(fields: object, named: str) -> None:
    with pytest.raises(ProtocolError, match=named):
        PayloadCodec.declared(fields)
