"""Bursts and runs: what is told of pulses that are sent, lost, shared, late and of noise."""

import itertools
from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec
import pytest

from protocols.coded_id import (
    AntennaDecoder,
    BurstSeen,
    ClockStepped,
    CodeBook,
    CodedTag,
    Event,
    HeardPulse,
    IntervalMismatch,
    RunContinued,
    RunEnded,
    RunOpened,
    Tolerances,
)

BEGIN_NS = 1_600_000_000_000_000_000
SECOND_NS = 1_000_000_000
GAPS_MS = (63.477, 43.945, 102.539)
EventKind = TypeVar("EventKind", bound=Event)


def listed(
    name: str = "1", gaps_ms: tuple[float, float, float] = GAPS_MS, interval_s: float = 10.0
) -> CodedTag:
    return CodedTag(
        project="p", id=name, frequency_mhz=166.38, gaps_ms=gaps_ms, burst_interval_s=interval_s
    )


TAG = listed()


def sent(
    at_s: float,
    tag: CodedTag = TAG,
    *,
    lost: Iterable[int] = (),
    frequency_hz: float = 4000.0,
    signal_db: float = -50.0,
) -> list[HeardPulse]:
    offsets_ms = [0.0, *(sum(tag.gaps_ms[: count + 1]) for count in range(3))]
    return [
        HeardPulse(
            BEGIN_NS + round(at_s * 1e9 + offset * 1e6),
            frequency_hz + 5 * number,
            signal_db,
            -80.0,
        )
        for number, offset in enumerate(offsets_ms)
        if number not in lost
    ]


def at(seconds: float) -> int:
    return BEGIN_NS + round(seconds * 1e9)


def decoded(tags: Sequence[CodedTag], *bursts: list[HeardPulse]) -> list[Event]:
    decoder = AntennaDecoder(CodeBook(tags))
    pulses = sorted((pulse for burst in bursts for pulse in burst), key=lambda one: one.time_ns)
    return decoder.feed(pulses) + decoder.finish()


def of(kind: type[EventKind], events: Iterable[Event]) -> list[EventKind]:
    return [event for event in events if isinstance(event, kind)]


def times_s(run: RunOpened) -> list[float]:
    return [(burst.time_ns - BEGIN_NS) / 1e9 for burst in run.bursts]


def test_a_burst_is_shown_at_once_before_anything_confirms_it() -> None:
    decoder = AntennaDecoder(CodeBook([TAG]))
    later = HeardPulse(at(1.0), 9000.0, -70.0)
    (seen,) = of(BurstSeen, decoder.feed([*sent(0.0), later]))
    assert seen.tag_ids == ("p#1",)
    assert seen.run is None
    assert (seen.burst.time_ns, seen.burst.pulse_count) == (at(0.0), 4)
    assert seen.burst.slop_ms == pytest.approx(0.0, abs=0.001)


def test_without_a_further_pulse_a_tick_shows_the_burst() -> None:
    decoder = AntennaDecoder(CodeBook([TAG]))
    assert decoder.feed(sent(0.0)) == []
    assert decoder.tick(5 * SECOND_NS) == []
    assert len(of(BurstSeen, decoder.tick(6 * SECOND_NS))) == 1


def test_one_burst_alone_makes_no_run() -> None:
    events = decoded([TAG], sent(0.0))
    assert len(of(BurstSeen, events)) == 1
    assert of(RunOpened, events) == []


@pytest.mark.parametrize("intervals", [1, 2, 3, 7])
def test_two_bursts_confirm_a_run_though_others_are_missing_between_them(intervals: int) -> None:
    events = decoded([TAG], sent(0.0), sent(10.0 * intervals))
    (run,) = of(RunOpened, events)
    assert run.tag_ids == ("p#1",)
    assert run.labels == ("p#1@166.38:10",)
    assert times_s(run) == [0.0, 10.0 * intervals]
    assert run.interval_errors_ms[0] is None
    assert [abs(error or 0.0) < 0.001 for error in run.interval_errors_ms] == [True, True]
    (end,) = of(RunEnded, events)
    assert (end.run_length, end.missed_bursts) == (2, intervals - 1)


def test_two_bursts_at_another_distance_do_not() -> None:
    assert of(RunOpened, decoded([TAG], sent(0.0), sent(10.02))) == []


def test_every_second_burst_is_enough() -> None:
    events = decoded([TAG], *(sent(20.0 * number) for number in range(20)))
    (end,) = of(RunEnded, events)
    assert (end.run_length, end.missed_bursts) == (20, 19)
    assert end.interval_s == pytest.approx(10.0)


