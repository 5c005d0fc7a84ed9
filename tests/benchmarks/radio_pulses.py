"""Coded-ID pulses out of I/Q, beside theory: `python tests/benchmarks/radio_pulses.py`.

Synthetic signals only: square pulses of 2.5 ms in white noise, starts, frequencies and phases at
random. `--quick` takes a quarter of the pulses and of the noise. Asserts nothing.

SNR is a pulse's energy over the noise's density, E/N0: that of a filter as wide as 1/length,
400 Hz. In 250 kHz it is 28 dB less.

Theory: a receiver that knows neither phase, frequency nor time looks at power in independent cells,
of which a band of B hertz has B times 60 a minute (one per 1/T hertz and T seconds). Noise has
exponentially distributed power, mean 1, in each: one false pulse a minute needs a threshold of
u = ln(60 B). A pulse that fills one cell exactly is over it with probability Q1(sqrt(2 E/N0),
sqrt(2 u)), Marcum's Q function. A real receiver has to look between the cells as well, which
gives noise more chances: that, and what is lost in the search, is the gap.
Frequency: the Cramér-Rao bound, sqrt(6 / (E/N0)) / (2 pi T).
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from report import machine  # noqa: E402  The path above makes it importable.

from protocols.radio.pulse_ear import PULSE_S, HeardPulse, PulseEar  # noqa: E402  As above.
from protocols.radio.pulse_noise import independent_cells, threshold  # noqa: E402  As above.
from protocols.radio.samples import Samples  # noqa: E402  As above.

NOISE_RMS = 0.1
EVERY_S = 0.02
BLOCK_S = 2.0
Disturb = Callable[[Samples, np.random.Generator, int], None]


class Sent(msgspec.Struct, frozen=True):
    """One pulse, and which of those heard it is."""

    first_sample: int
    frequency_hz: float
    heard: HeardPulse | None


class Air(msgspec.Struct, frozen=True, kw_only=True):
    """What is on the air beside the noise."""

    rate_hz: int
    snr_db: float | None = None
    second: tuple[float, float] | None = None
    """A second pulse at the same instant: hertz above the first, decibels below it."""
    disturb: Disturb | None = None
    disturb_all: Disturb | None = None
    """The same once the pulses are there."""
    seed: int = 1


def detection_probability(snr_db: float, power: float) -> float:
    """Return how often a pulse in noise of mean power 1 is over `power`: Marcum's Q1.

    The density of the amplitude is 2 r exp(-(r - a)^2) times the scaled Bessel function I0.
    """
    amplitude = 10 ** (snr_db / 20)
    r = np.linspace(0.0, np.sqrt(power), 4001)
    density = 2 * r * np.exp(-((r - amplitude) ** 2)) * np.i0(2 * r * amplitude)
    density *= np.exp(-2 * r * amplitude)
    steps = (density[1:] + density[:-1]) / 2 * (r[1] - r[0])
    return 1.0 - float(steps.sum())


def theory_db(probability: float, power: float) -> float:
    """Return the SNR at which a pulse is detected with a probability."""
    snr_db = np.arange(6.0, 20.0, 0.02)
    detected = [detection_probability(each, power) for each in snr_db]
    return float(np.interp(probability, detected, snr_db))


def _noise(random: np.random.Generator, count: int) -> Samples:
    pairs = random.standard_normal((count, 2), dtype=np.float32)
    samples: Samples = (pairs * np.float32(NOISE_RMS / np.sqrt(2))).view(np.complex64)[:, 0]
    return samples


def _blocks(air: Air, seconds: float) -> Iterator[tuple[Samples, list[tuple[int, float]]]]:
    """Yield samples, and where in the stream pulses are in them."""
    random = np.random.default_rng(air.seed)
    rate, length = air.rate_hz, round(air.rate_hz * PULSE_S)
    count, every = round(BLOCK_S * rate), round(EVERY_S * rate)
    for number in range(max(1, round(seconds / BLOCK_S))):
        samples = _noise(random, count)
        sent = []
        if air.disturb is not None:
            air.disturb(samples, random, rate)
        if air.snr_db is not None:
            for slot in range(0, count, every):
                begin = slot + int(random.integers(every - length))
                highest = 0.45 * rate - (air.second[0] if air.second else 0)
                hertz = random.uniform(-0.45 * rate, highest)
                sent.append((number * count + begin, hertz))
                end = begin + length
                samples[begin:end] += _pulse(hertz, air.snr_db, random, rate)
                if air.second is not None:
                    above, below = air.second
                    samples[begin:end] += _pulse(hertz + above, air.snr_db - below, random, rate)
        if air.disturb_all is not None:
            air.disturb_all(samples, random, rate)
        yield samples, sent


def _pulse(hertz: float, snr_db: float, random: np.random.Generator, rate: int) -> Samples:
    length = round(rate * PULSE_S)
    amplitude = NOISE_RMS * np.sqrt(10 ** (snr_db / 10) / length)
    turns = hertz / rate * np.arange(length) + random.uniform()
    pulse: Samples = (amplitude * np.exp(2j * np.pi * turns)).astype(np.complex64)
    return pulse


def listen(air: Air, seconds: float) -> tuple[list[Sent], list[HeardPulse], float, int]:
    """Return pulses sent, pulses heard that nobody sent, times real time, and what was left out."""
    ear = PulseEar(air.rate_hz)
    heard: list[HeardPulse] = []
    truth: list[tuple[int, float]] = []
    second: list[tuple[int, float]] = []
    spent_s = 0.0
    for samples, sent in _blocks(air, seconds):
        truth += sent
        if air.second is not None:
            second += [(begin, hertz + air.second[0]) for begin, hertz in sent]
        begin_s = time.process_time()
        heard += ear.feed(samples)
        spent_s += time.process_time() - begin_s
    heard += ear.finish()
    return *_matched(truth + second, heard, air.rate_hz), seconds / spent_s, ear.left_out


def _matched(
    truth: list[tuple[int, float]], heard: list[HeardPulse], rate: int
) -> tuple[list[Sent], list[HeardPulse]]:
    begins = np.array([pulse.first_sample for pulse in heard])
    hertz = np.array([pulse.frequency_offset_hz for pulse in heard])
    left = np.ones(len(heard), dtype=bool)
    sent = []
    for begin, frequency in truth:
        near = left & (abs(begins - begin) < 0.6 * PULSE_S * rate) & (abs(hertz - frequency) < 250)
        found = np.flatnonzero(near)
        if len(found):
            best = found[abs(hertz[found] - frequency).argmin()]
            left[best] = False
            sent.append(Sent(begin, frequency, heard[best]))
        else:
            sent.append(Sent(begin, frequency, None))
    return sent, [heard[place] for place in np.flatnonzero(left)]


def _share(sent: list[Sent]) -> float:
    return sum(each.heard is not None for each in sent) / len(sent)


def _rms(errors: npt.ArrayLike) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def sensitivity(seconds: float) -> None:
    """Print how often pulses are detected, beside theory."""
    print("Detection, % of pulses, and the same of theory at one false pulse a minute")
    levels = np.array([*np.arange(10.0, 16.5, 0.5), 18.0, 20.0, 24.0])
    for rate in (48_000, 192_000, 250_000):
        cells = independent_cells(rate, 60.0)
        power = float(np.log(cells))
        print(
            f"\n{rate / 1000:g} kS/s: {cells:.3g} cells a minute, theory's threshold "
            f"{10 * np.log10(power):.2f} dB, ours {10 * np.log10(threshold(rate, 1.0)):.2f} dB"
        )
        print("  SNR dB    " + " ".join(f"{level:6.1f}" for level in levels))
        shares = []
        for level in levels:
            sent, *_ = listen(Air(rate_hz=rate, snr_db=float(level)), seconds)
            shares.append(_share(sent))
        print("  detected  " + " ".join(f"{100 * share:6.1f}" for share in shares))
        theory = (100 * detection_probability(float(level), power) for level in levels)
        print("  theory    " + " ".join(f"{share:6.1f}" for share in theory))
        for probability in (0.5, 0.9):
            ours = float(np.interp(probability, shares, levels))
            best = theory_db(probability, power)
            print(
                f"  {probability:.0%} at {ours:.2f} dB, theory {best:.2f} dB: "
                f"gap {ours - best:.2f} dB (goal: at most 1.5)"
            )


def false_pulses(minutes: float) -> None:
    """Print what is heard in noise alone."""
    print("\nFalse pulses a minute in white noise (goal: 1)")
    for rate, share in ((48_000, 2.0), (250_000, 1.0)):
        _, false, speed, _ = listen(Air(rate_hz=rate, seed=2), minutes * share * 60)
        told = f"{len(false)} in {minutes * share:g} min = {len(false) / minutes / share:.2f}"
        print(f"  {rate / 1000:g} kS/s: {told} ({speed:.0f} times real time)")


def accuracy(seconds: float) -> None:
    """Print the errors of time, frequency, level and width."""
    print("\nErrors at 250 kS/s, RMS (goals: 0.1 ms, 10 Hz)")
    print("  SNR dB   time ms  (median)  frequency Hz  (bound)   level dB   width ms")
    for level in (13.0, 14.0, 16.0, 18.0, 20.0, 24.0, 30.0, 40.0, 60.0):
        sent, *_ = listen(Air(rate_hz=250_000, snr_db=level, seed=3), seconds)
        pairs = [(each, each.heard) for each in sent if each.heard is not None]
        times = [(heard.first_sample - each.first_sample) / 250 for each, heard in pairs]
        hertz = [heard.frequency_offset_hz - each.frequency_hz for each, heard in pairs]
        full = 20 * np.log10(NOISE_RMS) + level - 10 * np.log10(PULSE_S * 250_000)
        levels = [heard.signal_dbfs - full for _, heard in pairs]
        widths = [heard.width_us / 1000 - 1000 * PULSE_S for _, heard in pairs]
        bound = np.sqrt(6 / 10 ** (level / 10)) / (2 * np.pi * PULSE_S)
        print(
            f"  {level:6.0f} {_rms(times):9.4f} {np.median(np.abs(times)):9.4f} "
            f"{_rms(hertz):12.2f} {bound:10.2f} {_rms(levels):10.2f} {_rms(widths):10.3f}"
        )


def simultaneous(seconds: float) -> None:
    """Print how often both of two pulses at one instant are heard."""
    print("\nTwo pulses at one instant, 250 kS/s, the stronger at 45 dB: % of the weaker heard,")
    print("and pulses heard that nobody sent, by hertz apart and decibels weaker")
    spacings = (500.0, 800.0, 1500.0, 3000.0, 10_000.0, 50_000.0)
    print("  dB weaker " + " ".join(f"{spacing:12g}" for spacing in spacings))
    for below in (0.0, 6.0, 10.0, 20.0, 28.0):
        row = []
        for apart in spacings:
            air = Air(rate_hz=250_000, snr_db=45.0, second=(apart, below), seed=4)
            sent, false, *_ = listen(air, seconds)
            weaker = _share(sent[len(sent) // 2 :])
            row.append(f"{100 * weaker:6.1f} ({len(false):3})")
        print(f"  {below:9.0f} " + " ".join(f"{cell:>12}" for cell in row))


def _carrier(samples: Samples, random: np.random.Generator, rate: int) -> None:
    del random
    samples += 0.1 * np.exp(2j * np.pi * 0.0731 * np.arange(len(samples)) * (250_000 / rate))


def _spike(samples: Samples, random: np.random.Generator, rate: int) -> None:
    del random, rate
    samples += np.complex64(0.3 + 0.1j)


def _clicks(samples: Samples, random: np.random.Generator, rate: int) -> None:
    for begin in random.integers(0, len(samples) - 3, size=round(20 * len(samples) / rate)):
        samples[begin : begin + 3] += 20 * random.standard_normal(3)


def _keyed(samples: Samples, random: np.random.Generator, rate: int) -> None:
    del random
    count = np.arange(len(samples))
    on = count // (rate // 10) % 2
    samples += 0.1 * on * np.exp(2j * np.pi * 0.0731 * count)


def _bits(samples: Samples, random: np.random.Generator, rate: int) -> None:
    del random, rate
    pairs = samples.view(np.float32)
    np.copyto(pairs, (np.clip(np.rint(pairs * 127.5 + 127.5), 0, 255) - 127.5) / 127.5)


def full_scale(seconds: float) -> None:
    """Print how often pulses are heard that eight bits cut off, and what else is heard then."""
    print("\nPulses over full scale in eight bits, 250 kS/s: % heard, and pulses that nobody sent")
    for over_db in (-3.0, 0.0, 3.0, 10.0, 20.0):
        level = over_db - 20 * np.log10(NOISE_RMS) + 10 * np.log10(PULSE_S * 250_000)
        air = Air(rate_hz=250_000, snr_db=float(level), disturb_all=_bits, seed=8)
        sent, false, *_ = listen(air, seconds)
        print(f"  {over_db:4.0f} dB: {100 * _share(sent):6.1f} % of {len(sent)}, {len(false)}")


def disturbed(seconds: float) -> None:
    """Print what interference does."""
    print("\nInterference, 250 kS/s: false pulses in a minute without pulses, and % heard at 16 dB")
    cases: tuple[tuple[str, Disturb | None], ...] = (
        ("noise alone", None),
        ("eight bits", _bits),
        ("carrier, 48 dB", _carrier),
        ("spike at 0 Hz, 58 dB", _spike),
        ("carrier keyed 5 times a second", _keyed),
        ("20 clicks a second, 46 dB", _clicks),
    )
    for name, disturb in cases:
        _, false, _, left_out = listen(Air(rate_hz=250_000, disturb=disturb, seed=5), 60.0)
        sent, *_ = listen(Air(rate_hz=250_000, snr_db=16.0, disturb=disturb, seed=6), seconds)
        print(f"  {name:32} {len(false):4} ({left_out} left out) {100 * _share(sent):8.1f}")


def _cost_of(rate: int) -> tuple[float, float]:
    """Return times real time, and the peak of this process's memory in MB."""
    _, _, speed, _ = listen(Air(rate_hz=rate, snr_db=20.0, seed=7), 10.0)
    return speed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def cost() -> None:
    """Print speed and memory."""
    print("\nCost on one core, noise with 50 pulses a second; memory is that of the whole process,")
    print("Python, numpy and two seconds of samples to listen to included")
    context = multiprocessing.get_context("spawn")
    for rate in (48_000, 192_000, 250_000, 1_024_000):
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            speed, peak_mb = pool.submit(_cost_of, rate).result()
        print(f"  {rate / 1000:6g} kS/s: {speed:6.1f} times real time, {peak_mb:4.0f} MB")


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description="Measures the pulse detector.")
    options.add_argument("--quick", action="store_true", help="a quarter of everything")
    share = 0.25 if options.parse_args().quick else 1.0
    print(f"{machine()}\nnumpy {np.__version__}; synthetic signals only\n")
    sensitivity(16.0 * share)
    false_pulses(8.0 * share)
    accuracy(8.0 * share)
    simultaneous(4.0 * share)
    full_scale(4.0 * share)
    disturbed(4.0 * share)
    cost()


if __name__ == "__main__":
    main()
