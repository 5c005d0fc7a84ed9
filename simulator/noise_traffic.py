"""Noise that looks like a packet: where the false ids of ungated radios come from."""

from collections.abc import Iterator
from typing import Final

import msgspec

from protocols.ctt.packet import PACKET_BYTES
from simulator.agenda import Agenda, Happening
from simulator.air import FREQUENCY_HZ
from simulator.ears import RadioEars, printed_level
from simulator.printing import told_of_packet
from simulator.truth import Reception, Transmission

_NOISE_LEVEL_DB: Final = (-2.0, 2.0)
"""What noise that looks like a packet reads, about the sensitivity: mean and deviation."""


class NoiseTraffic:
    """The noise of a world."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda

    def expect(self, ears: RadioEars) -> None:
        """Let noise look like a packet to a radio, now and then, from now on."""
        gap_s = ears.noise_dice.expovariate(ears.station.noise_packets_per_hour / 3600)
        self._agenda.schedule(self._agenda.now_us + round(gap_s * 1e6), self._noise, ears)

    def _noise(self, ears: RadioEars) -> Iterator[Happening]:
        self.expect(ears)
        dice = ears.noise_dice
        packet = dice.randbytes(PACKET_BYTES)
        level_dbm = dice.gauss(ears.sensitivity_dbm + _NOISE_LEVEL_DB[0], _NOISE_LEVEL_DB[1])
        is_deaf = ears.taking is not None or self._agenda.now_us < ears.busy_until_us
        if is_deaf or ears.channel != "tags" or not ears.is_on(self._agenda.now_us / 1e6):
            return
        taken = Reception(
            transmission=0,
            heard_at_unix_s=self._agenda.hearing.unix_s(self._agenda.now_us),
            station=ears.station.name,
            receiver=ears.radio.name,
            rssi_dbm=printed_level(level_dbm),
            received=packet.hex().upper(),
            outcome="printed",
            could_be_heard=False,
            stamped_unix_s=ears.stamped_unix_s(self._agenda.now_us / 1e6),
        )
        _, wire = told_of_packet(ears.radio, taken)
        if wire is None:
            return
        sent = Transmission(
            number=self._agenda.number(),
            sent_at_unix_s=taken.heard_at_unix_s,
            sender_kind="noise",
            sender="",
            what="noise",
            frequency_hz=FREQUENCY_HZ["434"],
            packet=None,
        )
        yield sent
        taken = msgspec.structs.replace(taken, transmission=sent.number)
        self._agenda.print(ears, wire, taken, self._agenda.now_us)
