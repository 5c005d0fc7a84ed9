"""The clock: stamps by both clocks, steps and sync changes noticed, slewing left alone."""

from collections.abc import Iterator

import pytest

from receiver.arrivals import ClockQuality, ClockSample
from receiver.clock import Clock, boot_id, kernel_quality

S = 10**9


class World:
    """A machine whose clocks a test sets."""

    def __init__(self) -> None:
        self.utc_ns = 1_800_000_000 * S  # January 2027
        self.mono_ns = 100 * S
        self.quality: ClockQuality = "unsynchronised"

    def passes(self, seconds: float, *, step_s: float = 0) -> None:
        """Let time pass; the system clock is stepped by `step_s` besides."""
        self.mono_ns += round(seconds * S)
        self.utc_ns += round((seconds + step_s) * S)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def clock(world: World) -> Clock:
    return Clock(
        utc_ns=lambda: world.utc_ns,
        mono_ns=lambda: world.mono_ns,
        quality=lambda: world.quality,
        boot="boot-a",
    )


def reasons(samples: list[ClockSample]) -> list[str]:
    return [sample.reason for sample in samples]


def test_a_start_is_a_sample(clock: Clock, world: World) -> None:
    assert clock.take_samples() == [
        ClockSample("boot-a", world.mono_ns, world.utc_ns, "unsynchronised", "start")
    ]
    assert clock.take_samples() == []


def test_a_stamp_holds_both_clocks_and_their_quality(clock: Clock, world: World) -> None:
    world.passes(2)
    stamp = clock.stamp()
    assert (stamp.utc_ns, stamp.mono_ns) == (world.utc_ns, world.mono_ns)
    assert (stamp.boot, stamp.clock) == ("boot-a", "unsynchronised")


@pytest.mark.parametrize("step_s", [0.021, -0.021, 400 * 86_400, -400 * 86_400])
def test_a_step_is_noticed_at_the_next_stamp(clock: Clock, world: World, step_s: float) -> None:
    clock.take_samples()
    world.passes(0.001, step_s=step_s)
    world.quality = "ntp"
    assert clock.stamp().clock == "ntp"
    (sample,) = clock.take_samples()
    assert (sample.reason, sample.clock) == ("step", "ntp")
    assert (sample.utc_ns, sample.mono_ns) == (world.utc_ns, world.mono_ns)
    assert clock.steps == 1


def test_slewing_is_no_step(clock: Clock, world: World) -> None:
    clock.take_samples()
    for _ in range(600):  # ten minutes at the kernel's fastest slew
        world.passes(1, step_s=0.0005)
        clock.stamp()
    assert reasons(clock.take_samples()) == []


def test_a_change_of_sync_state_is_a_sample(clock: Clock, world: World) -> None:
    clock.take_samples()
    world.quality = "ntp"
    world.passes(1.5)
    clock.look()
    assert reasons(clock.take_samples()) == ["sync"]


def test_the_kernel_is_asked_once_a_second_at_most(world: World) -> None:
    asked = 0

    def quality() -> ClockQuality:
        nonlocal asked
        asked += 1
        return "ntp"

    clock = Clock(
        utc_ns=lambda: world.utc_ns, mono_ns=lambda: world.mono_ns, quality=quality, boot="a"
    )
    for _ in range(1_000):
        world.passes(0.01)
        clock.stamp()
    assert asked <= 11


def test_every_hour_is_a_sample(clock: Clock, world: World) -> None:
    clock.take_samples()
    for _ in range(121):
        world.passes(60)
        clock.look()
    assert reasons(clock.take_samples()) == ["hourly", "hourly"]


def test_a_thread_stopped_between_the_two_readings_is_no_step() -> None:
    def utc() -> Iterator[int]:
        yield 1_000 * S  # start
        yield 1_002 * S  # 1 s late: the thread was stopped after reading the other clock
        while True:
            yield 1_002 * S

    def mono() -> Iterator[int]:
        yield 100 * S
        yield 101 * S
        while True:
            yield 102 * S

    utc_values, mono_values = utc(), mono()
    clock = Clock(
        utc_ns=lambda: next(utc_values),
        mono_ns=lambda: next(mono_values),
        quality=lambda: "ntp",
        boot="a",
    )
    clock.stamp()
    assert clock.steps == 0


def test_the_machines_own_clock_can_be_read() -> None:
    assert kernel_quality() in {"pps", "ntp", "unsynchronised"}
    assert len(boot_id()) == 36
    first, second = Clock().stamp(), Clock().stamp()
    assert first.mono_ns is not None
    assert second.mono_ns is not None
    assert second.mono_ns > first.mono_ns
