"""A receiver's uptime in the host's time: a simulated day, boots, sleeps."""

import math
import random
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.station_link.clock import BUCKETS, UptimeClock

NS = 1_000_000_000
DAY_S = 86_400.0
SETTLED_S = 1800.0
JITTER_NS = 20_000_000
SHORTEST_WAY_NS = 300_000
"""What the quickest USB transfer takes, both ways alike."""


class World(NamedTuple):
    """A receiver whose crystal is off, on a line that delays."""

    drift_ppm: float
    swing_ppm: float = 0.0
    """How far the rate swings over a day with the temperature."""

    def uptime_us(self, t: float) -> int:
        """Return what the receiver's clock shows at second `t`."""
        swung = self.swing_ppm * DAY_S / math.tau * (1 - math.cos(math.tau * t / DAY_S))
        return int(t * 1e6 + t * self.drift_ppm + swung)


def way_ns(chance: random.Random, shortest_ns: int = SHORTEST_WAY_NS) -> int:
    return shortest_ns + chance.randrange(JITTER_NS)


def errors_ms(
    world: World,
    *,
    seed: int,
    token_s: float | None = 10.0,
    shortest_ns: int = SHORTEST_WAY_NS,
    days: float = 1.0,
) -> Iterator[tuple[float, float]]:
    """Hear a frame a second; yield (second, error of the mapping at that second in ms)."""
    chance = random.Random(seed)
    clock = UptimeClock()
    t, next_token = 0.0, token_s or math.inf
    while t < days * DAY_S:
        t += chance.expovariate(1)
        clock.heard(world.uptime_us(t), round(t * NS) + way_ns(chance, shortest_ns))
        if t >= next_token and token_s:
            next_token += token_s
            token = clock.token(round(t * NS))
            echoed_ns = token + way_ns(chance, shortest_ns)
            arrived_ns = echoed_ns + way_ns(chance, shortest_ns)
            clock.echoed(token, world.uptime_us(echoed_ns / NS), arrived_ns)
        mapped = clock.host_ns(world.uptime_us(t))
        assert mapped is not None
        yield t, (mapped - t * NS) / 1e6


@pytest.mark.parametrize(
    "world",
    [World(50.0), World(-50.0), World(50.0, swing_ppm=5.0)],
    ids=["fast crystal", "slow crystal", "warm day, cold night"],
)
def test_a_day_of_50_ppm_and_20_ms_of_jitter_stays_within_a_millisecond(world: World) -> None:
    worst = max(abs(error) for t, error in errors_ms(world, seed=4) if t > SETTLED_S)
    assert worst < 1.0


def test_a_token_a_minute_is_enough() -> None:
    settled = (e for t, e in errors_ms(World(50.0), seed=5, token_s=60.0) if t > SETTLED_S)
    assert max(map(abs, settled)) < 1.0


def test_a_long_way_is_known_by_tokens() -> None:
    errors = errors_ms(World(50.0), seed=8, shortest_ns=8_000_000, days=0.25)
    assert max(abs(error) for t, error in errors if t > SETTLED_S) < 1.0


def test_few_points_do_not_bias_the_mapping() -> None:
    errors = errors_ms(World(50.0), seed=9, token_s=60.0, days=0.5)
    settled = [error for t, error in errors if t > SETTLED_S]
    assert abs(sum(settled) / len(settled)) < 0.15


def test_without_tokens_only_the_shortest_way_is_not_known() -> None:
    settled = (e for t, e in errors_ms(World(50.0), seed=6, token_s=None) if t > SETTLED_S)
    assert max(map(abs, settled)) < 1.0 + SHORTEST_WAY_NS / 1e6


def test_drift_is_measured_to_a_millionth() -> None:
    clock = UptimeClock()
    world = World(50.0)
    chance = random.Random(7)
    for second in range(3600):
        clock.heard(world.uptime_us(second), second * NS + way_ns(chance))
    clock.host_ns(0)
    assert clock.drift == pytest.approx(-50e-6, abs=1e-6)


def test_before_any_frame_nothing_is_known() -> None:
    assert UptimeClock().host_ns(5) is None


