"""Air, antennas and radios: loss, patterns, the error curve, collisions, busy radios, noise."""

import collections
import itertools
import math

import msgspec
import pytest

from simulator.air import Air, fsk_bit_error_rate, packet_chance
from simulator.antennas import Antenna
from simulator.positions import Position
from simulator.scenario import Scenario, scenario
from simulator.station_life import StationLife
from simulator.stations import Interference, PowerCut, Radio, SiteNoise, Station, StationClock
from simulator.tags import Tag
from simulator.truth import Reception, Transmission
from simulator.world import Emission, World

HERE = Position(50.0, 8.0)
CURVE = Air(errors_from_level=True, fading_db=0)


def world_of(
    air: Air, tags: tuple[Tag, ...], duration_s: float = 600.0, **station: object
) -> Scenario:
    plain: dict[str, object] = {
        "name": "s",
        "position": HERE,
        "radios": (Radio(name="r", generation="G1", antenna="a"),),
    }
    return Scenario(
        name="test",
        shows="a test",
        stations=(Station(**{**plain, **station}),),  # type: ignore[arg-type]  # By name.
        tags=tags,
        air=air,
        duration_s=duration_s,
    )


def tag_at(margin_db: float, tag_id: str = "78664C33", **told: object) -> Tag:
    """Return a tag whose mean level at the radio is so far above its sensitivity."""
    place = HERE.moved(100, 0)
    at_0_dbm = Air().mean_level_dbm(0, 100)
    power_dbm = -106 + margin_db - at_0_dbm
    return Tag(tag_id=tag_id, position=place, power_dbm=power_dbm, **told)  # type: ignore[arg-type]  # By name.


def receptions(world: Scenario) -> list[Reception]:
    happenings = [
        each.reception if isinstance(each, Emission) else each for each in World(world).happenings()
    ]
    return [each for each in happenings if isinstance(each, Reception)]


def outcomes(world: Scenario) -> collections.Counter[str]:
    return collections.Counter(each.outcome for each in receptions(world))


def test_loss_grows_with_distance_and_shrinks_with_height() -> None:
    air = Air(path_loss_exponent=2.0)
    levels = [air.mean_level_dbm(0, 10**power, heights_m=(1, 8)) for power in range(1, 6)]
    assert levels == sorted(levels, reverse=True)
    near_ground = air.mean_level_dbm(0, 5_000, heights_m=(1, 8))
    in_flight = air.mean_level_dbm(0, 5_000, heights_m=(300, 8))
    assert in_flight == pytest.approx(-(25.2 + 20 * math.log10(5_000)), abs=0.1)
    # 40 log 5000 - 20 log 8: what CTT tags on the ground lose.
    assert near_ground == pytest.approx(-129.9, abs=0.1)


def test_beyond_the_horizon_a_kilometre_costs_a_decibel() -> None:
    air = Air(path_loss_exponent=2.0)
    horizon_m = 4_124 * (math.sqrt(9) + math.sqrt(25))
    beyond = air.mean_level_dbm(0, horizon_m + 10_000, heights_m=(9, 25))
    bare = Air(path_loss_exponent=2.0).mean_level_dbm(0, horizon_m + 10_000)
    plane = -(40 * math.log10(horizon_m + 10_000) - 20 * math.log10(9 * 25))
    assert beyond == pytest.approx(min(bare, plane) - 10, abs=0.1)


def test_a_yagi_hears_most_where_it_points_and_least_behind() -> None:
    yagi = Antenna(name="n", pattern="yagi-5", bearing_deg=350)
    assert yagi.gain_dbi(-10) == pytest.approx(9.0)
    assert yagi.gain_dbi(350 + 55 / 2) == pytest.approx(6.0)
    assert yagi.gain_dbi(170) == pytest.approx(9.0 - 18)
    assert {Antenna(name="o").gain_dbi(angle) for angle in (0, 90, 180)} == {2.0}


def test_at_its_sensitivity_a_radio_loses_half_of_the_packets() -> None:
    assert packet_chance(0, 56) == pytest.approx(0.5, abs=0.01)
    rates = [fsk_bit_error_rate(margin) for margin in range(-10, 11)]
    assert rates == sorted(rates, reverse=True)
    heard = []
    for margin_db in (-6, 0, 6):
        rows = receptions(world_of(CURVE, (tag_at(margin_db, interval_s=1.0),)))
        heard.append(sum(row.wrong_bits == 0 and row.outcome == "printed" for row in rows))
    assert heard[0] < 60
    assert 240 < heard[1] < 360
    assert heard[2] > 590


def test_what_could_be_heard_has_a_row_though_it_was_lost() -> None:
    counts = outcomes(world_of(CURVE, (tag_at(0.5, interval_s=1.0),)))
    assert counts.total() == 600
    assert counts["too-weak"] > 60


def test_the_noise_of_a_site_takes_what_a_quiet_one_hears() -> None:
    tag = tag_at(6, interval_s=1.0)
    quiet = outcomes(world_of(CURVE, (tag,)))
    loud = outcomes(world_of(CURVE, (tag,), noise=(SiteNoise(level_dbm=-96),)))
    assert quiet["printed"] > 590
    assert loud["printed"] < 10


def test_interference_disturbs_while_it_lasts() -> None:
    bursts = Interference(bursts_per_hour=240, burst_s=5, level_dbm=-80)
    counts = outcomes(world_of(CURVE, (tag_at(10, interval_s=1.0),), interference=(bursts,)))
    # 5 s of every 20.
    assert 60 < counts["disturbed"] < 270
    assert counts["disturbed"] + counts["printed"] == 600


