"""Where a CTT packet may begin: correlation with preamble and sync word, in two stages.

First the soft bits are correlated with the known bits, at every frame and every carrier offset;
each local maximum over a low threshold is looked at again. Then the known bits are added up with
their phases, ones and zeros apart, for every frequency that the carrier may have: 32 bits of
evidence in one number. How far the sum of the ones is turned against that of the zeros tells where
in the bit the packet begins: a sample early turns the one back and the other on.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from protocols.ctt.packet import PREAMBLE, SYNC_WORD
from protocols.radio.fsk_front import (
    BIT_RATE,
    DEVIATION_HZ,
    PHASES,
    Floats,
    SoftBits,
    ToneFilters,
    pattern_fit,
)
from protocols.radio.turns import unit

KNOWN: Final = np.unpackbits(np.frombuffer(PREAMBLE[1:] + SYNC_WORD, dtype=np.uint8)).astype(bool)
"""Two bytes of preamble and the sync word: a third byte of preamble not all tags send."""

MIN_SCORE: Final = 0.22
"""Of noise, 220 places a second and offset pass. Of packets, 99 % at -6 dB and 92 % at -8 dB do."""
MIN_COHERENCE: Final = 0.19
"""Of those, one in sixty passes: 17 a second. Of packets at -8 dB, 99 % do."""

MAX_MAXIMA: Final = 1500
"""A window of noise has 170. More is interference: the best are looked at, the work is bounded."""
MAX_CANDIDATES: Final = 128
"""A window of noise has 3, one of dense traffic a few for each packet."""

_BESIDE: Final = np.array([-1, 0, 1])
_NEAR: Final = np.array([-2, -1, 0, 1, 2])
_BINS: Final = 64
_NEAR_HZ: Final = 10_500.0
"""How far from its offset's carrier a candidate is looked for: a neighbour's, when that scored by
chance. 12.5 kHz is the next alias."""
_SMALL: Final = 1e-30


class Candidates(NamedTuple):
    """Places where a packet may begin, each with the carrier that it would have."""

    starts: npt.NDArray[np.float64]
    """Samples since the window began, at the first of the known bits."""
    carriers_hz: npt.NDArray[np.float64]
    coherences: npt.NDArray[np.float64]
    """0 to 1: the part of the energy that the known bits explain."""


def candidates(filters: ToneFilters, soft: SoftBits, starts_before: float) -> Candidates:
    """Return where packets may begin, before so many samples of the window, best first."""
    fit = pattern_fit(soft, KNOWN)
    last = int(starts_before * PHASES / filters.samples_per_bit)
    offsets, frames = _maxima(fit.scores[:, : max(0, last)])
    return _coherent(filters, soft, offsets, frames, fit.energies[offsets, frames])


def _maxima(scores: Floats) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return offset and frame of each score that none of its neighbours tops."""
    offsets, frames = np.nonzero(scores > MIN_SCORE)
    # Beyond the grid's edges they have themselves for neighbours.
    beside = np.clip(offsets + _BESIDE[:, np.newaxis, np.newaxis], 0, len(scores) - 1)
    near = np.clip(frames + _NEAR[:, np.newaxis], 0, scores.shape[1] - 1)
    tops = scores[beside, near].max(axis=(0, 1))
    best = np.flatnonzero(scores[offsets, frames] >= tops)
    if len(best) > MAX_MAXIMA:
        best = best[np.argsort(-tops[best], kind="stable")[:MAX_MAXIMA]]
    return offsets[best], frames[best]


def _coherent(
    filters: ToneFilters,
    soft: SoftBits,
    offsets: npt.NDArray[np.intp],
    frames: npt.NDArray[np.intp],
    energies: Floats,
) -> Candidates:
    places = frames[:, np.newaxis] + PHASES * np.arange(len(KNOWN))
    ones, zeros = soft.ones[offsets][:, np.newaxis], soft.zeros[offsets][:, np.newaxis]
    own = soft.tones(np.where(KNOWN, ones, zeros), places)
    turned = own * unit(np.where(KNOWN, -1, 1) * soft.late_turns[places])
    apart = np.zeros((len(places), 2, len(KNOWN)), dtype=np.complex64)
    apart[:, 0, KNOWN] = turned[:, KNOWN]
    apart[:, 1, ~KNOWN] = turned[:, ~KNOWN]
    spectra = np.fft.fft(apart, _BINS, axis=2)
    sums = np.abs(spectra).sum(axis=1)

    bins_hz = np.fft.fftfreq(_BINS, 1 / BIT_RATE)
    centres_hz = filters.offsets_hz[offsets]
    half = BIT_RATE / 2
    beside_hz = (bins_hz - centres_hz[:, np.newaxis] + half) % BIT_RATE - half
    sums = np.where(np.abs(beside_hz) < _NEAR_HZ, sums, 0)
    row, best = np.arange(len(sums)), sums.argmax(axis=1)
    left, peak, right = (sums[row, (best + step) % _BINS] for step in (-1, 0, 1))
    curve = 2 * peak - left - right
    between = np.where(
        (left > 0) & (right > 0) & (curve > _SMALL), (right - left) / (2 * curve + _SMALL), 0
    )
    turn = np.angle(spectra[row, 0, best] * spectra[row, 1, best].conj()) / (2 * np.pi)
    coherences = peak**2 / (len(KNOWN) * energies + _SMALL)

    good = np.flatnonzero(coherences > MIN_COHERENCE)
    good = good[np.argsort(-coherences[good], kind="stable")[:MAX_CANDIDATES]]
    samples_per_bit = filters.samples_per_bit
    early = turn * samples_per_bit * BIT_RATE / (2 * DEVIATION_HZ)
    starts = frames * (samples_per_bit / PHASES) - early
    carriers_hz = centres_hz + beside_hz[row, best] + between * (BIT_RATE / _BINS)
    return Candidates(
        starts[good], carriers_hz[good].astype(np.float64), coherences[good].astype(np.float64)
    )