def test_after_one_frame_its_arrival_is_the_best_guess() -> None:
    clock = UptimeClock()
    clock.heard(1_000_000, 70 * NS)
    assert clock.host_ns(1_000_000) == 70 * NS
    assert clock.host_ns(900_000) == 70 * NS - NS // 10


def test_a_late_frame_changes_nothing() -> None:
    clock = UptimeClock()
    for second in range(1, 60):
        clock.heard(second * 1_000_000, second * NS)
    before = clock.host_ns(60_000_000)
    clock.heard(60_000_000, 65 * NS)
    assert clock.host_ns(60_000_000) == before == 60 * NS


def test_buffered_frames_of_hours_ago_do_not_spoil_the_mapping() -> None:
    clock = UptimeClock()
    for minute in range(180):
        clock.heard(minute * 60_000_000, 20_000 * NS)
    assert clock.host_ns(179 * 60_000_000) == pytest.approx(20_000 * NS, abs=2 * NS)
    for second in range(1800):
        clock.heard(179 * 60_000_000 + second * 1_000_000, (20_000 + second) * NS)
    assert clock.host_ns(179 * 60_000_000 + 1_800_000_000) == pytest.approx(
        21_800 * NS, abs=1_000_000
    )


def test_uptime_that_went_back_is_a_boot() -> None:
    clock = UptimeClock()
    clock.heard(3_600_000_000, 5000 * NS)
    clock.heard(2_000_000, 5010 * NS)
    assert clock.boots == 1
    assert clock.host_ns(3_000_000) == 5011 * NS


def test_a_new_boot_count_is_a_boot_although_uptime_went_forward() -> None:
    clock = UptimeClock()
    clock.boot_count(7)
    clock.heard(1_000_000, 100 * NS)
    clock.boot_count(7)
    assert clock.boots == 0
    clock.boot_count(8)
    clock.heard(2_000_000, 200 * NS)
    assert clock.boots == 1
    assert clock.host_ns(2_000_000) == 200 * NS


def test_drift_outlives_a_boot() -> None:
    clock = UptimeClock()
    world = World(50.0)
    for second in range(1000):
        clock.heard(world.uptime_us(second), second * NS)
    clock.host_ns(0)
    clock.begin_boot()
    clock.heard(0, 2000 * NS)
    assert clock.host_ns(1_000_000_000) == pytest.approx(3000 * NS - 50_000_000, abs=1_000_000)


def test_a_sleep_that_stopped_uptime_is_noticed_by_the_next_token() -> None:
    clock = UptimeClock()
    for second in range(600):
        clock.heard(second * 1_000_000, second * NS)
    slept_s = 3600
    for second in range(600, 605):
        token = clock.token((slept_s + second) * NS)
        clock.echoed(token, second * 1_000_000, token + 1_000_000)
    assert clock.host_ns(604_000_000) == pytest.approx((slept_s + 604) * NS, abs=2_000_000)
    assert (clock.jumps, clock.boots) == (1, 0)


def test_a_token_that_is_not_ours_is_not_believed() -> None:
    clock = UptimeClock()
    clock.echoed(2**63, 1_000_000, 50 * NS)
    clock.echoed(0, 2_000_000, 51 * NS)
    assert clock.host_ns(2_000_000) == 51 * NS
    for minute in range(1, 20):
        clock.echoed(0, minute * 60_000_000, (49 + minute * 60) * NS)
    assert clock.host_ns(2_000_000) == 51 * NS
    assert clock.jumps == 0


def test_memory_stays_bounded_over_days() -> None:
    clock = UptimeClock()
    for minute in range(5000):
        clock.echoed(minute * 60 * NS, minute * 60_000_000, minute * 60 * NS + 1)
    assert len(clock._arrivals) <= BUCKETS
    assert len(clock._tokens) <= BUCKETS


@settings(max_examples=150)
@given(
    seen=st.lists(
        st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**63), st.booleans()), max_size=60
    ),
    asked=st.integers(0, 2**64 - 1),
)
def test_any_uptimes_never_raise(seen: list[tuple[int, int, bool]], asked: int) -> None:
    clock = UptimeClock()
    for uptime_us, host_ns, is_echo in seen:
        if is_echo:
            clock.echoed(max(0, host_ns - 1000), uptime_us, host_ns)
        else:
            clock.heard(uptime_us, host_ns)
        assert clock.host_ns(asked) is not None
