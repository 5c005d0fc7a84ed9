"""When a tag beeps and where it is then; stretches out of everybody's reach are passed at once."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from simulator.air import Air
from simulator.chance import chance
from simulator.ears import Ears, Site, mean_levels
from simulator.energy import LIGHT_STEP_S, EnergyLife, SunElevation, Weather, sun_on_flat_ground
from simulator.positions import DEGREE_M
from simulator.tags import Tag
from simulator.tracks import Leg, resting

_STEP_S: Final = 300.0
"""A bird at 15 m/s flies 4.5 km in it, less than it can be heard over."""
_STILL_STEP_S: Final = 3600.0
_SHIP_M_S: Final = 15.0
"""How fast a station may be: it is looked for so much further around."""

_DAY_S: Final = 86_400


class Stretch:
    """A time in which the same receivers are within reach."""

    __slots__ = ("_is_still", "_levels", "ears", "leg")

    def __init__(self, leg: Leg, ears: Sequence[Ears]) -> None:
        self.leg = leg
        self.ears = ears
        self._is_still = leg.is_still and not any(each.site.moves for each in ears)
        self._levels: list[tuple[Ears, float]] | None = None

    def mean_levels(
        self,
        air: Air,
        power_dbm: float,
        place: tuple[float, float],
        height_m: float | None,
        time_s: float,
    ) -> list[tuple[Ears, float]]:
        """Return who may hear a beep, and its mean level there; computed once if nothing moves."""
        if self._levels is not None:
            return self._levels
        levels = mean_levels(
            self.ears, air, power_dbm, place=place, height_m=height_m, time_s=time_s
        )
        if self._is_still:
            self._levels = levels
        return levels


class Beep(NamedTuple):
    """One transmission that somebody may hear."""

    time_us: int
    number: int
    """Of this tag's, from 0."""
    place: tuple[float, float]
    height_m: float | None
    stretch: Stretch


class Unheard(NamedTuple):
    """Transmissions that nobody can have heard, told when they are over."""

    time_us: int
    since_s: float
    transmissions: int


Moment: TypeAlias = Beep | Unheard


