"""VHF pulses of coded-ID tags with the truth beside them: tags, losses, drift, twins and noise.

Codes are made up: gaps are multiples of 10/2048 s as those of real code sets, drawn from a seeded
generator. No manufacturer's table is used or shipped.

What is modelled, and from where: pulse lengths and levels of public SensorGnome recordings; time
stamps to 0.1 ms, frequencies to 1 Hz and levels to 0.01 dB as SensorGnome writes them; timing
jitter of 0.1 ms; frequency scatter within a burst of 5 to 26 Hz (the two receivers of one station
differ by that much for one tag), weaker tags more; tags within ±1.5 kHz of 4 kHz; noise without
memory, uniform in frequency between 2 and 8 kHz, which real interference is not.
"""

import math
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

import msgspec

from protocols.coded_id.bursts import HeardPulse
from protocols.coded_id.tag_list import CodedTag

_STEP_MS: Final = 10_000 / 2048
_SLICE_S: Final = 10.0
_TIME_STEP_NS: Final = 100_000
_BEGIN_NS: Final = 1_700_000_000_000_000_000
_LONGEST_BURST_MS: Final = 427.0


def made_up_codes(count: int, random: Random) -> list[tuple[float, float, float]]:
    """Return `count` different triples of gaps in ms with the geometry of real code sets.

    First gap 22 to 159 ms, shifted by half a step; second and third 19.5 to 156 ms; whole burst at
    most 427 ms; two codes differ by 4.88 ms in at least one gap.
    """
    codes: dict[tuple[float, float, float], None] = {}
    while len(codes) < count:
        first = round((random.randint(4, 32) + 0.5) * _STEP_MS, 3)
        second = round(random.randint(4, 32) * _STEP_MS, 3)
        third = round(random.randint(4, 32) * _STEP_MS, 3)
        if first + second + third <= _LONGEST_BURST_MS:
            codes[first, second, third] = None
    return list(codes)


def made_up_tags(
    count: int,
    random: Random,
    *,
    intervals_s: tuple[float, float] = (5.0, 25.0),
    project: str = "made-up",
) -> tuple[CodedTag, ...]:
    """Return a tag list of `count` different codes, intervals drawn from `intervals_s`."""
    return tuple(
        CodedTag(
            project=project,
            id=str(number),
            frequency_mhz=166.38,
            gaps_ms=gaps,
            burst_interval_s=round(random.uniform(*intervals_s), 3),
        )
        for number, gaps in enumerate(made_up_codes(count, random), start=1)
    )


class Beacon(msgspec.Struct, frozen=True, kw_only=True):
    """A tag that is on the air and how it is heard."""

    tag: CodedTag
    phase_s: float
    """When its first burst begins."""
    frequency_offset_hz: float = 4000.0
    drift_hz_per_hour: float = 0.0
    frequency_sd_hz: float = 6.0
    """Scatter of single pulses."""
    clock_ppm: float = 0.0
    signal_db: float = -50.0
    signal_sd_db: float = 0.5
    every: int = 1
    """Only every so many bursts reach the station."""


class Transmission(msgspec.Struct, frozen=True, kw_only=True):
    """The truth: one burst that reached the station, and how much of it was received."""

    tag_id: str
    time_ns: int
    received_pulses: int


