"""Coded-ID pulses out of I/Q: what is heard, how exactly, and what is not taken for a pulse."""

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

from protocols.coded_id import (  # noqa: E402  Below the check for numpy.
    AntennaDecoder,
    CodeBook,
    CodedTag,
    RunContinued,
    RunOpened,
)
from protocols.coded_id import HeardPulse as StampedPulse  # noqa: E402
from protocols.radio.pulse_ear import HeardPulse, PulseEar, pulse_of  # noqa: E402
from protocols.radio.samples import Samples, complex_samples  # noqa: E402
from simulator.iq import Burst, IqTape, coded_bursts, encoded  # noqa: E402

RATE = 48_000
LENGTH = 120
PULSE_S = 0.002_5
NOISE_RMS = 0.1
EDGES = (RATE, 2 * RATE)
NOISE_DBFS = 20 * np.log10(NOISE_RMS) - 10 * np.log10(LENGTH)


def noise(seconds: float, seed: int = 1, rate: int = RATE) -> Samples:
    random = np.random.Generator(np.random.PCG64(seed))
    pairs = random.standard_normal((round(seconds * rate), 2), dtype=np.float32)
    samples: Samples = (pairs * np.float32(NOISE_RMS / np.sqrt(2))).view(np.complex64)[:, 0]
    return samples


def carrier(hertz: float, snr_db: float, count: int = LENGTH, rate: int = RATE) -> Samples:
    """Return a carrier of so many samples, the SNR being that of 2.5 ms of it in 400 Hz."""
    amplitude = NOISE_RMS * np.sqrt(10 ** (snr_db / 10) / (PULSE_S * rate))
    turns = hertz / rate * np.arange(count) + 0.3
    samples: Samples = (amplitude * np.exp(2j * np.pi * turns)).astype(np.complex64)
    return samples


def with_pulses(samples: Samples, *pulses: tuple[int, float, float]) -> Samples:
    """Add pulses of (first sample, hertz, SNR in dB)."""
    for begin, hertz, snr_db in pulses:
        samples[begin : begin + LENGTH] += carrier(hertz, snr_db)
    return samples


def heard_in(samples: Samples, ear: PulseEar | None = None) -> list[HeardPulse]:
    ear = ear or PulseEar(RATE)
    return ear.feed(samples) + ear.finish()


def in_portions(samples: Samples, places: Sequence[int]) -> tuple[list[HeardPulse], int, float]:
    ear = PulseEar(RATE, most_pulses_per_s=20)
    told: list[HeardPulse] = []
    for begin, end in pairwise([0, *sorted(places), len(samples)]):
        told += ear.feed(samples[begin:end])
    told += ear.finish()
    return told, ear.left_out, ear.noise_dbfs


def busy_air() -> Samples:
    """Return pulses, some at one instant, clicks, a carrier that begins, and a change of gain."""
    samples = with_pulses(
        noise(1.3),
        *((3000 + 2011 * each, 1000.0 * each - 14_000.0, 12.0 + 2 * each) for each in range(28)),
        *((3030 + 2011 * each, 14_000.0 - 900.0 * each, 30.0) for each in range(28)),
    )
    samples[20_000:20_003] += 30
    samples[40_000:] += carrier(17_500.0, 40.0, len(samples) - 40_000)
    samples[50_000:] *= 2
    return samples


BUSY_AIR = busy_air()
IN_ONE_PORTION = in_portions(BUSY_AIR, [])


@settings(max_examples=30)
@given(places=st.lists(st.integers(0, len(BUSY_AIR)), max_size=40))
def test_how_samples_are_portioned_makes_no_difference(places: list[int]) -> None:
    assert len(IN_ONE_PORTION[0]) >= 20
    assert in_portions(BUSY_AIR, places) == IN_ONE_PORTION


@settings(max_examples=60)
@given(
    parts=st.lists(
        st.tuples(
            st.lists(st.floats(width=32), min_size=2, max_size=12),
            st.sampled_from([1, 7, 100, 1000]),
        ),
        max_size=6,
    )
)
def test_no_samples_raise_and_what_is_told_is_finite(
    parts: list[tuple[list[float], int]],
) -> None:
    ear = PulseEar(8000)
    told: list[HeardPulse] = []
    for values, times in parts:
        pairs = np.array(values[: len(values) // 2 * 2] * times, dtype=np.float32)
        told += ear.feed(pairs.view(np.complex64))
    told += ear.feed(noise(1.0, rate=8000))
    for pulse in told + ear.finish():
        assert all(np.isfinite(value) for value in msgspec.structs.astuple(pulse))
    assert np.isfinite(ear.noise_dbfs)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.0, -1.0, 0.0, 1e30])