@pytest.mark.parametrize("lost", [0, 1, 2, 3])
def test_a_run_survives_a_lost_pulse_and_marks_the_burst(lost: int) -> None:
    events = decoded([TAG], sent(0.0), sent(10.0), sent(20.0, lost=[lost]), sent(30.0))
    incomplete, complete = of(RunContinued, events)
    assert (incomplete.burst.pulse_count, complete.burst.pulse_count) == (3, 4)
    assert incomplete.burst.time_ns == pytest.approx(at(20.0), abs=1000)
    assert incomplete.interval_error_ms == pytest.approx(0.0, abs=0.01)
    assert complete.interval_error_ms == pytest.approx(0.0, abs=0.01)
    (end,) = of(RunEnded, events)
    assert (end.run_length, end.complete_bursts, end.missed_bursts) == (4, 3, 0)


def test_three_pulses_confirm_nothing() -> None:
    assert (
        of(RunOpened, decoded([TAG], sent(0.0), sent(10.0, lost=[1]), sent(20.0, lost=[2]))) == []
    )


def test_two_pulses_are_no_burst_but_the_run_goes_on() -> None:
    events = decoded([TAG], sent(0.0), sent(10.0), sent(20.0, lost=[0, 2]), sent(30.0))
    assert [event.missed_bursts for event in of(RunContinued, events)] == [1]


def test_the_frequency_of_a_run_follows_the_tag() -> None:
    bursts = [sent(10.0 * n, frequency_hz=4000.0 - 25.0 * n) for n in range(60)]
    events = decoded([TAG], *bursts)
    (end,) = of(RunEnded, events)
    assert end.run_length == 60


def test_the_interval_of_a_run_is_measured() -> None:
    bursts = [sent(10.003 * number) for number in range(12)] + [sent(10.003 * 29)]
    (end,) = of(RunEnded, decoded([TAG], *bursts))
    assert end.interval_s == pytest.approx(10.003)
    assert end.listed_interval_s == 10.0
    assert end.run_length == 13


def test_pulses_of_confirmed_runs_are_not_used_for_another_code() -> None:
    first, second = listed("1", (60.0, 50.0, 100.0)), listed("2", (70.0, 80.0, 90.0))
    # Starting 20 ms after the first, the second's pulses make up a code that nobody sends.
    phantom = listed("3", (20.0, 40.0, 30.0))
    bursts = [
        burst
        for number in range(8)
        for burst in (
            sent(10.0 * number, first),
            sent(10.0 * number + 0.020, second, frequency_hz=4070.0, signal_db=-53.0),
        )
    ]
    events = decoded([first, second, phantom], *bursts)
    assert ("p#3",) in {event.tag_ids for event in of(BurstSeen, events)}
    assert {event.tag_ids for event in of(RunOpened, events)} == {("p#1",), ("p#2",)}
    assert [end.run_length for end in of(RunEnded, events)] == [8, 8]


def test_a_run_ends_by_the_ticks_alone_and_on_time() -> None:
    decoder = AntennaDecoder(CodeBook([TAG]))
    events = decoder.feed(sent(0.0) + sent(10.0))
    ended_after_s = None
    for second in range(400):
        events += decoder.tick(second * SECOND_NS)
        if of(RunEnded, events):
            ended_after_s = second
            break
    assert len(of(RunOpened, events)) == 1
    assert of(RunEnded, events)[0].last_ns == at(10.0)
    # Twenty intervals of 10 s, and half a second of lateness.
    assert ended_after_s == 201
    assert decoder.open_runs == 0


def test_a_run_ends_by_later_pulses_of_anything() -> None:
    decoder = AntennaDecoder(CodeBook([TAG]))
    noise = [HeardPulse(at(second), 9000.0, -70.0) for second in range(11, 215)]
    assert len(of(RunEnded, decoder.feed(sent(0.0) + sent(10.0) + noise))) == 1


def test_ticks_while_pulses_come_change_nothing() -> None:
    ticked, plain = AntennaDecoder(CodeBook([TAG])), AntennaDecoder(CodeBook([TAG]))
    events: list[Event] = []
    expected: list[Event] = []
    for number in range(8):
        events += ticked.feed(sent(10.0 * number)) + ticked.tick(number * SECOND_NS)
        expected += plain.feed(sent(10.0 * number))
    assert repr(events) == repr(expected)


def test_a_clock_for_ticks_that_goes_back_ends_no_run() -> None:
    decoder = AntennaDecoder(CodeBook([TAG]))
    decoder.feed(sent(0.0) + sent(10.0))
    decoder.tick(10**18)
    decoder.tick(0)
    assert of(RunEnded, decoder.tick(SECOND_NS)) == []
    assert decoder.open_runs == 1


def test_antennas_do_not_mix() -> None:
    book = CodeBook([TAG])
    antennas = [AntennaDecoder(book), AntennaDecoder(book)]
    events = [
        event
        for number, antenna in enumerate(antennas)
        for event in antenna.feed(sent(10.0 * number)) + antenna.finish()
    ]
    assert of(RunOpened, events) == []


