"""Where something was heard: between fixes, with an error that says how far that may be off."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.records import Detection, GpsFix, Record
from receiver.arrivals import Arrival, ClockQuality, ClockSample, Source, Stamp
from receiver.positions import (
    EARTH_RADIUS_M,
    FASTEST_M_S,
    LONGEST_GAP_S,
    Fix,
    Track,
    distance_m,
    on_the_way,
)
from receiver.references.fix_sieve import FixSieve
from receiver.store.database import Store
from receiver.store.queries import DetectionFilter, Reader

S = 10**9
START_NS = 1_800_000_000 * S
DEGREE_M = math.pi * EARTH_RADIUS_M / 180

LATITUDES = st.floats(-89.9, 89.9)
LONGITUDES = st.floats(-180, 180)


def fix(at_s: float, latitude: float, longitude: float, accuracy_m: float | None = 5.0) -> Fix:
    return Fix(START_NS + round(at_s * S), latitude, longitude, accuracy_m)


def at(track: Track, at_s: float) -> tuple[float, float, float]:
    position = track.at(START_NS + round(at_s * S))
    assert position is not None
    return position.latitude, position.longitude, position.error_m


def test_a_known_distance() -> None:
    # Paris to New York, as any great-circle calculator gives it for this radius.
    assert distance_m(48.8566, 2.3522, 40.7128, -74.0060) == pytest.approx(5_837_000, rel=1e-3)
    assert distance_m(0, 0, 0, 1) == pytest.approx(DEGREE_M)


def test_half_the_time_is_half_the_way_and_the_error_is_largest_there() -> None:
    track = Track([fix(0, 50, 8), fix(100, 50.01, 8)])
    latitude, longitude, error_m = at(track, 50)
    assert (latitude, longitude) == pytest.approx((50.005, 8))
    speed_m_s = (0.01 * DEGREE_M - 10) / 100  # What both accuracies may have feigned is taken off.
    assert error_m == pytest.approx(5 + 50 * speed_m_s)
    assert at(track, 10)[2] == pytest.approx(5 + 10 * speed_m_s)
    assert at(track, 90)[2] == pytest.approx(5 + 10 * speed_m_s)
    assert at(track, 100)[2] == 5


def test_the_worse_accuracy_of_two_fixes_counts() -> None:
    track = Track([fix(0, 50, 8, 3), fix(100, 50, 8, 40)])
    assert at(track, 1)[2] == 40


def test_a_receiver_that_does_not_tell_its_accuracy_is_taken_for_twenty_metres() -> None:
    assert at(Track([fix(0, 50, 8, None)]), 0)[2] == 20


def test_noise_is_no_movement_however_long_no_fix_comes() -> None:
    track = Track([fix(60 * minute, 50 + 3e-5 * (minute % 2), 8) for minute in range(10)])
    assert at(track, 1e7)[2] == 5


def test_after_the_last_fix_of_a_ship_the_error_grows_with_its_speed() -> None:
    track = Track([fix(0, 50, 8), fix(100, 50.01, 8)])
    speed_m_s = (0.01 * DEGREE_M - 10) / 100
    assert at(track, 100 + 3600) == pytest.approx((50.01, 8, 5 + 3600 * speed_m_s))
    assert at(track, -60) == pytest.approx((50, 8, 5 + 60 * speed_m_s))


def test_in_a_long_gap_the_fastest_speed_of_the_track_counts() -> None:
    gap_s = LONGEST_GAP_S + 1
    track = Track([fix(0, 50, 8), fix(100, 50.01, 8), fix(100 + gap_s, 50.01, 8)])
    speed_m_s = (0.01 * DEGREE_M - 10) / 100
    assert at(track, 100 + 600)[2] == pytest.approx(5 + 600 * speed_m_s)
    watched = Track([fix(0, 50, 8), fix(100, 50.01, 8), fix(100 + 3600, 50.01, 8)])
    assert at(watched, 100 + 600)[2] == 5


def test_a_receiver_that_jumps_is_no_faster_than_a_car() -> None:
    track = Track([fix(0, 0, 0), fix(60, 0, 90)])
    assert at(track, 70)[2] == pytest.approx(5 + 10 * FASTEST_M_S)


def test_the_way_over_the_date_line_is_the_short_one() -> None:
    latitude, longitude, _ = at(Track([fix(0, 0, 179.9), fix(100, 0, -179.7)]), 25)
    assert latitude == pytest.approx(0)
    assert abs(longitude) == pytest.approx(180)


def test_opposite_ends_of_the_world_and_the_same_place_give_a_position() -> None:
    assert on_the_way(0, 0, 0, 180, 0.5) == (0, 0)
    assert on_the_way(12, 34, 12, 34, 0.5) == (12, 34)


def test_fixes_that_come_out_of_order_are_put_in_order() -> None:
    late = Track([fix(100, 50.02, 8, 7), fix(0, 50, 8, 3), fix(50, 50.01, 8, 5)])
    latitude, _, error_m = at(late, 25)
    assert latitude == pytest.approx(50.005)
    in_order = Track([fix(0, 50, 8, 3), fix(50, 50.01, 8, 5), fix(100, 50.02, 8, 7)])
    assert error_m == at(in_order, 25)[2]
    late.add(fix(25, 60, 8))
    assert at(late, 25)[0] == pytest.approx(60)


def test_no_fix_is_no_position() -> None:
    assert Track([]).at(START_NS) is None


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES, st.floats(0, 1))
def test_the_way_is_as_long_as_the_fraction_says(
    a: float, b: float, c: float, d: float, fraction: float
) -> None:
    whole_m = distance_m(a, b, c, d)
    if whole_m > 0.99 * math.pi * EARTH_RADIUS_M:
        return  # Nearly antipodes: every way is one.
    latitude, longitude = on_the_way(a, b, c, d, fraction)
    assert abs(latitude) <= 90
    assert abs(longitude) <= 180
    assert distance_m(a, b, latitude, longitude) == pytest.approx(fraction * whole_m, abs=1)
    assert distance_m(latitude, longitude, c, d) == pytest.approx((1 - fraction) * whole_m, abs=1)


@given(
    st.lists(st.tuples(st.floats(0, 1e6), LATITUDES, LONGITUDES), min_size=1, max_size=6),
    st.floats(-1e6, 2e6),
)
def test_every_time_has_a_position_whose_error_is_at_least_the_accuracy(
    fixes: list[tuple[float, float, float]], at_s: float
) -> None:
    latitude, longitude, error_m = at(Track(fix(*each) for each in fixes), at_s)
    assert abs(latitude) <= 90
    assert abs(longitude) <= 180
    assert math.isfinite(error_m)
    assert error_m >= 5


def test_a_still_stations_fix_is_kept_once_an_hour() -> None:
    sieve = FixSieve()
    here = GpsFix(latitude=50, longitude=8, accuracy_m=5)
    kept = [second for second in range(7300) if sieve.wants(here, second)]
    assert kept == [0, 3600, 7200]


def test_a_moving_stations_fix_is_kept_twice_a_minute() -> None:
    sieve = FixSieve()
    kept = [
        second
        for second in range(121)
        if sieve.wants(GpsFix(latitude=50 + second * 1e-4, longitude=8, accuracy_m=5), second)
    ]
    assert kept == [0, 30, 60, 90, 120]


def test_a_fix_without_a_position_is_not_kept() -> None:
    assert not FixSieve().wants(GpsFix(fix_mode=1), 0)


class Station:
    """A store with rows of several links."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store.open(path, station_id="marsh")
        self.store.connection.execute("PRAGMA synchronous = OFF")  # No power is cut here.

    def keep(
        self,
        record: Record,
        at_s: float,
        *,
        link: str = "ch1",
        clock: ClockQuality = "ntp",
        boot: str = "boot-a",
        import_id: int | None = None,
    ) -> None:
        """Store a record of this time."""
        source = Source(link=link, decoder="x/1", import_id=import_id)
        nanoseconds = round(at_s * S)
        stamp = Stamp(START_NS + nanoseconds, clock, 10**12 + nanoseconds, boot)
        self.store.append([Arrival(record, source, stamp)])

    def hears(self, at_s: float, **where: Any) -> None:  # noqa: ANN401  Passed on to `keep`.
        """Store a detection."""
        beep = Detection(protocol="ctt-434", tag_id="78664C33", integrity="verified")
        self.keep(beep, at_s, **where)

    def is_at(self, latitude: float | None, at_s: float, *, link: str, **where: Any) -> None:  # noqa: ANN401
        """Store a fix, or the statement that there is none."""
        longitude = None if latitude is None else 8.0
        self.keep(GpsFix(latitude=latitude, longitude=longitude), at_s, link=link, **where)

    def latitudes(self) -> list[float | None]:
        """Return where each detection was heard, as far as north goes."""
        with Reader(self.path) as reader:
            return [row["latitude"] for row in reader.detections(DetectionFilter())]


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path / "marsh.db")


