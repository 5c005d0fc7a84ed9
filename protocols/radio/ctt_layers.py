"""Peels packets off a window of samples, the clearest first, until nothing more is beneath.

A packet's preamble fits its own a few bits on, and its data fit some words anywhere, so the best
candidate of each place is decided first: where it is a packet, it is fitted and subtracted, and
what else began there is looked at once it is gone. What was decided beneath another packet is
decided again when that other is known and subtracted too: in collisions the first look may be
wrong.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from protocols.ctt.packet import ID_BYTES, PACKET_BYTES, PREAMBLE
from protocols.radio.bit_sums import RATE_ERRORS, FloatArray, bit_sums
from protocols.radio.ctt_candidates import KNOWN, Candidates, candidates
from protocols.radio.ctt_ids import Decision, IdDecider
from protocols.radio.ctt_tail import long_packet
from protocols.radio.ctt_words import BITS
from protocols.radio.fsk_front import BIT_RATE, SoftBits, ToneFilters
from protocols.radio.samples import Samples
from protocols.radio.subtraction import Fit, Waveform, fitted

MAX_PASSES: Final = 5
"""How often a window is searched: so many packets may lie on each other."""
MAX_ROUNDS: Final = 2
"""How often that is begun again after a packet was decided otherwise."""
NEAR_BITS: Final = 3
"""Candidates so near to a better one are that one's, seen from beside in time or frequency."""
ECHO_BITS: Final = 24
ECHO_PART: Final = 0.25
ECHO_HZ: Final = 150.0
"""Its echo in preamble and sync word is whole bits away, at the same carrier: a packet of another
tag hardly is."""
CLEAR_COHERENCE: Final = 0.35
"""What noise never has (0.25), and nearly all packets of -6 dB have."""
CLEAR_SCORE: Final = 0.8
MAX_LEFT: Final = 0.5
"""What may be left beneath a byte of a packet, as a part of its power, unless its score is clear.
Of ids decided wrong among three packets at once that removes three in four, and of right ones one
in 250."""

_SPREADS: Final = 3.5
"""Of noise over a byte: more it is in one of four thousand."""
_BATCH: Final = 32
"""Candidates decided at once: 3 MB."""


class Layer(NamedTuple):
    """A packet, and the samples that are its own."""

    decision: Decision
    body: bytes
    """What follows the sync word."""
    waveform: Waveform
    known_start: float
    """Where the first of the known bits is."""
    power: float
    extent: slice
    own: Samples
    is_believed: bool = True
    """False where it is subtracted, but too much else was there to tell whose it is."""

    def overlaps(self, other: "Layer") -> bool:
        """Tell whether two packets were on the air at one time."""
        first, last = self.extent.start, self.extent.stop
        return bool(first < other.extent.stop and other.extent.start < last)


class _Found(NamedTuple):
    decision: Decision
    start: float
    carrier_hz: float


