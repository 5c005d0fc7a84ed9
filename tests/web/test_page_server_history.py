"""What the page plots is what the store holds, however it came to be there."""

import asyncio
import contextlib
import random
import re
import sqlite3
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_rig import serving
from structlog.testing import capture_logs

from protocols.records import Detection, Record, RelayHealth, StationHealth
from receiver.arrivals import ActivityRow, Arrival, ClockQuality, ClockSample, Source, Stamp
from receiver.limits import PLOTS_QUARTERS_KEPT_S
from receiver.store.damage import set_aside
from receiver.store.database import Store
from receiver.store.queries import DetectionFilter, Reader
from receiver.web.plots import sidecar
from receiver.web.plots.history import History, Period, history
from receiver.web.plots.sidecar import Plots, PlotsError, PlotsStopped, plots_beside
from receiver.web.plots.tag_list import Asked, tag_list
from receiver.whereabouts import STATION_LINK

S = 10**9
HOUR_S = 3600
NOW_S = 1_767_225_600 + 20 * 86_400 + 1234
HOST = Source(link=STATION_LINK, decoder="host/1")
PERIODS: tuple[Period, ...] = ("hour", "day", "week", "month")
ANTENNAS = ("north", "south", None)


class Filled:
    """A store that a test fills, with a clock that is right or wrong."""

    def __init__(self, folder: Path, name: str = "station.db") -> None:
        self.path = folder / name
        self._store: Store | None = None
        self.close()

    @property
    def store(self) -> Store:
        """The store, open; nothing of a test needs to survive a power cut."""
        if self._store is None:
            self._store = Store.open(self.path, station_id="marsh")
            self._store.connection.execute("PRAGMA synchronous = OFF")
        return self._store

    def close(self) -> None:
        """Close the store: all of it is in its file then."""
        self.store.close()
        self._store = None

    def keep(self, *arrivals: Arrival) -> None:
        """Put rows into the store."""
        self.store.append(arrivals)

    def sample(self, boot: str, mono_s: float, utc_s: float, clock: ClockQuality) -> None:
        """Put a clock sample into the store."""
        sample = ClockSample(boot, round(mono_s * S), round(utc_s * S), clock, "sync")
        with self.store.transaction():
            self.store.add_clock_sample(sample)

    def listened(self, hour_s: int, antenna: str, listened_s: float, session: str = "a") -> None:
        """Put an hour of listening into the store."""
        row = ActivityRow(
            hour_utc_s=hour_s,
            session=session,
            link=f"link-{antenna}",
            antenna=antenna,
            listening_s=listened_s,
            frames=0,
            detections=0,
            pulses=0,
            noise_dbm=None,
            rejects={},
        )
        with self.store.transaction():
            self.store.put_activity(row)


def heard(
    time_s: float,
    tag: str = "78664C33",
    antenna: str | None = "north",
    rssi_dbm: float | None = -70,
    *,
    clock: ClockQuality = "ntp",
    mono_s: float | None = None,
    boot: str = "boot-a",
    noise_dbm: float | None = None,
) -> Arrival:
    record = Detection(
        protocol="ctt-434",
        tag_id=tag,
        integrity="verified",
        rssi_dbm=rssi_dbm,
        noise_dbm=noise_dbm,
    )
    return at(record, time_s, antenna, clock=clock, mono_s=mono_s, boot=boot)


def at(
    record: Record,
    time_s: float,
    antenna: str | None = None,
    *,
    clock: ClockQuality = "ntp",
    mono_s: float | None = None,
    boot: str = "boot-a",
    source: Source | None = None,
) -> Arrival:
    source = source or Source(link=f"link-{antenna}", decoder="ctt/1", antenna=antenna)
    mono_ns = round((time_s if mono_s is None else mono_s) * S)
    return Arrival(record, source, Stamp(round(time_s * S), clock, mono_ns, boot))


