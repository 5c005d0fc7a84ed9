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

from protocols.radio.bit_sums import ComplexArray, FloatArray
from protocols.radio.fsk_front import BIT_RATE, DEVIATION_HZ
from protocols.radio.samples import Samples

_ROUNDS: Final = 2
_TURN: Final = 2 * np.pi
_FOLLOWED_BITS: Final = 8
_LOOSE: Final = np.array([200.0, 600.0, 0.1, 0.004])
"""A carrier may be so many hertz from where it was taken to be, a deviation so many, a packet's
middle so many bits, a bit rate such a part: weak packets must not wander off after noise."""
_COARSE_BINS: Final = 1024
_COARSE_HZ: Final = 600.0
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


class Fit(NamedTuple):
    """A waveform in samples."""

    waveform: Waveform
    extent: slice
    """Which samples it covers."""
    radians: FloatArray
    """Its phase in each."""
    still: ComplexArray
    """The samples with that phase taken off: what is steady is the packet's own."""

    @classmethod
    def of(cls, samples: Samples, rate_hz: float, waveform: Waveform) -> Self:
        """Lay a waveform over samples."""
        extent = waveform.extent(rate_hz, len(samples))
        path = _path(rate_hz, waveform, extent)
        radians = _TURN * (
            waveform.carrier_hz * path.since_s + waveform.deviation_hz * path.swing_s
        )
        return cls(waveform, extent, radians, samples[extent] * np.exp(-1j * radians))

    def amplitude(self) -> float:
        """Return the packet's amplitude: as much as has one phase in each eight bits."""
        count = max(1, len(self.waveform.bits) // _FOLLOWED_BITS)
        sums = [abs(piece.sum()) for piece in np.array_split(self.still, count)]
        return float(sum(sums)) / max(1, len(self.still))

    def own(self, rate_hz: float) -> Samples:
        """Return what of the samples is the packet's own, followed through eight bits."""
        half = round(_FOLLOWED_BITS * self.waveform.samples_per_bit(rate_hz) / 2)
        running = np.concatenate([[0], np.cumsum(self.still)])
        index = np.arange(len(self.still))
        begin, end = np.maximum(index - half, 0), np.minimum(index + half + 1, len(index))
        followed = (running[end] - running[begin]) / (end - begin)
        own: Samples = (followed * np.exp(1j * self.radians)).astype(np.complex64)
        return own

    def begins_as_it_goes_on(self, rate_hz: float, bits: int) -> bool:
        """Tell whether the first `bits` were sent as those behind them were."""
        count = round(bits * self.waveform.samples_per_bit(rate_hz))
        first, then = self.still[:count].sum(), self.still[count : 3 * count].sum() / 2
        return bool((first * np.conj(then)).real > abs(then) ** 2 / 2)


class _Path(NamedTuple):
    """Where a waveform is at each sample of its extent."""

    since_s: FloatArray
    place: FloatArray
    """In bits."""
    signs: FloatArray
    """1 in a one, -1 in a zero."""
    swing_s: FloatArray
    """For how long more it was in ones than in zeros."""


def fitted(samples: Samples, rate_hz: float, waveform: Waveform) -> Fit:
    """Return the waveform as it fits the samples best, beginning with one that nearly fits."""
    fit = Fit.of(samples, rate_hz, waveform)
    if len(fit.still) < len(waveform.bits):
        return fit
    fit = Fit.of(samples, rate_hz, _coarse(fit, rate_hz))
    for _ in range(_ROUNDS):
        fit = Fit.of(samples, rate_hz, _closer(fit, rate_hz))
    return fit


def _path(rate_hz: float, waveform: Waveform, extent: slice) -> _Path:
    samples_per_bit = waveform.samples_per_bit(rate_hz)
    signs = np.where(waveform.bits, 1.0, -1.0)
    since = np.arange(extent.start, extent.stop) - waveform.start
    place = since / samples_per_bit
    bit = np.clip(place.astype(np.intp), 0, len(signs) - 1)
    before = np.concatenate([[0.0], np.cumsum(signs)])
    swing = before[bit] + (place - bit) * signs[bit]
    return _Path(since / rate_hz, place, signs[bit], swing * (samples_per_bit / rate_hz))


def _coarse(fit: Fit, rate_hz: float) -> Waveform:
    """Return the waveform at the carrier at which its bits add up best."""
    step = max(1, int(fit.waveform.samples_per_bit(rate_hz)))
    sums = fit.still[: len(fit.still) // step * step].reshape(-1, step).sum(axis=1)
    hertz = np.fft.fftfreq(_COARSE_BINS, step / rate_hz)
    spectrum = np.where(np.abs(hertz) <= _COARSE_HZ, np.abs(np.fft.fft(sums, _COARSE_BINS)), 0)
    carrier_hz = fit.waveform.carrier_hz + float(hertz[spectrum.argmax()])
    return msgspec.structs.replace(fit.waveform, carrier_hz=carrier_hz)


def _closer(fit: Fit, rate_hz: float) -> Waveform:
    """Return the waveform after one step of least squares."""
    waveform, mean = fit.waveform, fit.still.mean()
    if abs(mean) < _SMALL:
        return waveform
    error = np.imag(fit.still / mean)
    scaled = _changes(fit, rate_hz) * _LOOSE
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


def _changes(fit: Fit, rate_hz: float) -> FloatArray:
    """Return how the phase changes with carrier, deviation, middle and bit rate, in radians."""
    waveform = fit.waveform
    path = _path(rate_hz, waveform, fit.extent)
    moving = waveform.deviation_hz * waveform.samples_per_bit(rate_hz) / rate_hz * path.signs
    faster = moving * (path.place - len(waveform.bits) / 2) - waveform.deviation_hz * path.swing_s
    changes = _TURN * np.stack([path.since_s, path.swing_s, -moving, faster], axis=1)
    centred: FloatArray = changes - changes.mean(axis=0)
    return centred