class PulseAir(msgspec.Struct, frozen=True, kw_only=True):
    """What one antenna receives; the same seed gives the same pulses."""

    beacons: tuple[Beacon, ...]
    duration_s: float
    seed: int
    noise_per_s: float = 0.0
    loss: float = 0.0
    """Share of tag pulses that are not received."""
    jitter_ms: float = 0.1
    noise_band_hz: tuple[float, float] = (2000.0, 8000.0)

    def slices(self) -> Iterator[tuple[list[HeardPulse], list[Transmission]]]:
        """Yield what is received in each ten seconds, in order, and what was sent."""
        random = Random(self.seed)  # noqa: S311  A simulation wants to be repeatable.
        counts = [0] * len(self.beacons)
        late: list[HeardPulse] = []
        for number in range(math.ceil(self.duration_s / _SLICE_S)):
            begin_s = number * _SLICE_S
            end_s = min(begin_s + _SLICE_S, self.duration_s)
            pulses, sent = late, []
            for at, beacon in enumerate(self.beacons):
                interval_s = beacon.tag.burst_interval_s * (1 + beacon.clock_ppm * 1e-6)
                while (time_s := beacon.phase_s + counts[at] * interval_s) < end_s:
                    if counts[at] % beacon.every == 0:
                        heard = list(self._burst(beacon, time_s, random))
                        pulses += heard
                        sent.append(
                            Transmission(
                                tag_id=beacon.tag.tag_id,
                                time_ns=_BEGIN_NS + round(time_s * 1e9),
                                received_pulses=len(heard),
                            )
                        )
                    counts[at] += 1
            pulses += self._noise(begin_s, end_s, random)
            pulses.sort(key=lambda pulse: pulse.time_ns)
            end_ns = _BEGIN_NS + round(end_s * 1e9)
            late = [pulse for pulse in pulses if pulse.time_ns >= end_ns]
            del pulses[len(pulses) - len(late) :]
            yield pulses, sent
        if late:
            yield late, []

    def _burst(self, beacon: Beacon, time_s: float, random: Random) -> Iterator[HeardPulse]:
        frequency = beacon.frequency_offset_hz + beacon.drift_hz_per_hour * time_s / 3600
        signal = random.gauss(beacon.signal_db, 3.0)
        position_ms = 0.0
        for gap_ms in (*beacon.tag.gaps_ms, 0.0):
            if random.random() >= self.loss:
                yield _pulse(
                    time_s + (position_ms + random.gauss(0.0, self.jitter_ms)) / 1000,
                    random.gauss(frequency, beacon.frequency_sd_hz),
                    random.gauss(signal, beacon.signal_sd_db),
                    random.gauss(-80.0, 0.4),
                )
            position_ms += gap_ms

    def _noise(self, begin_s: float, end_s: float, random: Random) -> Iterator[HeardPulse]:
        time_s = begin_s
        while self.noise_per_s > 0:
            time_s += random.expovariate(self.noise_per_s)
            if time_s >= end_s:
                return
            yield _pulse(
                time_s,
                random.uniform(*self.noise_band_hz),
                -72.0 + random.expovariate(0.2),
                random.gauss(-80.0, 0.4),
            )


def _pulse(
    time_s: float, frequency_offset_hz: float, signal_db: float, noise_db: float
) -> HeardPulse:
    return HeardPulse(
        _BEGIN_NS + round(time_s * 1e9) // _TIME_STEP_NS * _TIME_STEP_NS,
        float(round(frequency_offset_hz)),
        round(signal_db, 2),
        round(noise_db, 2),
    )


def made_up_beacons(
    tags: Sequence[CodedTag],
    random: Random,
    *,
    frequency_sd_hz: tuple[float, float] = (5.0, 26.0),
    drift_hz_per_hour: tuple[float, float] = (-120.0, 120.0),
    every: int = 1,
) -> tuple[Beacon, ...]:
    """Return one beacon a tag: frequencies within ±1.5 kHz of 4 kHz, clocks within ±20 ppm."""
    return tuple(
        Beacon(
            tag=tag,
            phase_s=random.uniform(0.0, tag.burst_interval_s),
            frequency_offset_hz=random.uniform(2500.0, 5500.0),
            drift_hz_per_hour=random.uniform(*drift_hz_per_hour),
            frequency_sd_hz=random.uniform(*frequency_sd_hz),
            clock_ppm=random.uniform(-20.0, 20.0),
            signal_db=random.uniform(-65.0, -40.0),
            every=every,
        )
        for tag in tags
    )
