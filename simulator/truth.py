"""The truth of a simulated world: who listened, what was sent, and what became of it.

A truth file holds one JSON object a line. `kind` tells which of the four it is; keys whose value is
null are written too.

receiver      one radio of a station, or a node: told first
transmission  one packet on the air that some receiver was in reach of, numbered from 1
reception     one transmission at one receiver. There is a row for every receiver that could have
              heard it, whether it did or not, and for each that heard it against the odds; a
              receiver without a row could not hear the transmission and did not
out-of-reach  how many transmissions of a tag no receiver was in reach of: nobody could hear them

A tag's beep that came through a node is followed so: the reception at the node (`receiver` is the
node, `outcome` is `buffered`), the node's own transmission (`relays` is the number of the tag's),
and its receptions at the radios.
"""

from typing import Any, Literal, TypeAlias

import msgspec

from simulator.air import AirFault, Band

LineFault: TypeAlias = Literal["garbage-line", "garbage-before", "cut"]
"""`garbage-line`: a line of garbage came first, the line itself is whole. `garbage-before`: garbage
stands before the line's first byte. `cut`: bytes at the line's end are missing."""

Outcome: TypeAlias = Literal[
    "printed",
    "gated",
    "buffered",
    "damaged",
    "not-understood",
    "not-delivered",
    "too-weak",
    "disturbed",
    "collided",
    "busy",
    "off",
]
"""`printed`: a line left the radio. `gated`: the radio or node refused the id. `buffered`: a node
keeps it, to relay it. `damaged`: a node's packet arrived broken. `not-understood`: the radio's
firmware has no line for this node. `not-delivered`: a line was printed and nobody took it (port
closed, buffer full, radio hung, broker away).

Lost on the air: `too-weak` by fading and the receiver's own noise, `disturbed` by interference,
`collided` with another packet, `busy` with another packet, `off` without power."""


class Receiver(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="receiver"):
    """One radio of a station, or a node."""

    station: str | None
    """Null for a node."""
    receiver: str
    """Name of the radio, or id of the node."""
    radio_kind: str
    """`ctt`, `blu`, `pulses`…, or `node`."""
    antenna: str | None
    """The owner's label."""
    port: int
    """Its number in recorded files; 0 for a node."""
    recorded_as: str
    """The station's id, or the node's, in recorded files."""
    latitude: float
    """When the world begins."""
    longitude: float


class Transmission(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="transmission"):
    """One packet on the air."""

    number: int
    sent_at_unix_s: float
    """When its first bit was sent, by the world's own clock."""
    sender_kind: Literal["tag", "node", "noise"]
    sender: str
    """Tag id or node id; empty for noise that looked like a packet."""
    what: Literal["beep", "relayed-beep", "node-health", "noise"]
    frequency_hz: int
    packet: str | None
    """A beep: hex of what follows the sync word, the CRC with it where the tag sends one. A relayed
    beep: the tag's id, and its CRC where the node found it right. Null for a node's health, for
    pulses and for noise."""
    relays: int | None = None
    """The number of the transmission that a relayed beep passes on."""
    band: Band = "434"
    latitude: float | None = None
    """Where the sender was; null for noise."""
    longitude: float | None = None


class Reception(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="reception"):
    """One transmission at one receiver that could hear it, or did."""

    transmission: int
    heard_at_unix_s: float
    """When its last bit arrived (of pulses: the first pulse), by the world's own clock."""
    station: str | None
    """Null for a node."""
    receiver: str
    """Name of the radio, or id of the node."""
    rssi_dbm: int
    received: str | None
    """Hex of what the receiver took: of a tag five bytes, the last of them noise where the tag
    sends no CRC; of a node as it was sent; null for a node's health, for pulses, and where nothing
    was taken."""
    wrong_bits: int = 0
    """How many bits of what was sent arrived wrong."""
    air_faults: tuple[AirFault, ...] = ()
    line_fault: LineFault | None = None
    outcome: Outcome
    could_be_heard: bool = True
    """Whether its mean level, before fading, reached the receiver's sensitivity."""
    stamped_unix_s: float | None = None
    """What the station's own clock said then; null for a node."""
    pulses: int | None = None
    """How many of a burst's four pulses were received; null for packets."""


class OutOfReach(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="out-of-reach"):
    """Transmissions of one tag that no receiver was in reach of."""

    sender: str
    first_at_unix_s: float
    """Not before this."""
    last_at_unix_s: float
    """Before this."""
    transmissions: int


TruthRow: TypeAlias = Receiver | Transmission | Reception | OutOfReach


def truth_schema() -> dict[str, Any]:
    """Return the JSON Schema of one line of a truth file."""
    return msgspec.json.schema(TruthRow)
