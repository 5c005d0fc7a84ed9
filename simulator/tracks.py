"""Where animals and ships go: each track as straight legs at an even pace."""

import math
import random
from collections.abc import Iterator
from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta

from simulator.positions import DEGREE_M, Position, distance_m, wrapped

Height: TypeAlias = Annotated[
    float, Meta(ge=0, le=10_000, description="Metres above ground or sea.")
]
Speed: TypeAlias = Annotated[float, Meta(gt=0, le=100, description="Metres a second.")]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, description="Seconds since the world began.")]
Hour: TypeAlias = Annotated[float, Meta(ge=0, lt=24, description="Hour of the day, UTC.")]

DAY_S: Final = 86_400.0
ON_THE_GROUND_M: Final = 0.5


class Leg(NamedTuple):
    """A straight piece of a track."""

    begin_s: float
    """Since the world began."""
    end_s: float
    latitude: float
    """Where it begins."""
    longitude: float
    north_deg_s: float
    """How fast the latitude grows."""
    east_deg_s: float
    height_m: float

    def place_at(self, time_s: float) -> tuple[float, float]:
        """Return latitude and longitude at a time of the leg."""
        gone_s = time_s - self.begin_s
        return (
            self.latitude + self.north_deg_s * gone_s,
            self.longitude + self.east_deg_s * gone_s,
        )

    @property
    def is_still(self) -> bool:
        """Whether nothing moves."""
        return self.north_deg_s == 0 and self.east_deg_s == 0


def resting(place: Position, begin_s: float, end_s: float, height_m: float) -> Leg:
    """Return a leg without movement."""
    return Leg(begin_s, end_s, place.latitude, place.longitude, 0.0, 0.0, height_m)


def going(here: Position, there: Position, begin_s: float, end_s: float, height_m: float) -> Leg:
    """Return the leg from here to there."""
    lasts_s = end_s - begin_s
    return Leg(
        begin_s,
        end_s,
        here.latitude,
        here.longitude,
        (there.latitude - here.latitude) / lasts_s,
        wrapped(there.longitude - here.longitude) / lasts_s,
        height_m,
    )


class Waypoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place at a time."""

    at_s: Seconds
    position: Position
    height_m: Height = ON_THE_GROUND_M


class Waypoints(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="waypoints",
):
    """Straight from place to place; before the first and after the last it rests."""

    points: Annotated[
        tuple[Waypoint, ...], Meta(min_length=1, description="Places in order of time.")
    ]

    def legs(self, dice: random.Random, start_unix_s: float) -> Iterator[Leg]:
        """Yield legs from 0 to for ever."""
        del dice, start_unix_s
        first, last = self.points[0], self.points[-1]
        if first.at_s > 0:
            yield resting(first.position, 0.0, first.at_s, first.height_m)
        for here, there in zip(self.points, self.points[1:], strict=False):
            if there.at_s > here.at_s:
                height_m = max(here.height_m, there.height_m)
                yield going(here.position, there.position, here.at_s, there.at_s, height_m)
        yield resting(last.position, last.at_s, math.inf, last.height_m)

    def moved(
        self, north_m: float, east_m: float, later_s: float, turned_deg: float
    ) -> "Waypoints":
        """Return the same track elsewhere and later; it is not turned."""
        del turned_deg
        return Waypoints(
            points=tuple(
                Waypoint(
                    at_s=point.at_s + later_s,
                    position=point.position.moved(north_m, east_m),
                    height_m=point.height_m,
                )
                for point in self.points
            )
        )


class Roost(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="roost",
):
    """Every day from the roost to where there is food, and back."""

    roost: Position
    food: Position
    leaves_hour: Hour = 5.0
    returns_hour: Hour = 19.0
    speed_m_s: Speed = 12.0
    height_m: Height = 5.0

    def legs(self, dice: random.Random, start_unix_s: float) -> Iterator[Leg]:
        """Yield legs from 0 to for ever; each day it leaves and returns up to half an hour off."""
        flight_s = max(1.0, distance_m(self.roost, self.food) / self.speed_m_s)
        midnight_s = -(start_unix_s % DAY_S)
        now_s = 0.0
        here = self.roost
        while True:
            leaves_s = midnight_s + self.leaves_hour * 3600 + dice.uniform(-1800, 1800)
            returns_s = midnight_s + self.returns_hour * 3600 + dice.uniform(-1800, 1800)
            for at_s, there in sorted(
                ((leaves_s, self.food), (returns_s, self.roost)), key=lambda each: each[0]
            ):
                if at_s < now_s:
                    here = there
                    continue
                if at_s > now_s:
                    yield resting(here, now_s, at_s, self.height_m)
                if here != there:
                    yield going(here, there, at_s, at_s + flight_s, max(20.0, self.height_m))
                    at_s += flight_s  # noqa: PLW2901  The flight is part of what is over.
                now_s, here = at_s, there
            midnight_s += DAY_S

    def moved(self, north_m: float, east_m: float, later_s: float, turned_deg: float) -> "Roost":
        """Return the same habits elsewhere; hours of the day stay."""
        del later_s, turned_deg
        return msgspec.structs.replace(
            self,
            roost=self.roost.moved(north_m, east_m),
            food=self.food.moved(north_m, east_m),
        )


class RandomWalk(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="random-walk",
):
    """About a place, turning every few minutes, never further away than a radius."""

    centre: Position
    radius_m: Annotated[float, Meta(gt=0, le=500_000, description="Metres.")] = 500.0
    speed_m_s: Speed = 1.0
    turns_every_s: Annotated[float, Meta(ge=10, le=86_400, description="Seconds.")] = 300.0
    height_m: Height = 2.0

    def legs(self, dice: random.Random, start_unix_s: float) -> Iterator[Leg]:
        """Yield legs from 0 to for ever."""
        del start_unix_s
        north_m = east_m = now_s = 0.0
        while True:
            angle = dice.uniform(0, 2 * math.pi)
            pace_m = self.speed_m_s * self.turns_every_s
            to_north_m = north_m + pace_m * math.cos(angle)
            to_east_m = east_m + pace_m * math.sin(angle)
            away_m = math.hypot(to_north_m, to_east_m)
            if away_m > self.radius_m:
                to_north_m *= self.radius_m / away_m
                to_east_m *= self.radius_m / away_m
            yield going(
                self.centre.moved(north_m, east_m),
                self.centre.moved(to_north_m, to_east_m),
                now_s,
                now_s + self.turns_every_s,
                self.height_m,
            )
            now_s += self.turns_every_s
            north_m, east_m = to_north_m, to_east_m

    def moved(
        self, north_m: float, east_m: float, later_s: float, turned_deg: float
    ) -> "RandomWalk":
        """Return a walk about another place."""
        del later_s, turned_deg
        return msgspec.structs.replace(self, centre=self.centre.moved(north_m, east_m))


class Migration(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="migration",
):
    """A rest, one straight flight, a rest."""

    start: Position
    bearing_deg: Annotated[
        float, Meta(ge=0, le=360, description="Degrees clockwise from north.")
    ] = 180.0
    speed_m_s: Speed = 15.0
    departs_s: Seconds = 0.0
    flies_s: Annotated[float, Meta(gt=0, description="How long the flight takes, seconds.")] = (
        36_000.0
    )
    height_m: Height = 300.0

    def legs(self, dice: random.Random, start_unix_s: float) -> Iterator[Leg]:
        """Yield legs from 0 to for ever."""
        del dice, start_unix_s
        if self.departs_s > 0:
            yield resting(self.start, 0.0, self.departs_s, ON_THE_GROUND_M)
        lands_s = self.departs_s + self.flies_s
        angle = math.radians(self.bearing_deg)
        north_deg_s = self.speed_m_s * math.cos(angle) / DEGREE_M
        # Longitudes of the flight's middle latitude: right at half way, close enough at its ends.
        middle = self.start.latitude + north_deg_s * self.flies_s / 2
        degree_east_m = DEGREE_M * max(0.01, math.cos(math.radians(middle)))
        flight = Leg(
            self.departs_s,
            lands_s,
            self.start.latitude,
            self.start.longitude,
            north_deg_s,
            self.speed_m_s * math.sin(angle) / degree_east_m,
            self.height_m,
        )
        yield flight
        yield Leg(lands_s, math.inf, *flight.place_at(lands_s), 0.0, 0.0, ON_THE_GROUND_M)

    def moved(
        self, north_m: float, east_m: float, later_s: float, turned_deg: float
    ) -> "Migration":
        """Return the flight of a neighbour."""
        return msgspec.structs.replace(
            self,
            start=self.start.moved(north_m, east_m),
            departs_s=self.departs_s + later_s,
            bearing_deg=(self.bearing_deg + turned_deg) % 360.0,
        )


Track: TypeAlias = Waypoints | Roost | RandomWalk | Migration
