"""The time line of a radio's pulses: right gaps, whatever clocks and buffers do."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.records import Pulse
from receiver.arrivals import Stamp
from receiver.coded_ids.pulse_times import PulseTimes

S = 10**9
MS = 10**6
UTC_NS = 1_790_000_000 * S
MONO_NS = 5_000 * S


def pulse(device_ns: int | None, age_us: int | None = None) -> Pulse:
    return Pulse(frequency_offset_hz=4_000, signal_db=-40, device_time_ns=device_ns, age_us=age_us)


def stamp(mono_ns: int, offset_ns: int = UTC_NS - MONO_NS) -> Stamp:
    return Stamp(mono_ns + offset_ns, "ntp", mono_ns, "boot-a")


def test_without_a_clock_of_its_own_a_pulse_was_when_it_arrived() -> None:
    line_ns, when = PulseTimes().place(pulse(None, age_us=300), stamp(MONO_NS))
    assert line_ns == MONO_NS - 300_000
    assert (when.mono_ns, when.utc_ns) == (MONO_NS - 300_000, UTC_NS - 300_000)


def test_a_recordings_stamp_without_a_monotonic_time_will_do() -> None:
    line_ns, when = PulseTimes().place(pulse(None), Stamp(UTC_NS, "unsynchronised"))
    assert (line_ns, when.utc_ns, when.mono_ns) == (UTC_NS, UTC_NS, None)
    times = PulseTimes()
    places = [
        times.place(pulse(UTC_NS + at), Stamp(UTC_NS + at + late, "unsynchronised"))[0]
        for at, late in ((0, 5 * MS), (20 * MS, 90 * MS), (60 * MS, 55 * MS))
    ]
    assert [place - places[0] for place in places] == [0, 20 * MS, 60 * MS]


@given(
    sent=st.lists(st.integers(0, 600 * S), min_size=2, max_size=30, unique=True).map(sorted),
    late=st.lists(st.integers(0, 7 * S), min_size=30, max_size=30),
    ahead_ns=st.sampled_from([0, -20 * MS, 3_600 * S, -UTC_NS]),
)
def test_gaps_are_the_devices_own_however_late_lines_come(
    sent: list[int], late: list[int], ahead_ns: int
) -> None:
    times = PulseTimes()
    placed = []
    for at_ns, late_ns in zip(sent, late, strict=False):
        arrival = stamp(MONO_NS + at_ns + late_ns)
        placed.append(times.place(pulse(UTC_NS + at_ns + ahead_ns), arrival)[0])
    gaps = [after - before for before, after in itertools.pairwise(placed)]
    assert gaps == [after - before for before, after in itertools.pairwise(sent)]
    assert times.steps == 0


def test_a_pulse_stamped_by_this_machine_is_stamped_as_it_says() -> None:
    times = PulseTimes()
    for late_ns in (3 * S, MS, 7 * S):
        _, when = times.place(pulse(UTC_NS + S), stamp(MONO_NS + S + late_ns))
        assert (when.utc_ns, when.mono_ns) == (UTC_NS + S, MONO_NS + S)


@pytest.mark.parametrize("step_ns", [3_600 * S, 400 * MS, -400 * MS, -3_600 * S])
def test_a_step_of_this_machines_clock_moves_no_pulse(step_ns: int) -> None:
    times = PulseTimes()
    offset_ns = UTC_NS - MONO_NS
    line = [times.place(pulse(UTC_NS), stamp(MONO_NS + 100 * MS))[0]]
    # Stamped before the step, read after it.
    line.append(
        times.place(pulse(UTC_NS + S), stamp(MONO_NS + S + 100 * MS, offset_ns + step_ns))[0]
    )
    line.append(
        times.place(
            pulse(UTC_NS + 2 * S + step_ns), stamp(MONO_NS + 2 * S + 100 * MS, offset_ns + step_ns)
        )[0]
    )
    assert line == [MONO_NS, MONO_NS + S, MONO_NS + 2 * S]


def test_the_quickest_way_tells_when_pulses_of_another_clock_were() -> None:
    times = PulseTimes()
    for at_s, late_ms in ((0, 900), (1, 5), (2, 700), (3, 60)):
        _, when = times.place(pulse(at_s * S), stamp(MONO_NS + at_s * S + late_ms * MS))
    assert when.mono_ns == MONO_NS + 3 * S + 5 * MS


def test_a_drifting_clock_is_followed_for_days() -> None:
    times = PulseTimes()
    for minute in range(0, 4 * 24 * 60, 5):
        at_ns = minute * 60 * S
        device_ns = at_ns - at_ns // 10_000  # 100 ppm slow.
        _, when = times.place(pulse(device_ns), stamp(MONO_NS + at_ns + 2 * MS))
        assert when.mono_ns is not None
        assert abs(when.mono_ns - MONO_NS - at_ns) < 150 * MS
    assert times.steps == 0


def test_a_clock_that_begins_again_is_taken_up_where_time_stands() -> None:
    times = PulseTimes()
    before, _ = times.place(pulse(9_000 * S), stamp(MONO_NS))
    after, when = times.place(pulse(2 * S), stamp(MONO_NS + 60 * S))
    assert after - before == 60 * S
    assert when.mono_ns == MONO_NS + 60 * S
    assert times.steps == 1


@given(
    told=st.lists(
        st.tuples(st.integers(-(2**62), 2**62), st.integers(0, 2**40), st.integers(-S, S)),
        max_size=20,
    )
)
def test_no_times_raise(told: list[tuple[int, int, int]]) -> None:
    times = PulseTimes()
    for device_ns, mono_ns, offset_ns in told:
        times.place(pulse(device_ns, age_us=3), stamp(mono_ns, offset_ns))
