"""Solar tags: over a year, at three latitudes, none sends without energy."""

import functools
import math
from random import Random

import pytest

from simulator.air import Air
from simulator.ears import Ears, RadioEars, Site
from simulator.energy import (
    LIGHT_STEP_S,
    EnergyLife,
    Supply,
    Weather,
    sun_on_flat_ground,
)
from simulator.positions import Position
from simulator.station_life import StationLife
from simulator.stations import Radio, Station
from simulator.sun import sun_elevation_deg
from simulator.tag_life import Beep, TagLife, clouds_of
from simulator.tags import Tag

START = 1_704_067_200.0  # 2024-01-01, UTC
DAY_S = 86_400.0
LIFE_TAG = Supply(panel_mw=4, store_j=0.002, full_at_start=0.5, shading=0.4)
POWER_TAG = Supply(store_j=20, full_at_start=1.0, sleep_uw=0.5)
HYBRID_TAG = Supply(panel_mw=4, store_j=6, full_at_start=0.5, shading=0.6)
INTERVAL_S = 300.0


class Year(EnergyLife):
    """An energy life that is watched."""

    def __init__(self, supply: Supply) -> None:
        super().__init__(supply, Random(3))
        self.sent_at: list[float] = []
        self.brought_j = 0.0

    def sends(self, time_s: float) -> bool:
        """Send, and look at the store before and after."""
        self.until(time_s)
        before_j = self.stored_j
        sent = super().sends(time_s)
        assert 0 <= self.stored_j <= self.supply.store_j
        if sent:
            assert before_j >= self.transmission_j
            assert self.stored_j == pytest.approx(before_j - self.transmission_j)
            self.sent_at.append(time_s)
        return sent


@functools.cache
def lived(supply: Supply, latitude: float) -> Year:
    """Return a whole year of a tag, beep by beep."""
    year = Year(supply)
    clouds = clouds_of(Weather(), 1)
    for step in range(int(365 * DAY_S / LIGHT_STEP_S)):
        begin_s = step * LIGHT_STEP_S
        year.until(begin_s)
        elevation = sun_elevation_deg(latitude, 5.0, START + begin_s + LIGHT_STEP_S / 2)
        sun = sun_on_flat_ground(elevation)
        year.light(sun, clouds(begin_s))
        # More than this no panel of that size can have brought.
        year.brought_j += supply.panel_mw * 1e-3 * sun * LIGHT_STEP_S
        for beep in range(int(LIGHT_STEP_S / INTERVAL_S)):
            year.sends(begin_s + beep * INTERVAL_S)
    return year


@pytest.mark.parametrize("latitude", [0.0, 52.0, 69.0])
@pytest.mark.parametrize("supply", [LIFE_TAG, POWER_TAG, HYBRID_TAG])
def test_over_a_year_no_tag_sends_without_energy(supply: Supply, latitude: float) -> None:
    year = lived(supply, latitude)
    spent_j = len(year.sent_at) * year.transmission_j
    assert spent_j <= supply.store_j * supply.full_at_start + year.brought_j
    assert year.sent_at


def test_a_life_tag_is_silent_at_night_and_through_the_polar_night() -> None:
    year = lived(LIFE_TAG, 69.0)
    by_month = [0] * 12
    for at_s in year.sent_at[20:]:
        by_month[min(11, int(at_s / DAY_S / 30.4))] += 1
    # The store lasts for 13 beeps, 65 minutes: an hour and a half after the light, nothing.
    for at_s in year.sent_at[20::7]:
        assert any(
            sun_elevation_deg(69.0, 5.0, START + at_s - ago_s) > 0 for ago_s in range(0, 5401, 900)
        )
    assert by_month[11] == 0
    assert by_month[5] > 0.9 * 30 * DAY_S / INTERVAL_S


def test_a_power_tag_beeps_by_its_schedule_until_its_battery_is_empty() -> None:
    year = lived(POWER_TAG, 52.0)
    gaps = {round(b - a) for a, b in zip(year.sent_at, year.sent_at[1:], strict=False)}
    assert gaps == {int(INTERVAL_S)}
    beeps = 20.0 / (149e-6 + 0.5e-6 * INTERVAL_S)
    assert len(year.sent_at) == pytest.approx(beeps, rel=0.01)


def test_a_hybrid_tag_bridges_the_night() -> None:
    year = lived(HYBRID_TAG, 0.0)
    assert len(year.sent_at) == 365 * DAY_S / INTERVAL_S


def test_the_sun_is_where_almanacs_say() -> None:
    # Greenwich, equinox and solstices of 2024, noon UTC: 90 - 51.48 + declination.
    for unix_s, elevation in ((1_710_936_000, 38.3), (1_718_884_800, 61.9), (1_734_782_400, 15.1)):
        assert sun_elevation_deg(51.48, 0.0, unix_s) == pytest.approx(elevation, abs=0.5)


def test_light_is_that_of_the_clear_sky() -> None:
    assert sun_on_flat_ground(90) == pytest.approx(1.037, abs=0.01)
    assert sun_on_flat_ground(0) == sun_on_flat_ground(-10) == 0


def counted(tag: Tag, ears: list[Ears], days: float) -> int:
    life = TagLife(
        tag,
        ears,
        Air(),
        seed=1,
        start_unix_s=START,
        until_s=days * DAY_S,
        clouds=clouds_of(Weather(), 1),
        sun=sun_elevation_deg,
    )
    return sum(1 if isinstance(each, Beep) else each.transmissions for each in life.moments())


@pytest.mark.parametrize("supply", [None, LIFE_TAG, HYBRID_TAG])
def test_a_tag_that_nobody_hears_sends_as_often_as_one_that_is_heard(
    supply: Supply | None,
) -> None:
    place = Position(52.0, 5.0)
    tag = Tag(tag_id="78664C33", position=place, interval_s=30, supply=supply)
    station = Station(name="s", position=place, radios=(Radio(name="r", antenna="a"),))
    life = StationLife(station, 1, START)
    ears = RadioEars(life, Site(life.place_at, moves=False), station.radios[0], 1)
    heard, unheard = counted(tag, [ears], 10), counted(tag, [], 10)
    assert heard > 0
    assert math.isclose(heard, unheard, rel_tol=0.02)
