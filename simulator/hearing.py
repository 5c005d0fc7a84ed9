"""Whether a receiver hears what arrives at it, and what it takes of it.

A 434 MHz radio follows one packet at a time. It follows a packet whose sync word it got right;
while it does, and for a moment after, it is busy. Another packet that is not weaker by `capture_db`
spoils the rest of the one it follows; one that is on the air already hides a weaker newcomer.
Receivers of other bands hear every packet by itself: gateways follow eight at once, and 2.4 GHz
beacons and VHF pulses are too short to meet often.
"""

from typing import Final

from protocols.ctt.packet import PACKET_BYTES
from simulator.air import SYNC_BITS, AirFault, overlaid, wrong_bits
from simulator.ears import Ears, RadioEars, Taking, printed_level
from simulator.scenario import Scenario
from simulator.tags import BIT_US, PREAMBLE_AND_SYNC_BITS
from simulator.truth import Outcome, Reception, Transmission

DEAF_US: Final = 1_500
"""How long a radio is deaf after a packet: its chip holds one, and its processor must fetch it."""

_DISTURBED_DB: Final = 1.0
"""What is lost while the noise is risen by so much is lost to interference."""

_HOPELESS_DB: Final = 6.0
"""So far below the sensitivity a packet in 10,000 comes through, and it hides no other."""

_SEES_NO_END: Final = ("station-link", "rtl433")
"""Receivers that pass on all that follows a sync word; the others take five bytes."""


class Hearing:
    """How all receivers of a world hear."""

    def __init__(self, scenario: Scenario) -> None:
        self._air = scenario.air
        self._start_unix_s = scenario.start_unix_s

    def unix_s(self, time_us: int) -> float:
        """Return a time of the world as Unix time."""
        return round(self._start_unix_s + time_us / 1e6, 6)

    def arrive(
        self,
        ears: Ears,
        sent: Transmission,
        packet: bytes,
        *,
        begin_us: int,
        end_us: int,
        mean_dbm: float,
    ) -> Taking | Reception | None:
        """Return what becomes of a packet: taken up, lost, or (None) nothing to speak of."""
        air = self._air
        level_dbm = ears.dice.gauss(mean_dbm, air.fading_db)
        could = mean_dbm >= ears.sensitivity_dbm
        if level_dbm < ears.sensitivity_dbm - _HOPELESS_DB and not could:
            return None
        begin_s = begin_us / 1e6
        lost: Outcome | None = None
        if not ears.is_on(begin_s):
            lost, hears, rate = "off", False, 0.0
        else:
            rise_db = ears.rise_db(begin_s, end_us / 1e6)
            rate = air.bit_error_rate
            if air.errors_from_level:
                rate = air.bit_error_rate_at(level_dbm - ears.sensitivity_dbm - rise_db)
                hears = rate == 0 or ears.dice.random() < (1 - rate) ** SYNC_BITS
            else:
                hears = printed_level(level_dbm) >= ears.sensitivity_dbm + rise_db
            if air.capture_db is not None and ears.band == "434":
                lost = _contend(ears, level_dbm, begin_us, end_us, air.capture_db, hears=hears)
            if not hears:
                lost = "disturbed" if rise_db >= _DISTURBED_DB else "too-weak"
        if lost is not None:
            if not could and not hears:
                return None
            return self.lost(ears, sent, lost, level_dbm, end_us, could_be_heard=could)
        taking = Taking(sent, packet, begin_us, end_us, level_dbm, rate, could)
        if air.capture_db is not None and ears.band == "434":
            ears.taking = taking
        return taking

    def finish(self, ears: Ears, taking: Taking) -> Reception:
        """Return what a receiver took of a packet that is over."""
        if ears.taking is taking:
            ears.taking = None
            ears.busy_until_us = taking.end_us + DEAF_US
        sent = taking.packet
        received, faults = sent, tuple[AirFault, ...]()
        if sent:
            received, faults = self._air.corrupt(sent, ears.dice, taking.bit_error_rate)
        if taking.hit_us is not None:
            bit = (taking.hit_us - taking.begin_us) // BIT_US - PREAMBLE_AND_SYNC_BITS
            if bit < 0:
                return self.lost(
                    ears,
                    taking.sent,
                    "collided",
                    taking.level_dbm,
                    taking.end_us,
                    could_be_heard=taking.could_be_heard,
                )
            received = overlaid(received, bit, ears.dice)
            faults = (*faults, "collision")
        wrong = wrong_bits(sent, received) if faults else 0
        if ears.band == "434" and sent:
            if len(received) < PACKET_BYTES:
                received += ears.dice.randbytes(PACKET_BYTES - len(received))
            elif not (isinstance(ears, RadioEars) and ears.radio.kind in _SEES_NO_END):
                received = received[:PACKET_BYTES]
        return Reception(
            transmission=taking.sent.number,
            heard_at_unix_s=self.unix_s(taking.end_us),
            station=ears.key[0] or None,
            receiver=ears.key[1],
            rssi_dbm=printed_level(taking.level_dbm),
            received=received.hex().upper() or None,
            wrong_bits=wrong,
            air_faults=faults,
            outcome="printed",
            could_be_heard=taking.could_be_heard,
            stamped_unix_s=ears.stamped_unix_s(taking.end_us / 1e6),
        )

    def lost(
        self,
        ears: Ears,
        sent: Transmission,
        outcome: Outcome,
        level_dbm: float,
        end_us: int,
        *,
        could_be_heard: bool,
    ) -> Reception:
        """Return the row of a packet that a receiver did not take."""
        return Reception(
            transmission=sent.number,
            heard_at_unix_s=self.unix_s(end_us),
            station=ears.key[0] or None,
            receiver=ears.key[1],
            rssi_dbm=printed_level(level_dbm),
            received=None,
            outcome=outcome,
            could_be_heard=could_be_heard,
            stamped_unix_s=ears.stamped_unix_s(end_us / 1e6),
        )


def _contend(
    ears: Ears, level_dbm: float, begin_us: int, end_us: int, capture_db: float, *, hears: bool
) -> Outcome | None:
    """Let a packet meet those that are on the air; return why it is not followed."""
    lost: Outcome | None = None
    taking = ears.taking
    if taking is not None:
        if taking.hit_us is None and level_dbm > taking.level_dbm - capture_db:
            taking.hit_us = begin_us
        lost = "busy"
    elif begin_us < ears.busy_until_us:
        lost = "busy"
    elif begin_us < ears.others_until_us and ears.others_dbm > level_dbm - capture_db:
        lost = "collided"
    if lost is not None or not hears:
        is_alone = begin_us >= ears.others_until_us
        ears.others_dbm = level_dbm if is_alone else max(ears.others_dbm, level_dbm)
        ears.others_until_us = max(ears.others_until_us, end_us)
    return lost