def naive(store: Path, told: History) -> dict[str, Any]:
    """Return what the store's own readers say of the period that was told."""
    start_s, step_s, steps = told.times[0], told.step_s, len(told.times)
    counts: dict[str, list[int]] = {}
    tags: Counter[str] = Counter()
    levels: dict[tuple[str, int], list[int]] = {}
    wanted = DetectionFilter(since_utc_ns=start_s * S, until_utc_ns=(start_s + step_s * steps) * S)
    with Reader(store) as reader:
        for row in reader.connection.execute(
            "SELECT time_ns, coalesce(antenna, link), tag_id, rssi_dbm FROM readable_detections"
            " WHERE time_ns >= ? AND time_ns < ?",
            (wanted.since_utc_ns, wanted.until_utc_ns),
        ):
            time_ns, place, tag_id, rssi_dbm = row
            step = (time_ns // S - start_s) // step_s
            counts.setdefault(place, [0] * steps)[step] += 1
            tags[tag_id] += 1
            if rssi_dbm is not None:
                levels.setdefault((place, step), []).append(round(rssi_dbm))
    medians = {key: statistics.median(values) for key, values in levels.items()}
    return {"detections": counts, "tags": tags, "median": medians, "max": levels}


def assert_is_what_the_store_holds(store: Path, told: History) -> None:
    wanted = naive(store, told)
    assert told.detections == wanted["detections"]
    total = sum(wanted["tags"].values())
    assert {each.tag_id: each.detections for each in told.tags} == dict(
        sorted(wanted["tags"].items(), key=lambda each: (-each[1], each[0]))[:12]
    )
    assert sum(told.other_tags) == total - sum(each.detections for each in told.tags)
    assert all(sum(each.counts) == each.detections for each in told.tags)
    for (place, step), median in wanted["median"].items():
        assert told.levels[place].median_rssi_dbm[step] == median
        assert told.levels[place].max_rssi_dbm[step] == max(wanted["max"][place, step])
    known = sum(
        value is not None for level in told.levels.values() for value in level.median_rssi_dbm
    )
    assert known == len(wanted["median"])


@contextlib.contextmanager
def plots_of(store: Path, **more: Any) -> Iterator[Plots]:  # noqa: ANN401  As `Plots` takes them.
    plots = Plots(store, **more)
    try:
        yield plots
    finally:
        plots.close()


def asked(plots: Plots, period: Period = "day", end_s: int = NOW_S) -> History:
    return plots.asked(lambda: history(plots, period, end_s, NOW_S, {}))


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Filled]:
    made = Filled(tmp_path)
    yield made
    made.close()


def some_weeks(dice: random.Random, rows: int) -> list[Arrival]:
    return [
        heard(
            NOW_S - dice.uniform(0, 32 * 86_400) * dice.choice((1, 0.3, 0.03, 0.001)),
            f"{min(int(dice.expovariate(0.15)), 40):08X}",
            dice.choice(ANTENNAS),
            dice.choice((None, -60, -70.4, -71.6, dice.randrange(-110, -50))),
        )
        for _ in range(rows)
    ]


@pytest.mark.parametrize("period", PERIODS)
def test_plots_are_what_the_store_holds(filled: Filled, period: Period) -> None:
    dice = random.Random(7)
    filled.keep(*some_weeks(dice, 3_000))
    with plots_of(filled.path, chunk_rows=700) as plots:
        assert_is_what_the_store_holds(filled.path, asked(plots, period))
        for _ in range(3):
            filled.keep(*some_weeks(dice, 150))
            assert_is_what_the_store_holds(filled.path, asked(plots, period))
        for end_s in (NOW_S - 86_400, NOW_S - 9 * 86_400 - 77):
            assert_is_what_the_store_holds(filled.path, asked(plots, period, end_s))
    with plots_of(filled.path) as reopened:
        assert_is_what_the_store_holds(filled.path, asked(reopened, period))


def test_an_empty_store_has_empty_plots(filled: Filled) -> None:
    with plots_of(filled.path) as plots:
        for period in PERIODS:
            told = asked(plots, period)
            assert (told.detections, told.tags, told.levels) == ({}, [], {})
            assert set(told.other_tags) == {0}
            assert len(told.times) == len(told.other_tags) == len(told.clock.good)
            assert told.times[-1] <= NOW_S < told.times[-1] + told.step_s


Event: TypeAlias = tuple[str, int, bool, int]
"""What happens (row, sample, ask), in which boot, whether its clock is good, of which tag."""


