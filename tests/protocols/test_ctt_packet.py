"""The packet of CTT tags: dictionary, checksum, what is mended and what is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.checksums import crc8_smbus
from protocols.ctt.packet import (
    DICTIONARY,
    ON_AIR_FRAME,
    PREAMBLE,
    SYNC_WORD,
    TAG_PACKET,
    build_on_air_frame,
    build_packet,
    id_bytes_of,
    id_from_number,
    id_legal,
    identify,
    mended_id,
    split_packet,
)
from protocols.errors import EncodeError, PacketError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "ctt-packets.json"

four_bytes = st.binary(min_size=4, max_size=4)
legal_ids = st.integers(0, 2**20 - 1).map(id_from_number)


def flipped(packet: bytes, bit: int) -> bytes:
    return (int.from_bytes(packet, "big") ^ 1 << bit).to_bytes(len(packet), "big")


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    if not VECTORS.exists():
        pytest.skip(f"no vectors at {VECTORS}")
    published: dict[str, Any] = json.loads(VECTORS.read_text())
    return published


def test_published_packets_carry_the_checksum_that_we_compute(vectors: dict[str, Any]) -> None:
    for packet in vectors["packets"]:
        id_bytes = bytes.fromhex(packet["id"])
        crc = int(packet["crc8"], 16)
        assert build_packet(packet["id"]) == id_bytes + bytes([crc])
        assert identify(id_bytes, crc) == (packet["id"], "verified", packet["in_dictionary"])


def test_the_published_frame_is_built_bit_for_bit(vectors: dict[str, Any]) -> None:
    on_air = vectors["on_air"]
    assert on_air["preamble"] == PREAMBLE.hex().upper()
    assert on_air["sync"] == SYNC_WORD.hex().upper()
    assert build_on_air_frame(build_packet("78554C33")).hex().upper() == on_air["example"]
    twin = ON_AIR_FRAME.parse(bytes.fromhex(on_air["bad_crc_twin"])).packet
    assert identify(twin.tag_id, twin.crc).integrity == "failed"


def test_the_false_ids_by_bit_seven_have_the_published_syndromes(vectors: dict[str, Any]) -> None:
    for byte in range(4):
        mask = bytes(0x80 if place == byte else 0 for place in range(4))
        assert crc8_smbus(mask) == int(vectors["bit7_flip_syndromes"][f"byte{byte}"], 16)


def test_a_frame_on_air_is_preamble_sync_word_id_and_checksum() -> None:
    assert build_on_air_frame(build_packet("78554C33")).hex() == "aaaaaad39178554c3358"


def test_the_dictionary_has_32_words_whose_low_seven_bits_differ_in_three_places() -> None:
    assert len(set(DICTIONARY)) == 32
    lower = DICTIONARY[:16]
    assert bytes(word | 0x80 for word in lower) == DICTIONARY[16:]
    assert min((a ^ b).bit_count() for a in lower for b in lower if a != b) == 3


@given(id_bytes=four_bytes)
def test_an_id_is_legal_when_each_byte_is_a_word(id_bytes: bytes) -> None:
    assert id_legal(id_bytes) == all(byte in DICTIONARY for byte in id_bytes)


@pytest.mark.parametrize("id_bytes", [b"", b"\x78\x66\x4c", b"\x78\x66\x4c\x33\x04"])
def test_an_id_that_is_not_four_bytes_is_not_legal(id_bytes: bytes) -> None:
    assert not id_legal(id_bytes)


def test_ids_that_are_not_in_the_dictionary_are_kept_and_flagged() -> None:
    assert identify(bytes.fromhex("AF7709D3"), 0xD6) == ("AF7709D3", "verified", False)


@given(id_bytes=four_bytes)
def test_a_packet_without_checksum_is_unverified(id_bytes: bytes) -> None:
    identity = identify(id_bytes, None)
    assert identity == (id_bytes.hex().upper(), "unverified", id_legal(id_bytes))


@given(tag_id=legal_ids, bit=st.integers(0, 31))
def test_one_flipped_bit_of_a_legal_id_is_mended(tag_id: str, bit: int) -> None:
    id_bytes, crc = split_packet(build_packet(tag_id))
    received = flipped(id_bytes, bit)
    assert identify(received, crc) == (tag_id, "repaired", True)


@given(tag_id=legal_ids, bit=st.integers(0, 7))
def test_a_flipped_bit_of_the_checksum_is_not_mended(tag_id: str, bit: int) -> None:
    id_bytes, crc = split_packet(build_packet(tag_id))
    identity = identify(id_bytes, crc ^ 1 << bit)
    assert identity == (tag_id, "failed", True)


@given(id_bytes=four_bytes, crc=st.integers(0, 255))
def test_a_packet_is_mended_if_and_only_if_the_rule_says_so(id_bytes: bytes, crc: int) -> None:
    candidates = [
        candidate
        for candidate in (flipped(id_bytes, bit) for bit in range(32))
        if crc8_smbus(candidate) == crc and id_legal(candidate)
    ]
    assert len(candidates) <= 1
    identity = identify(id_bytes, crc)
    if crc8_smbus(id_bytes) == crc:
        assert identity == (id_bytes.hex().upper(), "verified", id_legal(id_bytes))
        assert mended_id(id_bytes, crc) is None
    elif candidates:
        assert identity == (candidates[0].hex().upper(), "repaired", True)
    else:
        assert identity == (id_bytes.hex().upper(), "failed", id_legal(id_bytes))


@given(tag_id=legal_ids, bits=st.sets(st.integers(0, 31), min_size=2, max_size=2))
def test_two_flipped_bits_are_never_mended_to_the_tag_that_sent(
    tag_id: str, bits: set[int]
) -> None:
    received, crc = split_packet(build_packet(tag_id))
    for bit in bits:
        received = flipped(received, bit)
    assert identify(received, crc).tag_id != tag_id
    assert identify(received, crc).integrity in ("failed", "repaired")


@given(packet=st.binary(min_size=5, max_size=5))
def test_the_schema_and_the_slices_agree(packet: bytes) -> None:
    parsed = TAG_PACKET.parse(packet)
    assert (parsed.tag_id, parsed.crc) == split_packet(packet)
    assert TAG_PACKET.build(parsed) == packet
    assert ON_AIR_FRAME.parse(build_on_air_frame(packet)).packet == parsed


def test_every_number_of_twenty_bits_has_its_own_id_low_bits_first() -> None:
    assert id_from_number(0) == "00000000"
    assert id_from_number(1) == "07000000"
    assert id_from_number(2**20 - 1) == "FFFFFFFF"
    assert len({id_from_number(number) for number in range(0, 2**20, 97)}) == 2**20 // 97 + 1


@given(number=st.integers(0, 2**20 - 1))
def test_the_id_of_a_number_is_legal(number: int) -> None:
    assert id_legal(id_bytes_of(id_from_number(number)))


@pytest.mark.parametrize("number", [-1, 2**20])
def test_a_number_that_does_not_fit_is_refused(number: int) -> None:
    with pytest.raises(EncodeError, match="number"):
        id_from_number(number)


@pytest.mark.parametrize(
    "tag_id",
    ["", "78664C3", "78664C3304", "78 64C33", "IE78342D", "\N{ARABIC-INDIC DIGIT SEVEN}8664C33"],
)
def test_text_that_is_no_id_is_refused(tag_id: str) -> None:
    with pytest.raises(EncodeError, match="tag_id"):
        build_packet(tag_id)


def test_a_packet_of_another_length_is_refused() -> None:
    with pytest.raises(PacketError, match="5 bytes"):
        build_on_air_frame(b"\x78\x66\x4c\x33")
