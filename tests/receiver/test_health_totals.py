"""Counts since the start, over the hours and over links that are started anew."""

from hypothesis import given
from hypothesis import strategies as st

from receiver.activity import OTHER, Activity, LinkActivity
from receiver.health.totals import Totals
from receiver.limits import ANTENNAS_TOLD
from receiver.links.intake import LinkStatus

HOUR_NS = 3600 * 10**9


def link(name: str = "ch1", *antennas: str | None) -> LinkActivity:
    return LinkActivity(LinkStatus(name), iter(antennas or (None,)))


@given(
    st.lists(
        st.sampled_from(["frame", "detection", "reject", "unknown", "look", "hour", "restart"]),
        max_size=60,
    )
)
def test_nothing_is_lost_or_counted_twice(story: list[str]) -> None:
    activity = Activity(0)
    activity.add(link("ch1", "north"))
    totals = Totals()
    totals.look(activity.links)
    hour = 0
    for event in [*story, "look"]:
        (counting,) = activity.links
        counts = counting.of("north")
        if event == "frame":
            counts.frames += 1
        elif event == "detection":
            counts.detections += 1
        elif event == "reject":
            counts.rejects["crc"] += 2
        elif event == "unknown":
            counting.unknown += 1
        elif event == "hour":
            totals.look(activity.links)
            hour += 1
            activity.rows(hour * HOUR_NS)
        elif event == "restart":
            activity.add(link("ch1", "north"))
            totals.look(activity.links)
        else:
            totals.look(activity.links)
    total = totals.of("ch1")
    assert total.frames == total.antenna("north").frames == story.count("frame")
    assert total.antenna("north").detections == story.count("detection")
    assert total.rejects["crc"] == 2 * story.count("reject")
    assert total.unknown == story.count("unknown")


def test_what_came_between_the_last_look_and_the_full_hour_counts() -> None:
    activity = Activity(0)
    activity.add(link())
    totals = Totals()
    totals.look(activity.links)
    activity.links[0].of(None).detections += 3
    activity.rows(HOUR_NS)
    activity.links[0].of(None).detections += 4
    totals.look(activity.links)
    assert totals.of("ch1").antenna(None).detections == 7


def test_lines_that_name_any_radio_do_not_grow_the_totals() -> None:
    activity = Activity(0)
    activity.add(link())
    totals = Totals()
    for number in range(500):
        activity.links[0].of(f"port {number}").detections += 1
        if number % 50 == 0:
            totals.look(activity.links)
    totals.look(activity.links)
    antennas = totals.of("ch1").antennas
    assert len(antennas) == ANTENNAS_TOLD + 1
    assert sum(each.detections for each in antennas.values()) == 500
    assert antennas[OTHER].detections == 500 - (ANTENNAS_TOLD - 1)


def test_the_last_noise_that_a_radio_told_is_kept_over_the_hour() -> None:
    activity = Activity(0)
    activity.add(link())
    totals = Totals()
    antenna = activity.links[0].of(None)
    antenna.noise_dbm, antenna.noise_dbfs, antenna.gain_db = -101.5, -20.25, 36.4
    totals.look(activity.links)
    activity.rows(HOUR_NS)
    totals.look(activity.links)
    total = totals.of("ch1").antenna(None)
    assert (total.noise_dbm, total.noise_dbfs, total.gain_db) == (-101.5, -20.25, 36.4)
