"""Tracks: animals and ships are where their scenario says, and never jump."""

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.positions import Position, distance_m
from simulator.tracks import Leg, Migration, RandomWalk, Roost, Track, Waypoint, Waypoints

HERE = Position(54.0, 8.0)
START = 1_726_826_400.0  # 2024-09-20 10:00 UTC
MIGRATION = Migration(start=HERE, bearing_deg=200, departs_s=3600, flies_s=36_000)
WALK = RandomWalk(centre=HERE, radius_m=400, speed_m_s=3)
ROOST = Roost(roost=HERE, food=HERE.moved(3000, 1000))
POINTS = Waypoints(
    points=(
        Waypoint(at_s=100, position=HERE),
        Waypoint(at_s=1100, position=HERE.moved(5000, 0)),
    )
)


def legs(track: Track, until_s: float = 200_000.0) -> list[Leg]:
    return list(
        itertools.takewhile(lambda leg: leg.begin_s < until_s, track.legs(random.Random(1), START))
    )


def place(leg: Leg, time_s: float) -> Position:
    return Position(*leg.place_at(time_s))


@pytest.mark.parametrize("track", [MIGRATION, WALK, ROOST, POINTS])
def test_legs_follow_each_other_without_a_gap_or_a_jump(track: Track) -> None:
    found = legs(track)
    assert found[0].begin_s == 0
    for one, other in itertools.pairwise(found):
        assert one.end_s == other.begin_s
        assert distance_m(place(one, one.end_s), place(other, other.begin_s)) < 1


def test_a_migrant_flies_15_metres_a_second() -> None:
    rest, flight, landed = legs(MIGRATION)
    gone_m = distance_m(place(rest, 0), place(landed, landed.begin_s))
    assert gone_m == pytest.approx(15 * 36_000, rel=0.005)
    assert flight.height_m == 300
    assert rest.is_still
    assert landed.is_still
    assert landed.latitude < HERE.latitude
    assert landed.longitude < HERE.longitude


def test_a_walker_stays_within_its_radius() -> None:
    for leg in legs(WALK, 50_000):
        assert distance_m(HERE, place(leg, leg.end_s)) <= 401


def test_who_roosts_is_there_at_night_and_away_by_day() -> None:
    found = legs(ROOST)

    def away_m(hour: float) -> float:
        # The next day, at that hour UTC.
        at_s = 14 * 3600 + hour * 3600
        leg = next(each for each in found if each.begin_s <= at_s < each.end_s)
        return distance_m(HERE, place(leg, at_s))

    assert away_m(2) == pytest.approx(0, abs=1)
    assert away_m(12) == pytest.approx(math.hypot(3000, 1000), rel=0.01)
    assert away_m(22) == pytest.approx(0, abs=1)


def test_a_neighbour_does_the_same_elsewhere_later_and_turned() -> None:
    moved = MIGRATION.moved(1000, 0, 600, 10)
    assert distance_m(MIGRATION.start, moved.start) == pytest.approx(1000, rel=0.01)
    assert (moved.departs_s, moved.bearing_deg) == (4200, 210)


@settings(max_examples=100)
@given(
    latitude=st.floats(-90, 90),
    longitude=st.floats(-180, 180),
    north_m=st.floats(-1e7, 1e7),
    east_m=st.floats(-1e7, 1e7),
)
def test_wherever_one_goes_one_stays_on_the_earth(
    latitude: float, longitude: float, north_m: float, east_m: float
) -> None:
    there = Position(latitude, longitude).moved(north_m, east_m)
    assert -90 <= there.latitude <= 90
    assert -180 <= there.longitude < 180
