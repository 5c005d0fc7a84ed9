"""Runs and their confidence: birds are kept, noise and mutilations are marked, with reasons."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.ctt.packet import id_from_number
from protocols.records import Detection, Integrity
from receiver import runs
from receiver.arrivals import RunRow
from receiver.confidence import of_detection
from receiver.runs import RunTracker, mutilation, regular_interval_s

S = 10**9
TAG = "344C2A55"


def detection(
    tag_id: str = TAG, integrity: Integrity = "unverified", *, id_legal: bool = True
) -> Detection:
    return Detection(protocol="ctt-434", tag_id=tag_id, integrity=integrity, id_legal=id_legal)


def beeps(
    tracker: RunTracker,
    count: int,
    each: Detection,
    *,
    interval_s: float = 5.0,
    start_s: float = 0,
    place: str = "north",
) -> list[int]:
    return [
        tracker.heard(each, place, round((start_s + number * interval_s) * S))
        for number in range(count)
    ]


def verdict_of(tracker: RunTracker, tag_id: str = TAG) -> RunRow:
    return next(verdict for verdict in tracker.end() if verdict.tag_id == tag_id)


def test_detections_that_follow_each_other_are_one_run() -> None:
    tracker = RunTracker()
    assert len(set(beeps(tracker, 20, detection()))) == 1
    verdict = verdict_of(tracker)
    assert (verdict.detections, verdict.first_utc_ns, verdict.last_utc_ns) == (20, 0, 95 * S)


def test_a_tag_that_comes_back_later_is_another_run() -> None:
    tracker = RunTracker()
    first = tracker.heard(detection(), "north", 0)
    assert tracker.heard(detection(), "north", 600 * S) == first
    assert tracker.heard(detection(), "north", 1_201 * S) != first


def test_antennas_do_not_mix() -> None:
    tracker = RunTracker()
    assert tracker.heard(detection(), "north", 0) != tracker.heard(detection(), "south", 0)


def test_a_clock_that_goes_backwards_begins_a_new_run_and_nothing_breaks() -> None:
    tracker = RunTracker()
    first = tracker.heard(detection(), "north", 10_000 * S)
    assert tracker.heard(detection(), "north", 9_999 * S) == first
    assert tracker.heard(detection(), "north", 0) != first


@pytest.mark.parametrize(
    ("integrities", "confidence", "reason"),
    [
        (["verified", "verified"], "certain", "verified-repeatedly"),
        (["verified"], "likely", "verified-once"),
        (["repaired", "repaired"], "likely", "repaired"),
        (["repaired"], "doubtful", "repaired"),
        (["unverified"] * 3, "likely", "heard-repeatedly"),
        (["unverified"], "doubtful", "without-checksum"),
        (["failed"] * 2, "false", "checksum-failed"),
    ],
)
def test_evidence_decides(integrities: list[Integrity], confidence: str, reason: str) -> None:
    tracker = RunTracker()
    for number, integrity in enumerate(integrities):
        tracker.heard(detection(integrity=integrity), "north", number * 7 * S)
    verdict = verdict_of(tracker)
    assert (verdict.confidence, verdict.reason) == (confidence, reason)


@pytest.mark.parametrize(
    ("integrity", "count", "confidence"),
    [("unverified", 1, "false"), ("verified", 2, "false"), ("verified", 3, "likely")],
)
def test_an_id_outside_the_dictionary_needs_more(
    integrity: Integrity, count: int, confidence: str
) -> None:
    tracker = RunTracker()
    beeps(tracker, count, detection(integrity=integrity, id_legal=False), interval_s=3.3)
    assert verdict_of(tracker).confidence == confidence


def test_one_right_checksum_does_not_vouch_for_an_id_with_bit_7() -> None:
    tracker = RunTracker()
    tracker.heard(detection("B44C2A55", "verified"), "north", 0)
    verdict = verdict_of(tracker, "B44C2A55")
    assert (verdict.confidence, verdict.reason) == ("doubtful", "verified-once-with-bit-7")


def test_a_tag_without_checksum_is_certain_once_it_beeps_regularly() -> None:
    dice = random.Random(1)
    tracker = RunTracker()
    at_s = 0.0
    for _ in range(12):
        at_s += 15.4 * dice.choice((1, 1, 2, 3)) + dice.uniform(-0.05, 0.05)
        tracker.heard(detection(), "north", round(at_s * S))
    verdict = verdict_of(tracker)
    assert (verdict.confidence, verdict.reason) == ("certain", "regular")
    assert verdict.interval_s == pytest.approx(15.4, rel=0.02)


@pytest.mark.parametrize(
    ("false_id", "reason"),
    [
        ("B44C2A55", "bit-7-of-344C2A55"),
        ("34CC2A55", "bit-7-of-344C2A55"),
        ("344C2AD5", "bit-7-of-344C2A55"),
        ("344C0000", "lost-tail-of-344C2A55"),
        ("344C2A54", "wrong-bit-of-344C2A55"),
    ],
)
def test_a_mutilation_of_a_strong_tag_is_false_and_says_of_which(
    false_id: str, reason: str
) -> None:
    tracker = RunTracker()
    beeps(tracker, 200, detection())
    for number in range(4):  # as regular as the tag whose packets it mutilates
        tracker.heard(detection(false_id), "north", (number * 50 + 5) * S)
    verdict = verdict_of(tracker, false_id)
    assert (verdict.confidence, verdict.reason) == ("false", reason)


def test_a_twin_that_is_as_frequent_as_the_tag_is_no_mutilation() -> None:
    tracker = RunTracker()
    beeps(tracker, 60, detection(integrity="verified"))
    beeps(tracker, 60, detection("B44C2A55"), start_s=1.7)
    assert verdict_of(tracker, "B44C2A55").confidence == "certain"


def test_a_mutilation_heard_before_its_tag_is_strong_is_found_out_later() -> None:
    tracker = RunTracker()
    tracker.heard(detection("B44C2A55"), "north", 0)
    (early,) = tracker.verdicts(0)
    assert early.confidence == "doubtful"
    beeps(tracker, 50, detection(), start_s=1)
    assert verdict_of(tracker, "B44C2A55").confidence == "false"


def test_a_tag_on_the_stations_list_is_believed_sooner() -> None:
    tracker = RunTracker(known_tags=[TAG])
    tracker.heard(detection(), "north", 0)
    verdict = verdict_of(tracker)
    assert (verdict.confidence, verdict.reason) == ("likely", "on-the-list")


def test_evidence_of_one_antenna_helps_another() -> None:
    tracker = RunTracker()
    beeps(tracker, 5, detection(integrity="verified"))
    tracker.heard(detection(integrity="failed"), "south", 12 * S)
    south = next(verdict for verdict in tracker.end() if verdict.place == "south")
    assert south.confidence == "certain"
    assert of_detection(south.confidence, "failed") == "likely"


def test_runs_end_by_time_and_are_told_once() -> None:
    tracker = RunTracker()
    tracker.heard(detection(), "north", 0)
    assert len(tracker.verdicts(1 * S)) == 1
    assert tracker.verdicts(2 * S) == []
    assert len(tracker.verdicts(601 * S)) == 1  # ended: judged a last time
    assert tracker.verdicts(9_999 * S) == []


def test_open_runs_and_remembered_tags_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "OPEN_RUNS", 50)
    monkeypatch.setattr(runs, "STRONG_TAGS", 10)
    tracker = RunTracker()
    for number in range(2_000):
        beeps(tracker, 10, detection(id_from_number(number)), start_s=number, interval_s=0.1)
        assert len(tracker._runs) <= 50
        assert len(tracker._tags) <= 51
        assert len(tracker._strong) <= 10
    assert len({verdict.number for verdict in tracker.end()}) == 2_000


def test_gaps_by_chance_are_not_regular() -> None:
    dice = random.Random(3)
    regular = sum(
        regular_interval_s([dice.expovariate(1 / 12) for _ in range(8)]) is not None
        for _ in range(500)
    )
    assert regular <= 5


@given(st.lists(st.floats(allow_nan=False, min_value=0, max_value=1e9), max_size=40))
def test_any_gaps_give_an_interval_in_range_or_none(gaps: list[float]) -> None:
    interval_s = regular_interval_s(gaps)
    assert interval_s is None or 1 <= interval_s <= 120


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_an_id_is_no_mutilation_of_itself(number: int, strong: int) -> None:
    assert mutilation(number, number) is None
    assert mutilation(number, strong) in {None, "bit-7", "wrong-bit", "lost-tail"}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["344C2A55", "B44C2A55", "kingsburg#1", "", "zz"]),
            st.sampled_from(["verified", "repaired", "unverified", "failed"]),
            st.integers(-(2**62), 2**62),
        ),
        max_size=60,
    )
)
def test_every_detection_has_a_run_with_a_verdict(
    heard: list[tuple[str, Integrity, int]],
) -> None:
    tracker = RunTracker()
    numbers = {
        tracker.heard(detection(tag_id, integrity), "north", at_ns)
        for tag_id, integrity, at_ns in heard
    }
    verdicts = tracker.end()
    assert {verdict.number for verdict in verdicts} == numbers
    assert sum(verdict.detections for verdict in verdicts) == len(heard)
