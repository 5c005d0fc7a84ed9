"""Points on the unit circle, by which samples are turned: what costs most where there are many."""

from typing import Final

import numpy as np
import numpy.typing as npt

from protocols.radio.samples import Samples

_PIECE: Final = 1024


def unit(turns: npt.NDArray[np.floating]) -> Samples:
    """Return e^(2 pi i turns) in single precision, whole turns taken off in double."""
    radians = ((turns - np.rint(turns)) * (2 * np.pi)).astype(np.float32)
    points: Samples = np.empty(radians.shape, dtype=np.complex64)
    np.cos(radians, out=points.real)
    np.sin(radians, out=points.imag)
    return points


def oscillation(turns_per_sample: float, begin: int, count: int) -> Samples:
    """Return e^(2 pi i n turns_per_sample) for `count` whole numbers n from `begin` on.

    The same for each n to the last bit, wherever it begins.
    """
    first, rest = divmod(begin, _PIECE)
    pieces = np.arange(first, first + 1 + (rest + count) // _PIECE)
    coarse = unit(pieces * (turns_per_sample * _PIECE))
    fine = unit(np.arange(_PIECE) * turns_per_sample)
    return np.outer(coarse, fine).reshape(-1)[rest : rest + count]