def plots_follow(story: Iterable[Event], offsets_s: tuple[int, ...], filled: Filled) -> None:
    """Tell a story of boots whose clocks are wrong by something, and compare at every question."""
    mono_s = 50.0
    with contextlib.closing(filled), plots_of(filled.path, chunk_rows=3) as plots:
        for what, boot, is_good, number in (*story, ("ask", 0, False, 0)):
            mono_s += 400
            true_s = NOW_S - 90_000 + mono_s
            clock: ClockQuality = "ntp" if is_good else "unsynchronised"
            utc_s = true_s if is_good else true_s + offsets_s[boot]
            if what == "row":
                tag = f"{number:08X}"
                filled.keep(heard(utc_s, tag, clock=clock, mono_s=mono_s, boot=f"boot-{boot}"))
            elif what == "sample":
                filled.sample(f"boot-{boot}", mono_s, utc_s, clock)
            else:
                assert_all_is_told(filled.path, plots, int(true_s))


def assert_all_is_told(store: Path, plots: Plots, now_s: int) -> None:
    for period in ("day", "hour", "month"):
        told = history(plots, period, now_s, now_s, {})
        assert_is_what_the_store_holds(store, told)
    listed = tag_list(plots, Asked(limit=1000), now_s, {}, frozenset())
    with Reader(store) as reader:
        rows = list(reader.tags(DetectionFilter()))
    assert {(tag.tag_id, tag.detections, tag.first, tag.last) for tag in listed.tags} == {
        (row["tag_id"], row["detections"], row["first"], row["last"]) for row in rows
    }


_EVENT = st.tuples(
    st.sampled_from(("row", "sample", "ask")), st.integers(0, 1), st.booleans(), st.integers(0, 3)
)


@given(
    story=st.lists(_EVENT, max_size=20),
    offsets_s=st.tuples(st.integers(-900_000, 900_000), st.integers(-3_000, 3_000)),
)
@settings(max_examples=20)
def test_plots_follow_the_clock_whenever_it_is_set(
    tmp_path_factory: pytest.TempPathFactory, story: list[Event], offsets_s: tuple[int, int]
) -> None:
    plots_follow(story, offsets_s, Filled(tmp_path_factory.mktemp("clock")))


@pytest.mark.parametrize("seed", range(5))
def test_plots_follow_clocks_that_are_lost_and_found(filled: Filled, seed: int) -> None:
    dice = random.Random(seed)
    happens = dice.choices(("row", "sample", "ask"), (6, 1, 2), k=200)
    story = [(what, dice.randrange(3), dice.random() < 0.4, dice.randrange(4)) for what in happens]
    plots_follow(story, (-500_000, 2_500, 40_000), filled)