def test_one_code_at_two_intervals_is_told_apart() -> None:
    slow, fast = listed("slow", interval_s=11.3), listed("fast", interval_s=9.7)
    bursts = [sent(11.3 * number, slow) for number in range(9)]
    bursts += [sent(3 + 9.7 * number, fast, frequency_hz=5000.0) for number in range(9)]
    events = decoded([slow, fast], *bursts)
    assert {event.tag_ids for event in of(BurstSeen, events)} == {("p#fast", "p#slow")}
    assert {end.tag_ids: end.run_length for end in of(RunEnded, events)} == {
        ("p#slow",): 9,
        ("p#fast",): 9,
    }


def test_where_a_distance_fits_two_intervals_a_third_burst_decides() -> None:
    slow, fast = listed("slow", interval_s=10.0), listed("fast", interval_s=5.0)
    assert of(RunOpened, decoded([slow, fast], sent(0.0), sent(10.0))) == []
    (run,) = of(RunOpened, decoded([slow, fast], sent(0.0), sent(10.0), sent(20.0)))
    assert run.tag_ids == ("p#slow",)
    (run,) = of(RunOpened, decoded([slow, fast], sent(0.0), sent(10.0), sent(15.0)))
    assert run.tag_ids == ("p#fast",)
    assert times_s(run) == [0.0, 10.0, 15.0]


def test_like_intervals_are_reported_together_until_the_run_tells_them_apart() -> None:
    shorter, longer = listed("a", interval_s=10.0), listed("b", interval_s=10.006)
    bursts = [sent(10.0002 * number) for number in range(10)]
    events = decoded([shorter, longer], *bursts)
    (opened,) = of(RunOpened, events)
    assert set(opened.tag_ids) <= {"p#a", "p#b"}
    (end,) = of(RunEnded, events)
    assert end.tag_ids == ("p#a",)
    assert end.run_length == 10


def test_tags_that_cannot_be_told_apart_are_reported_as_a_set() -> None:
    twins = [listed("1"), listed("2", (63.6, 43.9, 102.4), 10.001)]
    events = decoded(twins, sent(0.0), sent(10.0), sent(20.0))
    (run,) = of(RunOpened, events)
    assert run.tag_ids == ("p#1", "p#2")
    assert run.labels == ("p#1@166.38:10", "p#2@166.38:10")
    assert of(RunContinued, events)[0].tag_ids == ("p#1", "p#2")


def test_a_code_at_an_interval_that_is_not_listed_is_reported_with_what_was_measured() -> None:
    shipped = listed("1", (21.875, 19.625, 24.375), 19.995)
    bursts = [sent(25.098 * number, shipped) for number in range(200)]
    events = decoded([shipped], *bursts)
    assert of(RunOpened, events) == []
    first, again = of(IntervalMismatch, events)
    assert first.tag_ids == ("p#1",)
    assert first.labels == ("p#1@166.38:20",)
    assert first.measured_interval_s == pytest.approx(25.098, abs=0.001)
    assert first.listed_intervals_s == (19.995,)
    assert len(first.bursts) == first.burst_count == 3
    assert again.burst_count > 100, "told again after an hour, not at each burst"


def test_a_pulse_reported_twice_counts_from_its_earlier_half() -> None:
    def twin_of(burst: list[HeardPulse]) -> HeardPulse:
        first = burst[0]
        return HeardPulse(first.time_ns - 300_000, first.frequency_offset_hz - 10, -54.0, -80.0)

    bursts = [sent(10.0 * number) for number in range(4)]
    events = decoded([TAG], *([*burst, twin_of(burst)] for burst in bursts))
    assert len(of(BurstSeen, events)) == 4
    (run,) = of(RunOpened, events)
    assert times_s(run) == pytest.approx([-0.0003, 9.9997])
    assert [end.run_length for end in of(RunEnded, events)] == [4]


def test_a_clock_set_back_ends_the_runs_and_all_begins_anew() -> None:
    decoder = AntennaDecoder(CodeBook([TAG]))
    decoder.feed(sent(1000.0) + sent(1010.0) + sent(1020.0))
    events = decoder.feed(sent(500.0))
    assert [type(event) for event in events[-2:]] == [RunEnded, ClockStepped]
    assert events[-1] == ClockStepped(from_ns=sent(1020.0)[-1].time_ns, to_ns=at(500.0))
    events = decoder.feed(sent(510.0)) + decoder.finish()
    (run,) = of(RunOpened, events)
    assert times_s(run) == [500.0, 510.0]
    assert decoder.counters.clock_steps == 1


def test_a_clock_set_forward_ends_the_runs() -> None:
    decoder = AntennaDecoder(CodeBook([TAG]))
    events = decoder.feed(sent(0.0) + sent(10.0) + sent(1e9) + sent(1e9 + 10.0))
    assert len(of(RunEnded, events)) == 1
    assert len(of(RunOpened, events + decoder.finish())) == 2


