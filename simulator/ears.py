"""One receiver in a world: a radio of a station, or a node."""

import random
from typing import Final

from simulator.chance import chance
from simulator.positions import Position
from simulator.relaying import NodeLife
from simulator.stations import Radio, Station

_WEAKEST_DBM: Final = -127
"""Levels are printed from a signed byte."""


class Ears:
    """Where a receiver is, how well it hears, and the chance that is its own."""

    def __init__(
        self,
        key: tuple[str, str],
        position: Position,
        *,
        gain_dbi: float,
        sensitivity_dbm: float,
        dice: random.Random,
    ) -> None:
        self.key = key
        """(station, radio), or ("", node id)."""
        self.position = position
        self.gain_dbi = gain_dbi
        self.sensitivity_dbm = sensitivity_dbm
        self.dice = dice

    def level_dbm(self, mean_dbm: float, fading_db: float) -> int:
        """Return the level of one reception as it is printed: whole, never above 0."""
        return min(0, max(_WEAKEST_DBM, round(self.dice.gauss(mean_dbm, fading_db))))


class RadioEars(Ears):
    """A station's radio, with the chance of the line it prints to."""

    def __init__(self, station: Station, radio: Radio, seed: int) -> None:
        key = (station.name, radio.name)
        super().__init__(
            key,
            station.position,
            gain_dbi=radio.gain_dbi,
            sensitivity_dbm=radio.sensitivity_dbm,
            dice=chance(seed, "radio", *key),
        )
        self.station = station
        self.radio = radio
        self.channel = radio.channel
        self.line_dice = chance(seed, "line", *key)


class NodeEars(Ears):
    """A node, which hears tags only."""

    def __init__(self, life: NodeLife, seed: int) -> None:
        node = life.node
        super().__init__(
            ("", node.node_id),
            node.position,
            gain_dbi=0.0,
            sensitivity_dbm=node.sensitivity_dbm,
            dice=chance(seed, "node", node.node_id),
        )
        self.life = life