def test_only_rows_that_a_sample_moves_are_counted_again(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    again: list[object] = []
    count_again = Plots._count_again

    def counted(plots: Plots, *part: Any) -> None:  # noqa: ANN401  As it is called.
        again.append(part)
        count_again(plots, *part)

    monkeypatch.setattr(Plots, "_count_again", counted)
    with plots_of(filled.path) as plots:
        filled.keep(heard(100, mono_s=50, clock="unsynchronised"))
        asked(plots)
        filled.sample("boot-a", 60, NOW_S, "ntp")
        asked(plots)
        assert len(again) == 1
        for hour in range(1, 4):
            filled.sample("boot-a", 60 + HOUR_S * hour, NOW_S + HOUR_S * hour, "ntp")
            filled.keep(heard(NOW_S, mono_s=61 + HOUR_S * hour))
            asked(plots)
        assert len(again) == 1


def test_readings_are_means_by_who_told_them(filled: Filled) -> None:
    hour_s = NOW_S // HOUR_S * HOUR_S
    filled.keep(
        at(
            StationHealth(
                measurements={
                    "temperature_c": 20.0,
                    "voltage_v": 5.1,
                    "disk_free_bytes": 10**10,
                    "waiting_home": 7,
                    "undervoltage": False,
                    "rssi_source": "x",
                }
            ),
            hour_s + 60,
            source=HOST,
        ),
        at(StationHealth(measurements={"temperature_c": 22.0}), hour_s + 120, source=HOST),
        at(StationHealth(measurements={"temperature_c": 50.0}), hour_s + 120, "north"),
        at(StationHealth(measurements={"noise_dbm": -110, "battery_v": 3.9}), hour_s, "north"),
        at(StationHealth(measurements={"noise_dbfs": -19.5, "gain_db": 30.0}), hour_s, "roof"),
        heard(hour_s + 1, antenna="south", noise_dbm=-100),
        heard(hour_s + 2, antenna="south", noise_dbm=-104),
        at(RelayHealth(relay_id="3796F5", battery_v=4.0), hour_s + 5, "nodes"),
        at(RelayHealth(relay_id="3796F5"), hour_s + 6, "nodes"),
    )
    with plots_of(filled.path) as plots:
        told = asked(plots, "week")
        assert told.temperature_c[-1] == 21.0
        assert told.voltage_v[-1] == 5.1
        assert told.disk_free_bytes[-1] == 10**10
        assert told.backlog == {"home": [None] * 167 + [7]}
        assert {who: line[-1] for who, line in told.noise_dbm.items()} == {
            "north": -110,
            "south": -102,
        }
        assert {who: line[-1] for who, line in told.noise_dbfs.items()} == {"roof": -19.5}
        assert {who: line[-1] for who, line in told.gain_db.items()} == {"roof": 30.0}
        assert {who: line[-1] for who, line in told.battery_v.items()} == {
            "north": 3.9,
            "3796F5": 4.0,
        }
        assert told.temperature_c[:-1] == [None] * 167
        minutes = asked(plots, "hour", hour_s + 180)
        assert [value for value in minutes.temperature_c if value is not None] == [20.0, 22.0]


def test_listening_tells_no_birds_from_not_listening(filled: Filled) -> None:
    hour_s = NOW_S // HOUR_S * HOUR_S
    filled.listened(hour_s - HOUR_S, "north", 1800)
    filled.listened(hour_s - HOUR_S, "north", 900, session="b")
    filled.listened(hour_s, "north", 617)
    filled.listened(hour_s - 30 * HOUR_S, "south", 3600)
    with plots_of(filled.path) as plots:
        week = asked(plots, "week").listening
        assert week["north"][-2:] == [0.75, 0.5]
        assert week["south"][-31] == 1.0
        assert week["south"][-1] is None
        day = asked(plots, "day").listening
        quarters = (NOW_S - hour_s) // 900 + 1
        assert day["north"][-4 - quarters :] == [0.75] * 4 + [0.5] * quarters
        assert "south" not in day
        month = asked(plots, "month").listening["south"]
        assert sum(part or 0 for part in month) == pytest.approx(1 / 6, abs=0.001)


def test_hours_that_a_wrong_clock_counted_are_moved(filled: Filled) -> None:
    hour_s = NOW_S // HOUR_S * HOUR_S
    boot = "0123456789"
    filled.sample(boot, 10, 0, "unsynchronised")
    filled.listened(0, "north", 3600, session=f"{boot[:8]}-1")
    filled.sample(boot, 5 * HOUR_S, hour_s - HOUR_S + 5 * HOUR_S, "ntp")
    with plots_of(filled.path) as plots:
        assert asked(plots, "week").listening["north"][-2] == 1.0


def test_the_clock_is_told_good_bad_and_not_known(filled: Filled) -> None:
    hour_s = NOW_S // HOUR_S * HOUR_S
    boot_s = hour_s - 10 * HOUR_S
    filled.sample("boot-a", 0, boot_s - 7.5, "unsynchronised")
    filled.sample("boot-a", 2 * HOUR_S, boot_s + 2 * HOUR_S, "ntp")
    filled.sample("boot-a", 3 * HOUR_S, boot_s + 3 * HOUR_S, "ntp")
    with plots_of(filled.path) as plots:
        clock = asked(plots, "week").clock
    place = 167 - 10
    # A sample holds until the next one, or for seventy minutes.
    assert clock.good[place - 1 : place + 6] == [None, 0, 0, 1, 1, 1, None]
    assert clock.offset_ms[place] == -7500.0
    assert clock.offset_ms[place + 3] == 0.0
    assert clock.good[-1] is None


def test_a_day_long_ago_is_plotted_by_the_hour(filled: Filled) -> None:
    long_ago_s = NOW_S - PLOTS_QUARTERS_KEPT_S - 5 * 86_400
    filled.keep(heard(long_ago_s), heard(long_ago_s - 7_000), heard(NOW_S))
    with plots_of(filled.path) as plots:
        told = asked(plots, "day", long_ago_s)
        assert told.step_s == HOUR_S
        assert_is_what_the_store_holds(filled.path, told)
        assert asked(plots, "day").step_s == 900


def test_an_hour_of_too_much_is_plotted_by_the_quarter(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.keep(heard(NOW_S - 60))
    with plots_of(filled.path) as plots:
        assert asked(plots, "hour").step_s == 60
        monkeypatch.setattr(sidecar, "PLOTS_MINUTE_BLOCKS", 0)
        told = asked(plots, "hour")
        assert told.step_s == 900
        assert_is_what_the_store_holds(filled.path, told)


@pytest.mark.parametrize(
    "fault", ["deleted", "garbage", "cut", "hole", "counts", "in use", "version"]
)
def test_plots_that_are_of_no_use_are_made_again(filled: Filled, fault: str) -> None:
    filled.keep(*some_weeks(random.Random(3), 600))
    with plots_of(filled.path) as plots:
        asked(plots)
    path = plots_beside(filled.path)
    if fault == "deleted":
        path.unlink()
    elif fault == "garbage":
        path.write_bytes(random.Random(1).randbytes(20_000))
    elif fault == "hole":
        # A page that only questions read, not what brings the file up to date.
        content = bytearray(path.read_bytes())
        with contextlib.closing(sqlite3.connect(path)) as whole:
            (page,) = whole.execute(
                "SELECT rootpage FROM sqlite_schema WHERE name = 'places'"
            ).fetchone()
        content[4096 * (page - 1) : 4096 * page] = bytes(4096)
        path.write_bytes(content)
    elif fault == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        change = {
            "counts": "DROP TABLE bins",
            "in use": "UPDATE state SET in_use = 1, detections_seq = 10",
            "version": "UPDATE state SET version = 0, detections_seq = 10",
        }[fault]
        with contextlib.closing(sqlite3.connect(path)) as damaged:
            damaged.execute(change)
            damaged.commit()
    with plots_of(filled.path) as plots:
        assert_is_what_the_store_holds(filled.path, asked(plots, "month"))


def test_plots_that_cannot_be_made_name_their_own_file_and_are_told_once(filled: Filled) -> None:
    filled.keep(heard(NOW_S))
    path = plots_beside(filled.path)
    path.mkdir()
    with capture_logs() as log, plots_of(filled.path) as plots:
        for _ in range(3):
            with pytest.raises(PlotsError, match=re.escape(f"{path}: ")) as raised:
                asked(plots)
        assert f"remove {path}" in raised.value.do
        path.rmdir()
        for _ in range(2):
            assert_is_what_the_store_holds(filled.path, asked(plots))
    assert [each["event"] for each in log] == ["plots cannot be made", "plots can be made again"]
    assert {each["path"] for each in log} == {str(path)}


def test_plots_that_were_damaged_are_told_once(filled: Filled) -> None:
    filled.keep(heard(NOW_S))
    plots_beside(filled.path).write_bytes(bytes(5_000))
    with capture_logs() as log, plots_of(filled.path) as plots:
        for _ in range(2):
            assert_is_what_the_store_holds(filled.path, asked(plots))
    assert [each["event"] for each in log] == ["plots are made anew"]


def test_plots_of_another_store_are_made_again(filled: Filled) -> None:
    filled.keep(heard(NOW_S - 10), heard(NOW_S - 20))
    with plots_of(filled.path) as plots:
        assert sum(asked(plots).detections["north"]) == 2
        # As the writer does it under way, while the plots' connection is open.
        filled.close()
        set_aside(filled.path, NOW_S * S)
        filled.keep()
        assert asked(plots).detections == {}
        filled.keep(heard(NOW_S - 10, antenna="south"))
        assert asked(plots).detections.keys() == {"south"}


def test_a_store_put_back_from_an_older_copy_is_counted_again(filled: Filled) -> None:
    filled.keep(heard(NOW_S - 10))
    filled.close()
    older = filled.path.read_bytes()
    filled.keep(heard(NOW_S - 20), heard(NOW_S - 30))
    with plots_of(filled.path) as plots:
        asked(plots)
    filled.close()
    filled.path.write_bytes(older)
    with plots_of(filled.path) as plots:
        assert_is_what_the_store_holds(filled.path, asked(plots))


def test_what_retention_deleted_stays_plotted(filled: Filled) -> None:
    filled.keep(*(heard(NOW_S - number) for number in range(10)))
    with plots_of(filled.path) as plots:
        asked(plots)
        with filled.store.transaction() as connection:
            connection.execute("DELETE FROM detections WHERE seq <= 8")
        assert sum(asked(plots).detections["north"]) == 10


def test_without_a_store_the_question_is_answered_with_words(tmp_path: Path) -> None:
    with plots_of(tmp_path / "none.db") as plots, pytest.raises(PlotsError, match="no store"):
        asked(plots)
    assert list(tmp_path.iterdir()) == []


def test_on_a_full_disk_plots_make_room_for_detections(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.keep(heard(NOW_S))
    with plots_of(filled.path) as plots:
        asked(plots)
    assert plots_beside(filled.path).exists()
    monkeypatch.setattr(sidecar, "PLOTS_LEAVE_FREE_BYTES", 2**62)
    with plots_of(filled.path) as plots, pytest.raises(PlotsError, match="full") as raised:
        asked(plots)
    assert "free space" in raised.value.do
    assert not plots_beside(filled.path).exists()


def test_plots_that_are_only_busy_are_kept(filled: Filled) -> None:
    filled.keep(heard(NOW_S))
    with plots_of(filled.path) as plots:
        asked(plots)
        plots._open().execute("PRAGMA busy_timeout = 0")
        inode = plots_beside(filled.path).stat().st_ino
        with contextlib.closing(
            sqlite3.connect(plots_beside(filled.path), isolation_level=None)
        ) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(PlotsError, match="busy"):
                asked(plots)
        assert sum(asked(plots).detections["north"]) == 1
        assert plots_beside(filled.path).stat().st_ino == inode


def test_counting_is_given_up_when_the_daemon_stops(filled: Filled) -> None:
    filled.keep(*some_weeks(random.Random(3), 300))
    with plots_of(filled.path) as plots:
        plots.stop()
        with pytest.raises(PlotsStopped):
            asked(plots)


def test_plots_are_closed_whole(filled: Filled) -> None:
    filled.keep(heard(NOW_S))
    with plots_of(filled.path) as plots:
        asked(plots)
        with contextlib.closing(sqlite3.connect(plots_beside(filled.path))) as other:
            assert other.execute("SELECT in_use FROM state").fetchone() == (1,)
    with contextlib.closing(sqlite3.connect(plots_beside(filled.path))) as other:
        assert other.execute("SELECT in_use FROM state").fetchone() == (0,)


def test_tags_are_listed_as_they_are_asked_for(filled: Filled) -> None:
    filled.keep(
        *(
            heard(NOW_S - 10 * number - turn, f"{number:08X}", ANTENNAS[turn % 2], -60 - turn)
            for number in range(30)
            for turn in range(number + 1)
        )
    )
    names = {"00000005": "Ruff 5"}
    with plots_of(filled.path) as plots:

        def listed(**wanted: Any) -> tuple[int, list[str]]:  # noqa: ANN401  Fields of `Asked`.
            told = tag_list(plots, Asked(**wanted), NOW_S, names, frozenset({"00000006"}))
            return told.total, [tag.tag_id for tag in told.tags]

        assert listed(limit=2) == (30, ["00000000", "00000001"])
        assert listed(limit=2, sort="detections") == (30, ["0000001D", "0000001C"])
        assert listed(limit=2, sort="tag", offset=3) == (30, ["00000003", "00000004"])
        assert listed(search="rUFF") == (1, ["00000005"])
        assert listed(search="0000001d") == (1, ["0000001D"])
        assert listed(search="%") == (0, [])
        assert listed(offset=100) == (30, [])
        told = tag_list(plots, Asked(search="5"), NOW_S, names, frozenset({"00000015"}))
        by_id = {tag.tag_id: tag for tag in told.tags}
        five = by_id["00000005"]
        assert (five.tag_name, five.is_known, five.antennas) == ("Ruff 5", True, ["north", "south"])
        assert (five.detections, five.best_rssi_dbm, five.confidence) == (6, -60, None)
        assert by_id["00000015"].is_known
        assert by_id["00000015"].tag_name is None


def test_a_tag_is_believed_as_the_best_of_its_runs(filled: Filled) -> None:
    filled.keep(heard(NOW_S))
    with filled.store.transaction() as connection:
        for confidence in (2, 1, 3):
            connection.execute(
                "INSERT INTO runs (protocol, tag, place, first_utc_ns, last_utc_ns, detections,"
                " verified, confidence, reason) SELECT 'ctt-434', id, 'north', 0, 0, 1, 1, ?, ''"
                " FROM texts WHERE text = '78664C33'",
                (confidence,),
            )
    with plots_of(filled.path) as plots:
        (tag,) = tag_list(plots, Asked(), NOW_S, {}, frozenset()).tags
    assert tag.confidence == "likely"


async def test_the_loop_runs_while_a_week_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long it stalls at the worst is measured by tests/benchmarks/page.py."""
    loop = asyncio.get_running_loop()
    count_some = Plots._count_some
    counted: list[bool] = []

    def counts_some(plots: Plots, newest: dict[str, int]) -> bool:
        loop_ran = threading.Event()
        loop.call_soon_threadsafe(loop_ran.set)
        counted.append(loop_ran.wait(10))
        return count_some(plots, newest)

    monkeypatch.setattr(Plots, "_count_some", counts_some)
    async with serving(tmp_path) as rig:
        with Store.open(rig.store) as store:
            store.append(heard(time.time() - number) for number in range(1_000))
        told = await rig.get("/api/history?period=week")
        assert sum(told["detections"]["north"]) == 1_000
    assert counted
    assert all(counted)


async def test_a_question_that_takes_long_is_told_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as rig:
        with Store.open(rig.store) as store:
            store.append(heard(time.time() - number) for number in range(100))
        monkeypatch.setattr(rig.page._plotting, "_wait_s", 0.0)
        async with rig.client.get("/api/history") as answer:
            assert answer.status == 503
            assert "Retry-After" in answer.headers
            assert "%" in (await answer.json())["error"]
        monkeypatch.undo()
        assert sum((await rig.get("/api/history"))["detections"]["north"]) == 100


@pytest.mark.parametrize(
    "query",
    ["period=year", "end=now", "end=1890-01-01", "end=99999-01-01", "period=day&end=2026-13-01"],
)
async def test_a_period_that_is_none_is_refused(tmp_path: Path, query: str) -> None:
    async with serving(tmp_path) as rig:
        assert await rig.status_of("GET", f"/api/history?{query}") == 400


@pytest.mark.parametrize("query", ["sort=best", "offset=-1", "limit=ten", "limit=1e3"])
async def test_a_list_of_tags_that_is_none_is_refused(tmp_path: Path, query: str) -> None:
    async with serving(tmp_path) as rig:
        assert await rig.status_of("GET", f"/api/tags?{query}") == 400


async def test_hostile_names_stay_text(tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)>'; DROP TABLE heard; --\u2028"
    async with serving(tmp_path) as rig:
        with Store.open(rig.store) as store:
            store.append([heard(time.time(), hostile, hostile[:60])])
        rig.names = {hostile: hostile}
        for _ in range(2):
            (tag,) = (await rig.get("/api/tags", params={"search": "onerror"}))["tags"]
            assert (tag["tag_id"], tag["tag_name"]) == (hostile, hostile)
            told = await rig.get("/api/history?period=hour")
            assert list(told["detections"]) == [hostile[:60]]


async def test_plots_are_not_touched_unless_somebody_asks(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        await rig.get("/api/status")
        await rig.get("/api/downloads")
        assert not plots_beside(rig.store).exists()
        await rig.get("/api/tags")
        assert plots_beside(rig.store).exists()


def test_a_list_of_ten_thousand_tags_is_whole(filled: Filled) -> None:
    filled.keep(*(heard(NOW_S - number, f"{number:08X}") for number in range(10_000)))
    with plots_of(filled.path) as plots:
        told = tag_list(plots, Asked(offset=9_990, sort="tag"), NOW_S, {}, frozenset())
        assert told.total == 10_000
        assert [tag.tag_id for tag in told.tags] == [f"{n:08X}" for n in range(9_990, 10_000)]
        assert len(msgspec.json.encode(told)) < 4_000