def test_a_second_of_one_value_is_no_pulse_and_harms_none_after_it(value: float) -> None:
    samples = np.concatenate([noise(1.0), np.full(RATE, value, dtype=np.complex64), noise(1.5)])
    told = heard_in(with_pulses(samples, (140_000, 5000.0, 25.0)))
    # Where it begins or ends, the noise has nothing to be compared with for a moment.
    later = [pulse for pulse in told if min(abs(pulse.first_sample - at) for at in EDGES) > LENGTH]
    assert [round(pulse.first_sample / 10) for pulse in later] == [14_000]
    assert len(told) <= 2


@pytest.mark.parametrize("rate", [48_000, 192_000, 250_000])
def test_time_frequency_and_level_are_exact(rate: int) -> None:
    samples = noise(1.6, rate=rate)
    sent = [
        (round((0.05 + 0.0477 * each) * rate), -0.47 * rate + 917.3 * each) for each in range(30)
    ]
    for begin, hertz in sent:
        samples[begin : begin + round(PULSE_S * rate)] += carrier(
            hertz, 26.0, round(PULSE_S * rate), rate
        )
    told = heard_in(samples, PulseEar(rate))
    assert len(told) == len(sent)
    for (begin, hertz), pulse in zip(sent, told, strict=True):
        assert abs(pulse.first_sample - begin) < 0.000_1 * rate
        assert abs(pulse.frequency_offset_hz - hertz) < 30
        assert abs(pulse.snr_db - 26.0) < 2.5
        assert abs(pulse.signal_dbfs - pulse.noise_dbfs - pulse.snr_db) < 0.01
        assert 2000 < pulse.width_us < 3000
    errors = [
        pulse.frequency_offset_hz - hertz for (_, hertz), pulse in zip(sent, told, strict=True)
    ]
    assert np.sqrt(np.mean(np.square(errors))) < 10


def test_pulses_are_heard_as_weak_as_theory_allows_but_for_a_decibel_and_a_half() -> None:
    """At 48 kS/s 50 % are to be had at 11.6 dB and 90 % at 13.5 dB."""
    for snr_db, share in ((13.1, 0.5), (15.0, 0.9)):
        sent = [(1000 + 500 * each, 6007.3 * each % 44e3 - 22e3, snr_db) for each in range(600)]
        ear = PulseEar(RATE)
        told = heard_in(with_pulses(noise(6.4, seed=2), *sent), ear)
        assert share * len(sent) <= len(told) <= len(sent)


def test_pulses_above_the_threshold_are_not_lost_to_chance() -> None:
    """Noise and a pulse together look like a louder band now and then, but for one frame only."""
    sent = [(1000 + 500 * each, 6007.3 * each % 44e3 - 22e3, 18.0) for each in range(1500)]
    told = heard_in(with_pulses(noise(15.7, seed=4), *sent))
    assert len(told) >= len(sent) - 4


def test_noise_alone_gives_about_one_pulse_a_minute() -> None:
    ear = PulseEar(RATE, false_per_minute=60.0)
    told = [pulse for seed in range(15) for pulse in ear.feed(noise(2.0, seed=seed))]
    assert 10 <= len(told) <= 45


def test_pulses_at_one_instant_are_told_apart_by_frequency() -> None:
    offsets = (-20_000.0, -6000.0, 2000.0, 4000.0, 15_000.0)
    pulses = [(30_000, hertz, 30.0 + at) for at, hertz in enumerate(offsets)]
    told = heard_in(with_pulses(noise(1.0), *pulses))
    assert sorted(round(pulse.frequency_offset_hz, -3) for pulse in told) == list(offsets)
    assert {round(pulse.first_sample / 5) for pulse in told} == {6000}