class LayerSearch:
    """Finds the packets of a window for one list of expected ids."""

    def __init__(self, rate_hz: float, decider: IdDecider) -> None:
        self._rate_hz = rate_hz
        self._decider = decider
        self._samples_per_bit = rate_hz / BIT_RATE

    def peel(
        self,
        clean: Samples,
        soft: SoftBits,
        filters: ToneFilters,
        end: int,
        *,
        noise_power: float,
    ) -> list[Layer]:
        """Subtract from `clean`, whose soft bits are `soft`, all packets that begin before `end`.

        Return them in the order in which they were found. `noise_power` is that of one sample.
        """
        layers: list[Layer] = []
        # Packets behind the end are the next window's, but what is beside them is their echo.
        places = candidates(filters, soft, end + BITS * self._samples_per_bit)
        for _ in range(MAX_ROUNDS):
            for _ in range(MAX_PASSES):
                found = self._best(clean, places, end)
                if not found:
                    break
                new = [self._taken(clean, each) for each in found]
                layers += new
                places = self._places_around(new, clean, filters, end)
            if not self._reconsider(clean, layers) or not layers:
                break
            places = self._places_around(layers, clean, filters, end)
        return [self._judged(clean, layer, noise_power) for layer in layers]

    def _places_around(
        self, layers: list[Layer], clean: Samples, filters: ToneFilters, end: int
    ) -> Candidates:
        """Return where packets may begin beneath and beside those that were subtracted."""
        packet = BITS * self._samples_per_bit
        parts = []
        for first, last in _spans(layers, int(packet)):
            soft = filters.soft_bits(clean[first : last + int(packet)])
            part = candidates(filters, soft, min(last, end + packet) - first)
            parts.append(part._replace(starts=part.starts + first))
        starts, carriers_hz, coherences = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        ordered = np.argsort(-coherences, kind="stable")
        return Candidates(starts[ordered], carriers_hz[ordered], coherences[ordered])

    def _best(self, clean: Samples, places: Candidates, end: int) -> list[_Found]:
        """Return the best packet of each place."""
        bit = self._samples_per_bit
        ordered = _own_places(places, bit)
        clear = [place for place in ordered if places.coherences[place] > CLEAR_COHERENCE]
        leaders = _apart(clear, places.starts.tolist(), BITS * bit)
        best = self._separate(clean, places, leaders, [])
        others = [place for place in ordered if place not in leaders]
        best = self._separate(clean, places, others, best)
        return [each for each in best if each.start < end]

    def _separate(
        self, clean: Samples, places: Candidates, chosen: list[int], best: list[_Found]
    ) -> list[_Found]:
        """Return `best` and those of the chosen that are packets and overlap with none better."""
        packet = BITS * self._samples_per_bit

        def free(start: float, taken: list[_Found]) -> bool:
            return all(abs(start - other.start) > packet for other in taken)

        chosen = [place for place in chosen if free(float(places.starts[place]), best)]
        found = self._decided(clean, places.starts[chosen], places.carriers_hz[chosen])
        separate = list(best)
        for each in sorted(found, key=lambda each: each.decision[1:], reverse=True):
            if free(each.start, separate):
                separate.append(each)
        return separate

    def _decided(self, clean: Samples, starts: FloatArray, carriers_hz: FloatArray) -> list[_Found]:
        found: list[_Found] = []
        for first in range(0, len(starts), _BATCH):
            batch = slice(first, first + _BATCH)
            sums = bit_sums(
                clean,
                self._rate_hz,
                starts[batch],
                carriers_hz[batch],
                bits=BITS,
                anchor_bit=len(KNOWN) / 2,
            )
            decisions = self._decider.decide(sums)
            found += (
                _Found(decision, float(start), float(carrier_hz))
                for decision, start, carrier_hz in zip(
                    decisions, starts[batch], carriers_hz[batch], strict=True
                )
                if decision is not None
            )
        return found

    def _reconsider(self, clean: Samples, layers: list[Layer]) -> bool:
        """Decide anew what overlaps, all others being subtracted; tell whether that changed any."""
        changed = False
        gone: set[int] = set()
        for place in sorted(range(len(layers)), key=lambda each: -layers[each].power):
            layer = layers[place]
            if not any(
                layer.overlaps(other)
                for number, other in enumerate(layers)
                if number != place and number not in gone
            ):
                continue
            clean[layer.extent] += layer.own
            again = self._decided(
                clean, np.array([layer.known_start]), np.array([layer.waveform.carrier_hz])
            )
            if again:
                layers[place] = self._taken(clean, again[0])
                changed |= again[0].decision.packet != layer.decision.packet
            else:
                gone.add(place)
                changed = True
        layers[:] = [layer for place, layer in enumerate(layers) if place not in gone]
        return changed

    def _judged(self, clean: Samples, layer: Layer, noise_power: float) -> Layer:
        """Return a packet as it is to be believed, now that all others are subtracted.

        Where what is left beneath a byte is nearly as strong as the packet, some of its bits are
        another's.
        """
        decision = layer.decision
        is_long = len(layer.body) > PACKET_BYTES  # Its CRC-16 vouches for it.
        if not decision.verified or decision.score >= CLEAR_SCORE or is_long:
            return layer
        bits = len(KNOWN) + 8 * np.arange(PACKET_BYTES + 1)
        samples_per_bit = layer.waveform.samples_per_bit(self._rate_hz)
        edges = np.rint(layer.known_start + bits * samples_per_bit).astype(np.intp)
        left = clean[max(0, edges[0]) : max(0, edges[-1])]
        most = noise_power * (1 + _SPREADS / np.sqrt(8 * samples_per_bit))
        if all(
            np.vdot(each, each).real <= (most + MAX_LEFT * layer.power) * len(each)
            for each in np.split(left, edges[1:-1] - edges[0])
        ):
            return layer
        tag_id = decision.packet[:ID_BYTES]
        return layer._replace(
            decision=decision._replace(verified=False),
            body=tag_id,
            is_believed=self._decider.expects(tag_id),
        )

    def _taken(self, clean: Samples, found: _Found) -> Layer:
        """Fit a packet and subtract it."""
        decision, rate_hz = found.decision, self._rate_hz
        bits = np.concatenate([KNOWN, _bits(decision.packet)])
        rate_error = float(RATE_ERRORS[decision.rate])
        # The bit rates that were tried met in the middle of the known bits.
        late = len(KNOWN) / 2 * self._samples_per_bit * rate_error / (1 + rate_error)
        guess = Waveform(bits, found.start + late, found.carrier_hz, rate_error)
        fit = fitted(clean, rate_hz, guess)
        body = decision.packet
        if decision.verified:
            body = long_packet(clean, rate_hz, fit, body)
        if len(body) > len(decision.packet):
            bits = np.concatenate([KNOWN, _bits(body)])
            fit = fitted(clean, rate_hz, msgspec.structs.replace(fit.waveform, bits=bits))
        known_start = fit.waveform.start
        first = _bits(PREAMBLE)[: -(len(KNOWN) - 16)]
        longer = msgspec.structs.replace(
            fit.waveform,
            bits=np.concatenate([first, bits]),
            start=known_start - len(first) * fit.waveform.samples_per_bit(rate_hz),
        )
        longer_fit = Fit.of(clean, rate_hz, longer)
        if longer_fit.begins_as_it_goes_on(rate_hz, len(first)):
            fit = longer_fit
        own = fit.own(rate_hz)
        clean[fit.extent] -= own
        power = fit.amplitude() ** 2
        return Layer(decision, body, fit.waveform, known_start, power, fit.extent, own)


