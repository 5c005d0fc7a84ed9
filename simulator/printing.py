"""What each kind of radio passes on of a packet that it took."""

from protocols.ctt.packet import ID_BYTES
from simulator.firmware import printed_beep
from simulator.stations import Radio
from simulator.truth import Outcome, Reception

_CHECKED_ON_AIR = ("blu", "lorawan")
"""Bluetooth and LoRaWAN receivers throw away what fails the checksum of the air interface."""


def told_of_packet(radio: Radio, taken: Reception) -> tuple[Outcome, bytes | None]:
    """Return what becomes of a packet and what leaves the radio, None where nothing does.

    CTT radios print a line, the others pass the packet on for their outlet to dress.
    """
    packet = bytes.fromhex(taken.received or "")
    if radio.kind == "ctt":
        line = printed_beep(radio.generation, packet, taken.rssi_dbm)
        return ("gated", None) if line is None else ("printed", line)
    if radio.kind in _CHECKED_ON_AIR and taken.wrong_bits:
        return "damaged", None
    if len(packet) < ID_BYTES:
        return "damaged", None
    return "printed", packet
