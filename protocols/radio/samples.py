"""I/Q as sticks and files have it: bytes to complex samples, full scale at an amplitude of 1.

    name  bytes  one sample
    cu8   2      I, Q as unsigned bytes; 127.5 is zero
    cs16  4      I, Q as signed 16-bit numbers, little-endian; 32768 is full scale
    cf32  8      I, Q as 32-bit floats, little-endian; 1.0 is full scale

Source: rtl_433's documentation of its file formats; osmocom's rtl_tcp serves cu8.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = npt.NDArray[np.complex64]
SampleFormat: TypeAlias = Literal["cu8", "cs16", "cf32"]

BYTES_PER_SAMPLE: Final[Mapping[SampleFormat, int]] = MappingProxyType(
    {"cu8": 2, "cs16": 4, "cf32": 8}
)

_CU8_ZERO: Final = np.float32(127.5)
_CS16_FULL_SCALE: Final = np.float32(32768)


class SampleBytes:
    """Turns a stream of bytes, cut anywhere, into samples; the rest of a sample waits."""

    def __init__(self, form: SampleFormat) -> None:
        self._form: SampleFormat = form
        self._rest = b""

    @property
    def waiting_bytes(self) -> int:
        """How many bytes of a sample not yet whole are held back."""
        return len(self._rest)

    def feed(self, chunk: bytes) -> Samples:
        """Return the samples that are whole now, none to many."""
        stream = self._rest + chunk
        whole = len(stream) - len(stream) % BYTES_PER_SAMPLE[self._form]
        self._rest = stream[whole:]
        return complex_samples(stream[:whole], self._form)


def complex_samples(stream: bytes, form: SampleFormat) -> Samples:
    """Return the samples in `stream`; the bytes of an unfinished last sample are left out.

    Floats come as they are: they may be infinite or no number at all.
    """
    whole = memoryview(stream)[: len(stream) - len(stream) % BYTES_PER_SAMPLE[form]]
    if form == "cu8":
        pairs = (np.frombuffer(whole, dtype=np.uint8) - _CU8_ZERO) / _CU8_ZERO
    elif form == "cs16":
        pairs = np.frombuffer(whole, dtype="<i2") / _CS16_FULL_SCALE
    else:
        pairs = np.frombuffer(whole, dtype="<f4").astype(np.float32)
    return pairs.view(np.complex64)
