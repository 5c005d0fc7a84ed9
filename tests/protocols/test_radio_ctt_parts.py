"""The parts of the software radio: bytes to samples, words to ids, waveforms to samples."""

import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

from protocols.ctt.extended import build_extended_packet  # noqa: E402  Below the check.
from protocols.ctt.packet import build_packet, id_from_number  # noqa: E402  Below the check.
from protocols.errors import EncodeError  # noqa: E402
from protocols.radio.bit_sums import RATE_ERRORS, bit_sums  # noqa: E402
from protocols.radio.channel import Channel  # noqa: E402
from protocols.radio.ctt_candidates import candidates  # noqa: E402
from protocols.radio.ctt_ids import (  # noqa: E402
    CARRIERS,
    VERIFIED_SCORE,
    Decision,
    IdDecider,
    known_score,
)
from protocols.radio.ctt_tail import checked  # noqa: E402
from protocols.radio.fsk_front import ToneFilters  # noqa: E402
from protocols.radio.samples import (  # noqa: E402
    BYTES_PER_SAMPLE,
    SampleBytes,
    SampleFormat,
    Samples,
    complex_samples,
)
from protocols.radio.subtraction import Waveform, fitted  # noqa: E402
from protocols.radio.turns import oscillation  # noqa: E402
from simulator.iq import RATE_HZ, encoded, fsk_samples  # noqa: E402

IDS = (
    st.integers(0, (1 << 20) - 1)
    .map(id_from_number)
    .filter(lambda tag_id: bytes.fromhex(tag_id) not in CARRIERS)
)
FORMATS: list[SampleFormat] = ["cu8", "cs16", "cf32"]
START = 100
"""Of the first known bit; the simulator's first sample is at the end of its time, one later."""


@pytest.mark.parametrize(
    ("form", "stream", "sample"),
    [
        ("cu8", b"\xff\x00", 1 - 1j),
        ("cu8", b"\x80\x7f", (0.5 - 0.5j) / 127.5),
        ("cs16", b"\x00\x80\x00\x40", -1 + 0.5j),
        ("cf32", b"\x00\x00\x80\x3f\x00\x00\x00\xbf", 1 - 0.5j),
    ],
)
def test_samples_are_what_the_formats_say(
    form: SampleFormat, stream: bytes, sample: complex
) -> None:
    assert complex_samples(stream, form).tolist() == pytest.approx([sample])
    assert complex_samples(stream, form).dtype == np.complex64


@settings(max_examples=60)
@given(st.binary(max_size=64), st.lists(st.integers(0, 64), max_size=6), st.sampled_from(FORMATS))
def test_bytes_may_be_cut_within_a_sample(
    stream: bytes, cuts: list[int], form: SampleFormat
) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = SampleBytes(form)
    pieces = [reader.feed(stream[begin:end]) for begin, end in pairwise(edges)]
    whole = complex_samples(stream, form)
    assert np.concatenate(pieces).tobytes() == whole.tobytes()
    assert reader.waiting_bytes == len(stream) - len(whole) * BYTES_PER_SAMPLE[form]


def test_what_the_simulator_writes_is_read_back() -> None:
    samples = 0.7 * fsk_samples(build_packet("78664C33"))
    assert np.abs(complex_samples(encoded(samples, "cf32"), "cf32") - samples).max() == 0
    assert np.abs(complex_samples(encoded(samples, "cu8"), "cu8") - samples).max() < 0.006


@pytest.mark.parametrize("rate_hz", [200_000, 240_000, 250_000, 300_000])
def test_a_packet_is_one_sum_of_all_known_bits_at_rates_that_part_a_bit_too(rate_hz: int) -> None:
    filters = ToneFilters(rate_hz, (0.0,))
    samples = np.zeros(3000, dtype=np.complex64)
    packet = fsk_samples(build_packet("78664C33"), rate_hz=rate_hz)
    samples[700 : 700 + len(packet)] = packet
    places = candidates(filters, filters.soft_bits(samples), 3000)
    assert places.coherences[0] > 0.99
    assert places.starts[0] == pytest.approx(699 + 8 * rate_hz / 25_000, abs=0.2)


def decide(samples: Samples, decider: IdDecider | None = None) -> Decision | None:
    """Decide on a packet whose two last bytes of preamble begin at START."""
    padded = np.concatenate([np.zeros(START - 79), samples, np.zeros(300)]).astype(np.complex64)
    sums = bit_sums(
        padded, RATE_HZ, np.array([float(START)]), np.array([0.0]), bits=72, anchor_bit=16
    )
    (decision,) = (decider or IdDecider()).decide(sums)
    return decision


@settings(max_examples=60)
@given(IDS)
def test_every_id_is_decided_right(tag_id: str) -> None:
    decision = decide(fsk_samples(build_packet(tag_id)))
    assert decision is not None
    assert (decision.packet, decision.verified) == (build_packet(tag_id), True)
    assert decision.score == pytest.approx(1, abs=1e-3)


@settings(max_examples=60)
@given(IDS, st.integers(0, 39))
def test_one_bit_that_is_not_there_changes_nothing(tag_id: str, bit: int) -> None:
    samples = fsk_samples(build_packet(tag_id))
    samples[10 * (40 + bit) : 10 * (41 + bit)] = 0
    decision = decide(samples)
    assert decision is not None
    assert (decision.packet, decision.verified) == (build_packet(tag_id), True)


@settings(max_examples=60)
@given(IDS, st.integers(1, 255))
def test_an_id_with_another_crc_is_never_verified_as_that_id(tag_id: str, wrong: int) -> None:
    packet = build_packet(tag_id)
    decision = decide(fsk_samples(packet[:4] + bytes([packet[4] ^ wrong])))
    assert decision is None or decision.packet != packet


