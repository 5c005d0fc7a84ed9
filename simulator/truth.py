"""The truth of a simulated world: what was sent, and what became of it at each receiver.

A truth file holds one JSON object a line. `kind` tells which of the two it is; keys whose value is
null are written too. `number` names a transmission, and `transmission` in a reception is the number
of what was received. A tag's beep that came through a node is followed so: the reception at the
node (`receiver` is the node, `outcome` is `buffered`), the node's own transmission (`relays` is the
number of the tag's), and its receptions at the radios.
"""

from typing import Any, Literal, TypeAlias

import msgspec

from simulator.air import AirFault

LineFault: TypeAlias = Literal["garbage-line", "garbage-before", "cut"]
"""`garbage-line`: a line of garbage came first, the line itself is whole. `garbage-before`: garbage
stands before the line's first byte. `cut`: bytes at the line's end are missing."""

Outcome: TypeAlias = Literal[
    "printed", "gated", "buffered", "damaged", "not-understood", "not-delivered"
]
"""`printed`: a line left the radio. `gated`: the radio or node refused the id. `buffered`: a node
keeps it, to relay it. `damaged`: a node's packet arrived broken. `not-understood`: the radio's
firmware has no line for this node. `not-delivered`: a line was printed and nobody took it (port
closed, buffer full, radio hung, broker away)."""


class Transmission(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="transmission"):
    """One packet on the air."""

    number: int
    sent_at_unix_s: float
    """When its first bit was sent, by the world's own clock."""
    sender_kind: Literal["tag", "node"]
    sender: str
    """Tag id or node id."""
    what: Literal["beep", "relayed-beep", "node-health"]
    frequency_hz: int
    packet: str | None
    """A beep: hex of what follows the sync word, the CRC with it where the tag sends one. A relayed
    beep: the tag's id, and its CRC where the node found it right. Null for a node's health."""
    relays: int | None = None
    """The number of the transmission that a relayed beep passes on."""


class Reception(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="reception"):
    """One transmission at one receiver that it was strong enough for."""

    transmission: int
    heard_at_unix_s: float
    """When its last bit arrived, by the world's own clock."""
    station: str | None
    """Null for a node."""
    receiver: str
    """Name of the radio, or id of the node."""
    rssi_dbm: int
    received: str | None
    """Hex of what the receiver took: of a tag five bytes, the last of them noise where the tag
    sends no CRC; of a node as it was sent; null for a node's health."""
    wrong_bits: int = 0
    """How many bits of what was sent arrived wrong."""
    air_faults: tuple[AirFault, ...] = ()
    line_fault: LineFault | None = None
    outcome: Outcome


TruthRow: TypeAlias = Transmission | Reception


def truth_schema() -> dict[str, Any]:
    """Return the JSON Schema of one line of a truth file."""
    return msgspec.json.schema(TruthRow)