@pytest.mark.parametrize("apart_hz", [800.0, 1500.0])
def test_two_strong_pulses_near_each_other_leave_nothing_that_is_taken_for_a_third(
    apart_hz: float,
) -> None:
    random = np.random.Generator(np.random.PCG64(8))
    samples = noise(4.0)
    for begin in range(2000, len(samples) - 1000, 1500):
        hertz = random.uniform(-20_000, 18_000)
        for offset in (hertz, hertz + apart_hz):
            pulse = carrier(offset, 45.0) * np.exp(2j * np.pi * random.uniform())
            samples[begin : begin + LENGTH] += pulse.astype(np.complex64)
    assert len(heard_in(samples)) <= 2 * len(range(2000, len(samples) - 1000, 1500)) + 2


def cut_off(samples: Samples) -> Samples:
    """Return samples as eight bits have them."""
    return complex_samples(encoded(samples, "cu8"), "cu8")


@pytest.mark.parametrize("middle_hz", [0, -6000])
@pytest.mark.parametrize("spike", [0.0, 0.1 + 0.05j])
def test_a_pulse_at_full_scale_is_told_once_and_a_tag_beside_it_too(
    middle_hz: int, spike: complex
) -> None:
    """Cut off, the pulse is heard at -3, 5, -7 times its frequency, and twice with a spike."""
    samples = noise(2.0)
    for number in range(20):
        begin, hertz = 30_000 + 3000 * number, 1100.0 + 130 * number
        strong = with_pulses(np.zeros_like(samples), (begin, hertz, 42.0 + number))
        samples += strong
    samples = with_pulses(samples, (30_000, 8500.0, 23.0))
    turns = np.exp(2j * np.pi * middle_hz / RATE * np.arange(len(samples))).astype(np.complex64)
    told = heard_in(
        cut_off(samples + np.complex64(spike)) * turns, PulseEar(RATE, middle_hz=middle_hz)
    )
    rounded = [round(pulse.frequency_offset_hz - middle_hz, -2) for pulse in told]
    assert sorted(rounded) == sorted(
        [8500.0, *(round(1100.0 + 130 * number, -2) for number in range(20))]
    )


def test_harmonics_come_back_at_the_other_end_of_what_was_sampled() -> None:
    """At four times the rate, thinned out: -3 times 52.3 kHz is 35.1 kHz."""
    strong = with_pulses(noise(1.0), (30_000, 2300.0, 58.0))
    harmonic = with_pulses(strong, (30_000, -14_900.0, 43.0))
    known = PulseEar(RATE, sampled_hz=4 * RATE, middle_hz=-50_000.0)
    assert [round(each.frequency_offset_hz, -2) for each in heard_in(harmonic, known)] == [2300]
    assert len(heard_in(harmonic)) == 2


def test_a_weak_pulse_is_heard_beneath_the_skirts_of_a_strong_one() -> None:
    told = heard_in(with_pulses(noise(1.0), (30_000, 2000.0, 50.0), (30_040, 5000.0, 21.0)))
    assert sorted(round(pulse.frequency_offset_hz / 100) for pulse in told) == [20, 50]


@pytest.mark.parametrize("rate", [48_000, 250_000])
@pytest.mark.parametrize(
    ("edges_ms", "chirp_hz"), [(0.0, 0.0), (0.3, 0.0), (0.0, 20.0), (0.4, 100.0)]
)
def test_a_strong_pulse_is_told_once_however_it_comes_and_goes(
    rate: int, edges_ms: float, chirp_hz: float
) -> None:
    ear = PulseEar(rate)
    samples = noise(2.0, rate=rate)
    width = round(edges_ms * rate / 1000) + 1
    edges = np.hanning(width + 2)[1:-1]
    shape = np.convolve(np.ones(round(PULSE_S * rate)), edges / edges.sum())
    seconds = np.arange(len(shape)) / rate
    for each in range(16):
        hertz = 333.0 * each - 3000.0
        turns = hertz * seconds + chirp_hz / PULSE_S * seconds**2 / 2
        begin = round((0.1 + 0.1137 * each) * rate)
        amplitude = NOISE_RMS * np.sqrt(1e6 / PULSE_S / rate)
        samples[begin : begin + len(shape)] += (
            amplitude * shape * np.exp(2j * np.pi * turns)
        ).astype(np.complex64)
    told = heard_in(samples, ear)
    assert len(told) == 16
    assert all(abs(pulse.snr_db - 60) < 3 for pulse in told)
    assert ear.left_out == 0


@pytest.mark.parametrize("part", [0.25, 0.5, 0.75])
def test_time_is_told_between_samples(part: float) -> None:
    samples = noise(1.0)
    pulse = carrier(4000.0, 40.0, LENGTH + 1)
    pulse[0] *= 1 - part
    pulse[-1] *= part
    samples[30_000 : 30_000 + LENGTH + 1] += pulse
    assert heard_in(samples)[0].first_sample - 30_000 == pytest.approx(part, abs=0.15)


