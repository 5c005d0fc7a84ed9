"""The checksums give their published check values."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.checksums import crc8_smbus, crc16_dnp, crc16_ibm_3740

CHECK_INPUT = b"123456789"


def test_each_checksum_gives_its_catalogue_check_value() -> None:
    assert crc8_smbus(CHECK_INPUT) == 0xF4
    assert crc16_ibm_3740(CHECK_INPUT) == 0x29B1
    assert crc16_dnp(CHECK_INPUT) == 0xEA82


def test_nothing_gives_the_initial_value() -> None:
    assert crc8_smbus(b"") == 0
    assert crc16_ibm_3740(b"") == 0xFFFF
    assert crc16_dnp(b"") == 0xFFFF


def test_the_crc8_of_a_tag_heard_in_the_field_is_right() -> None:
    assert crc8_smbus(bytes.fromhex("78664C33")) == 0x04


def test_the_crc16_of_an_extended_packet_is_right() -> None:
    assert crc16_dnp(bytes.fromhex("78554C3358101234")) == 0x54C8


@given(message=st.binary(max_size=40))
def test_the_tables_agree_with_division_bit_by_bit(message: bytes) -> None:
    eight, sixteen, dnp = 0, 0xFFFF, 0
    for byte in message:
        eight ^= byte
        sixteen ^= byte << 8
        dnp ^= byte
        for _ in range(8):
            eight = (eight << 1 ^ (0x07 if eight & 0x80 else 0)) & 0xFF
            sixteen = (sixteen << 1 ^ (0x1021 if sixteen & 0x8000 else 0)) & 0xFFFF
            dnp = dnp >> 1 ^ (0xA6BC if dnp & 1 else 0)
    assert crc8_smbus(message) == eight
    assert crc16_ibm_3740(message) == sixteen
    assert crc16_dnp(message) == dnp ^ 0xFFFF


@given(message=st.binary(min_size=4, max_size=4), bit=st.integers(0, 31))
def test_any_flipped_bit_of_an_id_changes_its_crc8(message: bytes, bit: int) -> None:
    flipped = (int.from_bytes(message, "big") ^ 1 << bit).to_bytes(4, "big")
    assert crc8_smbus(flipped) != crc8_smbus(message)