def _spans(layers: list[Layer], packet: int) -> list[tuple[int, int]]:
    """Return the stretches in which packets may begin that overlap with `layers`."""
    spans: list[tuple[int, int]] = []
    for extent in sorted((layer.extent for layer in layers), key=lambda each: each.start):
        first, last = max(0, extent.start - packet), extent.stop
        if spans and first <= spans[-1][1]:
            first, last = spans[-1][0], max(last, spans.pop()[1])
        spans.append((first, last))
    return spans


def _own_places(places: Candidates, samples_per_bit: float) -> list[int]:
    """Return the candidates that are no echo of a better one."""
    bits = np.abs(places.starts[:, np.newaxis] - places.starts) / samples_per_bit
    hertz = np.abs(places.carriers_hz[:, np.newaxis] - places.carriers_hz)
    echo = (bits < ECHO_BITS) & (hertz < ECHO_HZ) & (np.abs(bits - np.rint(bits)) < ECHO_PART)
    same = echo | (bits < NEAR_BITS)
    own: list[int] = []
    seen = np.zeros(len(places.starts), dtype=bool)
    for place in range(len(seen)):
        if not seen[place]:
            own.append(place)
            seen |= same[place]
    return own


def _apart(ordered: Sequence[int], starts: Sequence[float], apart: float) -> list[int]:
    """Return those of `ordered` that begin apart from all before them."""
    chosen: list[int] = []
    for place in ordered:
        if all(abs(starts[place] - starts[other]) > apart for other in chosen):
            chosen.append(place)
    return chosen


def _bits(body: bytes) -> npt.NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(body, dtype=np.uint8)).astype(bool)