@pytest.mark.parametrize("tag_id", ["00000000", "FFFFFFFF"])
def test_an_id_that_a_carrier_makes_is_told_only_where_it_is_expected(tag_id: str) -> None:
    samples = fsk_samples(build_packet(tag_id))
    assert decide(samples) is None
    decision = decide(samples, IdDecider([tag_id]))
    assert decision is not None
    assert not decision.verified


def test_an_expected_id_is_told_without_its_crc() -> None:
    samples = fsk_samples(build_packet("78664C33"))[:-80]
    assert decide(samples) is None
    decision = decide(samples, IdDecider(["78664C33", "19E680CB"]))
    assert decision is not None
    assert (decision.packet, decision.verified) == (bytes.fromhex("78664C33"), False)


def test_an_expected_id_that_is_no_words_never_comes_and_one_that_is_no_hex_is_refused() -> None:
    assert IdDecider(["12345678"]).expected_score == IdDecider([]).expected_score
    with pytest.raises(EncodeError, match="tag_id"):
        IdDecider(["78664C3"])


def test_the_more_ids_are_expected_the_higher_must_their_score_be() -> None:
    scores = [known_score(count) for count in (1, 10, 100, 2000, 1 << 20)]
    assert scores == sorted(scores)
    assert 0.4 < scores[0] < 0.5
    assert scores[-1] == pytest.approx(VERIFIED_SCORE)


@settings(max_examples=60)
@given(
    IDS, st.floats(-300, 300), st.floats(-0.005, 0.005), st.floats(-0.5, 0.5), st.floats(0.01, 3.0)
)
def test_a_waveform_that_nearly_fits_is_fitted_and_subtracted(
    tag_id: str, offset_hz: float, rate_error: float, late: float, amplitude: float
) -> None:
    packet = build_packet(tag_id)
    sent = fsk_samples(packet, offset_hz=offset_hz, bit_rate=25_000 * (1 + rate_error))
    samples = np.zeros(1200, dtype=np.complex64)
    samples[200 : 200 + len(sent)] = amplitude * sent
    bits = np.unpackbits(np.frombuffer(b"\xaa\xaa\xaa\xd3\x91" + packet, np.uint8)).astype(bool)
    tried = min(RATE_ERRORS, key=lambda each: abs(each - rate_error))
    near = Waveform(bits, 199 + late, 0.0, float(tried))
    fit = fitted(samples, RATE_HZ, near)
    assert fit.waveform.carrier_hz == pytest.approx(offset_hz, abs=20)
    assert fit.waveform.rate_error == pytest.approx(rate_error, abs=5e-4)
    assert fit.amplitude() == pytest.approx(amplitude, rel=0.02)
    left = samples[fit.extent] - fit.own(RATE_HZ)
    assert np.mean(np.abs(left) ** 2) < 0.01 * amplitude**2


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5000), max_size=5))
def test_a_channel_is_the_same_however_its_samples_are_cut(cuts: list[int]) -> None:
    turns = np.exp(2j * np.pi * 0.21 * np.arange(5000)).astype(np.complex64)
    edges = [0, *sorted(cuts), 5000]
    channel = Channel(1_000_000, 200_000)
    pieces = [channel.feed(turns[begin:end]) for begin, end in pairwise(edges)]
    whole = Channel(1_000_000, 200_000).feed(turns)
    assert len(whole) == 990
    assert np.concatenate(pieces) == pytest.approx(whole, abs=1e-5)
    # 210 kHz of 1 MHz, the middle at 200 kHz: a carrier of 10 kHz at 200 kS/s, passed as it is.
    hertz = np.angle(whole[1:] * whole[:-1].conj()) * channel.rate_hz / (2 * np.pi)
    assert hertz == pytest.approx(np.full(len(hertz), 10_000), abs=1)
    assert np.abs(whole) == pytest.approx(np.ones(len(whole)), abs=0.02)


@pytest.mark.parametrize(
    ("level", "turned", "counts"),
    [(1.0, 0, True), (1.0, 2, True), (1.0, 3, False), (0.5, 0, False)],
)
def test_a_tail_counts_where_it_is_strong_and_its_checksum_right_but_for_two_weak_bits(
    level: float, turned: int, *, counts: bool
) -> None:
    packet = build_extended_packet("78664C33", form=9, payload=b"heron!")
    bits = np.unpackbits(np.frombuffer(packet[5:], np.uint8)).astype(float)
    soft = np.concatenate([(2 * bits - 1) * level, np.full(40, 0.1)])
    soft[20 : 20 + turned] *= -0.1
    assert checked(packet[:5], soft, 1.0) == (packet if counts else None)


@given(st.floats(-0.5, 0.5), st.integers(0, 10**12), st.integers(0, 3000), st.integers(0, 3000))
def test_an_oscillation_is_the_same_wherever_it_begins_and_right_after_a_month(
    turns: float, begin: int, later: int, count: int
) -> None:
    whole = oscillation(turns, begin, later + count)
    assert whole[later:].tobytes() == oscillation(turns, begin + later, count).tobytes()
    exact = [Fraction(turns) * place % 1 for place in range(begin, begin + later + count, 500)]
    points = np.exp(2j * np.pi * np.array(exact, dtype=np.float64))
    assert np.abs(whole[::500] - points).max(initial=0) < 2e-3


def test_what_would_fold_into_the_channel_is_filtered_out() -> None:
    channel = Channel(1_000_000)
    stray = np.exp(2j * np.pi * 0.17 * np.arange(9000)).astype(np.complex64)
    assert np.abs(channel.feed(stray)).max() < 0.002


def test_the_registry_of_decoders_loads_no_numpy() -> None:
    code = "import sys, protocols.registry as r; r.entries(); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
