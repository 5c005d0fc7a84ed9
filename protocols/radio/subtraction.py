"""A decoded packet is known bit by bit: fit its waveform, read off its numbers, and subtract it.

What a packet must look like follows from its bits but for five numbers: amplitude and phase,
carrier, deviation, begin and bit rate. The last four are found by least squares from the phase that
is left when the waveform is taken off the samples. What then is left of amplitude and phase wanders
slowly; it is followed through eight bits, and so the subtraction goes deep though a real
transmitter is not as steady as the model. Beneath a strong packet may be a weaker one.
"""

from typing import Final, NamedTuple, Self

import msgspec
import numpy as np
import numpy.typing as npt

from protocols.radio.bit_sums import FloatArray
from protocols.radio.fsk_front import BIT_RATE, DEVIATION_HZ
from protocols.radio.samples import Samples
from protocols.radio.turns import unit

_ROUNDS: Final = 2
_TURN: Final = 2 * np.pi
_FOLLOWED_BITS: Final = 8
_LOOSE: Final = np.array([200.0, 600.0, 0.1, 0.004])
"""A carrier may be so many hertz from where it was taken to be, a deviation so many, a packet's
middle so many bits, a bit rate such a part: weak packets must not wander off after noise."""
_COARSE_STEPS: Final = 25
_COARSE_TURN: Final = 1 / 1024
"""Turns in a bit, of one step: 24 Hz; 600 Hz in all are looked at."""
_MOST_BITS: Final = 256
_COARSE_TURNS: Final = unit(
    np.outer(np.arange(-_COARSE_STEPS, _COARSE_STEPS + 1) * -_COARSE_TURN, np.arange(_MOST_BITS))
)
_SMALL: Final = 1e-30


class Waveform(msgspec.Struct, frozen=True):
    """A packet's bits and how they were sent."""

    bits: npt.NDArray[np.bool_]
    start: float
    """Of the first bit, in samples since the window began."""
    carrier_hz: float
    rate_error: float = 0.0
    """Of the bit rate: 0.005 is half a percent fast."""
    deviation_hz: float = DEVIATION_HZ

    def samples_per_bit(self, rate_hz: float) -> float:
        """Return how long one bit is."""
        return rate_hz / (BIT_RATE * (1 + self.rate_error))

    def end(self, rate_hz: float) -> float:
        """Return where the last bit ends, in samples since the window began."""
        return self.start + len(self.bits) * self.samples_per_bit(rate_hz)

    def extent(self, rate_hz: float, window: int) -> slice:
        """Return which samples of a window of so many it covers."""
        first = min(max(0, int(np.ceil(self.start))), window)
        return slice(first, min(max(first, int(np.ceil(self.end(rate_hz)))), window))


class _Path(NamedTuple):
    """Where a waveform is at each sample of its extent, and of which bits they are."""

    extent: slice
    since: FloatArray
    """Samples since the first bit began."""
    swing: FloatArray
    """How many bits more it was in ones than in zeros until then."""
    begins: npt.NDArray[np.intp]
    """Where in the extent each of its bits begins; one cut off by the window's edge has none."""
    signs: FloatArray
    """Of those bits: 1 for a one, -1 for a zero."""

    @classmethod
    def of(cls, rate_hz: float, waveform: Waveform, window: int) -> Self:
        """Return the way of a waveform through a window of so many samples."""
        extent = waveform.extent(rate_hz, window)
        signs = np.where(waveform.bits, 1.0, -1.0)
        since = np.arange(extent.start, extent.stop) - waveform.start
        place = since / waveform.samples_per_bit(rate_hz)
        bit = np.minimum(place.astype(np.intp), len(signs) - 1)
        behind = np.cumsum(signs) - signs * np.arange(1, len(signs) + 1)
        own = signs[bit]
        begins = np.flatnonzero(np.diff(bit, prepend=-1))
        return cls(extent, since, behind[bit] + place * own, begins, own[begins])


