"""Which id a candidate carries: words and CRC-8 decided together, and whether to believe it.

The best few words of each byte are combined, and each combination is scored together with the CRC
that belongs to it. One normalised score decides: the sum over all bits against the energy in both
tones, 1 for a packet without noise. That there is a packet is one question; whose it is another: a
weak packet's bits may fit a second id almost as well. So an id is `verified` where

    the score  is one that noise reaches less than once an hour, and
    the id     is so much likelier than all others that it is wrong twice in a thousand, where
               bytes in which another packet is heard count less, and
    the CRC    was heard: its own eight bits speak for it (first LifeTags and PowerTags send none),
               and so were preamble and sync word
    the bits   of the id are not all alike: that is what a carrier says, or its rest behind a notch

and else it is told only where it is one of the ids that are expected (the station's tag list). What
noise does to one of n listed ids is 2^20/n times rarer than what it does to any, and a listed id
that fits as well as an unlisted one is likelier by as much: so much lower may the score be.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from protocols.checksums import crc8_smbus
from protocols.ctt.packet import (
    DICTIONARY,
    ID_BYTES,
    ID_NUMBER_BITS,
    PACKET_BYTES,
    id_bytes_of,
    id_legal,
)
from protocols.radio.bit_sums import BitSums, FloatArray
from protocols.radio.ctt_candidates import KNOWN
from protocols.radio.ctt_words import BITS, SYNC_BITS, Reading, by_bytes, in_one_phase

VERIFIED_SCORE: Final = 0.53
"""In noise, on the whole grid, a score of 0.50 comes once an hour, measured before the other two
conditions; each 0.01 more is three times rarer."""
MAX_WRONG: Final = 0.002
"""How likely a verified id may be another tag's: a packet of -7 dB is surely one, and of two
in five it is not sure whose they are."""
MAX_EXPECTED_WRONG: Final = 0.01
"""The same for an expected id, which is marked doubtful."""
BY_BYTES_MORE: Final = 0.10
"""By how much noise scores higher byte by byte than in one phase: 0.54 against 0.44 in a minute."""

CARRIERS: Final = frozenset({bytes(ID_BYTES), b"\xff" * ID_BYTES})
"""Ids that one steady tone makes, with a CRC that fits the first of them besides."""
KEPT_WORDS: Final = 5
"""Of each byte: 625 combinations."""
MAX_EXPECTED_IDS: Final = 2000
"""Each expected id is scored itself: 2000 take 4 MB. Of more, the first in order are."""

_LOUDER: Final = 1.6
"""So many times the noise of the whole packet a byte may have by chance. What has more has another
packet in it, and counts for less."""
_SPREADS: Final = 2.5
_SLACK: Final = 0.1
"""Bits were heard where they speak for themselves as the packet's do on the whole, less a tenth and
two and a half spreads of noise: 0.6 % of real ones miss that."""
_SYNC_PART: Final = 0.5
"""A packet seen a byte too early, the end of its preamble taken for the sync word, has nothing."""
_SMALL: Final = 1e-30
_MAX_EXPONENT: Final = 300.0
_ID_BITS: Final = BITS - 8

_CRC_OF_WORD: Final = np.array(
    [
        [crc8_smbus(bytes(place) + bytes([word]) + bytes(3 - place)) for word in DICTIONARY]
        for place in range(ID_BYTES)
    ],
    dtype=np.uint8,
)
"""The CRC is linear: an id's is the exclusive or of its words'."""


class Decision(NamedTuple):
    """The packet that a candidate carries."""

    packet: bytes
    """Id and CRC; the id alone where the CRC does not vouch for it."""
    verified: bool
    score: float
    rate: int
    """Which of the bit rates tried fits best."""


def known_score(count: int) -> float:
    """Return the score from which one of `count` expected ids is told.

    Of the energy in 72 bits of two tones, noise has more than the part `score`^2 in one direction
    with the chance (1 - score^2)^143: of 2^20/count times fewer directions, that much more often
    each.
    """
    rarer = (max(1, count) / (1 << ID_NUMBER_BITS)) ** (1 / (2 * BITS - 1))
    return math.sqrt(max(0.0, 1 - (1 - VERIFIED_SCORE**2) / rarer))


class _Best(NamedTuple):
    """Which combination fits a candidate best."""

    candidate: int
    hypothesis: int
    combination: int


class _Combinations(NamedTuple):
    """The best few words of each byte, in all combinations, each with its CRC."""

    words: npt.NDArray[np.intp]
    """Candidates x hypotheses x 4 x kept: which words."""
    crcs: npt.NDArray[np.intp]
    """Candidates x hypotheses x combinations."""
    sums: FloatArray
    """The same: over all bits."""

    @classmethod
    def of(cls, reading: Reading) -> Self:
        """Combine what fits best."""
        words = np.argsort(-reading.words, axis=-1, kind="stable")[..., :KEPT_WORDS]
        place = np.arange(ID_BYTES)[:, np.newaxis]
        crcs = _combined(_CRC_OF_WORD[place, words], np.bitwise_xor).astype(np.intp)
        fits = _combined(np.take_along_axis(reading.words, words, axis=-1), np.add)
        fits += np.take_along_axis(reading.crcs, crcs, axis=-1)
        return cls(words, crcs, fits + reading.known[..., np.newaxis])

    def against(self, reading: Reading, best: _Best, weights: FloatArray) -> FloatArray:
        """Return how much less than the best each combination is, summed over id and CRC.

        `weights` are those of the five bytes.
        """
        place = best.candidate, best.hypothesis
        fits = np.take_along_axis(reading.words[place], self.words[place], axis=-1)
        sums = _combined(fits * weights[:ID_BYTES, np.newaxis], np.add)
        sums += reading.crcs[place][self.crcs[place]] * weights[ID_BYTES]
        less: FloatArray = sums - sums[best.combination]
        return less

    def packet(self, best: _Best) -> bytes:
        """Return id and CRC of one."""
        kept = np.unravel_index(best.combination, (KEPT_WORDS,) * ID_BYTES)
        numbers = self.words[best.candidate, best.hypothesis, np.arange(ID_BYTES), kept]
        crc = int(self.crcs[best])
        return bytes(DICTIONARY[number] for number in numbers) + bytes([crc])


class _Level(NamedTuple):
    """How strong a packet and the noise beneath it are, by the sum over its bits."""

    amplitude: float
    noise_power: float

    @classmethod
    def of(cls, total: float, energy: float) -> Self:
        """Split the energy in both tones into the packet's and the noise's."""
        amplitude = total / BITS
        return cls(amplitude, max((energy / BITS - amplitude**2) / 2, _SMALL))

    @property
    def log_likelihood(self) -> float:
        """What one more in a sum adds to the logarithm of the likelihood."""
        return 2 * self.amplitude / self.noise_power

    def weights(self, byte_energies: FloatArray) -> FloatArray:
        """Return how much what each byte says counts: less where much more than noise is in it."""
        noise_powers = (byte_energies / 8 - self.amplitude**2) / 2
        weights: FloatArray = 1 / np.maximum(noise_powers / (_LOUDER * self.noise_power), 1)
        return weights

    def heard(self, amplitude: float, bits: int, *, at_most: float = 1.0) -> bool:
        """Tell whether so many bits were as strong as the packet's are on the whole.

        No more than the part `at_most` of that strength is asked for.
        """
        spread = math.sqrt(self.noise_power / bits) / (self.amplitude + _SMALL)
        return amplitude > self.amplitude * min(at_most, 1 - _SLACK - _SPREADS * spread)


class IdDecider:
    """Decides for each candidate whose packet it is, given the ids that are expected."""

    def __init__(self, expected: Iterable[str] = ()) -> None:
        """Expect ids of eight hex digits; such as are not made of dictionary words never come.

        Raises:
            EncodeError: one is not eight hex digits.
        """
        ids = sorted({id_bytes_of(tag_id) for tag_id in expected})
        self._expected = [each for each in ids if id_legal(each)][:MAX_EXPECTED_IDS]
        self._words = np.array(
            [[DICTIONARY.index(byte) for byte in each] for each in self._expected], dtype=np.intp
        ).reshape(-1, ID_BYTES)
        self._crcs = np.array([crc8_smbus(each) for each in self._expected], dtype=np.intp)
        self.expected_score = known_score(len(self._expected))

    def expects(self, tag_id: bytes) -> bool:
        """Tell whether an id is among those that are expected."""
        return tag_id in self._expected

    def decide(self, sums: BitSums) -> list[Decision | None]:
        """Return each candidate's packet; None where there is none that can be believed."""
        decided: list[Decision | None] = [None] * len(sums.ones)
        for read, more in ((in_one_phase, 0.0), (by_bytes, BY_BYTES_MORE)):
            # No score is above 1: what is sure need not be read once more.
            open_ones = [
                place
                for place, each in enumerate(decided)
                if each is None or not each.verified or each.score < 1 - more
            ]
            if not open_ones:
                break
            reading = read(sums.of(open_ones))
            hopeful = self._hopeful(reading, more)
            for number, decision in self._read(reading.of(hopeful), more) if hopeful else ():
                place = open_ones[hopeful[number]]
                rival = decided[place]
                if rival is None or decision[1:] > rival[1:]:
                    decided[place] = decision
        return decided

    def _hopeful(self, reading: Reading, more: float) -> list[int]:
        """Return the candidates that may carry a packet: hardly any of noise."""
        hopeful = reading.promises.max(axis=1) > VERIFIED_SCORE + more
        if self._expected:
            fits = reading.known + reading.words.max(axis=-1).sum(axis=-1)
            alone = fits / np.sqrt(_ID_BITS * reading.id_energies + _SMALL)
            best = np.maximum(reading.promises, alone).max(axis=1)
            hopeful |= best > self.expected_score + more
        return [int(each) for each in np.flatnonzero(hopeful)]

    def _read(self, reading: Reading, more: float) -> Iterator[tuple[int, Decision]]:
        """Yield what can be believed in one reading, by candidate."""
        combinations = _Combinations.of(reading)
        scores = combinations.sums.max(axis=-1) / np.sqrt(BITS * reading.energies + _SMALL) - more
        for candidate in np.flatnonzero(scores.max(axis=1) > VERIFIED_SCORE):
            best = int(scores[candidate].argmax())
            score = float(scores[candidate, best])
            decision = _verified(reading, combinations, int(candidate), best, score)
            if decision is not None:
                yield int(candidate), decision
        if not self._expected:
            return
        fits = reading.words[:, :, np.arange(ID_BYTES), self._words].sum(axis=-1)
        fits += reading.known[..., np.newaxis]
        sums = fits + reading.crcs[:, :, self._crcs]
        whole = sums / np.sqrt(BITS * reading.energies + _SMALL)[..., np.newaxis]
        alone = fits / np.sqrt(_ID_BITS * reading.id_energies + _SMALL)[..., np.newaxis]
        scores = np.maximum(whole, alone) - more
        for candidate in np.flatnonzero(scores.max(axis=(1, 2)) > self.expected_score):
            best, number = np.unravel_index(scores[candidate].argmax(), scores.shape[1:])
            # A tag without a CRC is as likely to fit as any CRC does on average.
            noise = reading.crcs[candidate, best].mean()
            expected = np.maximum(sums[candidate, best], fits[candidate, best] + noise)
            others = combinations.sums[candidate, best]
            level = _Level.of(float(expected[number]), reading.energies[candidate, best])
            odds = len(expected) * (
                _odds(expected - expected[number], level) / len(expected)
                + _odds(others - expected[number], level) / (1 << ID_NUMBER_BITS)
            )
            if 1 - 1 / odds <= MAX_EXPECTED_WRONG:
                yield (
                    int(candidate),
                    Decision(
                        self._expected[number],
                        verified=False,
                        score=float(scores[candidate, best, number]),
                        rate=int(reading.rates[candidate, best]),
                    ),
                )