class TagLife:
    """One tag in time."""

    def __init__(
        self,
        tag: Tag,
        ears: Sequence[Ears],
        air: Air,
        *,
        seed: int,
        start_unix_s: float,
        until_s: float,
        clouds: Callable[[float], float],
        sun: SunElevation,
    ) -> None:
        """`ears` are all receivers of its band; `clouds` tells the weather of a time."""
        self._until_s = until_s
        self.passed_over = 0
        """Beeps within reach that yet nobody could hear or did, since the last `Unheard`."""
        self.tag = tag
        self._air = air
        self._seed = seed
        self._start_unix_s = start_unix_s
        self._clouds = clouds
        self._sun = sun
        self._sites = _sites(ears)
        self._is_ship_about = any(each.site.moves for each in ears)
        self.energy: EnergyLife | None = None
        if tag.supply is not None:
            self.energy = EnergyLife(tag.supply, chance(seed, "supply", tag.tag_id))

    def moments(self) -> Iterator[Moment]:
        """Yield beeps that somebody may hear, and how many nobody could, in order of time."""
        tag, energy = self.tag, self.energy
        dice = chance(self._seed, "tag", tag.tag_id)
        beep_s = tag.first_beep(dice.uniform(0, tag.interval_s))
        number = unheard = 0
        since_s = 0.0
        for begin_s, end_s, stretch in self._stretches():
            leg = stretch.leg
            if energy is not None:
                energy.until(begin_s)
                energy.light(self._light(begin_s, end_s, leg), self._clouds(begin_s))
            if not stretch.ears:
                sent, beep_s = self._pass(beep_s, end_s, dice.gauss(0, 1))
                number += sent
                unheard += sent
                if end_s - since_s >= _STILL_STEP_S:
                    yield Unheard(self._told_us(end_s), since_s, unheard)
                    unheard, since_s = 0, end_s
                continue
            height_m = tag.height_m if tag.track is None else leg.height_m
            while beep_s < end_s:
                if energy is None or energy.sends(beep_s):
                    yield Beep(round(beep_s * 1e6), number, leg.place_at(beep_s), height_m, stretch)
                    number += 1
                beep_s += tag.gap_s(dice.uniform(-tag.jitter_s, tag.jitter_s))
        if self._until_s < math.inf:
            yield Unheard(self._told_us(self._until_s), since_s, unheard)

    def _told_us(self, time_s: float) -> int:
        """Return when something is told: what the world's end cuts off, just before it."""
        if time_s < self._until_s:
            return round(time_s * 1e6)
        return round(self._until_s * 1e6) - 1

    def _pass(self, beep_s: float, end_s: float, luck: float) -> tuple[int, float]:
        """Beep until `end_s` where nobody hears it: (how often it sent, when it beeps next)."""
        tag, energy = self.tag, self.energy
        if beep_s >= end_s:
            return 0, beep_s
        beeps = math.ceil((end_s - beep_s) / tag.interval_s)
        sent = beeps
        if energy is not None:
            certain = energy.certain_beeps(beep_s, tag.interval_s, beeps)
            if certain is None:
                certain = sum(energy.sends(beep_s + at * tag.interval_s) for at in range(beeps))
            sent = certain
        # The sum of so many even jitters, as good as normal.
        drift_s = luck * tag.jitter_s * math.sqrt(beeps / 3)
        return sent, max(end_s, beep_s + beeps * tag.interval_s + drift_s)

    def _light(self, begin_s: float, end_s: float, leg: Leg) -> float:
        if self.tag.supply is None or not self.tag.supply.panel_mw:
            return 0.0
        middle_s = (begin_s + min(end_s, begin_s + LIGHT_STEP_S)) / 2
        place = leg.place_at(middle_s)
        return sun_on_flat_ground(self._sun(*place, self._start_unix_s + middle_s))

    def _legs(self) -> Iterator[Leg]:
        tag = self.tag
        if tag.track is None:
            if tag.position is not None:
                yield resting(tag.position, 0.0, math.inf, 0.0)
            return
        yield from tag.track.legs(chance(self._seed, "track", tag.tag_id), self._start_unix_s)

    def _stretches(self) -> Iterator[tuple[float, float, Stretch]]:
        for leg in self._legs():
            is_still = leg.is_still and not self._is_ship_about
            begin_s = leg.begin_s
            stretch: Stretch | None = None
            if begin_s >= self._until_s:
                return
            while begin_s < min(leg.end_s, self._until_s):
                if stretch is None or not is_still:
                    # Short legs are looked at as a whole, so that each is looked at once.
                    end_s = min(leg.end_s, _next_step(begin_s, _STEP_S))
                    stretch = Stretch(leg, self._within_reach(leg, begin_s, end_s))
                if self.energy is not None:
                    end_s = _next_step(begin_s, LIGHT_STEP_S)
                elif not is_still:
                    end_s = _next_step(begin_s, _STEP_S)
                else:
                    end_s = math.inf if stretch.ears else _next_step(begin_s, _STILL_STEP_S)
                end_s = min(end_s, leg.end_s, self._until_s)
                yield begin_s, end_s, stretch
                begin_s = end_s

    def _within_reach(self, leg: Leg, begin_s: float, end_s: float) -> list[Ears]:
        middle_s = (begin_s + end_s) / 2
        latitude, longitude = leg.place_at(middle_s)
        half_s = (end_s - begin_s) / 2
        half_m = half_s * DEGREE_M * math.hypot(leg.north_deg_s, leg.east_deg_s)
        height_m = self.tag.height_m if self.tag.track is None else leg.height_m
        near: list[Ears] = []
        for site, ears in self._sites:
            # A ship is looked for a little further around.
            apart_m = half_m + (half_s * _SHIP_M_S if site.moves else 0.0)
            reach_m = [each.reach_m(self._air, self.tag.power_dbm, height_m) for each in ears]
            north_m, east_m = site.way_to((latitude, longitude), middle_s)
            away_m = math.hypot(north_m, east_m) - apart_m
            if away_m <= max(reach_m):
                near += [
                    each for each, metres in zip(ears, reach_m, strict=True) if away_m <= metres
                ]
        return near


def _sites(ears: Sequence[Ears]) -> list[tuple[Site, list[Ears]]]:
    """Return receivers by where they stand."""
    sites: dict[int, tuple[Site, list[Ears]]] = {}
    for each in ears:
        sites.setdefault(id(each.site), (each.site, []))[1].append(each)
    return list(sites.values())


def _next_step(time_s: float, step_s: float) -> float:
    return (math.floor(time_s / step_s) + 1) * step_s


def clouds_of(weather: Weather, seed: int) -> Callable[[float], float]:
    """Return what share of the light clouds take, by time since the world began: a day each."""
    days: dict[int, float] = {}

    def clouds(time_s: float) -> float:
        day = int(time_s // _DAY_S)
        if day not in days:
            drawn = chance(seed, "weather", str(day)).uniform(0, 2 * weather.clouds)
            days[day] = min(0.95, drawn)
        return days[day]

    return clouds
