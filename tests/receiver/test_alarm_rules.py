"""What the rules find in a situation: what raises an alarm, what only keeps one, what neither."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from receiver.arrivals import Stamp
from receiver.health.alarm_rules import ClockLost, backlog_growing, disk_low
from receiver.health.alarms import Finding
from receiver.health.growth import Growth
from receiver.health.moment import Moment
from receiver.health.radio_rules import (
    BeaconMissing,
    RadioSilent,
    UnknownFramesRising,
    UnreadableLink,
    beacon_key,
)
from receiver.health.situation import FrameCounts, Situation, in_words
from receiver.health.snapshot import HostSnapshot
from receiver.health.store_facts import Backlog, StoreFacts
from receiver.health.unknown_rise import Rise
from receiver.links.intake import LinkState, LinkStatus
from receiver.settings import Settings
from receiver.sink_settings import HttpSink
from receiver.store.writer import StoreState
from receiver.watch_settings import AlarmSettings, BeaconSettings

S = 10**9
NOW = Stamp(1_800_000_000 * S, "ntp", 10**6 * S, "boot-a")
HOUR = 3600.0

PLAIN = Situation(
    now_s=0.0,
    stamp=NOW,
    settings=Settings(),
    links=(),
    silent={},
    unreadable=(),
    frames={},
    store_state=StoreState.WRITING,
    standstill=None,
    facts=StoreFacts(file_bytes=0, used_bytes=0, free_bytes=10**12, disk_bytes=10**12),
    growth=Growth(),
    host=HostSnapshot(),
    beacons={},
    expected={},
    on=(),
)


def situation(**changes: Any) -> Situation:  # noqa: ANN401  Fields have many types.
    return msgspec.structs.replace(PLAIN, **changes)


def ago(seconds: float) -> Moment:
    """Return the moment so many seconds before NOW."""
    return Moment(
        utc_ns=NOW.utc_ns - round(seconds * S),
        quality="ntp",
        boot="boot-a",
        mono_ns=(NOW.mono_ns or 0) - round(seconds * S),
    )


def raised(findings: Sequence[Finding]) -> list[tuple[str, bool]]:
    return [(finding.subject or finding.alarm, finding.raises) for finding in findings]


def in_state(state: LinkState) -> LinkStatus:
    status = LinkStatus("ch1")
    status.state = state
    return status


def test_a_link_that_works_now_and_then_is_not_down() -> None:
    rule = RadioSilent()
    for minute, state in enumerate(
        [LinkState.FAILED] * 4 + [LinkState.QUIET] + [LinkState.FAILED] * 5
    ):
        found = list(rule(situation(now_s=60.0 * minute, links=(in_state(state),))))
        assert raised(found) in ([], [("ch1", False)])
    assert raised(list(rule(situation(now_s=600.0, links=(in_state(LinkState.FAILED),))))) == [
        ("ch1", True)
    ]


def test_what_the_supervision_says_of_a_radio_is_said_in_its_words() -> None:
    silent = {"ch1": "ch1: silent for 7 min"}
    (found,) = RadioSilent()(situation(links=(in_state(LinkState.SILENT),), silent=silent))
    assert (found.message, found.raises, found.is_logged) == ("radio silent for 7 min", True, True)


def test_a_link_that_cannot_be_read_at_all_has_one_alarm() -> None:
    rule = UnknownFramesRising()
    for minute in range(120):
        frames = {"ch1": FrameCounts(minute * 10, minute // 10)}
        assert raised(list(rule(situation(now_s=60.0 * minute, frames=frames)))) in (
            [],
            [("ch1", False)],
        )
    frames = {"ch1": FrameCounts(2000, 500)}
    fails = situation(now_s=7200.0, frames=frames, unreadable=("ch1",))
    assert list(rule(fails)) == []
    assert raised(list(UnreadableLink()(fails))) == [("ch1", True)]
    rises = situation(now_s=7200.0, frames=frames)
    assert raised(list(rule(rises))) == [("ch1", True)]


def test_nothing_is_said_of_unknown_frames_in_a_links_first_hour() -> None:
    rule = UnknownFramesRising()
    for minute in range(59):
        frames = {"ch1": FrameCounts(minute * 100, minute * 90)}
        assert raised(list(rule(situation(now_s=60.0 * minute, frames=frames)))) == [("ch1", False)]


@pytest.mark.parametrize(
    ("rise", "raises", "keeps"),
    [
        (Rise(60, 1.0), True, True),
        (Rise(59, 1.0), False, True),
        (Rise(29, 1.0), False, False),
        (Rise(100, 20.0), True, True),
        (Rise(99, 20.0), False, True),
        (Rise(49, 20.0), False, False),
        (Rise(9999, None), False, True),
    ],
)
def test_a_rise_begins_at_a_multiple_of_the_usual_and_ends_at_half_of_it(
    rise: Rise, *, raises: bool, keeps: bool
) -> None:
    assert (rise.raises, rise.keeps) == (raises, keeps)


def test_what_rises_and_stays_becomes_the_usual() -> None:
    rule = UnknownFramesRising()
    said = []
    unknown = 0
    for minute in range(60 * 48):
        unknown += 1 if minute < 60 * 24 else 30
        frames = {"ch1": FrameCounts(unknown * 2, unknown)}
        said += [
            minute / 60
            for finding in rule(situation(now_s=60.0 * minute, frames=frames))
            if finding.raises
        ]
    assert 24 <= said[0] < 24.2
    assert 28 < said[-1] < 36


@pytest.mark.parametrize(
    ("frames", "stays"),
    [
        (FrameCounts(10, 2), True),  # Too few to tell.
        (FrameCounts(200, 150), True),
        (FrameCounts(200, 20), False),
    ],
)
def test_after_a_restart_a_link_stays_unreadable_until_half_can_be_read(
    frames: FrameCounts, *, stays: bool
) -> None:
    now = situation(frames={"ch1": frames}, on=(("unreadable-link", "ch1"),))
    assert raised(list(UnreadableLink()(now))) == ([("ch1", False)] if stays else [])
    assert list(UnreadableLink()(situation(frames={"ch1": frames}))) == []


BEACON = BeaconSettings(tag="61552d4c", antenna="north", within_hours=24)


@pytest.mark.parametrize(
    ("heard", "expected", "found"),
    [
        (ago(HOUR), ago(100 * HOUR), []),
        (ago(25 * HOUR), ago(100 * HOUR), [True]),
        (ago(25 * HOUR), ago(2 * HOUR), []),  # It was heard before it was expected.
        (None, ago(23 * HOUR), []),
        (None, ago(25 * HOUR), [True]),
        # The clock of the boot in which it was heard was never right: nobody can tell.
        (Moment(utc_ns=5, quality="unsynchronised", boot="boot-0"), ago(99 * HOUR), [False]),
    ],
)
def test_a_beacon_is_missing_since_it_was_heard_or_expected(
    heard: Moment | None, expected: Moment, found: list[bool]
) -> None:
    now = situation(
        settings=Settings(beacons=(BEACON,)),
        beacons={BEACON: heard} if heard else {},
        expected={beacon_key(BEACON): expected},
    )
    assert [finding.raises for finding in BeaconMissing()(now)] == found


def test_a_beacons_alarm_bears_its_id_as_detections_do() -> None:
    assert beacon_key(BEACON) == ("beacon-missing", "61552D4C at north")


@pytest.mark.parametrize(
    ("free_mb", "days", "watched_hours", "found"),
    [
        (501, None, 24, [False]),
        (499, None, 0, [True]),
        (600, None, 24, []),
        (10**5, 13.9, 24, [True]),
        (10**5, 15.0, 24, [False]),
        (10**5, 16.0, 24, []),
        (10**5, 2.0, 3, [False]),  # Too short to raise it.
    ],
)
def test_a_disk_is_low_by_what_is_free_and_by_how_long_it_lasts(
    free_mb: int, days: float | None, watched_hours: float, found: list[bool]
) -> None:
    now = situation(
        facts=StoreFacts(file_bytes=0, used_bytes=0, free_bytes=free_mb * 10**6, disk_bytes=10**12),
        growth=Growth(days_left=days, watched_s=watched_hours * HOUR),
    )
    assert [finding.raises for finding in disk_low(now)] == found


def backlog(oldest: Moment | None, **more: Any) -> StoreFacts:  # noqa: ANN401  As above.
    told = Backlog(
        rows=5,
        oldest=oldest,
        acknowledged_utc_ns=None,
        rows_refused=0,
        **{"is_paused": False, **more},
    )
    return StoreFacts(
        file_bytes=0, used_bytes=0, free_bytes=10**12, disk_bytes=10**12, backlogs={"m": told}
    )


@pytest.mark.parametrize(
    ("oldest", "expected", "found"),
    [
        (ago(25 * HOUR), ago(99 * HOUR), [True]),
        (ago(23 * HOUR), ago(99 * HOUR), [False]),
        (ago(2 * HOUR), ago(99 * HOUR), []),
        (ago(999 * HOUR), ago(2 * HOUR), []),  # A new sink to an old store.
        (None, ago(99 * HOUR), []),
        (Moment(utc_ns=5, quality="unsynchronised"), ago(99 * HOUR), [False]),
    ],
)
def test_a_backlog_is_too_old_by_the_hours_that_its_oldest_row_waits(
    oldest: Moment | None, expected: Moment, found: list[bool]
) -> None:
    now = situation(
        settings=Settings(sinks=(HttpSink(name="m", url="http://127.0.0.1:1/"),)),
        facts=backlog(oldest),
        expected={("backlog-growing", "m"): expected},
    )
    assert [finding.raises for finding in backlog_growing(now)] == found


def test_a_sink_that_somebody_paused_is_named_so() -> None:
    now = situation(
        settings=Settings(sinks=(HttpSink(name="m", url="http://127.0.0.1:1/"),)),
        facts=backlog(ago(30 * HOUR), is_paused=True),
        expected={("backlog-growing", "m"): ago(99 * HOUR)},
    )
    (found,) = backlog_growing(now)
    assert found.message == "5 rows wait, the oldest for 30 h; somebody paused this sink"
    assert found.do == "`stopover upload --resume m`"


@pytest.mark.parametrize(
    "settings",
    [
        Settings(sinks=(HttpSink(name="m", url="http://127.0.0.1:1/", automatic=False),)),
        Settings(
            sinks=(HttpSink(name="m", url="http://127.0.0.1:1/"),),
            alarms=AlarmSettings(backlog_hours=0),
        ),
    ],
)
def test_sinks_that_people_run_and_zero_hours_make_no_alarm(settings: Settings) -> None:
    now = situation(settings=settings, facts=backlog(ago(999 * HOUR)))
    assert list(backlog_growing(now)) == []


def test_an_implausible_clock_is_lost_too() -> None:
    rule = ClockLost()
    wrong = Stamp(0, "implausible", 5, "boot-a")
    assert raised(list(rule(situation(stamp=wrong)))) == [("clock-lost", False)]
    assert raised(list(rule(situation(stamp=wrong, now_s=1800.0)))) == [("clock-lost", True)]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(59, "1 min"), (7000, "117 min"), (7200, "2 h"), (71 * HOUR, "71 h"), (80 * HOUR, "3 days")],
)
def test_spans_are_told_as_people_tell_them(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