def test_a_row_has_position_and_error_and_none_where_nothing_tells(station: Station) -> None:
    station.hears(0)
    with Reader(station.path) as reader:
        (row,) = reader.detections(DetectionFilter())
    assert (row["latitude"], row["longitude"], row["position_error_m"]) == (None, None, None)
    station.is_at(50.0, 0, link="gpsd")
    with Reader(station.path) as reader:
        (row,) = reader.detections(DetectionFilter())
    assert (row["latitude"], row["longitude"], row["position_error_m"]) == (50.0, 8.0, 20.0)


def test_a_ships_rows_lie_between_its_fixes(station: Station) -> None:
    station.is_at(50.0, 0, link="gpsd")
    station.hears(25)
    station.hears(75)
    station.is_at(50.02, 100, link="gpsd")
    assert station.latitudes() == [pytest.approx(50.005), pytest.approx(50.015)]


def test_the_configured_position_goes_before_gpsds(station: Station) -> None:
    station.is_at(51.0, 0, link="station")
    station.is_at(50.0, 10, link="gpsd")
    station.hears(20)
    assert station.latitudes() == [51.0]


def test_a_station_that_was_moved_has_each_position_in_its_time(station: Station) -> None:
    station.hears(-10)  # Before anything was said.
    station.is_at(51.0, 0, link="station")
    station.hears(10)
    station.is_at(52.0, 20, link="station")
    station.hears(30)
    station.is_at(None, 40, link="station")  # From here on it moves.
    station.is_at(50.0, 40, link="gpsd")
    station.hears(50)
    assert station.latitudes() == [51.0, 51.0, 52.0, 50.0]


