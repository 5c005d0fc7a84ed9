"""How well each dictionary word and each CRC fits a candidate: soft decisions over words, not bits.

A packet is 20 bits of knowledge in 40 bits of air: each id byte is one of 32 words, and every word
is scored over its eight bits at once. There are two readings of the same sums:

    in one phase  all bits in the phase of preamble and sync word, carried on for a few
                  frequencies around the candidate's; hears deepest
    by bytes      each byte in a phase of its own: 1.5 dB less, but it stands a carrier that wanders
                  within the packet and a deviation that is a few percent off
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from protocols.ctt.packet import DICTIONARY, ID_BYTES, PACKET_BYTES, SYNC_WORD
from protocols.radio.bit_sums import BitSums, FloatArray
from protocols.radio.ctt_candidates import KNOWN
from protocols.radio.fsk_front import BIT_RATE

_Number = TypeVar("_Number", np.float64, np.complex128)

SYNC_BITS: Final = 8 * len(SYNC_WORD)
PACKET_BITS: Final = 8 * PACKET_BYTES
BITS: Final = len(KNOWN) + PACKET_BITS
"""72: those that every tag sends."""

KEPT_HYPOTHESES: Final = 4
"""Of the frequencies and bit rates tried, those whose best words alone sum up best."""

_STEPS_HZ: Final = np.array([-120.0, -60.0, 0.0, 60.0, 120.0])
"""Frequencies beside the candidate's; at -8 dB half of those are within 40 Hz. 60 Hz apart, the
last bit is a third of a radian off."""
_SMALL: Final = 1e-30


def _bits_of(values: bytes) -> FloatArray:
    """Return the bits of each byte, 8 x bytes."""
    columns = np.frombuffer(values, dtype=np.uint8)[np.newaxis]
    return np.unpackbits(columns, axis=0).astype(np.float64)


_WORD_BITS: Final = _bits_of(DICTIONARY)
_BYTE_BITS: Final = _bits_of(bytes(range(256)))


class Reading(NamedTuple):
    """What one way of adding up gives: candidates x hypotheses, and what is behind the dots."""

    known: FloatArray
    """What preamble and sync word give."""
    sync: FloatArray
    """By how much more the sync word's bits are in the tones that they should be in than in the
    others."""
    words: FloatArray
    """… x 4 x 32: what each word would give."""
    crcs: FloatArray
    """… x 256: what each CRC would give."""
    byte_energies: FloatArray
    """… x 9: in both tones over the bits of each byte."""
    rates: npt.NDArray[np.intp]
    """Which of the bit rates each hypothesis has."""
    promises: FloatArray
    """The score that the best word of each byte and the best CRC would have, whether they belong
    together or not: no packet's score is above it."""

    @property
    def energies(self) -> FloatArray:
        """In both tones over all bits."""
        energies: FloatArray = self.byte_energies.sum(axis=-1)
        return energies

    @property
    def id_energies(self) -> FloatArray:
        """The same without the CRC's bits."""
        energies: FloatArray = self.byte_energies[..., :-1].sum(axis=-1)
        return energies

    def of(self, candidates: Sequence[int]) -> Self:
        """Return the reading of some of the candidates."""
        return type(self)._make(column[list(candidates)] for column in self)


def in_one_phase(sums: BitSums) -> Reading:
    """Read all bits in the phase of the known ones, for each bit rate and frequency."""
    bits = np.arange(BITS) - (len(KNOWN) - 1) / 2
    turns = np.exp(-2j * np.pi * np.outer(_STEPS_HZ, bits / BIT_RATE))
    known = sums.against(KNOWN) @ turns[:, : len(KNOWN)].T
    length = np.abs(known)
    phase = known.conj() / (length + _SMALL)
    apart = (sums.against(KNOWN) - sums.against(~KNOWN))[:, :, -SYNC_BITS:]
    sync = np.real(phase * (apart @ turns[:, len(KNOWN) - SYNC_BITS : len(KNOWN)].T))
    turned = phase[..., np.newaxis] * turns[:, len(KNOWN) :]
    zeros, ones = (
        np.real(tone[:, :, np.newaxis, len(KNOWN) :] * turned) for tone in (sums.zeros, sums.ones)
    )
    at_zero = _by_byte(zeros).sum(axis=-1)[..., np.newaxis]
    more = _by_byte(ones - zeros)
    words = at_zero[..., :ID_BYTES, :] + _times(more[..., :ID_BYTES, :], _WORD_BITS)
    crcs = at_zero[..., ID_BYTES, :] + _times(more[..., ID_BYTES, :], _BYTE_BITS)
    return _best_hypotheses(sums, length, sync, words, crcs)


def by_bytes(sums: BitSums) -> Reading:
    """Read each byte in a phase of its own, for each bit rate."""
    own, other = (np.abs(_by_byte(sums.against(bits)).sum(axis=-1)) for bits in (KNOWN, ~KNOWN))
    known = own.sum(axis=-1)
    sync = (own - other)[:, :, -len(SYNC_WORD) :].sum(axis=-1)
    zeros, ones = (_by_byte(tone[:, :, len(KNOWN) :]) for tone in (sums.zeros, sums.ones))
    at_zero = zeros.sum(axis=-1)[..., np.newaxis]
    more = ones - zeros
    words = np.abs(at_zero[..., :ID_BYTES, :] + _times(more[..., :ID_BYTES, :], _WORD_BITS))
    crcs = np.abs(at_zero[..., ID_BYTES, :] + _times(more[..., ID_BYTES, :], _BYTE_BITS))
    every = np.newaxis
    return _best_hypotheses(sums, *(each[:, :, every] for each in (known, sync, words, crcs)))


def _best_hypotheses(
    sums: BitSums, known: FloatArray, sync: FloatArray, words: FloatArray, crcs: FloatArray
) -> Reading:
    """Keep the most promising of bit rates x frequencies, in one axis."""
    candidates, rates, steps = known.shape
    byte_energies = _by_byte(sums.powers()).sum(axis=-1)
    energies = byte_energies.sum(axis=-1)
    promises = known + words.max(axis=-1).sum(axis=-1) + crcs.max(axis=-1)
    promises /= np.sqrt(BITS * energies + _SMALL)[:, :, np.newaxis]
    promises = promises.reshape(candidates, -1)
    kept = np.argsort(-promises, axis=1, kind="stable")[:, :KEPT_HYPOTHESES]
    row, rate = np.arange(candidates)[:, np.newaxis], kept // steps
    return Reading(
        known=known.reshape(candidates, -1)[row, kept],
        sync=sync.reshape(candidates, -1)[row, kept],
        words=words.reshape(candidates, rates * steps, *words.shape[3:])[row, kept],
        crcs=crcs.reshape(candidates, rates * steps, *crcs.shape[3:])[row, kept],
        byte_energies=byte_energies[row, rate],
        rates=rate,
        promises=promises[row, kept],
    )


def _by_byte(bits: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Split the bits of bytes: … x 8n to … x n x 8."""
    return bits.reshape(*bits.shape[:-1], bits.shape[-1] // 8, 8)


def _times(bits: npt.NDArray[_Number], weights: FloatArray) -> npt.NDArray[_Number]:
    """Return the product over the last axis as that of two matrices."""
    product: npt.NDArray[_Number] = bits.reshape(-1, bits.shape[-1]) @ weights
    return product.reshape(*bits.shape[:-1], -1)
