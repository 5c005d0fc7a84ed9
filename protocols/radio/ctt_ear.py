"""Hears CTT packets in a stream of I/Q: samples in, packets out, whatever pieces they come in.

    ear = CttEar(250_000, known_tags=frozenset({"78664C33"}))
    for packet in ear.feed(samples): ...
    for packet in ear.finish(): ...

Samples are searched in windows of 128 ms, which overlap by two of the longest packets; how they
were cut on their way here changes nothing. In each window:

    1  impulses are blanked, carriers notched                                   interference
    2  both tones are filtered for all carrier offsets at once                  fsk_front
    3  preamble and sync word show where packets may begin                      ctt_candidates
    4  words and CRC are decided together                                       ctt_ids
    5  the best packet of each place is fitted and subtracted, and all is       subtraction
       searched again for what lay beneath

Source of the air parameters: radiojay.org, "Extending the Motus protocol".
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from protocols.ctt.packet import ID_BYTES
from protocols.errors import ProtocolError
from protocols.radio.channel import Channel
from protocols.radio.ctt_candidates import KNOWN
from protocols.radio.ctt_ids import IdDecider
from protocols.radio.ctt_layers import Layer, LayerSearch
from protocols.radio.ctt_tail import MAX_BITS
from protocols.radio.fsk_front import BIT_RATE, DEVIATION_HZ, PHASES, SoftBits, ToneFilters
from protocols.radio.heard_packet import NOISE_BANDWIDTH_HZ, HeardPacket, decibels
from protocols.radio.interference import blanked, without_lines
from protocols.radio.samples import Samples

DEFAULT_OFFSETS_HZ: Final = (-20_000.0, -10_000.0, 0.0, 10_000.0, 20_000.0)
"""Halfway between two, 5 kHz off, a packet loses 0.6 dB."""

STEP_BITS: Final = 3200
"""128 ms: how far the window moves."""
LEAD_BITS: Final = 16
REACH_BITS: Final = LEAD_BITS + 16 + len(KNOWN) + MAX_BITS
"""Longer than any packet, for filters and for bits that are late."""
MAX_BENEATH_DB: Final = 18.0
"""What is so much weaker than a packet it lies beneath is what was left of that."""
MAX_BENEATH_CLIPPED_DB: Final = 6.0
"""The same for a packet that drove the stick to full scale: a third harmonic is 10 dB down."""
ACTIVITY_STEPS: Final = 80
"""Ten seconds, over which noise and occupancy are told."""
OCCUPIED_RATIO: Final = 2.0
"""A bit's power in the channel against the noise's, over sixteen bits: noise is never there."""

_CLIPPED_DBFS: Final = 0.2
_KEPT_BYTES: Final = 8 * 1024 * 1024
_EVERY: Final = 3 * PHASES
"""Every third bit tells the noise floor to 1 %."""
_STRETCH: Final = 16 * PHASES
_LN_2: Final = 0.6931


class CttEar:
    """One channel of one antenna."""

    def __init__(
        self,
        rate_hz: int,
        *,
        centre_offset_hz: float = 0.0,
        known_tags: frozenset[str] = frozenset(),
        offsets_hz: Sequence[float] = DEFAULT_OFFSETS_HZ,
    ) -> None:
        """Hear packets whose carriers are near `offsets_hz` from the channel's middle.

        The channel's middle is `centre_offset_hz` above what the stick is tuned to. `known_tags`
        are the ids that are told at a score below `verified` too.

        Raises:
            ProtocolError: the sample rate is too low for that, or an id is not eight hex digits.
        """
        # Freed at once: the C library then keeps pieces so large for the next window. Else it gives
        # them back to the kernel after each, and a quarter of the time goes into fetching them.
        np.empty(_KEPT_BYTES, dtype=np.uint8)
        self._channel = Channel(rate_hz, centre_offset_hz)
        self._half_a_bit = rate_hz / BIT_RATE / 2
        self._rate_hz = self._channel.rate_hz
        self._search = LayerSearch(self._rate_hz, IdDecider(known_tags))
        samples_per_bit = self._rate_hz / BIT_RATE
        self._step = round(STEP_BITS * samples_per_bit)
        self._reach = round(REACH_BITS * samples_per_bit)
        self._waiting: list[Samples] = []
        self._window = np.zeros(0, dtype=np.complex64)
        self._begin = 0
        self._fed = 0
        self._pending: list[HeardPacket] = []
        self._recent: list[HeardPacket] = []
        self._noise_powers: deque[float] = deque(maxlen=ACTIVITY_STEPS)
        self._occupied: deque[float] = deque(maxlen=ACTIVITY_STEPS)
        self.listen_at(offsets_hz)

    @property
    def offsets_hz(self) -> tuple[float, ...]:
        """The carrier offsets listened at, ascending."""
        return tuple(float(offset) for offset in self._filters.offsets_hz)

    def listen_at(self, offsets_hz: Sequence[float]) -> None:
        """Listen at these carrier offsets from the next window on: fewer cost less.

        Raises:
            ProtocolError: there are none, or one is outside what is sampled.
        """
        most_hz = self._rate_hz / 2 - DEVIATION_HZ - BIT_RATE / 2
        if not offsets_hz or not max(abs(offset) for offset in offsets_hz) <= most_hz:
            raise ProtocolError(
                f"carrier offsets: {offsets_hz} must be one or more within {most_hz:g} Hz of 0"
            )
        self._filters = ToneFilters(self._rate_hz, sorted(set(offsets_hz)))

    @property
    def noise_dbfs(self) -> float:
        """The noise floor of the last ten seconds, in 250 kHz; -300 before the first window."""
        power = float(np.median(self._noise_powers)) if self._noise_powers else 0.0
        return decibels(power * NOISE_BANDWIDTH_HZ / self._rate_hz)

    @property
    def occupancy(self) -> float | None:
        """Which part of the last ten seconds something was on the channel, 0 to 1."""
        return float(np.mean(self._occupied)) if self._occupied else None

    def feed(self, samples: Samples) -> list[HeardPacket]:
        """Return the packets that are sure to be whole now, by their beginnings, each once."""
        self._fed += len(samples)
        self._waiting.append(self._channel.feed(samples))
        heard: list[HeardPacket] = []
        needed = self._step + 2 * self._reach
        if len(self._window) + sum(map(len, self._waiting)) < needed:
            return heard
        self._window = np.concatenate([self._window, *self._waiting])
        self._waiting = []
        while len(self._window) >= needed:
            heard += self._heard_in(self._window[:needed])
        return heard

    def finish(self) -> list[HeardPacket]:
        """Return the packets in what is left, as far as they are whole; nothing is fed after that.

        Silence stands for what comes behind the last sample; no packet may be made of it, since a
        search fits a carrier to it as well: bits that are all alike, of the id 00000000.
        """
        heard: list[HeardPacket] = []
        self._window = np.concatenate([self._window, *self._waiting])
        self._waiting = []
        while len(self._window):
            rest = self._window
            missing = max(0, self._step + 2 * self._reach - len(rest))
            self._window = np.concatenate([rest, np.zeros(missing, dtype=np.complex64)])
            heard += self._heard_in(self._window)
            self._window = self._window[: max(0, len(rest) - self._step)]
        heard += self._told(float("inf"))
        end = self._fed + self._half_a_bit
        return [packet for packet in heard if packet.end_sample <= end]

    def _heard_in(self, window: Samples) -> list[HeardPacket]:
        """Search a window, subtract what is found in it from it, and move on by a step."""
        clean = without_lines(blanked(window)).copy()
        soft = self._filters.soft_bits(clean)
        self._measure(soft)
        layers = self._search.peel(
            clean,
            soft,
            self._filters,
            self._step + self._reach,
            noise_power=self._noise_powers[-1] if self._noise_powers else 0.0,
        )
        for layer in sorted(layers, key=lambda each: -each.power):
            window[layer.extent] -= layer.own
            self._note(layer)
        self._begin += self._step
        self._window = self._window[self._step :]
        # The next window may find what has its first byte of preamble before the window.
        lead = LEAD_BITS * self._rate_hz / BIT_RATE
        return self._told(self._channel.source_index(self._begin - lead))

    def _measure(self, soft: SoftBits) -> None:
        """Note the noise's power and how much of the time there was more."""
        # The packets before this have been subtracted with the window before.
        own = slice(REACH_BITS * PHASES, (REACH_BITS + STEP_BITS) * PHASES)
        totals = soft.powers[:, own].sum(axis=0)
        there = totals > 0
        if there.sum() < (len(there) // 2 if self._noise_powers else 1):
            return
        # Of noise, whose power is exponential, half is below ln 2 of the mean.
        noise = float(np.median(soft.powers[:, own][:, ::_EVERY][:, there[::_EVERY]])) / _LN_2
        stretches = totals[there][: there.sum() // _STRETCH * _STRETCH].reshape(-1, _STRETCH)
        busy = stretches.mean(axis=1) > OCCUPIED_RATIO * noise * len(soft.powers)
        self._noise_powers.append(noise)
        self._occupied.append(float(busy.mean()) if len(busy) else 0.0)

    def _note(self, layer: Layer) -> None:
        """Keep a packet until it is told, unless it is the rest of one."""
        to_source = self._channel.source_index
        packet = HeardPacket(
            first_sample=to_source(self._begin + layer.waveform.start),
            end_sample=to_source(self._begin + layer.waveform.end(self._rate_hz)),
            body=layer.body,
            tag_id=layer.body[:ID_BYTES].hex().upper(),
            score=layer.decision.score,
            integrity="verified" if layer.decision.verified else "unverified",
            frequency_offset_hz=layer.waveform.carrier_hz,
            bit_rate_error=layer.waveform.rate_error,
            signal_dbfs=decibels(layer.power),
            noise_dbfs=self.noise_dbfs,
        )
        if not any(_is_rest_of(packet, other) for other in self._recent):
            self._recent.append(packet)
            if layer.is_believed:
                self._pending.append(packet)

    def _told(self, before: float) -> list[HeardPacket]:
        """Return the packets that begin before a sample: none earlier can come any more."""
        self._pending.sort(key=lambda packet: packet.first_sample)
        count = sum(packet.first_sample < before for packet in self._pending)
        told, self._pending = self._pending[:count], self._pending[count:]
        horizon = self._channel.source_index(self._begin - self._reach)
        self._recent = [packet for packet in self._recent if packet.end_sample > horizon]
        return told


def _is_rest_of(packet: HeardPacket, other: HeardPacket) -> bool:
    """Tell whether a packet is what the subtraction left of another, or the same once more."""
    overlap = min(packet.end_sample, other.end_sample) - max(
        packet.first_sample, other.first_sample
    )
    if overlap <= 0:
        return False
    half = (other.end_sample - other.first_sample) / 2
    clipped = other.signal_dbfs > _CLIPPED_DBFS
    hidden_db = MAX_BENEATH_CLIPPED_DB if clipped else MAX_BENEATH_DB
    beneath = packet.signal_dbfs < other.signal_dbfs - hidden_db
    return beneath or (packet.tag_id == other.tag_id and overlap > half)