def test_pulses_later_than_allowed_are_counted_and_left_out() -> None:
    decoder = AntennaDecoder(CodeBook([TAG], Tolerances(lateness_s=0.5)))
    events = decoder.feed([HeardPulse(at(3.0), 9000.0, -70.0), *sent(0.0)])
    assert events + decoder.finish() == []
    assert decoder.counters.late_pulses == 4


def test_pulses_that_cannot_be_are_counted_and_left_out() -> None:
    nan, inf = float("nan"), float("inf")
    impossible = [
        HeardPulse(-1, 4000.0, -50.0),
        HeardPulse(2**70, 4000.0, -50.0),
        HeardPulse(at(0.0), nan, -50.0),
        HeardPulse(at(0.0), inf, -50.0),
        HeardPulse(at(0.0), 4000.0, nan),
        HeardPulse(at(0.0), 4000.0, -inf),
    ]
    decoder = AntennaDecoder(CodeBook([TAG]))
    events = decoder.feed([*impossible, *sent(0.0), *impossible, *sent(10.0)]) + decoder.finish()
    assert len(of(RunOpened, events)) == 1
    assert decoder.counters.implausible_pulses == 12


def test_an_edited_list_is_used_at_once_and_its_old_tags_keep_their_runs() -> None:
    leaving = listed("2", (70.0, 80.0, 90.0))
    decoder = AntennaDecoder(CodeBook([TAG, leaving]))
    decoder.feed([*sent(0.0), *sent(1.0, leaving), *sent(10.0), *sent(11.0, leaving)])
    decoder.feed(sent(20.0))
    arriving = listed("3", (90.0, 30.0, 120.0))
    events = decoder.use(CodeBook([arriving, TAG]))
    assert [end.tag_ids for end in of(RunEnded, events)] == [("p#2",)]
    events = decoder.feed([*sent(30.0), *sent(31.0, arriving), *sent(40.0), *sent(41.0, arriving)])
    events += decoder.finish()
    assert [opened.tag_ids for opened in of(RunOpened, events)] == [("p#3",)]
    assert {end.tag_ids: end.run_length for end in of(RunEnded, events)} == {
        ("p#1",): 5,
        ("p#3",): 2,
    }


def test_an_empty_list_finds_nothing_and_minds_nothing() -> None:
    assert decoded([], sent(0.0), sent(10.0)) == []


def test_a_run_begun_in_a_hum_is_found_though_searches_are_cut_short() -> None:
    hum = [
        HeardPulse(at(number / 400), 4000.0 + (number * 7919) % 400 - 200, -55.0)
        for number in range(400 * 60)
    ]
    bursts = [sent(10.0 * number, frequency_hz=5000.0) for number in range(6)]
    others = [listed(str(number), (25.0 + 4.883 * number, 44.0, 54.0)) for number in range(2, 20)]
    decoder = AntennaDecoder(CodeBook([TAG, *others]))
    pulses = sorted([*hum, *itertools.chain(*bursts)], key=lambda pulse: pulse.time_ns)
    events = decoder.feed(pulses) + decoder.finish()
    counters = decoder.counters
    assert counters.pulses == len(pulses)
    assert counters.skipped_pulses > 20_000
    assert (("p#1",), 6) in {(end.tag_ids, end.run_length) for end in of(RunEnded, events)}


def test_too_many_runs_end_the_one_that_was_silent_longest() -> None:
    tags = [listed(str(number), (25.0 + 4.883 * number, 44.0, 54.0)) for number in range(4)]
    book = CodeBook(tags, Tolerances(runs=3))
    decoder = AntennaDecoder(book)
    pulses = [
        pulse
        for interval in range(2)
        for number, tag in enumerate(tags)
        for pulse in sent(10.0 * interval + number, tag)
    ]
    events = decoder.feed([*pulses, HeardPulse(at(20.0), 9000.0, -70.0)])
    assert [end.tag_ids for end in of(RunEnded, events)] == [("p#0",)]
    assert decoder.open_runs == 3
    assert decoder.counters.runs_cut == 1


def test_a_burst_of_a_run_names_its_run_when_it_is_seen() -> None:
    events = decoded([TAG], sent(0.0), sent(10.0), sent(20.0))
    assert [seen.run for seen in of(BurstSeen, events)] == [None, None, 1]
    used = [
        pulse for run in of(RunOpened, events) for burst in run.bursts for pulse in burst.pulses
    ]
    assert all(pulse.claimed for pulse in used)


def test_events_can_be_turned_into_json() -> None:
    for event in decoded([TAG], sent(0.0), sent(10.0), sent(20.0)):
        assert msgspec.json.encode(event)
