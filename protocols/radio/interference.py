"""What is no packet is taken out first: impulses are blanked, carriers and the DC spike notched.

An impulse (an electric fence, an ignition, a switched supply) is far above all around it and
shorter than a bit. A carrier stands in its place in the spectrum for much longer than a packet
lasts; the stick's own spike at its middle is one more. Its amplitude is followed through 8 ms, and
what follows is subtracted: the notch is 100 Hz wide, and a packet loses next to nothing in it.
"""

from typing import Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from protocols.radio.samples import Samples
from protocols.radio.turns import oscillation

_Flags: TypeAlias = npt.NDArray[np.bool_]
_Number = TypeVar("_Number", np.float32, np.complex64)

IMPULSE_RATIO: Final = 20.0
"""Power above the median of the samples around: of noise, one sample in a million is; packets,
which have one power throughout, are not, nor are two that beat with each other."""
_AROUND: Final = 64
"""Samples whose median counts: a quarter of a millisecond, six bits. The higher of three
neighbouring stretches counts, so that a packet's edges are no impulses."""
_WIDENED: Final = 2

LINE_RATIO: Final = 4.0
"""Of a stretch of spectrum that is exceeded four times in five, against the noise floor: a fifth of
the floor's power in noise. A carrier 25 dB below the noise of the whole band is found."""
MAX_LINES: Final = 12
_SPECTRUM: Final = 2048
"""Samples: 8 ms, 122 Hz a bin, three packets long."""
_EVERY: Final = 4
"""Every fourth amplitude tells their median to 1 %."""
_HANN: Final = np.hanning(_SPECTRUM).astype(np.float32)
_NEIGHBOURS: Final = 16
"""Bins on each side, 2 kHz, above whose median a line must be: a busy channel is no carrier."""
_PERSISTS: Final = 0.2
_PIECE: Final = 250
_FOLLOWED: Final = 8
"""Pieces."""
_RAMP: Final = ((np.arange(_PIECE) + 0.5) / _PIECE).astype(np.float32)
_CLIP: Final = 2.0
"""Of the median amplitude: no packet draws the carrier's estimate to itself."""
_LEFT_OUT: Final = 6.0
"""Of the median amplitude: noise never is so far above it. What is has no part in the estimate at
all, else a weak image of each packet would be subtracted around it, and be heard in the silence
between the packets of a stick whose gain is far too low."""
_SMALL: Final = 1e-30


def blanked(samples: Samples) -> Samples:
    """Return the samples with impulses set to silence."""
    power = samples.real**2 + samples.imag**2
    stretches = -(-len(power) // _AROUND)
    if not stretches:
        return samples
    padded = np.resize(power, stretches * _AROUND).reshape(-1, _AROUND)
    medians = np.partition(padded, _AROUND // 2, axis=1)[:, _AROUND // 2]
    level = medians.copy()
    level[1:] = np.maximum(level[1:], medians[:-1])
    level[:-1] = np.maximum(level[:-1], medians[1:])
    impulse: _Flags = power > IMPULSE_RATIO * np.repeat(level, _AROUND)[: len(power)]
    if not impulse.any():
        return samples
    wide = impulse.copy()
    for shift in range(1, _WIDENED + 1):
        wide[shift:] |= impulse[:-shift]
        wide[:-shift] |= impulse[shift:]
    quiet: Samples = np.where(wide, np.complex64(0), samples)
    return quiet


def without_lines(samples: Samples) -> Samples:
    """Return the samples without the carriers that stand in them throughout."""
    lines = _lines(samples)
    if not lines:
        return samples
    amplitude = np.abs(samples)
    median = np.median(amplitude[::_EVERY])
    counts = amplitude <= _LEFT_OUT * median
    clipped = samples * np.minimum(1, _CLIP * median / (amplitude + np.float32(_SMALL)))
    pieces = _in_pieces(np.where(counts, clipped, 0))
    counting = _in_pieces(counts.astype(np.float32))
    counted = counting.sum(axis=1)
    left: Samples = samples.copy()
    for turns in lines:
        still = (pieces * oscillation(-turns, 0, pieces.size).reshape(pieces.shape)).sum(axis=1)
        # To a few hertz, by how it turns from piece to piece.
        exact = turns + float(np.angle(np.vdot(still[:-1], still[1:]))) / (2 * np.pi * _PIECE)
        carrier = oscillation(exact, 0, pieces.size).reshape(pieces.shape)
        line = carrier * _followed((pieces * carrier.conj()).sum(axis=1), counted)
        left -= line.reshape(-1)[: len(left)]
        pieces -= line * counting
    return left


def _lines(samples: Samples) -> list[float]:
    """Return the carriers' frequencies in turns a sample, the strongest first."""
    count = len(samples) // _SPECTRUM
    if count < 1 / _PERSISTS:
        return []
    pieces = samples[: count * _SPECTRUM].reshape(count, _SPECTRUM)
    spectra = np.fft.fft(pieces * _HANN, axis=1)
    powers = spectra.real**2 + spectra.imag**2
    place = int(_PERSISTS * count)
    steady = np.partition(np.ascontiguousarray(powers.T), place, axis=1)[:, place]
    floor = np.median(powers[::4])
    peak = (steady >= np.roll(steady, 1)) & (steady > np.roll(steady, -1))
    high = np.flatnonzero(peak & (steady > LINE_RATIO * floor))
    around = (high[:, np.newaxis] + np.arange(-_NEIGHBOURS, _NEIGHBOURS + 1)) % _SPECTRUM
    found = high[steady[high] > LINE_RATIO * np.median(steady[around], axis=1)]
    strongest = found[np.argsort(-steady[found], kind="stable")[:MAX_LINES]]
    return [float(place) for place in np.fft.fftfreq(_SPECTRUM)[strongest]]


def _in_pieces(values: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Return values in rows of `_PIECE`, the last filled up with zeros."""
    rows = -(-len(values) // _PIECE)
    padded = np.zeros(rows * _PIECE, dtype=values.dtype)
    padded[: len(values)] = values
    return padded.reshape(rows, _PIECE)


def _followed(sums: Samples, counted: npt.NDArray[np.float32]) -> Samples:
    """Return a carrier's amplitude in all samples of the pieces with these sums.

    At a piece's edge it is the mean over the 8 ms around, over less at the ends; it runs evenly
    from edge to edge. `counted` is how many samples of each piece are in its sum.
    """
    edge = np.arange(len(sums) + 1)
    begin = np.maximum(edge - _FOLLOWED // 2, 0)
    end = np.minimum(edge + _FOLLOWED // 2, len(sums))
    of_sums, of_counts = (np.concatenate([[0], np.cumsum(each)]) for each in (sums, counted))
    means = (of_sums[end] - of_sums[begin]) / np.maximum(of_counts[end] - of_counts[begin], 1)
    means = means.astype(np.complex64)[:, np.newaxis]
    amplitude: Samples = means[:-1] + np.diff(means, axis=0) * _RAMP
    return amplitude
