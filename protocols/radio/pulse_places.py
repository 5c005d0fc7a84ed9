"""Places in time and frequency where a pulse may be, and what hides them from each other.

A pulse of power P and T seconds is seen beside its frequency as well: f hertz away a transform has
at most P / (pi f T)^2 of it, whatever part of it the window covers. So the strongest place is
looked at first, and hides the weaker ones that may be nothing but its skirts. Once a pulse is
measured and taken off the samples, less of it is left: how much less depends on how square it was.
"""

from typing import Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from protocols.radio.pulse_frames import HOPS_PER_PULSE, FrameShape, Indices
from protocols.radio.pulse_noise import Powers

_MARGIN: Final = 2.0
"""3 dB for pulses that are not square."""
_LEFT: Final = 0.1
"""-10 dB of the skirts are left of a pulse with edges of some tenths of a millisecond."""
_LEAST_LEFT: Final = 1e-4
"""-40 dB anywhere, for images and distortion in the receiver."""
_SAME_WIDTHS: Final = 1.0
"""Nearer than 1/length two pulses at one instant cannot be told apart: what is there is what the
fit of two that overlap has left of them."""
COMPARED_FRAMES: Final = HOPS_PER_PULSE + 1
"""How far the nearest frame is that has nothing of a pulse, even of one a little off."""
_CONTRAST: Final = 2.5
"""A pulse has so much more power than what is before and after it at its frequency."""
_MOST_CELLS: Final = 20_000
"""Of 90,000 in a block of 250 kS/s."""
_NEIGHBOURS: Final = tuple(
    (down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if (down, across) != (0, 0)
)

Values: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]


class Place(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a frame has more power than the noise."""

    row: int
    column: int
    power: float
    is_steady: bool
    """The same frequency is as strong before or after it: a carrier, a long packet."""


class Mask(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A pulse, or what is none, that hides what is weaker and near."""

    begin: float
    end: float
    """Samples, as those are counted that places begin at."""
    frequency: float
    """Cycles a sample."""
    power: float
    is_taken_off: bool = False

    def hides(self, begins: Values, frequencies: Values, powers: Values, length: int) -> Flags:
        """Say of each place whether it may be nothing but this."""
        overlaps = (begins < self.end) & (begins + length > self.begin)
        apart = np.abs((frequencies - self.frequency + 0.5) % 1.0 - 0.5)
        skirts = _MARGIN / np.maximum(np.pi * apart * length, 1.0) ** 2
        if self.is_taken_off:
            skirts = np.maximum(skirts * _LEFT, _LEAST_LEFT)
        skirts[apart * length < _SAME_WIDTHS] = _MARGIN
        hidden: Flags = overlaps & (powers < skirts * self.power)
        return hidden

    def hides_one(self, other: "Mask", length: int) -> bool:
        """Say whether another may be nothing but this."""
        if other.begin >= self.end or other.end <= self.begin:
            return False
        one = np.array([other.begin]), np.array([other.frequency]), np.array([other.power])
        return bool(self.hides(*one, length)[0])


class Places:
    """The places of some frames that stand out, strongest first, less those that are hidden."""

    def __init__(
        self,
        shape: FrameShape,
        powers: Powers,
        noises: Powers,
        *,
        begin: int,
        stands_out: float,
    ) -> None:
        """Find the places of all frames but the outermost, which are there to compare with.

        `begin` is the first frame's first sample, as masks count. `stands_out` is how much power a
        place needs, in means of the noise there.
        """
        self._shape = shape
        rows, columns = self._peaks(powers, noises * np.float32(stands_out))
        top = powers[rows, columns]
        beside = np.maximum(
            powers[rows - COMPARED_FRAMES, columns], powers[rows + COMPARED_FRAMES, columns]
        )
        order = np.argsort(-top, kind="stable")
        self._rows, self._columns = rows[order], columns[order]
        self._powers = top[order].astype(np.float64)
        self._is_steady = (top < np.float32(_CONTRAST) * beside)[order]
        self._begins = (begin + self._rows * shape.hop).astype(np.float64)
        self._frequencies = shape.bins[self._columns].astype(np.float64) / shape.size
        self._is_hidden = np.zeros(len(order), dtype=np.bool_)
        self._at = 0

    def hide(self, mask: Mask) -> None:
        """Leave out what may be nothing but this."""
        self._is_hidden |= mask.hides(
            self._begins, self._frequencies, self._powers, self._shape.length
        )

    def next(self) -> Place | None:
        """Return the strongest place that was not returned yet and is not hidden."""
        while self._at < len(self._powers):
            at = self._at
            self._at += 1
            if not self._is_hidden[at]:
                return Place(
                    row=int(self._rows[at]),
                    column=int(self._columns[at]),
                    power=float(self._powers[at]),
                    is_steady=bool(self._is_steady[at]),
                )
        return None

    def _peaks(self, powers: Powers, enough: Powers) -> tuple[Indices, Indices]:
        """Return rows and columns of the places that have more than `enough` and any neighbour."""
        bins = powers.shape[1]
        loud = np.flatnonzero(
            powers[COMPARED_FRAMES:-COMPARED_FRAMES] > enough[COMPARED_FRAMES:-COMPARED_FRAMES]
        )
        rows, columns = np.divmod(loud, bins)
        rows += COMPARED_FRAMES
        if not self._shape.is_whole:
            # The outermost columns are there to compare with.
            inside = (columns > 0) & (columns < bins - 1)
            rows, columns = rows[inside], columns[inside]
        if len(rows) > _MOST_CELLS:
            strongest = np.argsort(-powers[rows, columns], kind="stable")[:_MOST_CELLS]
            rows, columns = rows[strongest], columns[strongest]
        top = powers[rows, columns]
        stands = np.ones(len(rows), dtype=np.bool_)
        for down, across in _NEIGHBOURS:
            beside = powers[rows + down, (columns + across) % bins]
            stands &= top >= beside if (down, across) < (0, 0) else top > beside
        return rows[stands], columns[stands]
