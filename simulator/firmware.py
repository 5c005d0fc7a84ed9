"""What the firmware of a CTT radio makes of what its antenna hears, by generation."""

import functools
from collections.abc import Mapping
from typing import Final

from protocols.checksums import crc8_smbus
from protocols.ctt.packet import DICTIONARY, ID_BYTES
from protocols.ctt.printed_lines import Generation, beep_line
from simulator.stations import Channel, NodeGeneration

VERSIONS: Final[Mapping[Generation, str]] = {"G3": "1.0.0", "G4": "3.0.0", "G5": "4.0.0"}
"""What a radio answers to `version`; the dongles before it answer nothing."""

PRESETS: Final[Mapping[Generation, Mapping[str, Channel]]] = {
    "G3": {"fsktag": "tags", "node3": "nodes", "ooktag": "neither"},
    "G4": {"fsktag": "tags", "node3": "nodes", "ooktag": "neither"},
    "G5": {"fsktag": "tags", "node3": "nodes"},
}
"""The presets that each generation has; `ooktag` is gone with firmware 4."""

_NODES_UNDERSTOOD: Final[Mapping[Generation, frozenset[NodeGeneration]]] = {
    "G3": frozenset({1}),
    "G4": frozenset({2, 3}),
    "G5": frozenset({2, 3}),
}

_BIT_7: Final = 0x80
_MOST_BIT_7_BYTES: Final = 2
_NO_ID: Final = (b"\x00" * ID_BYTES, b"\xff" * ID_BYTES)


def understands_node(radio: Generation, node: NodeGeneration) -> bool:
    """Tell whether a radio prints what a node of that generation sends."""
    return node in _NODES_UNDERSTOOD.get(radio, ())


def passes_gate(id_bytes: bytes) -> bool:
    """Tell whether station radios and nodes let an id through.

    All four bytes must be dictionary words, at most two with bit 7 set; all zeros and all ones are
    refused. Source: CTT's notes on its radio firmware 3 and 4.
    """
    upper_words = sum(byte >= _BIT_7 for byte in id_bytes)
    is_legal = not id_bytes.translate(None, DICTIONARY)
    return is_legal and upper_words <= _MOST_BIT_7_BYTES and id_bytes not in _NO_ID


def believed_crc(packet: bytes) -> int | None:
    """Return the CRC of a packet as station radios and nodes pass it on: None where it is wrong."""
    return packet[ID_BYTES] if crc8_smbus(packet[:ID_BYTES]) == packet[ID_BYTES] else None


@functools.lru_cache(maxsize=16_384)
def printed_beep(generation: Generation, packet: bytes, rssi_dbm: int) -> bytes | None:
    """Return the line for the five bytes taken after a sync word; None where the gate refuses.

    Dongles (G0 to G2) print whatever they take; G2 with the CRC byte, right or wrong.
    """
    tag_id = packet[:ID_BYTES].hex().upper()
    if generation in ("G0", "G1"):
        return beep_line(generation, tag_id, rssi_dbm)
    if generation == "G2":
        return beep_line(generation, tag_id, rssi_dbm, crc=packet[ID_BYTES])
    if not passes_gate(packet[:ID_BYTES]):
        return None
    return beep_line(generation, tag_id, rssi_dbm, crc=believed_crc(packet))
