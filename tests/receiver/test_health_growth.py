"""How fast the disk fills and for how long it lasts, also just after a restart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.health.growth import DiskSample, GrowthWatch

HOUR_S = 3600.0
MB = 1_000_000


def filled(hours: float, mb_per_hour: float, *, begin_s: float = 0.0) -> list[DiskSample]:
    """Return samples of every ten minutes of a store that grows on a disk of 1 GB."""
    return [
        DiskSample(
            begin_s + ten * 600.0,
            round(ten / 6 * mb_per_hour * MB),
            1000 * MB - round(ten / 6 * mb_per_hour * MB),
        )
        for ten in range(round(hours * 6) + 1)
    ]


def test_nothing_is_said_before_an_hour_has_passed() -> None:
    watch = GrowthWatch()
    for sample in filled(0.8, 10):
        growth = watch.take(sample)
    assert (growth.bytes_per_day, growth.days_left) == (None, None)


def test_the_pace_of_the_last_day_tells_the_days_left() -> None:
    watch = GrowthWatch()
    for sample in filled(48, 1):
        growth = watch.take(sample)
    assert growth.bytes_per_day == pytest.approx(24 * MB)
    assert growth.days_left == pytest.approx((1000 - 48) / 24)
    assert growth.watched_s == 86_400


def test_a_store_that_does_not_grow_lasts() -> None:
    watch = GrowthWatch()
    for sample in filled(5, 0):
        growth = watch.take(sample)
    assert (growth.bytes_per_day, growth.days_left) == (0, None)


def test_what_other_programs_write_counts_for_the_days_left() -> None:
    watch = GrowthWatch()
    for hour in range(25):
        growth = watch.take(DiskSample(hour * HOUR_S, 5 * MB, (1000 - 10 * hour) * MB))
    assert growth.bytes_per_day == 0
    assert growth.days_left == pytest.approx(760 / 240)


def test_a_store_that_is_kept_to_a_size_never_fills_a_disk_with_room_for_it() -> None:
    watch = GrowthWatch()
    for sample in filled(10, 10):
        growth = watch.take(sample, most_bytes=200 * MB)
        unbounded = watch.take(sample, most_bytes=2000 * MB)
    assert growth.days_left is None
    assert unbounded.days_left == pytest.approx(900 / 240)


def test_pages_that_deletions_freed_are_room_too() -> None:
    watch = GrowthWatch()
    for sample in filled(10, 10):
        growth = watch.take(sample, unused_bytes=240 * MB)
    assert growth.days_left == pytest.approx(1140 / 240)


def test_a_restart_goes_on_from_the_rows_of_before() -> None:
    watch = GrowthWatch()
    watch.begin_with(filled(24, 1, begin_s=-86_400))
    growth = watch.take(DiskSample(0, 24 * MB, 976 * MB))
    assert growth.bytes_per_day == pytest.approx(24 * MB)


@given(
    st.lists(
        st.tuples(st.floats(0.1, 1e6), st.integers(0, 10**12), st.integers(0, 10**12)), min_size=1
    )
)
def test_samples_stay_bounded_and_days_are_never_negative(
    steps: list[tuple[float, int, int]],
) -> None:
    watch = GrowthWatch()
    now_s = 0.0
    for step_s, used, free in steps:
        now_s += step_s
        growth = watch.take(DiskSample(now_s, used, free))
        assert growth.days_left is None or growth.days_left >= 0
    assert len(watch._samples) <= 146
