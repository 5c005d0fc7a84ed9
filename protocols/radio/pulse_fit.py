"""One pulse, measured: when it began, how long it was, at which frequency, how strong.

A transform finds a pulse to an eighth of its length and a quarter of 1/length. From there the
matched filter is moved sample by sample and hertz by hertz to where its output is largest, which is
the best that can be done for a carrier of known length in white noise. Then the edges are moved
apart from each other: a carrier that was only keyed on, a click, speech or a data packet is told
from a pulse by how long it fits, and by how much power lies beside its frequency.
"""

import cmath
from enum import Enum, auto
from math import sqrt
from typing import Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from protocols.radio.samples import Samples

_PARTS: Final = 32
"""Sums over so many parts of a pulse are enough for all frequencies near it."""
_STEPS_PER_WIDTH: Final = 16
"""Frequencies tried in 1/length: 25 Hz for 2.5 ms, between which a parabola interpolates."""
_WIDEST_STEPS: Final = 12
"""Three quarters of 1/length to both sides."""
_REACH: Final = 1.5
"""Pulse lengths looked at before and after."""
_GUARD: Final = 0.1
"""Pulse lengths in which a pulse may come and go."""
_CONTRAST: Final = 2.5
"""A pulse has so much more power than what is before and after it near its frequency."""
_SHORTEST, _LONGEST = 0.6, 1.6
"""Pulse lengths: real tags send 2 ms instead of 2.5, receivers' filters add some tenths."""
_SURELY: Final = 9.0
"""Gain of other edges, in means of the noise, that chance does not give: exp(-9) times the edges
tried."""
_PURE_PARTS: Final = 8
"""They tell what lies within +-4/length around the pulse."""
_PUREST_NOISE: Final = 0.4
"""Of the power there, what must be the pulse itself. It has 0.7 at the threshold, one of two tags
of the same strength 0.5, the strongest frequency of noise or speech 0.34 in the mean."""

Sums: TypeAlias = npt.NDArray[np.complex128]


class Verdict(Enum):
    """What a place in the samples turned out to be."""

    PULSE = auto()
    TOO_LONG = auto()
    TOO_SHORT = auto()
    NOT_ALONE = auto()
    """Power beside its frequency: noise, speech, a data packet, a click."""


