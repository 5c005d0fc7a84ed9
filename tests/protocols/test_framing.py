"""Framers: any chunking gives the same frames, damage costs little, memory is bounded."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing import (
    CobsFramer,
    Framer,
    LineFramer,
    cobs_decode,
    cobs_encode,
    framer,
)

SMALL_BOUND = 16

streams = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"\0", b"\x01", b"\xff", b"ab", b"78664C33,-75", b"{"]),
    max_size=60,
).map(b"".join) | st.binary(max_size=200)
cuts = st.lists(st.integers(0, 200), max_size=12)
lines = st.lists(
    st.text("0123456789ABCDEF,-{}", min_size=1, max_size=40).map(str.encode),
    min_size=1,
    max_size=20,
)
frames = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=20)
new_framers = st.sampled_from([LineFramer, CobsFramer])


def chunked(stream: bytes, where: Sequence[int]) -> list[bytes]:
    places = [0, *sorted(place for place in where if place <= len(stream)), len(stream)]
    return [stream[a:b] for a, b in pairwise(places)]


def fed(cutter: Framer, chunks: Sequence[bytes]) -> list[bytes]:
    return [frame for chunk in chunks for frame in cutter.feed(chunk)]


def missing(sent: Sequence[bytes], got: Sequence[bytes]) -> int:
    """Count the sent frames that are not in what was got."""
    return (Counter(sent) - Counter(got)).total()


@given(stream=streams, where=cuts, new=new_framers, bound=st.sampled_from([SMALL_BOUND, 4096]))
def test_the_same_frames_come_out_however_a_stream_is_split(
    stream: bytes, where: list[int], new: type[LineFramer | CobsFramer], bound: int
) -> None:
    whole, parts, single = new(bound), new(bound), new(bound)
    expected = whole.feed(stream)
    assert fed(parts, chunked(stream, where)) == expected
    assert fed(single, [bytes([byte]) for byte in stream]) == expected
    for cutter in (whole, parts, single):
        cutter.reset()
    assert whole.skipped_bytes == parts.skipped_bytes == single.skipped_bytes


@given(sent=lines, end=st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_lines_come_out_as_they_went_in_whatever_ends_them(sent: list[bytes], end: bytes) -> None:
    assert LineFramer().feed(b"".join(line + end for line in sent)) == sent


def test_empty_lines_give_no_frame_and_an_unfinished_one_waits() -> None:
    cutter = LineFramer()
    assert cutter.feed(b"\r\n\n\r78664C33,-") == []
    assert cutter.feed(b"75\r") == [b"78664C33,-75"]
    assert cutter.skipped_bytes == 0


def test_nuls_before_a_line_are_dropped_and_counted() -> None:
    cutter = LineFramer()
    assert fed(cutter, [b"\0\0", b"\0", b"78664C33\r\n", b"\0\n"]) == [b"78664C33"]
    assert cutter.skipped_bytes == 4


@given(sent=lines, where=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_flipped_bit_costs_at_most_two_lines(sent: list[bytes], where: int, bit: int) -> None:
    stream = bytearray(b"".join(line + b"\r\n" for line in sent))
    stream[where % len(stream)] ^= 1 << bit
    assert missing(sent, LineFramer().feed(bytes(stream))) <= 2


@given(sent=lines, where=st.integers(0, 10_000))
def test_one_lost_byte_costs_at_most_two_lines(sent: list[bytes], where: int) -> None:
    stream = bytearray(b"".join(line + b"\n" for line in sent))
    del stream[where % len(stream)]
    assert missing(sent, LineFramer().feed(bytes(stream) + b"\n")) <= 2


@given(sent=frames, where=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_flipped_bit_costs_at_most_two_cobs_frames(
    sent: list[bytes], where: int, bit: int
) -> None:
    stream = bytearray(b"".join(cobs_encode(frame) + b"\0" for frame in sent))
    stream[where % len(stream)] ^= 1 << bit
    assert missing(sent, CobsFramer().feed(bytes(stream) + b"\0")) <= 2


@given(sent=frames, where=st.integers(0, 10_000))
def test_one_lost_byte_costs_at_most_two_cobs_frames(sent: list[bytes], where: int) -> None:
    stream = bytearray(b"".join(cobs_encode(frame) + b"\0" for frame in sent))
    del stream[where % len(stream)]
    assert missing(sent, CobsFramer().feed(bytes(stream) + b"\0")) <= 2


@pytest.mark.parametrize(("new", "end"), [(LineFramer, b"\n"), (CobsFramer, b"\0")])
def test_memory_is_bounded_under_a_frame_that_never_ends(
    new: type[LineFramer | CobsFramer], end: bytes
) -> None:
    cutter = new(SMALL_BOUND)
    for _ in range(1000):
        assert cutter.feed(b"\x05" * 7) == []
        assert len(cutter._tail) <= SMALL_BOUND
    assert cutter.feed(end) == []
    assert cutter.skipped_bytes >= 7000
    assert cutter.feed(b"\x03ab" + end) in ([b"\x03ab"], [b"ab"])


def test_nuls_that_never_end_take_no_memory() -> None:
    cutter = LineFramer(SMALL_BOUND)
    for _ in range(100):
        cutter.feed(bytes(SMALL_BOUND))
    assert cutter.skipped_bytes == 100 * SMALL_BOUND
    assert cutter.feed(b"78664C33\n") == [b"78664C33"]


@pytest.mark.parametrize(("length", "frames_out"), [(16, 1), (17, 0)])
def test_the_bound_is_the_longest_line_that_comes_through(length: int, frames_out: int) -> None:
    cutter = LineFramer(SMALL_BOUND)
    assert len(cutter.feed(b"A" * length + b"\n")) == frames_out
    assert cutter.skipped_bytes == (0 if frames_out else length)


@pytest.mark.parametrize("new", [LineFramer, CobsFramer])
def test_a_reset_forgets_the_unfinished_frame_and_counts_it(
    new: type[LineFramer | CobsFramer],
) -> None:
    cutter = new()
    cutter.feed(b"\x03unfinished")
    cutter.reset()
    assert cutter.skipped_bytes == 11
    assert cutter.feed(b"\n\0") in ([], [b"\n"], [b"\0"])


ALL_BUT_ZERO = bytes(range(1, 256))
COBS_VECTORS = [
    ("00", "0101"),
    ("0000", "010101"),
    ("001100", "01021101"),
    ("11220033", "0311220233"),
    ("11223344", "0511223344"),
    ("11000000", "0211010101"),
    (ALL_BUT_ZERO[:254].hex(), "ff" + ALL_BUT_ZERO[:254].hex()),
    ("00" + ALL_BUT_ZERO[:254].hex(), "01ff" + ALL_BUT_ZERO[:254].hex()),
    (ALL_BUT_ZERO.hex(), "ff" + ALL_BUT_ZERO[:254].hex() + "02ff"),
    (ALL_BUT_ZERO[1:].hex() + "00", "ff" + ALL_BUT_ZERO[1:].hex() + "0101"),
    (ALL_BUT_ZERO[2:].hex() + "0001", "fe" + ALL_BUT_ZERO[2:].hex() + "0201"),
]
"""The examples that go with the paper's description, as en.wikipedia.org lists them."""


@pytest.mark.parametrize(("plain", "stuffed"), COBS_VECTORS)
def test_cobs_stuffs_the_published_examples(plain: str, stuffed: str) -> None:
    assert cobs_encode(bytes.fromhex(plain)).hex() == stuffed
    assert cobs_decode(bytes.fromhex(stuffed)) == bytes.fromhex(plain)


@given(frame=st.binary(max_size=600) | st.integers(0, 600).map(lambda size: b"\x01" * size))
def test_cobs_comes_back_and_holds_no_zero(frame: bytes) -> None:
    stuffed = cobs_encode(frame)
    assert 0 not in stuffed
    assert len(stuffed) <= len(frame) + len(frame) // 254 + 1
    assert cobs_decode(stuffed) == frame


@given(block=st.binary(max_size=300))
def test_any_cobs_block_decodes_or_is_called_broken(block: bytes) -> None:
    decoded = cobs_decode(block)
    assert decoded is None or len(decoded) <= len(block)


def test_each_framing_has_its_framer_and_messages_have_none() -> None:
    assert isinstance(framer("lines"), LineFramer)
    assert isinstance(framer("cobs"), CobsFramer)
    with pytest.raises(ValueError, match="arrive whole"):
        framer("message")