def test_of_two_packets_at_once_the_stronger_survives_or_none() -> None:
    air = msgspec.structs.replace(CURVE, capture_db=6.0)
    first = {"interval_s": 1.0, "jitter_s": 0.0, "first_beep_s": 0.5}
    later = {"interval_s": 1.0, "jitter_s": 0.0, "first_beep_s": 0.501}

    def fates(margins_db: tuple[float, float]) -> dict[str, set[tuple[str, bool]]]:
        world = world_of(
            air,
            (
                tag_at(margins_db[0], "78664C33", **first),
                tag_at(margins_db[1], "6161527F", **later),
            ),
            duration_s=50,
        )
        sent: dict[int, str] = {}
        found = collections.defaultdict[str, set[tuple[str, bool]]](set)
        for each in World(world).happenings():
            if isinstance(each, Transmission):
                sent[each.number] = each.sender
            row = each.reception if isinstance(each, Emission) else each
            if isinstance(row, Reception):
                found[sent[row.transmission]].add((row.outcome, "collision" in row.air_faults))
        return found

    stronger_first = fates((40, 20))
    assert stronger_first["78664C33"] == {("printed", False)}
    assert stronger_first["6161527F"] == {("busy", False)}
    stronger_later = fates((20, 40))
    # It came within the sync word of the one that the radio had begun to follow.
    assert stronger_later["78664C33"] == {("collided", False)}
    equal = fates((20, 20))
    assert ("printed", False) not in equal["78664C33"] | equal["6161527F"]


def test_a_late_collision_leaves_the_first_bits_right() -> None:
    air = msgspec.structs.replace(CURVE, capture_db=6.0)
    tags = (
        tag_at(20, "78664C33", interval_s=1.0, jitter_s=0.0, first_beep_s=0.5),
        tag_at(30, "6161527F", interval_s=1.0, jitter_s=0.0, first_beep_s=0.502),
    )
    hit = [row for row in receptions(world_of(air, tags)) if "collision" in row.air_faults]
    assert len(hit) > 500
    assert all(row.received is not None and row.received.startswith("78") for row in hit)


def test_noise_that_looks_like_a_packet_is_told_as_noise() -> None:
    world = world_of(CURVE, (tag_at(20),), noise_packets_per_hour=3600)
    noise = [
        each
        for each in World(world).happenings()
        if isinstance(each, Transmission) and each.sender_kind == "noise"
    ]
    assert 500 < len(noise) < 700
    gated = world_of(
        CURVE,
        (tag_at(20),),
        noise_packets_per_hour=3600,
        radios=(Radio(name="r", generation="G4", antenna="a"),),
    )
    assert not any(
        isinstance(each, Transmission) and each.sender_kind == "noise"
        for each in World(gated).happenings()
    )


def test_a_station_without_power_is_deaf_and_its_clock_is_behind_afterwards() -> None:
    cut = PowerCut(at_s=100, off_s=200, clock_set_after_s=60)
    world = world_of(CURVE, (tag_at(20, interval_s=1.0),), power_cuts=(cut,))
    rows = receptions(world)
    off = [row for row in rows if row.outcome == "off"]
    assert 199 <= len(off) <= 201
    behind = {
        round((row.stamped_unix_s or 0) - row.heard_at_unix_s)
        for row in rows
        if row.outcome == "printed"
    }
    assert behind == {0, -200}
    life = StationLife(world.stations[0], 1, 0.0)
    assert [life.boot(at) for at in (0, 299, 300)] == [1, 1, 2]
    assert [life.is_synchronised(at) for at in (0, 301, 361)] == [True, False, True]


def test_a_clock_drifts_by_its_ppm() -> None:
    clock = StationClock(offset_s=2, drift_ppm=100)
    station = Station(name="s", position=HERE, radios=(Radio(name="r", antenna="a"),), clock=clock)
    assert StationLife(station, 1, 0.0).clock_unix_s(10_000) == pytest.approx(10_003)


def test_a_transmission_is_either_told_or_out_of_reach() -> None:
    night = scenario("night-migration").changed(duration_s=7200)
    told: collections.Counter[str] = collections.Counter()
    for each in World(night).happenings():
        if isinstance(each, Transmission) and each.sender_kind == "tag":
            told["in reach"] += 1
        elif not isinstance(each, Reception | Emission | Transmission) and hasattr(
            each, "transmissions"
        ):
            told["out of reach"] += each.transmissions
    schedule = sum(7200 / tag.interval_s for tag in night.tags)
    assert told.total() == pytest.approx(schedule, rel=0.03)
    assert told["in reach"] > 1000


def test_a_ship_hears_what_it_passes() -> None:
    ship = scenario("ship").changed(duration_s=7200)
    life = World(ship).stations["vessel"]
    places = [life.place_at(at) for at in (0, 3600, 7200)]
    assert places[0] == (60.0, -3.0)
    assert places[1] == pytest.approx((60.125, -2.6))
    assert life.place_at(0) == (60.0, -3.0)
    hours = [
        len(list(group))
        for _, group in itertools.groupby(
            sorted(
                int((row.heard_at_unix_s - ship.start_unix_s) // 3600)
                for row in receptions(ship)
                if row.outcome == "printed"
            )
        )
    ]
    assert len(hours) == 2
    assert hours[1] > hours[0]
