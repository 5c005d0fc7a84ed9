"""A stream of I/Q in whatever pieces, at whatever rate, with whatever in it."""

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

from radio_air import (  # noqa: E402  Below the check for numpy.
    FIELD_PACKET,
    NOISE_DBFS,
    PACKET_SAMPLES,
    OnAir,
    air,
    found,
    hear,
    some_packets,
)

from protocols.errors import ProtocolError  # noqa: E402
from protocols.radio.ctt_ear import DEFAULT_OFFSETS_HZ, CttEar  # noqa: E402
from protocols.radio.heard_packet import HeardPacket  # noqa: E402
from protocols.radio.samples import Samples  # noqa: E402
from simulator.iq import RATE_HZ, fsk_samples  # noqa: E402


@settings(max_examples=12)
@given(st.lists(st.integers(0, 45_000), max_size=12))
def test_packets_are_the_same_however_the_samples_are_cut(cuts: list[int]) -> None:
    whole = heard_whole()
    assert len(whole) >= 12
    edges = [0, *sorted(cuts), len(busy_air())]
    ear = CttEar(RATE_HZ)
    heard = [packet for begin, end in pairwise(edges) for packet in ear.feed(busy_air()[begin:end])]
    same(heard + ear.finish(), whole)


@settings(max_examples=5)
@given(st.lists(st.integers(0, 400_000), max_size=6))
def test_cuts_do_not_matter_at_a_higher_rate_and_off_the_middle_either(cuts: list[int]) -> None:
    def feed(edges: list[int]) -> list[HeardPacket]:
        ear = CttEar(FAST_RATE_HZ, centre_offset_hz=200_000)
        pieces = [fast_air()[begin:end] for begin, end in pairwise(edges)]
        heard = [packet for piece in pieces for packet in ear.feed(piece)]
        return heard + ear.finish()

    whole = feed([0, len(fast_air())])
    assert found([OnAir(100_000, FIELD_PACKET), OnAir(300_000, FIELD_PACKET)], whole) == 2
    same(feed([0, *sorted(cuts), len(fast_air())]), whole)


def same(heard: list[HeardPacket], whole: list[HeardPacket]) -> None:
    assert [packet.body for packet in heard] == [packet.body for packet in whole]
    for mine, other in zip(heard, whole, strict=True):
        assert mine.integrity == other.integrity
        for name in ("first_sample", "end_sample", "frequency_offset_hz", "score", "signal_dbfs"):
            assert getattr(mine, name) == pytest.approx(getattr(other, name), rel=1e-4, abs=1e-3)


@cache
def busy_air() -> Samples:
    sent = some_packets(12, 4, seed=3)
    sent += [each._replace(at=each.at + 300, snr_db=0) for each in some_packets(4, 0, seed=9)]
    return air(sent, 0.18)


@cache
def fast_air() -> Samples:
    dice = np.random.default_rng(5)
    pairs = dice.normal(0, 0.1, (420_000, 2)).astype(np.float32)
    samples: Samples = pairs.view(np.complex64)[:, 0]
    packet = fsk_samples(FIELD_PACKET, offset_hz=203_000, rate_hz=FAST_RATE_HZ)
    for at in (100_000, 300_000):
        samples[at : at + len(packet)] += 0.15 * packet
    return samples


FAST_RATE_HZ = 1_024_000


@cache
def heard_whole() -> list[HeardPacket]:
    return hear(busy_air())


def test_packets_come_in_the_order_of_their_beginnings_and_each_once() -> None:
    begins = [packet.first_sample for packet in hear(busy_air(), piece=5000)]
    assert begins == sorted(begins)
    assert len(set(begins)) == len(begins)


def test_packets_are_told_a_quarter_of_a_second_after_they_ended_at_the_latest() -> None:
    ear = CttEar(RATE_HZ)
    samples = air([OnAir(100_000, FIELD_PACKET)], 1.0)
    first = next(
        begin for begin in range(0, len(samples), 1000) if ear.feed(samples[begin : begin + 1000])
    )
    assert first < 100_800 + RATE_HZ / 4


@pytest.mark.parametrize("cut", [0, 10, 1000, 31_999, 32_000, 32_001, 36_160])
def test_a_packet_is_heard_wherever_the_samples_begin_and_end(cut: int) -> None:
    samples = air([OnAir(40_000, FIELD_PACKET)], 0.1635)
    (packet,) = hear(samples[cut:])
    assert packet.first_sample + cut == pytest.approx(40_000, abs=1.5)


def test_no_packet_is_made_of_the_silence_behind_the_last_sample() -> None:
    samples = air([OnAir(40_000, FIELD_PACKET)], 0.25)
    for end in range(40_000 + 400, 40_000 + PACKET_SAMPLES, 10):
        assert hear(samples[:end]) == []
    (packet,) = hear(samples[: 40_000 + PACKET_SAMPLES])
    assert packet.tag_id == "78664C33"


