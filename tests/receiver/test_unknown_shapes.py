"""Unknown frames of one kind have one shape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.unknown_shapes import shape


@pytest.mark.parametrize(
    ("frame", "looks"),
    [
        (b"", "empty"),
        (b"78664C3304A8,-75", "h12,-9"),
        (b"61337834,-102", "h8,-9"),
        (b'{"volts": 3.71}', '{"a": 9.9}'),
        (b"Radio Init Failed", "a a a"),
        (b"T5 and v12", "a9 a a9"),
        (b"temp: 21.5\xb0C", "a: 9.9?a"),
        (bytes.fromhex("010b0000ff00000000000000"), "01 0b 8-15 bytes"),
        (b"\xff", "ff 1 bytes"),
    ],
)
def test_a_frame_is_told_by_its_shape(frame: bytes, looks: str) -> None:
    assert shape(frame) == looks


@given(st.integers(0, 2**32 - 1), st.integers(-120, -20))
def test_lines_that_differ_in_their_numbers_only_have_one_shape(number: int, level: int) -> None:
    line = f"{number:08X},{level}".encode()
    if any(digit in "0123456789" for digit in f"{number:08X}"):
        assert shape(line) == "h8,-9"


@given(st.binary(max_size=500))
def test_any_bytes_have_a_short_printable_shape(frame: bytes) -> None:
    told = shape(frame)
    assert told.isprintable()
    assert 0 < len(told) <= 49
