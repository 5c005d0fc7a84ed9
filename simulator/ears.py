"""One receiver in a world: a radio of a station, or a node."""

import functools
import math
import random
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from simulator.air import Air, Band
from simulator.antennas import Antenna
from simulator.chance import chance
from simulator.positions import DEGREE_M, wrapped
from simulator.relaying import NodeLife
from simulator.station_life import StationLife
from simulator.stations import Channel, Radio
from simulator.truth import Transmission

_WEAKEST_DBM: Final = -127
"""Levels are printed from a signed byte."""

_LUCK_SIGMAS: Final = 3.0
_LUCK_DB: Final = 3.0
"""What fading and luck may lift a packet by: weaker ones are out of reach."""

_FURTHEST_M: Final = 500_000.0


class Taking(msgspec.Struct):
    """A packet that a receiver is in the middle of."""

    sent: Transmission
    packet: bytes
    begin_us: int
    end_us: int
    level_dbm: float
    bit_error_rate: float
    could_be_heard: bool
    hit_us: int | None = None
    """When another packet began to spoil it."""


class Site:
    """Where receivers stand together, on the ground or on a ship."""

    def __init__(self, place_at: Callable[[float], tuple[float, float]], *, moves: bool) -> None:
        self.moves = moves
        self.latitude = self.longitude = self._degree_east_m = 0.0
        self._place_at = place_at
        self.settle(0.0)

    def settle(self, time_s: float) -> None:
        """Be where it is at that time."""
        self.latitude, self.longitude = self._place_at(time_s)
        self._degree_east_m = DEGREE_M * math.cos(math.radians(self.latitude))

    def way_to(self, place: tuple[float, float], time_s: float) -> tuple[float, float]:
        """Return how far north and east a place is, metres, as on a flat map."""
        if self.moves:
            self.settle(time_s)
        east_deg = wrapped(place[1] - self.longitude)
        return (place[0] - self.latitude) * DEGREE_M, east_deg * self._degree_east_m


class Ears:
    """Where a receiver is, how well it hears, what it is busy with, and the chance of its own."""

    def __init__(
        self,
        key: tuple[str, str],
        band: Band,
        site: Site,
        *,
        antenna: Antenna | None,
        gain_dbi: float,
        sensitivity_dbm: float,
        dice: random.Random,
    ) -> None:
        self.key = key
        """(station, radio), or ("", node id)."""
        self.band: Band = band
        self.site = site
        self.height_m = antenna.height_m if antenna is not None else None
        self.gain_dbi = gain_dbi
        self.peak_dbi = gain_dbi + (antenna.peak_dbi if antenna is not None else 0.0)
        self.sensitivity_dbm = sensitivity_dbm
        """With the site's own noise."""
        self.dice = dice
        self.channel: Channel = "tags"
        self.taking: Taking | None = None
        self.busy_until_us = 0
        self.others_until_us = 0
        """Until when a packet is on the air that it does not follow."""
        self.others_dbm = -math.inf
        self.directed = antenna if antenna is not None and antenna.pattern != "omni" else None

    def gain_towards(self, north_m: float, east_m: float) -> float:
        """Return what antenna and cable add for a sender on that side."""
        if self.directed is None:
            return self.peak_dbi
        bearing_deg = math.degrees(math.atan2(east_m, north_m))
        return self.gain_dbi + self.directed.gain_dbi(bearing_deg)

    def weakest_dbm(self, air: Air) -> float:
        """Return the mean level below which nothing is heard, whatever the luck."""
        return self.sensitivity_dbm - _LUCK_SIGMAS * air.fading_db - _LUCK_DB

    def rise_db(self, begin_s: float, end_s: float) -> float:
        """Return by how much interference makes it less sensitive in that time."""
        del begin_s, end_s
        return 0.0

    def is_on(self, time_s: float) -> bool:
        """Tell whether it has power."""
        del time_s
        return True

    def stamped_unix_s(self, time_s: float) -> float | None:
        """Return what the station's clock says; None for a node."""
        del time_s
        return None

    def reach_m(self, air: Air, power_dbm: float, height_m: float | None) -> float:
        """Return beyond which distance nothing of a sender is heard, whatever the luck."""
        heights = None
        if height_m is not None and self.height_m is not None:
            heights = (height_m, self.height_m)
        budget_db = power_dbm + self.peak_dbi - self.weakest_dbm(air)
        return _reach_m(air, budget_db, self.band, heights)


