"""Alarms are told once and once when over, do not flap, and outlive a restart of the station."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from conftest import StartStation
from structlog.testing import capture_logs
from watched_station import HOUR_S, MINUTE_S, Machine, settings_of

from receiver.arrivals import Arrival, Stamp
from receiver.health.alarm_notes import SOURCE, Note, read_notes
from receiver.health.alarms import AlarmChange, Alarms, Finding
from receiver.health.situation import Situation
from receiver.limits import ALARM_OVER_AFTER_S, ALARM_OVER_LONGEST_S
from receiver.store.database import Store
from receiver.store.queries import Reader
from receiver.watch_settings import AlarmSettings, BeaconSettings


def finding(*, raises: bool = True, is_logged: bool = False, message: str = "hot") -> Finding:
    return Finding(
        alarm="too-hot",
        subject="ch1",
        message=message,
        do="cool it",
        raises=raises,
        is_logged=is_logged,
    )


class Station:
    """Alarms, and the time."""

    def __init__(self) -> None:
        self.alarms = Alarms()
        self.now_s = 1_000.0

    def finds(self, *findings: Finding, after_s: float = 0) -> list[AlarmChange]:
        """Look, so many seconds later."""
        self.now_s += after_s
        return self.alarms.look(findings, self.now_s, f"at {self.now_s:g}")


def test_an_alarm_is_told_once_and_once_when_it_is_over_at_the_same_level() -> None:
    station = Station()
    with capture_logs() as log:
        (begin,) = station.finds(finding())
        assert (begin.is_on, begin.alarm.since) == (True, "at 1000")
        assert station.finds(finding(message="hotter"), after_s=600) == []
        (told,) = station.alarms.on
        assert (told.message, told.since) == ("hotter", "at 1000")
        assert station.finds(after_s=10) == []
        (end,) = station.finds(after_s=ALARM_OVER_AFTER_S)
        assert (end.is_on, end.alarm.subject) == (False, "ch1")
        assert station.alarms.on == ()
    assert log == [
        {
            "event": "alarm",
            "log_level": "warning",
            "alarm": "too-hot",
            "subject": "ch1",
            "reason": "hot",
            "do": "cool it",
        },
        {
            "event": "alarm over",
            "log_level": "warning",
            "alarm": "too-hot",
            "subject": "ch1",
            "since": "at 1000",
        },
    ]


def test_what_only_keeps_an_alarm_raises_none() -> None:
    station = Station()
    assert station.finds(finding(raises=False)) == []
    station.finds(finding(), after_s=60)
    for _ in range(10):
        assert station.finds(finding(raises=False), after_s=600) == []
    assert station.alarms.keys == {("too-hot", "ch1")}


def test_what_tells_the_log_itself_is_not_told_twice() -> None:
    station = Station()
    with capture_logs() as log:
        station.finds(finding(is_logged=True))
        station.finds(after_s=60)
        station.finds(after_s=60)
    assert station.alarms.on == ()
    assert log == []


def test_an_alarm_that_another_watch_takes_over_ends_in_that_watchs_words() -> None:
    station = Station()
    with capture_logs() as log:
        station.finds(finding())
        station.finds(finding(is_logged=True), after_s=60)
        station.finds(after_s=60)
        station.finds(after_s=60)
    assert [line["event"] for line in log] == ["alarm"]


def test_a_cause_that_comes_and_goes_is_told_less_and_less() -> None:
    station = Station()
    with capture_logs() as log:
        for _ in range(24 * 30):  # A day of one minute in two.
            station.finds(finding(), after_s=60)
            station.finds(after_s=60)
    assert [line["event"] for line in log] == ["alarm"]
    with capture_logs() as log:
        for _ in range(24 * 6):  # A day of one minute in ten.
            station.finds(finding(), after_s=60)
            for _ in range(9):
                station.finds(after_s=60)
    assert len(log) < 50  # Not 288.
    station.finds(after_s=60)
    station.finds(after_s=ALARM_OVER_LONGEST_S)
    assert station.alarms.on == ()


async def test_a_restart_does_not_tell_an_alarm_again_but_its_end(
    tmp_path: Path, machine: Machine, start_station: StartStation
) -> None:
    settings = settings_of(tmp_path, alarms=AlarmSettings(clock_minutes=30))
    station = await start_station(settings)
    machine.quality = "unsynchronised"
    await station.passes(40 * MINUTE_S)
    began = station.alarm().since
    await station.end()
    machine.passes(5 * MINUTE_S)
    with capture_logs() as log:
        station = await start_station(settings)
        assert station.alarms == [("clock-lost", "")]
        assert station.alarm().since == began
        await station.passes(10 * MINUTE_S)
        assert station.alarms == [("clock-lost", "")]
        machine.quality = "ntp"
        await station.passes(2 * MINUTE_S)
        assert station.alarms == []
    told = [line["event"] for line in log if line["log_level"] == "warning"]
    assert told == ["alarm over"]
    await station.end()
    with capture_logs() as log:
        station = await start_station(settings)
        await station.passes(2 * MINUTE_S)
        assert station.alarms == []
    assert [line["event"] for line in log if line["log_level"] == "warning"] == []


async def test_alarms_are_rows_of_the_store(
    tmp_path: Path, machine: Machine, start_station: StartStation
) -> None:
    beacon = BeaconSettings(tag="61552D4C", within_hours=1)
    station = await start_station(settings_of(tmp_path, beacons=(beacon,)))
    await station.leaps(2 * HOUR_S)
    await station.kept()
    with closing(sqlite3.connect(station.daemon.settings.store.path)) as connection:
        lines = connection.execute(
            "SELECT json_extract(body, '$.message'), json_extract(body, '$.level')"
            " FROM readable_events WHERE decoder = 'alarms/1' ORDER BY id"
        ).fetchall()
    assert lines == [
        ("expected: beacon-missing 61552D4C", "info"),
        (
            "on: beacon-missing 61552D4C: not heard for 2 h; at least every 60 min is expected",
            "warning",
        ),
    ]
    with Reader(station.daemon.writer.path) as reader:
        noted = read_notes(reader.connection)
    assert list(noted.on) == [("beacon-missing", "61552D4C")]
    assert noted.expected[("beacon-missing", "61552D4C")].boot == machine.boot


async def test_a_beacon_that_is_not_expected_any_more_is_not_missing(
    tmp_path: Path, start_station: StartStation
) -> None:
    beacon = BeaconSettings(tag="61552D4C", within_hours=1)
    station = await start_station(settings_of(tmp_path, beacons=(beacon,)))
    await station.leaps(2 * HOUR_S)
    assert station.alarms == [("beacon-missing", "61552D4C")]
    station.daemon.health.change(settings_of(tmp_path))
    await station.passes(2 * MINUTE_S)
    assert station.alarms == []


async def test_a_fault_in_a_rule_does_not_end_the_station_and_is_told_once(
    tmp_path: Path, start_station: StartStation
) -> None:
    station = await start_station(settings_of(tmp_path))

    def broken(_: Situation) -> Iterator[Finding]:
        raise ZeroDivisionError

    station.daemon.health._rules = (broken,)
    with capture_logs() as log:
        await station.passes(3 * MINUTE_S)
    assert [line["event"] for line in log] == ["failed by a fault in the program"]


def test_notes_of_a_newer_version_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    stamp = Stamp(1_800_000_000 * 10**9, "ntp", 5, "boot-a")
    known = Note(what="on", alarm="disk-low", since="then", message="m", do="d").line()
    strange = type(known)(message="?", raw=b'{"what":"shelved","alarm":"x"}')
    with Store.open(path, station_id="marsh") as store:
        store.append([Arrival(record, SOURCE, stamp) for record in (known, strange)])
    with Reader(path) as reader:
        assert list(read_notes(reader.connection).on) == [("disk-low", "")]