def test_occupancy_is_the_part_of_the_time_in_which_something_was_there() -> None:
    sent = [OnAir(4000 * number, FIELD_PACKET, 10, 2000) for number in range(1, 60)]
    ear = CttEar(RATE_HZ)
    assert ear.occupancy is None
    hear(air(sent, 1.0), ear)
    assert ear.occupancy == pytest.approx(PACKET_SAMPLES / 4000, rel=0.15)
    assert ear.noise_dbfs == pytest.approx(NOISE_DBFS, abs=1)


def test_the_grid_is_thinned_while_running_and_hears_less_far_off() -> None:
    ear = CttEar(RATE_HZ)
    before = ear.offsets_hz
    ear.listen_at((0.0,))
    assert (before, ear.offsets_hz) == (DEFAULT_OFFSETS_HZ, (0.0,))
    sent = [OnAir(9000, FIELD_PACKET, 3, 1000), OnAir(20_000, FIELD_PACKET, 3, 20_000)]
    heard = hear(air(sent, 0.2), ear)
    assert found(sent[:1], heard) == 1


@pytest.mark.parametrize("offsets_hz", [(), (float("nan"),), (90_000.0,), (0.0, -88_000.0)])
def test_a_grid_that_cannot_be_heard_is_refused(offsets_hz: tuple[float, ...]) -> None:
    with pytest.raises(ProtocolError, match="carrier offsets"):
        CttEar(RATE_HZ).listen_at(offsets_hz)


def test_a_rate_too_low_for_the_channel_is_refused() -> None:
    with pytest.raises(ProtocolError, match="160000 at least"):
        CttEar(100_000)
    with pytest.raises(ProtocolError, match="within half"):
        CttEar(RATE_HZ, centre_offset_hz=130_000)


@pytest.mark.parametrize("rate_hz", [200_000, 240_000, 300_000, 1_024_000, 2_400_000])
def test_other_sample_rates_hear_as_well(rate_hz: int) -> None:
    dice = np.random.default_rng(rate_hz)
    spread = 0.1 * np.sqrt(rate_hz / RATE_HZ / 2)
    samples = dice.normal(0, spread, (rate_hz // 4, 2)).astype(np.float32).view(np.complex64)[:, 0]
    begins = [round((0.02 + 0.02 * number) * rate_hz) for number in range(10)]
    packet = fsk_samples(FIELD_PACKET, offset_hz=-7000, rate_hz=rate_hz)
    for at in begins:
        samples[at : at + len(packet)] += np.complex64(0.1 * 10 ** (-2 / 20)) * packet
    heard = hear(samples, CttEar(rate_hz))
    assert [round(each.first_sample) for each in heard] == pytest.approx(begins, abs=rate_hz / 5e4)
    assert np.median([each.snr_db for each in heard]) == pytest.approx(-2, abs=0.7)


STRANGE = st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 1e-45, 1e-20, 1e9, 1e30, 3e38, float("inf"), float("-inf"), float("nan")]
)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(STRANGE, STRANGE, st.integers(0, 9000), st.booleans()), max_size=8),
    st.sampled_from([250_000, 240_000, 1_024_000]),
    st.integers(0, 2**32 - 1),
)
def test_no_samples_whatever_raise(
    stretches: list[tuple[float, float, int, bool]], rate_hz: int, seed: int
) -> None:
    dice = np.random.default_rng(seed)
    ear = CttEar(rate_hz, known_tags=frozenset({"78664C33"}), centre_offset_hz=1000.0)
    for real, imaginary, count, noisy in stretches:
        pairs = np.full((count, 2), (real, imaginary), dtype=np.float32)
        if noisy:
            pairs[:: 1 + seed % 7] = dice.normal(0, 1, pairs[:: 1 + seed % 7].shape)
        for packet in ear.feed(pairs.reshape(-1).view(np.complex64)):
            assert packet.integrity in ("verified", "unverified")
    ear.finish()
    assert np.isfinite(ear.noise_dbfs)


def test_the_memory_that_was_fed_may_be_used_again() -> None:
    samples = air([OnAir(20_000, FIELD_PACKET)], 0.2)
    ear, memory = CttEar(RATE_HZ), np.zeros(1000, dtype=np.complex64)
    heard: list[HeardPacket] = []
    for begin in range(0, len(samples), 1000):
        memory[:] = samples[begin : begin + 1000]
        heard += ear.feed(memory)
    assert [packet.tag_id for packet in heard + ear.finish()] == ["78664C33"]


def test_a_packet_between_stretches_that_are_no_numbers_is_heard() -> None:
    samples = air([OnAir(20_000, FIELD_PACKET)], 0.2)
    samples[15_000:15_400] = np.nan
    samples[25_000:25_400] = np.inf
    assert [packet.tag_id for packet in hear(samples)] == ["78664C33"]
