"""Stations, their radios, and the nodes that relay to them: fixed values, no behaviour."""

from typing import Literal, TypeAlias

import msgspec

from protocols.ctt.printed_lines import Generation
from simulator.positions import Position

Channel: TypeAlias = Literal["tags", "nodes", "neither"]
"""A radio hears either tags (434.000 MHz) or nodes (433.25 MHz); on `neither` it hears what no
simulated thing sends (the first, on-off keyed tags)."""

NodeGeneration: TypeAlias = Literal[1, 2, 3]

ViceKind: TypeAlias = Literal["hangs-on-write", "stops-talking", "floods", "unplugs"]


class Vice(msgspec.Struct, frozen=True, kw_only=True):
    """What a bad radio does on a serial port.

    `hangs-on-write`: says nothing more once it was written to, until the port is opened anew (Motus
    Adapters V1). `stops-talking`: falls silent `after_s` seconds after it was plugged in, until it
    is plugged in again. `floods`: prints diagnostics all the time, 135 lines a second (bench
    firmware 5.0.0). `unplugs`: leaves the bus `after_s` seconds after it was plugged in, and comes
    back `back_after_s` later, or never.
    """

    kind: ViceKind
    after_s: float = 0.0
    back_after_s: float | None = None


class Radio(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver of a station."""

    name: str
    generation: Generation
    antenna: str
    """The owner's label for what it hears through."""
    channel: Channel = "tags"
    """What it listens to when it is plugged in."""
    gain_dbi: float = 0.0
    sensitivity_dbm: float = -106.0
    """What arrives weaker is not heard."""
    vice: Vice | None = None


class Station(msgspec.Struct, frozen=True, kw_only=True):
    """A base station."""

    name: str
    position: Position
    radios: tuple[Radio, ...]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A relay: hears tags on 434.000 MHz, passes them on in bursts on 433.25 MHz.

    Nobody acknowledges what a node sends; what a station misses stays missed.
    """

    node_id: str
    """As it is printed: V1 3 hex digits, V2 6, V3 up to 8."""
    generation: NodeGeneration
    position: Position
    relay_interval_s: float = 60.0
    """It sends what it heard this often, and whenever it holds 50 beeps."""
    health_interval_s: float = 300.0
    clock_offset_s: float = 0.0
    """How far its clock is ahead."""
    power_dbm: float = 13.0
    sensitivity_dbm: float = -106.0