def mean_levels(
    ears: Sequence[Ears],
    air: Air,
    power_dbm: float,
    *,
    place: tuple[float, float],
    height_m: float | None,
    time_s: float,
) -> list[tuple[Ears, float]]:
    """Return the receivers that may hear a sender, each with its mean level there.

    `ears` of one site follow each other, so that the way to it is looked at once.
    """
    found: list[tuple[Ears, float]] = []
    site: Site | None = None
    heights: tuple[float, float] | None = None
    north_m = east_m = bare_dbm = 0.0
    for each in ears:
        above_m = each.height_m
        pair = None if height_m is None or above_m is None else (height_m, above_m)
        if each.site is not site or pair != heights:
            site, heights = each.site, pair
            north_m, east_m = site.way_to(place, time_s)
            bare_dbm = air.mean_level_dbm(
                power_dbm, math.hypot(north_m, east_m), band=each.band, heights_m=heights
            )
        weakest_dbm = each.weakest_dbm(air)
        if bare_dbm + each.peak_dbi < weakest_dbm:
            continue
        level_dbm = bare_dbm + each.gain_towards(north_m, east_m)
        if level_dbm >= weakest_dbm:
            found.append((each, level_dbm))
    return found


@functools.lru_cache(maxsize=4096)
def _reach_m(
    air: Air, budget_db: float, band: Band, heights_m: tuple[float, float] | None
) -> float:
    """Return the distance over which so many dB are lost: loss grows with distance."""
    near_m, far_m = 1.0, _FURTHEST_M
    for _ in range(24):
        middle_m = math.sqrt(near_m * far_m)
        if air.mean_level_dbm(budget_db, middle_m, band=band, heights_m=heights_m) > 0:
            near_m = middle_m
        else:
            far_m = middle_m
    return far_m


def printed_level(level_dbm: float) -> int:
    """Return a level as it is printed: whole, never above 0."""
    return min(0, max(_WEAKEST_DBM, round(level_dbm)))


class RadioEars(Ears):
    """A station's radio, with the chance of the line it prints to."""

    def __init__(self, life: StationLife, site: Site, radio: Radio, seed: int) -> None:
        station = life.station
        key = (station.name, radio.name)
        super().__init__(
            key,
            radio.band,
            site,
            antenna=station.antenna_of(radio),
            gain_dbi=radio.gain_dbi,
            sensitivity_dbm=radio.sensitivity_dbm
            + life.quiet_rise_db(radio.band, radio.sensitivity_dbm),
            dice=chance(seed, "radio", *key),
        )
        self.life = life
        self.station = station
        self.radio = radio
        self.port = station.radios.index(radio) + 1
        self.channel = radio.channel
        self.line_dice = chance(seed, "line", *key)
        self.noise_dice = chance(seed, "noise", *key)

    def rise_db(self, begin_s: float, end_s: float) -> float:
        """Return by how much interference makes it less sensitive in that time."""
        if not self.station.interference:
            return 0.0
        return self.life.rise_db(self.band, self.sensitivity_dbm, begin_s, end_s)

    def is_on(self, time_s: float) -> bool:
        """Tell whether its station has power."""
        return not self.station.power_cuts or self.life.is_on(time_s)

    def stamped_unix_s(self, time_s: float) -> float | None:
        """Return what its station's clock says, to the microsecond."""
        return round(self.life.clock_unix_s(time_s), 6)


class NodeEars(Ears):
    """One of a node's receivers, which hear tags only."""

    def __init__(self, life: NodeLife, seed: int, band: Band) -> None:
        node = life.node
        is_blu = band == "2g4"
        place = (node.position.latitude, node.position.longitude)
        super().__init__(
            ("", node.node_id),
            band,
            Site(lambda _: place, moves=False),
            antenna=None,
            gain_dbi=0.0,
            sensitivity_dbm=node.sensitivity_2g4_dbm if is_blu else node.sensitivity_dbm,
            dice=chance(seed, "node-2g4" if is_blu else "node", node.node_id),
        )
        self.life = life