class Fit(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """A carrier from one sample to another."""

    verdict: Verdict
    begin: int
    """Its first sample in the array that was looked at."""
    end: int
    """The sample after its last."""
    edge: float
    """Where it begins, between samples."""
    frequency: float
    """Cycles a sample, -0.5 to 0.5."""
    power: float
    """Square of the sum over one pulse length, as a transform's bin has it."""
    amplitude: complex
    """At the first sample."""

    def samples(self) -> Samples:
        """Return the carrier."""
        turns = np.arange(self.end - self.begin) * self.frequency
        carrier: Samples = (self.amplitude * np.exp(2j * np.pi * turns)).astype(np.complex64)
        return carrier


class PulseFitter:
    """Measures pulses of one length."""

    def __init__(self, length: int) -> None:
        """Expect pulses of so many samples."""
        self._length = length
        self._parts = min(_PARTS, length)
        self._marks = np.rint(np.linspace(0, length, self._parts + 1)).astype(np.int64)
        self._steps = np.arange(-_WIDEST_STEPS, _WIDEST_STEPS + 1) / (_STEPS_PER_WIDTH * length)
        middles = (self._marks[1:] + self._marks[:-1] - 1) / 2
        self._turns = np.exp(-2j * np.pi * np.outer(self._steps, middles))
        self._slack = length // 4
        self.reach = round(_REACH * length) + 1
        """Samples before the place looked at and after the pulse there that `fit` wants."""

    def fit(
        self, samples: Samples, begin: int, frequency: float, *, noise: float, threshold: float
    ) -> Fit | None:
        """Measure what begins near `begin` at about `frequency`; None where it is too weak.

        `frequency` is in cycles a sample, `noise` the mean power of a bin, `threshold` what a pulse
        needs, in such means. There are `reach` samples before `begin` and after the pulse there.
        """
        length = self._length
        low = begin - self.reach
        near = samples[low : begin + length + self.reach]
        # Each step takes no more of the samples than it moves over.
        sums = _running_sums(near[self.reach : self.reach + length], frequency)
        frequency += self._frequency_error(sums, 0)[0]
        first = self.reach - self._slack
        sums = _running_sums(near[first : first + length + 2 * self._slack], frequency)
        start, edge = self._begin(sums)
        error, power = self._frequency_error(sums, start)
        if power < threshold * noise:
            return None
        frequency += error
        sums = _running_sums(near, frequency)
        first, edge = first + start, first + edge
        begin, end, gain = self._edges(sums, first)
        if gain > _SURELY * noise / length:
            edge = float(begin)
            verdict = self._verdict(sums, begin, end)
        else:
            verdict = self._verdict(sums, first, first + length)
        if verdict is Verdict.PULSE and self._goes_on(sums, begin, end, power):
            verdict = Verdict.TOO_LONG
        amplitude = complex(sums[end] - sums[begin]) / (end - begin)
        return Fit(
            verdict=verdict,
            begin=low + begin,
            end=low + end,
            edge=low + edge,
            frequency=(frequency + 0.5) % 1.0 - 0.5,
            power=power,
            amplitude=amplitude * cmath.exp(2j * cmath.pi * frequency * begin),
        )

    def _frequency_error(self, sums: Sums, begin: int) -> tuple[float, float]:
        """Return by how much the frequency is larger than taken, and the power there."""
        parts = np.diff(sums[begin + self._marks])
        outputs = self._turns @ parts
        powers = outputs.real**2 + outputs.imag**2
        best = int(powers.argmax())
        error = float(self._steps[best])
        if 0 < best < len(powers) - 1:
            error += _peak(powers[best - 1 : best + 2]) * float(self._steps[1] - self._steps[0])
        return error, float(powers[best])

    def _begin(self, sums: Sums) -> tuple[int, float]:
        """Return where the matched filter's output is largest, by samples and between them."""
        outputs = sums[self._length :] - sums[: -self._length]
        powers = outputs.real**2 + outputs.imag**2
        best = int(powers.argmax())
        edge = float(best)
        if 0 < best < len(powers) - 1:
            before, top, after = (sqrt(power) for power in powers[best - 1 : best + 2])
            slope = top - min(before, after)
            if slope > 0:
                # The output is a triangle: both of its sides have the same slope.
                edge += (after - before) / (2 * slope)
        return best, edge

    def _edges(self, sums: Sums, begin: int) -> tuple[int, int, float]:
        """Return where a carrier of any length fits best, and by how much better."""
        shortest = max(2, self._length // 16)
        first, last = begin, begin + self._length
        before = _mean_power(sums, first, last)
        best = before
        for _ in range(3):
            lasts = np.arange(first + shortest, len(sums))
            powers = _mean_powers(sums[lasts] - sums[first], lasts - first)
            last = int(lasts[powers.argmax()])
            firsts = np.arange(0, last - shortest + 1)
            powers = _mean_powers(sums[last] - sums[firsts], last - firsts)
            first = int(firsts[powers.argmax()])
            if powers.max() <= best:
                break
            best = float(powers.max())
        return first, last, best - before

    def _goes_on(self, sums: Sums, begin: int, end: int, power: float) -> bool:
        """Say whether there is as much before or after, if at a frequency a little beside."""
        guard = round(_GUARD * self._length)
        before = max(0, begin - guard - self._length)
        after = min(len(sums) - 1 - self._length, end + guard)
        beside = max(self._frequency_error(sums, place)[1] for place in (before, after))
        return _CONTRAST * beside > power

    def _verdict(self, sums: Sums, first: int, last: int) -> Verdict:
        if last - first > _LONGEST * self._length:
            return Verdict.TOO_LONG
        if last - first < _SHORTEST * self._length:
            return Verdict.TOO_SHORT
        marks = np.rint(np.linspace(first, last, _PURE_PARTS + 1)).astype(np.int64)
        parts = np.diff(sums[marks])
        whole = abs(parts.sum()) ** 2 / _PURE_PARTS
        if whole < _PUREST_NOISE * float((parts.real**2 + parts.imag**2).sum()):
            return Verdict.NOT_ALONE
        return Verdict.PULSE


def _running_sums(samples: Samples, frequency: float) -> Sums:
    """Return the sums of the first 0, 1, 2… samples, brought down by a frequency."""
    turns = np.arange(len(samples)) * (-2j * np.pi * frequency)
    sums = np.zeros(len(samples) + 1, dtype=np.complex128)
    np.cumsum(samples * np.exp(turns), out=sums[1:])
    return sums


def _mean_powers(outputs: Sums, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    powers: npt.NDArray[np.float64] = (outputs.real**2 + outputs.imag**2) / lengths
    return powers


def _mean_power(sums: Sums, first: int, last: int) -> float:
    return float(abs(sums[last] - sums[first]) ** 2 / (last - first))


def _peak(powers: npt.NDArray[np.float64]) -> float:
    """Return where a parabola through three values has its top, -0.5 to 0.5 steps."""
    before, top, after = (float(power) for power in powers)
    bend = before - 2 * top + after
    return 0.0 if bend >= 0 else min(0.5, max(-0.5, (before - after) / (2 * bend)))