def _verified(
    reading: Reading, combinations: _Combinations, candidate: int, hypothesis: int, score: float
) -> Decision | None:
    sums = combinations.sums[candidate, hypothesis]
    best = _Best(candidate, hypothesis, int(sums.argmax()))
    packet = combinations.packet(best)
    crc = packet[ID_BYTES]
    fits = reading.crcs[candidate, hypothesis]
    byte_energies = reading.byte_energies[candidate, hypothesis]
    level = _Level.of(float(sums[best.combination]), float(byte_energies.sum()))
    weights = level.weights(byte_energies[-PACKET_BYTES:])
    wrong = 1 - 1 / _odds(combinations.against(reading, best, weights), level)
    crc_amplitude = float(fits[crc] - fits[crc ^ 0xFF]) / 8
    known_amplitude = float(reading.known[candidate, hypothesis]) / len(KNOWN)
    sync_amplitude = float(reading.sync[candidate, hypothesis]) / SYNC_BITS
    if (
        packet[:ID_BYTES] in CARRIERS
        or wrong > MAX_WRONG
        or not level.heard(crc_amplitude, 8)
        or not level.heard(known_amplitude, len(KNOWN))
        or not level.heard(sync_amplitude, SYNC_BITS, at_most=_SYNC_PART)
    ):
        return None
    rate = int(reading.rates[candidate, hypothesis])
    return Decision(packet, verified=True, score=score, rate=rate)


def _odds(differences: FloatArray, level: _Level) -> float:
    """Return how likely all these are together, against one that differs by 0."""
    return float(np.exp(np.minimum(level.log_likelihood * differences, _MAX_EXPONENT)).sum())


def _combined(parts: npt.NDArray[Any], add: Callable[..., npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Add up one of each byte's kept words in all combinations: … x 4 x kept to … x kept^4."""
    total = parts[..., 0, :]
    for place in range(1, ID_BYTES):
        total = add(total[..., np.newaxis], parts[..., place, np.newaxis, :])
        total = total.reshape(*parts.shape[:-2], -1)
    return total