def test_a_link_that_tells_its_own_position_is_there(station: Station) -> None:
    station.is_at(51.0, 0, link="station")
    station.is_at(40.0, 0, link="field")
    station.hears(10, link="field")
    station.hears(10, link="ch1")
    assert station.latitudes() == [40.0, 51.0]


def test_the_only_link_that_tells_a_position_tells_it_for_all(station: Station) -> None:
    station.is_at(40.0, 0, link="ch2")
    station.hears(10, link="ch1")
    assert station.latitudes() == [40.0]
    station.is_at(41.0, 0, link="ch3")
    assert station.latitudes() == [None]


def test_a_relays_position_is_not_the_stations(station: Station) -> None:
    station.keep(GpsFix(latitude=40, longitude=8, relay_id="3796F5"), 0, link="ch1")
    station.hears(10, link="ch1")
    assert station.latitudes() == [None]


def test_imported_rows_take_the_fixes_of_their_own_recording(station: Station) -> None:
    station.is_at(51.0, 0, link="station")
    station.is_at(44.0, 0, link="SG-1234", import_id=1)
    station.hears(10, link="SG-1234", import_id=2)
    station.hears(10, link="SG-9999", import_id=3)
    assert station.latitudes() == [44.0, None]


def test_rows_and_fixes_of_a_clock_that_never_was_right_belong_together(station: Station) -> None:
    station.is_at(50.0, 0, link="gpsd")
    wrong: dict[str, Any] = {"clock": "unsynchronised", "boot": "boot-b"}
    station.is_at(60.0, 5, link="gpsd", **wrong)
    station.hears(6, **wrong)
    station.hears(6)
    assert station.latitudes() == [60.0, 50.0]


def test_corrected_rows_take_the_place_of_their_corrected_time(station: Station) -> None:
    station.is_at(50.0, 0, link="gpsd")
    station.is_at(50.02, 100, link="gpsd")
    # A boot whose clock was 400 days behind; its first good sample says so.
    late = Stamp(START_NS - 400 * 86_400 * S, "unsynchronised", 50 * S, "boot-b")
    beep = Detection(protocol="ctt-434", tag_id="78664C33", integrity="verified")
    station.store.append([Arrival(beep, Source(link="ch1", decoder="x/1"), late)])
    with station.store.transaction():
        good = ClockSample("boot-b", 60 * S, START_NS + 60 * S, "ntp", "step")
        station.store.add_clock_sample(good)
    assert station.latitudes() == [pytest.approx(50.01)]


def test_fixes_that_come_later_are_seen_by_a_reader_that_is_open(station: Station) -> None:
    station.hears(50)
    with Reader(station.path) as reader:
        before = reader.whereabouts()
        assert reader.whereabouts() is before
        station.is_at(50.0, 0, link="gpsd")
        assert [row["latitude"] for row in reader.detections(DetectionFilter())] == [50.0]
