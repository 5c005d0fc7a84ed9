"""The search for pulses in a block of samples: strongest first, each taken off, then once more.

Frames are looked at when what follows them is there too; two pulse lengths of samples before and
after a block are its context. How the stream is portioned makes no difference, for blocks begin at
fixed samples.
"""

from math import log10
from typing import Final

import msgspec
import numpy as np

from protocols.radio.pulse_fit import Fit, PulseFitter, Verdict
from protocols.radio.pulse_frames import HOPS_PER_PULSE, FrameShape
from protocols.radio.pulse_harmonics import Harmonics
from protocols.radio.pulse_noise import NoiseByBin, Powers, lasting
from protocols.radio.pulse_places import COMPARED_FRAMES, Mask, Place, Places
from protocols.radio.pulse_records import HeardPulse
from protocols.radio.samples import Samples

BLOCK_FRAMES: Final = 64
"""16 pulse lengths: 40 ms."""

_CONTEXT_FRAMES: Final = 8
_OLD_FRAMES: Final = 2 * _CONTEXT_FRAMES
_FRAMES: Final = _OLD_FRAMES + BLOCK_FRAMES
_DECIDED: Final = _FRAMES - _CONTEXT_FRAMES
"""Frames from here on are looked at with the next block; until then they only hide others."""
_STANDS_OUT: Final = 0.55
"""Of the threshold: a place next to a pulse has at least 0.62 of its power, more or less noise."""
_STRONG: Final = 100.0
"""In means of the noise: what is weaker hides nothing that could be heard without it."""
_PASSES: Final = 3
_MOST_FITS: Final = 32
"""A block: 800 a second, a quarter of one core."""
_MOST_MASKS: Final = 200
"""At a time; each costs some microseconds a pass."""