@pytest.mark.parametrize("hertz", [-24_000.0, -23_960.0, 23_910.0, 0.0, 95.0, -95.0])
def test_a_pulse_at_the_end_or_in_the_middle_of_the_band_is_told_once(hertz: float) -> None:
    told = heard_in(with_pulses(noise(1.0), (30_000, hertz, 25.0)))
    assert len(told) == 1
    assert abs((told[0].frequency_offset_hz - hertz + RATE / 2) % RATE - RATE / 2) < 50


def test_frequency_is_told_to_two_hertz_where_the_pulse_is_strong() -> None:
    pulses = [(3000 + 3007 * each, 1011.0 * each - 7000.0, 45.0) for each in range(14)]
    told = heard_in(with_pulses(noise(1.0), *pulses))
    errors = [
        pulse.frequency_offset_hz - hertz for pulse, (_, hertz, _) in zip(told, pulses, strict=True)
    ]
    assert np.abs(errors).max() < 3


@pytest.mark.parametrize("snr_db", [14.0, 20.0, 40.0, 60.0])
@pytest.mark.parametrize("begin", [0, 60_000])
def test_a_carrier_is_no_pulse_nor_is_its_beginning_or_end(snr_db: float, begin: int) -> None:
    samples = noise(3.0)
    samples[begin:120_000] += carrier(7431.0, snr_db, 120_000 - begin)
    assert heard_in(samples) == []


@pytest.mark.parametrize("milliseconds", [0.05, 0.5, 1.0, 5.0, 7.5, 20.0])
def test_what_is_much_shorter_or_longer_than_a_pulse_is_none(milliseconds: float) -> None:
    samples = noise(3.0)
    count = round(milliseconds * RATE / 1000)
    for begin in range(5000, len(samples) - 2000, 4001):
        samples[begin : begin + count] += carrier(7431.0, 35.0, count)
    assert heard_in(samples) == []


def test_a_carrier_keyed_for_20_ms_is_no_pulse() -> None:
    samples = noise(8.0)
    for begin in range(5000, len(samples) - 2000, 2879):
        samples[begin : begin + 960] += carrier(7431.0, 28.0, 960)
    assert heard_in(samples) == []


def test_speech_gives_few_pulses() -> None:
    """Amplitude modulated, three seconds of a word each half second."""
    random = np.random.Generator(np.random.PCG64(6))
    speech = np.convolve(random.standard_normal(6 * RATE), np.ones(16) / 4, "same")
    word = np.arange(6 * RATE) // (RATE // 4) % 2
    samples = noise(6.0) + (word * (1 + 0.5 * speech)).astype(np.complex64) * carrier(
        7431.0, 35.0, 6 * RATE
    )
    assert len(heard_in(samples)) <= 3


def test_noise_of_a_channel_takes_hardly_any_places_from_tags() -> None:
    random = np.random.Generator(np.random.PCG64(6))
    count = 6 * RATE
    spectrum = np.fft.fft(random.standard_normal(count) + 1j * random.standard_normal(count))
    channel = np.abs(np.fft.fftfreq(count, 1 / RATE) - 9000) < 1500
    word = np.arange(count) // (RATE // 20) % 2
    ear = PulseEar(RATE)
    heard_in(noise(6.0) + (3 * np.fft.ifft(spectrum * channel) * word).astype(np.complex64), ear)
    assert ear.left_out <= 15


def test_longer_pulses_are_heard_by_an_ear_for_them() -> None:
    samples = noise(1.0)
    for begin in range(5000, 45_000, 5000):
        samples[begin : begin + 2 * LENGTH] += carrier(7431.0, 25.0, 2 * LENGTH)
    told = heard_in(samples, PulseEar(RATE, pulse_s=0.005))
    assert len(told) == 8
    assert all(4500 < pulse.width_us < 5500 for pulse in told)


@pytest.mark.parametrize("amplitude", [0.3, 3.0, 300.0])
def test_clicks_are_no_pulses(amplitude: float) -> None:
    samples = noise(3.0)
    random = np.random.Generator(np.random.PCG64(3))
    for begin in random.integers(0, len(samples) - 5, size=90):
        samples[begin : begin + 5] += amplitude * random.standard_normal(5)
    assert heard_in(samples) == []


