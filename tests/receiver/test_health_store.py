"""What the store tells of the station: backlogs, hours, tags of the last hour, beacons."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from store_traffic import AT_NS, numbered, numbers

from protocols.records import Detection, GpsFix, LogLine
from receiver.arrivals import ActivityRow, Arrival, Source, Stamp
from receiver.health.moment import age_s
from receiver.health.store_facts import Day, StoreFacts, read_facts
from receiver.health.tags_heard import TagsHeard
from receiver.sink_settings import HttpSink
from receiver.store.database import Store
from receiver.store.outbox import SinkNote
from receiver.store.queries import Reader
from receiver.watch_settings import BeaconSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from receiver.sink_settings import Sink

S = 10**9


def at(seconds: float, *, boot: str = "boot-a") -> Stamp:
    """Return a good stamp so many seconds after the first row."""
    return Stamp(AT_NS + round(seconds * S), "ntp", 5 + round(seconds * S), boot)


@pytest.fixture
def store(tmp_path: Path) -> "Iterator[Store]":
    with Store.open(tmp_path / "a.db", station_id="marsh") as opened:
        yield opened


def facts(
    store: Store, sinks: "Sequence[Sink]" = (), *, now: Stamp, session: str = "-"
) -> StoreFacts:
    with Reader(store.path) as reader:
        return read_facts(store.path, reader, sinks, now=now, session=session)


def http(name: str, *also: str) -> "Sink":
    return HttpSink(name=name, url="http://127.0.0.1:1/", also=also)  # type: ignore[arg-type]


def test_a_sinks_backlog_counts_what_lies_beyond_its_marks(store: Store) -> None:
    store.append(numbers(range(1, 101)))
    fix = GpsFix(latitude=53.5, longitude=8.2)
    place = Source(link="station", decoder="configuration/1")
    store.append([Arrival(fix, place, at(50)), Arrival(fix, place, at(60))])
    with store.transaction():
        store.note_sinks([SinkNote(sink="a", marks={"detections": 70})], AT_NS + 90 * S)
    sinks = (http("a"), http("b", "gps_fixes", "activity"))
    found = facts(store, sinks, now=at(200))
    a, b = found.backlogs["a"], found.backlogs["b"]
    assert (a.rows, b.rows) == (30, 102)
    assert a.oldest is not None
    assert age_s(a.oldest, at(200)) == 200 - 71
    assert (a.acknowledged_utc_ns, b.acknowledged_utc_ns) == (AT_NS + 90 * S, None)
    assert found.detections == 100
    with store.transaction():
        store.note_sinks([SinkNote(sink="a", marks={"detections": 100}, paused=True)], AT_NS)
    done = facts(store, sinks, now=at(200)).backlogs["a"]
    assert (done.rows, done.oldest, done.is_paused) == (0, None, True)


def test_hours_wait_for_a_sink_once_they_are_over(store: Store) -> None:
    hour = AT_NS // S
    for begin in (hour - 3600, hour):
        with store.transaction():
            store.put_activity(_hour(begin))
    sink = http("a", "activity")
    assert facts(store, (sink,), now=at(60)).backlogs["a"].rows == 1
    assert facts(store, (sink,), now=at(3700)).backlogs["a"].rows == 2


def _hour(begin: int, session: str = "s1", detections: int = 7) -> ActivityRow:
    return ActivityRow(
        hour_utc_s=begin,
        session=session,
        link="ch1",
        antenna="north",
        listening_s=1800.0,
        frames=9,
        detections=detections,
        pulses=0,
        noise_dbm=None,
        rejects={},
    )


def test_rows_of_an_imported_file_wait_since_the_import(store: Store) -> None:
    store.connection.execute(
        "INSERT INTO imports (id, name, folder, kind, sha256, bytes, complete, imported_utc_ns)"
        " VALUES (7, 'old.csv', '', 'ctt', 'x', 1, 1, ?)",
        (AT_NS + 100 * S,),
    )
    old = Source(link="old", decoder="ctt/1", import_id=7)
    store.append([Arrival(numbered(1).record, old, Stamp(AT_NS - 10**9 * S, "file"))])
    oldest = facts(store, (http("a"),), now=at(160)).backlogs["a"].oldest
    assert oldest is not None
    assert age_s(oldest, at(160)) == 60


def test_rows_of_a_wrong_clock_do_not_hide_how_long_others_wait(store: Store) -> None:
    wrong = Stamp(0, "unsynchronised", 77, "boot-z")
    store.append([numbered(1)])
    store.append([Arrival(LogLine(message="?"), Source(link="ch1", decoder="ctt/1"), wrong)])
    oldest = facts(store, (http("a", "events"),), now=at(100)).backlogs["a"].oldest
    assert oldest is not None
    assert age_s(oldest, at(100)) == 99


def test_the_age_of_a_row_is_told_by_whichever_clock_can(store: Store) -> None:
    store.append([numbered(1)])
    oldest = facts(store, (http("a"),), now=at(100)).backlogs["a"].oldest
    assert oldest is not None
    wrong = Stamp(0, "unsynchronised", 5 + 61 * S, "boot-a")
    assert age_s(oldest, wrong) == 60  # By the steady clock of the same boot.
    assert age_s(oldest, Stamp(0, "unsynchronised", 1, "boot-b")) is None
    assert age_s(oldest, at(301, boot="boot-b")) == 300


def test_hours_of_the_last_day_are_told_by_antenna_without_the_one_in_memory(store: Store) -> None:
    hour = AT_NS // S
    with store.transaction():
        for row in (
            _hour(hour - 24 * 3600),
            _hour(hour - 23 * 3600),
            _hour(hour - 23 * 3600, "s2", 5),
            _hour(hour, "s1"),
            _hour(hour, "mine", 1000),
        ):
            store.put_activity(row)
    (day,) = facts(store, now=at(60), session="mine").days.values()
    assert day == Day(hour, (12, *[0] * 22, 7), (1.0, *[0.0] * 22, 0.5))


def test_stores_that_were_set_aside_are_named(store: Store) -> None:
    for name in ("a.db.damaged-20260101T000000Z", "a.db.damaged-20260101T000000Z-wal"):
        (store.path.parent / name).touch()
    found = facts(store, now=at(0))
    assert found.set_aside == ("a.db.damaged-20260101T000000Z",)
    assert found.used_bytes is not None
    assert 0 < found.used_bytes <= found.file_bytes
    assert found.free_bytes < found.disk_bytes


def test_without_a_store_the_disk_is_told_all_the_same(tmp_path: Path) -> None:
    found = read_facts(tmp_path / "none.db", None, (), now=at(0), session="-")
    assert (found.used_bytes, found.file_bytes) == (None, 0)
    assert found.disk_bytes > 0


def heard(store: Store, tags: TagsHeard, *beacons: BeaconSettings, seconds: float) -> None:
    with Reader(store.path) as reader:
        tags.look(reader, beacons, 1_000 + seconds, at(seconds))


NORTH = ("ch1", "north")


def test_tags_of_the_last_hour_are_told_apart_by_antenna(store: Store) -> None:
    tags = TagsHeard()
    store.append(numbers(range(1, 3)))
    heard(store, tags, seconds=10)
    assert tags.counts() == {NORTH: 2}
    store.append(numbers(range(2, 6)))
    heard(store, tags, seconds=1800)
    assert tags.counts() == {NORTH: 5}
    heard(store, tags, seconds=3700)
    assert tags.counts() == {NORTH: 4}  # The first was heard for the last time an hour ago.
    heard(store, tags, seconds=9000)
    assert tags.counts() == {}


def test_tags_of_a_noisy_site_are_told_apart_up_to_a_bound(store: Store) -> None:
    stamp = at(1)
    source = numbered(1).source
    store.append(
        [
            Arrival(
                Detection(protocol="ctt-434", tag_id=f"{n:08X}", integrity="failed"), source, stamp
            )
            for n in range(1500)
        ]
    )
    tags = TagsHeard()
    heard(store, tags, seconds=10)
    assert tags.counts() == {NORTH: 1000}


def test_rows_of_imported_files_do_not_count_as_heard(store: Store) -> None:
    imported = Source(link="ch1", decoder="ctt/1", antenna="north", import_id=3)
    store.append([Arrival(numbered(1).record, imported, at(5))])
    beacon = BeaconSettings(tag="00000001")
    tags = TagsHeard()
    heard(store, tags, beacon, seconds=10)
    assert (tags.counts(), tags.beacons) == ({}, {})


def test_a_beacon_was_heard_when_its_newest_row_says(store: Store) -> None:
    anywhere, north, south, other = (
        BeaconSettings(tag="00000001"),
        BeaconSettings(tag="00000001", antenna="north"),
        BeaconSettings(tag="00000001", antenna="south"),
        BeaconSettings(tag="AAAAAAAA"),
    )
    store.append(numbers(range(1, 30)))
    tags = TagsHeard()
    heard(store, tags, anywhere, north, south, other, seconds=100)
    assert set(tags.beacons) == {anywhere, north}
    assert age_s(tags.beacons[north], at(100)) == 100 - 25
    store.append([numbered(61)])
    heard(store, tags, anywhere, north, south, other, seconds=100)
    assert age_s(tags.beacons[north], at(100)) == 100 - 61
    heard(store, tags, other, seconds=100)
    assert tags.beacons == {}


def test_a_beacon_is_looked_for_among_the_rows_of_days(store: Store) -> None:
    store.append(numbers(range(1, 400)))
    tags = TagsHeard()
    beacon, never = BeaconSettings(tag="00000002"), BeaconSettings(tag="AAAAAAAA")
    heard(store, tags, beacon, never, seconds=100_000)
    assert tags.counts() == {}
    assert age_s(tags.beacons[beacon], at(100_000)) == 100_000 - 398
    assert never not in tags.beacons


def test_another_store_is_read_from_its_begin(store: Store, tmp_path: Path) -> None:
    tags = TagsHeard()
    store.append(numbers(range(1, 200)))
    heard(store, tags, seconds=200)
    with Store.open(tmp_path / "b.db", station_id="marsh") as other:
        other.append(numbers(range(1, 4)))
        beacon = BeaconSettings(tag="00000003")
        heard(other, tags, beacon, seconds=210)
    assert tags.counts() == {NORTH: 3}
    assert beacon in tags.beacons