class Fit(NamedTuple):
    """A waveform in samples."""

    waveform: Waveform
    path: _Path
    turned: Samples
    """A carrier of amplitude 1 with its phase in each sample."""
    still: Samples
    """The samples with that phase taken off: what is steady is the packet's own."""

    @property
    def extent(self) -> slice:
        """Which samples it covers."""
        return self.path.extent

    @classmethod
    def of(
        cls, samples: Samples, rate_hz: float, waveform: Waveform, path: _Path | None = None
    ) -> Self:
        """Lay a waveform over samples; `path` is its own, where that is known already."""
        path = path or _Path.of(rate_hz, waveform, len(samples))
        swing = waveform.deviation_hz / rate_hz * waveform.samples_per_bit(rate_hz)
        turned = unit(waveform.carrier_hz / rate_hz * path.since + swing * path.swing)
        return cls(waveform, path, turned, samples[path.extent] * turned.conj())

    def amplitude(self) -> float:
        """Return the packet's amplitude: as much as has one phase in each eight bits."""
        count = max(1, len(self.waveform.bits) // _FOLLOWED_BITS)
        if len(self.still) < count:
            return 0.0
        pieces = np.add.reduceat(self.still, np.arange(count) * len(self.still) // count)
        return float(np.abs(pieces).sum()) / len(self.still)

    def own(self, rate_hz: float) -> Samples:
        """Return what of the samples is the packet's own, followed through eight bits."""
        half = round(_FOLLOWED_BITS * self.waveform.samples_per_bit(rate_hz) / 2)
        running = np.zeros(len(self.still) + 1, dtype=np.complex128)
        np.cumsum(self.still, out=running[1:])
        index = np.arange(len(self.still))
        begin, end = np.maximum(index - half, 0), np.minimum(index + half + 1, len(index))
        followed = (running[end] - running[begin]) / (end - begin)
        own: Samples = followed.astype(np.complex64) * self.turned
        return own

    def begins_as_it_goes_on(self, rate_hz: float, bits: int) -> bool:
        """Tell whether the first `bits` were sent as those behind them were."""
        count = round(bits * self.waveform.samples_per_bit(rate_hz))
        first, then = self.still[:count].sum(), self.still[count : 3 * count].sum() / 2
        return bool((first * np.conj(then)).real > abs(then) ** 2 / 2)


def fitted(samples: Samples, rate_hz: float, waveform: Waveform) -> Fit:
    """Return the waveform as it fits the samples best, beginning with one that nearly fits."""
    fit = Fit.of(samples, rate_hz, waveform)
    if len(fit.path.begins) < len(waveform.bits):
        return fit
    fit = Fit.of(samples, rate_hz, _coarse(fit, rate_hz), fit.path)
    for _ in range(_ROUNDS):
        fit = Fit.of(samples, rate_hz, _closer(fit, rate_hz))
    return fit


def _coarse(fit: Fit, rate_hz: float) -> Waveform:
    """Return the waveform at the carrier at which its bits add up best."""
    sums = np.add.reduceat(fit.still, fit.path.begins)
    spectrum = np.abs(_COARSE_TURNS[:, : len(sums)] @ sums)
    step_hz = rate_hz / fit.waveform.samples_per_bit(rate_hz) * _COARSE_TURN
    steps = int(spectrum.argmax()) - _COARSE_STEPS
    return msgspec.structs.replace(
        fit.waveform, carrier_hz=fit.waveform.carrier_hz + steps * step_hz
    )


def _closer(fit: Fit, rate_hz: float) -> Waveform:
    """Return the waveform after one step of least squares, a bit at a time."""
    waveform, path = fit.waveform, fit.path
    mean = complex(fit.still.mean())
    if abs(mean) < _SMALL:
        return waveform
    lengths = np.diff(path.begins, append=len(fit.still))
    sums = np.add.reduceat(fit.still, path.begins).astype(np.complex128)
    error = np.imag(sums / mean) / lengths
    scaled = _changes(fit, rate_hz, lengths) * _LOOSE
    normal = scaled.T @ scaled + np.diag(np.full(len(_LOOSE), error.var() + _SMALL))
    steps = np.clip(np.linalg.solve(normal, scaled.T @ error), -2, 2) * _LOOSE
    carrier_hz, deviation_hz, bits, rate_error = (float(step) for step in steps)
    half = len(waveform.bits) / 2
    middle = waveform.start + (half + bits) * waveform.samples_per_bit(rate_hz)
    closer = msgspec.structs.replace(
        waveform,
        carrier_hz=waveform.carrier_hz + carrier_hz,
        deviation_hz=waveform.deviation_hz + deviation_hz,
        rate_error=waveform.rate_error + rate_error,
    )
    return msgspec.structs.replace(closer, start=middle - half * closer.samples_per_bit(rate_hz))


def _changes(fit: Fit, rate_hz: float, lengths: npt.NDArray[np.intp]) -> FloatArray:
    """Return how each bit's phase changes with carrier, deviation, middle and bit rate, in radians.

    It runs evenly through a bit: what it is in the bit's middle counts.
    """
    waveform, path = fit.waveform, fit.path
    bit_s = waveform.samples_per_bit(rate_hz) / rate_hz
    beyond = (lengths - 1) / 2
    since_s = (path.since[path.begins] + beyond) / rate_hz
    swing_s = path.swing[path.begins] * bit_s + beyond / rate_hz * path.signs
    moving = waveform.deviation_hz * bit_s * path.signs
    faster = moving * (since_s / bit_s - len(waveform.bits) / 2) - waveform.deviation_hz * swing_s
    changes = _TURN * np.stack([since_s, swing_s, -moving, faster], axis=1)
    centred: FloatArray = changes - changes.mean(axis=0)
    return centred