def test_bursts_of_noise_are_no_pulses() -> None:
    samples = noise(3.0)
    for begin in range(5000, len(samples) - 1000, 6001):
        samples[begin : begin + LENGTH] *= 30
    assert heard_in(samples) == []


def test_the_spike_at_0_hz_is_no_pulse_and_hides_none_beside_it() -> None:
    samples = with_pulses(noise(2.0), (60_000, 900.0, 18.0)) + np.complex64(0.4 + 0.2j)
    told = heard_in(samples)
    assert [round(pulse.frequency_offset_hz / 100) for pulse in told] == [9]


def test_a_spike_that_changes_is_followed() -> None:
    samples = with_pulses(noise(5.0), (225_000, 500.0, 18.0))
    samples[60_000:] += np.complex64(0.4)
    assert [round(pulse.first_sample / 10) for pulse in heard_in(samples)] == [22_500]


def test_a_pulse_is_heard_where_a_carrier_has_ended() -> None:
    samples = with_pulses(noise(5.0), (230_000, 7431.0, 20.0))
    samples[:190_000] += carrier(7431.0, 20.0, 190_000)
    assert [round(pulse.first_sample / 10) for pulse in heard_in(samples)] == [23_000]


def test_noise_that_comes_and_goes_by_a_decibel_gives_hardly_more_pulses() -> None:
    steady = noise(12.0)
    told = heard_in(steady, PulseEar(RATE, false_per_minute=600.0))
    steps = np.where(np.arange(len(steady)) // RATE % 2, np.float32(0.9), np.float32(1))
    told_of_steps = heard_in(steady * steps, PulseEar(RATE, false_per_minute=600.0))
    assert len(told_of_steps) < 1.5 * len(told)


@pytest.mark.parametrize("gain", [0.1, 0.5, 0.9, 1.12, 2.0, 10.0])
def test_a_change_of_gain_is_no_pulse_and_hides_none_after_it(gain: float) -> None:
    samples = with_pulses(noise(3.0), (90_000, 5000.0, 20.0))
    samples[70_000:] *= np.float32(gain)
    told = heard_in(samples)
    assert [round(pulse.first_sample / 10) for pulse in told] == [9000]
    assert told[0].noise_dbfs == pytest.approx(NOISE_DBFS + 20 * np.log10(gain), abs=1)


def test_noise_is_told_in_the_bandwidth_of_a_pulse() -> None:
    ear = PulseEar(RATE)
    ear.feed(noise(2.0))
    assert ear.noise_dbfs == pytest.approx(NOISE_DBFS, abs=0.2)


def test_only_the_band_is_listened_to() -> None:
    pulses = [(30_000 + 1000 * each, 1000.0 * each + 500.0, 25.0) for each in range(12)]
    told = heard_in(with_pulses(noise(1.0), *pulses), PulseEar(RATE, band_hz=(2000, 8000)))
    assert [round(pulse.frequency_offset_hz, -2) for pulse in told] == [
        2500, 3500, 4500, 5500, 6500, 7500
    ]  # fmt: skip


def test_pulses_that_are_too_many_are_left_out_and_counted() -> None:
    pulses = [(5000 + 200 * each, 7001.0 * each % 44e3 - 22e3, 25.0) for each in range(900)]
    ear = PulseEar(RATE, most_pulses_per_s=50)
    told = heard_in(with_pulses(noise(4.0), *pulses), ear)
    assert 200 <= len(told) <= 50 * 6
    assert len(told) + ear.left_out == pytest.approx(900, abs=20)


def test_of_too_many_the_strongest_are_told() -> None:
    # All within one block, which begins at 30,360.
    pulses = [(30_500 + 150 * each, 2000.0 * each, 20.0 + 2 * (each % 5)) for each in range(10)]
    ear = PulseEar(RATE, most_pulses_per_s=2)
    told = heard_in(with_pulses(noise(1.0), *pulses), ear)
    assert len(told) == 2
    assert min(pulse.snr_db for pulse in told) > 26


def test_no_more_places_are_looked_at_in_a_block_than_there_is_time_for() -> None:
    rate = 250_000
    samples = noise(1.0, rate=rate)
    for each in range(40):
        samples[120_000:120_625] += carrier(5000.0 * each - 100_000.0, 25.0, 625, rate)
    ear = PulseEar(rate, most_pulses_per_s=1000)
    told = heard_in(samples, ear)
    assert 20 <= len(told) <= 32
    assert ear.left_out >= 8


def test_a_recording_shorter_than_what_tells_the_noise_is_heard_too() -> None:
    told = heard_in(with_pulses(noise(0.1), (2000, 4000.0, 30.0), (4600, 4000.0, 30.0)))
    assert [round(pulse.first_sample / 4) for pulse in told] == [500, 1150]


@pytest.mark.parametrize("count", [0, 1, 119, 121, 5000])
def test_hardly_any_samples_are_no_pulse(count: int) -> None:
    assert heard_in(noise(1.0)[:count]) == []


def test_a_pulse_at_the_very_end_or_beginning_is_heard() -> None:
    samples = with_pulses(noise(1.0), (0, 4000.0, 30.0), (RATE - LENGTH, -4000.0, 30.0))
    assert [round(pulse.first_sample / 4) for pulse in heard_in(samples)] == [0, 11_970]


def test_a_band_or_a_rate_that_cannot_be_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="offsets go to"):
        PulseEar(RATE, band_hz=(30_000, 40_000))
    with pytest.raises(ValueError, match="16 to 1000000 would do"):
        PulseEar(4000)