class PulseSearch:
    """Finds the pulses in a stream of blocks."""

    def __init__(
        self, shape: FrameShape, noise: NoiseByBin, harmonics: Harmonics, *, threshold: float
    ) -> None:
        """Tell pulses of more than `threshold` times the noise's mean power."""
        self.left_out = 0
        """Places that could not be looked at, for there were too many in a block."""
        self._shape = shape
        self._noise = noise
        self._harmonics = harmonics
        self._threshold = threshold
        self._fitter = PulseFitter(shape.length)
        self._masks: list[Mask] = []
        # The frames of a block end with its samples, so that the first begin before the first one.
        lead = shape.length
        self._samples = np.zeros(_FRAMES * shape.hop + lead, dtype=np.complex64)
        self._powers: Powers = np.zeros((_FRAMES, len(shape.bins)), dtype=np.float32)
        self._means: Powers = np.ones_like(self._powers)
        """Of the noise, as it was when the frames came."""
        self._levels: Powers = np.ones((_FRAMES, noise.stretches), dtype=np.float32)
        self._noises = self._means
        """The same where something loud fills a stretch of the band."""
        self._begin = -len(self._samples)
        """Which sample of the stream is the first of `_samples`."""

    def take(self, block: Samples, *, learns: bool) -> None:
        """Take the next block; `learns` unless its noise is known or it is the end's silence."""
        shift = len(block)
        self._samples[:-shift] = self._samples[shift:]
        self._samples[-shift:] = block
        self._begin += shift
        self._masks = [mask for mask in self._masks if mask.end > self._begin]
        new = self._shape.powers(self._span(_OLD_FRAMES, _FRAMES))
        if learns:
            self._noise.follow_gain(new)
        self._powers[:_OLD_FRAMES] = self._powers[BLOCK_FRAMES:]
        self._powers[_OLD_FRAMES:] = new
        self._means[:_OLD_FRAMES] = self._means[BLOCK_FRAMES:]
        self._means[_OLD_FRAMES:] = self._noise.mean
        self._levels[:_OLD_FRAMES] = self._levels[BLOCK_FRAMES:]
        self._levels[_OLD_FRAMES:] = self._noise.levels(new)
        self._raise_noises()
        if learns:
            self._noise.follow(new)

    def pulses(self) -> list[HeardPulse]:
        """Return the pulses of the frames that have their context now, strongest first."""
        heard: list[HeardPulse] = []
        fits_left = _MOST_FITS
        first, last = _CONTEXT_FRAMES, _FRAMES - COMPARED_FRAMES
        for _ in range(_PASSES):
            pulses, taken_off, fits_left = self._look(first, last, fits_left)
            heard += pulses
            if not taken_off:
                break
            first = max(_CONTEXT_FRAMES, min(taken_off))
            last = min(_FRAMES - COMPARED_FRAMES, max(taken_off) + 1)
        return heard

    def _span(self, first: int, last: int) -> Samples:
        """Return the samples of frames `first` to before `last`."""
        begin = first * self._shape.hop
        return self._samples[begin : begin + self._shape.span(last - first)]

    def _raise_noises(self) -> None:
        levels = lasting(self._levels, HOPS_PER_PULSE)
        self._noises = self._noise.raised(self._means, levels)

    def _look(
        self, first: int, last: int, fits_left: int
    ) -> tuple[list[HeardPulse], list[int], int]:
        """Look at the places of some frames; return pulses, frames that changed, and fits left."""
        low, high = first - COMPARED_FRAMES, last + COMPARED_FRAMES
        places = Places(
            self._shape,
            self._powers[low:high],
            self._noises[low:high],
            begin=self._begin + low * self._shape.hop,
            stands_out=_STANDS_OUT * self._threshold,
        )
        for mask in self._masks:
            places.hide(mask)
        heard: list[HeardPulse] = []
        changed: list[int] = []
        while (place := places.next()) is not None:
            row = low + place.row
            if place.is_steady or row >= _DECIDED:
                self._only_hide(place, row, places)
            elif not fits_left:
                self.left_out += 1
            else:
                fits_left -= 1
                fit = self._fit(place, row)
                if fit is None:
                    continue
                mask = self._mask_of(fit)
                if fit.verdict is Verdict.PULSE and self._shape.holds(fit.frequency):
                    if self._is_of_another(fit, mask):
                        continue
                    noise = float(self._noise.mean[place.column])
                    is_taken_off = fit.power > _STRONG * noise
                    if is_taken_off:
                        changed += self._take_off(fit)
                    else:
                        # Of a strong pulse the level tells nothing: its own skirts raise it.
                        noise = float(self._noises[row, place.column])
                    heard.append(self._told(fit, noise))
                    self._remember(msgspec.structs.replace(mask, is_taken_off=is_taken_off))
                else:
                    self._remember(mask)
                # These places were found before the pulse was taken off: with all of its skirts.
                places.hide(mask)
        return heard, changed, fits_left

    def _is_of_another(self, fit: Fit, mask: Mask) -> bool:
        """Say whether a pulse is what is left of another, to which the fit moved, or its echo."""
        edge = self._begin + fit.edge
        return any(
            other.hides_one(mask, self._shape.length)
            or self._harmonics.may_be_one(other, edge, fit.frequency, fit.power)
            for other in self._masks
        )

    def _fit(self, place: Place, row: int) -> Fit | None:
        return self._fitter.fit(
            self._samples,
            row * self._shape.hop,
            self._shape.frequency(place.column),
            noise=float(self._noises[row, place.column]),
            threshold=self._noise.corrected(self._threshold),
        )

    def _only_hide(self, place: Place, row: int, places: Places) -> None:
        """Let a place that is not looked at, for now or at all, hide its skirts."""
        if place.power < _STRONG * float(self._noises[row, place.column]):
            return
        begin = float(self._begin + row * self._shape.hop)
        mask = Mask(
            begin=begin,
            end=begin + self._shape.length,
            frequency=self._shape.frequency(place.column),
            power=place.power,
        )
        places.hide(mask)
        if row < _DECIDED:
            self._remember(mask)

    def _remember(self, mask: Mask) -> None:
        self._masks.append(mask)
        del self._masks[:-_MOST_MASKS]

    def _mask_of(self, fit: Fit) -> Mask:
        return Mask(
            begin=float(self._begin + fit.begin),
            end=float(self._begin + fit.end),
            frequency=fit.frequency,
            power=fit.power,
        )

    def _take_off(self, fit: Fit) -> list[int]:
        """Take a pulse off the samples; return the frames that had some of it."""
        self._samples[fit.begin : fit.end] -= fit.samples()
        hop = self._shape.hop
        first = max(0, -(-(fit.begin - self._shape.length + 1) // hop))
        last = min(_FRAMES, -(-fit.end // hop))
        powers = self._shape.powers(self._span(first, last))
        self._powers[first:last] = powers
        self._levels[first:last] = self._noise.levels(powers)
        self._raise_noises()
        return list(range(first, last))

    def _told(self, fit: Fit, noise: float) -> HeardPulse:
        full_scale = float(self._shape.length) ** 2
        signal = max(fit.power - noise, noise)
        return HeardPulse(
            first_sample=self._begin + fit.edge,
            frequency_offset_hz=fit.frequency * self._shape.rate_hz,
            signal_dbfs=decibels(signal / full_scale),
            noise_dbfs=decibels(noise / full_scale),
            snr_db=decibels(signal / noise),
            width_us=round((fit.end - fit.begin) * 1e6 / self._shape.rate_hz),
        )


def decibels(power: float) -> float:
    """Return a power in decibels; nothing at all is -300."""
    return 10.0 * log10(max(power, 1e-30))
