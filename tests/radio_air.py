"""CTT packets on the air as a stick samples them, and what the software radio hears of them.

Needs numpy: import this below the check for it.
"""

from random import Random
from typing import NamedTuple

import numpy as np

from protocols.ctt.packet import build_packet, id_from_number
from protocols.radio.ctt_ear import CttEar
from protocols.radio.heard_packet import HeardPacket
from protocols.radio.samples import Samples, complex_samples
from simulator.iq import NOISE_RMS, RATE_HZ, Burst, IqTape, encoded, fsk_samples

FIELD_PACKET = bytes.fromhex("78664C3304")
"""As 4864 field records have it."""
NOISE_DBFS = 20 * np.log10(NOISE_RMS)
PACKET_SAMPLES = 800


class OnAir(NamedTuple):
    """A transmission that begins at a sample."""

    at: int
    packet: bytes
    snr_db: float = 10.0
    offset_hz: float = 0.0
    bit_rate: float = 25_000.0

    @property
    def tag_id(self) -> str:
        """The id of its packet."""
        return self.packet[:4].hex().upper()


def air(sent: list[OnAir], seconds: float, *, seed: int = 1) -> Samples:
    """Return what a stick samples, in eight bits."""
    tape = IqTape(seed)
    for each in sent:
        samples = fsk_samples(each.packet, offset_hz=each.offset_hz, bit_rate=each.bit_rate)
        tape.put(Burst(each.at / RATE_HZ, samples, each.snr_db))
    return complex_samples(encoded(tape.take(seconds), "cu8"), "cu8")


def hear(samples: Samples, ear: CttEar | None = None, piece: int = RATE_HZ) -> list[HeardPacket]:
    ear = ear or CttEar(RATE_HZ)
    heard = [
        packet
        for begin in range(0, len(samples), piece)
        for packet in ear.feed(samples[begin : begin + piece])
    ]
    return heard + ear.finish()


def some_packets(
    count: int, snr_db: float, *, seed: int = 1, spread_hz: float = 20_000
) -> list[OnAir]:
    dice = Random(seed)
    return [
        OnAir(
            at=3000 + 3000 * number + dice.randrange(1000),
            packet=build_packet(id_from_number(dice.randrange(1 << 20))),
            snr_db=snr_db,
            offset_hz=dice.uniform(-spread_hz, spread_hz),
        )
        for number in range(count)
    ]


def found(sent: list[OnAir], heard: list[HeardPacket]) -> int:
    """Return how many were heard at their place, each once; anything else heard fails the test."""
    places = [
        [
            number
            for number, packet in enumerate(heard)
            if packet.tag_id == each.tag_id and abs(packet.first_sample - each.at) < 20
        ]
        for each in sent
    ]
    assert all(len(mine) <= 1 for mine in places)
    assert sum(map(len, places)) == len(heard), "something was heard that nobody sent"
    return sum(map(len, places))