HEARD = HeardPulse(
    first_sample=0.0,
    frequency_offset_hz=4012.345,
    signal_dbfs=-40.123,
    noise_dbfs=-60.456,
    snr_db=20.333,
    width_us=2500,
)


def test_a_record_counts_time_in_samples_from_where_the_stream_began() -> None:
    heard = msgspec.structs.replace(HEARD, first_sample=250_000.5)
    pulse = pulse_of(
        heard,
        rate_hz=250_000,
        antenna="north",
        tuned_frequency_hz=166.376e6,
        began_ns=7_000_000_000,
        samples_fed=300_000,
    )
    assert (pulse.device_time_ns, pulse.age_us) == (8_000_002_000, 199_998)
    assert (pulse.antenna, pulse.tuned_frequency_hz) == ("north", 166.376e6)
    assert (pulse.frequency_offset_hz, pulse.width_us) == (4012.3, 2500)
    assert (pulse.signal_db, pulse.noise_db, pulse.snr_db) == (-40.12, -60.46, 20.33)


def test_time_stays_exact_after_years_of_samples() -> None:
    ten_years = 250_000 * 315_360_000
    heard = msgspec.structs.replace(HEARD, first_sample=float(ten_years + 1))
    assert pulse_of(heard, rate_hz=250_000).device_time_ns == 315_360_000 * 10**9 + 4000


def test_a_burst_of_a_coded_tag_is_that_tag() -> None:
    tags = [
        CodedTag(
            project="Marsh",
            id=str(number),
            frequency_mhz=166.38,
            gaps_ms=gaps,
            burst_interval_s=0.7,
        )
        for number, gaps in enumerate(((22.0, 39.1, 58.6), (46.4, 24.4, 78.1), (31.7, 39.1, 58.6)))
    ]
    tape = IqTape(5)
    for number in range(3):
        for tag, offset_hz, at_s in ((tags[0], 3900.0, 0.2), (tags[1], 4700.0, 0.21)):
            bursts = coded_bursts(at_s + 0.7 * number, tag.gaps_ms, offset_hz, snr_db=-10.0)
            for burst in bursts:
                tape.put(Burst(burst.at_s, burst.samples, burst.snr_db))
    samples = complex_samples(encoded(tape.take(2.5), "cu8"), "cu8")
    ear = PulseEar(tape.rate_hz)
    told = [
        pulse_of(heard, rate_hz=tape.rate_hz, samples_fed=len(samples))
        for heard in ear.feed(samples) + ear.finish()
    ]
    decoder = AntennaDecoder(CodeBook(tags))
    events = decoder.feed(StampedPulse.of(each.device_time_ns or 0, each) for each in told)
    bursts_of = {"Marsh#0": 0, "Marsh#1": 0}
    for event in events + decoder.finish():
        if isinstance(event, RunOpened):
            bursts_of[event.tag_ids[0]] += len(event.bursts)
        elif isinstance(event, RunContinued):
            bursts_of[event.tag_ids[0]] += 1
            assert event.burst.slop_ms < 0.3
    assert bursts_of == {"Marsh#0": 3, "Marsh#1": 3}
