"""Coded-ID tags live: runs open and close on time, whatever clocks and lists do meanwhile."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from coded_pulses import KNOT, WREN, MadeUpTag, S, line, write_list
from conftest import Until
from pseudo_terminals import PseudoRadio

from protocols.station_link.bodies import PulseReading, Pulses
from protocols.station_link.frames import build_frame
from receiver.activity import Activity
from receiver.clock import Clock
from receiver.coded_ids.listener import CodedIdListener, PulsesKept
from receiver.daemon import Daemon
from receiver.intakes.messages import MessageIntake
from receiver.intakes.stream import StreamIntake
from receiver.limits import CODED_ID_SLICE_S, PULSES_WAITING_TO_BE_SEARCHED
from receiver.links.intake import LinkStatus
from receiver.pipeline import Pipeline
from receiver.run_index import index_runs
from receiver.settings import (
    MqttLink,
    MqttTopic,
    SerialLink,
    Settings,
    StationSettings,
    StoreSettings,
    TagsSettings,
)
from receiver.store.activity_queries import hours_listened
from receiver.store.database import Store
from receiver.store.queries import DetectionFilter, Reader
from receiver.store.writer import Writer
from receiver.supervision.reload import taken_over

UTC_NS = 1_790_000_000 * S
MONO_NS = 5_000 * S
LATENCY_NS = S // 10
"""From pulse to arrival."""


class Station:
    """A pipeline and a listener with a real store, whose clocks the test sets."""

    def __init__(
        self,
        path: Path,
        *,
        pulses: PulsesKept = "used",
        most_waiting: int = PULSES_WAITING_TO_BE_SEARCHED,
        slice_s: float = CODED_ID_SLICE_S,
        busy_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.path = path
        self.mono_ns = MONO_NS
        self.offset_ns = UTC_NS - MONO_NS
        """System clock less CLOCK_BOOTTIME."""
        self.clock = Clock(
            quality=lambda: "ntp",
            mono_ns=lambda: self.mono_ns,
            utc_ns=lambda: self.mono_ns + self.offset_ns,
            boot="boot-a",
        )
        self.writer = Writer(path, "marsh")
        self.activity = Activity(self.clock.stamp().utc_ns)
        self.pipeline = Pipeline(self.clock, self.writer, self.activity, commit_interval_s=60)
        self.listener = CodedIdListener(
            self.pipeline.take_decoded,
            mono_ns=lambda: self.mono_ns,
            pulses_kept=pulses,
            slice_s=slice_s,
            most_waiting=most_waiting,
            busy_s=busy_s,
        )
        self.pipeline.pulse_listener = self.listener
        self.status = LinkStatus("vah")
        link = SerialLink(name="vah", device="/dev/none", decoder="sensorgnome")
        self.intake = StreamIntake(self.pipeline, link, self.status)

    def at(self, mono_ns: int) -> None:
        """Let it be so late, by the clock that nobody sets; ticks come once a second."""
        while self.mono_ns < mono_ns:
            self.mono_ns = min(self.mono_ns + S, mono_ns)
            self.listener.tick(self.mono_ns)

    async def hear(
        self, tag: MadeUpTag, begin_mono_ns: int, count: int, *, port: int = 3, ahead_ns: int = 0
    ) -> None:
        """Hear bursts as they are sent; `ahead_ns` is by how much the sender's clock is ahead."""
        for pulses in tag.bursts_ns(begin_mono_ns, count):
            for pulse_ns in pulses:
                self.at(pulse_ns + LATENCY_NS)
                self.intake.received(line(pulse_ns + self.offset_ns + ahead_ns, port))
            await searched()

    async def stop(self) -> None:
        """End as the daemon does."""
        self.listener.finish()
        self.pipeline.flush(with_activity=True)
        assert await self.writer.stop(5) == 0

    def detections(self) -> list[dict[str, Any]]:
        """Return the detections stored."""
        with Reader(self.path) as reader:
            return list(reader.detections(DetectionFilter()))

    def rows(self, statement: str) -> list[Any]:
        """Return what a query gives."""
        with Reader(self.path) as reader:
            return [tuple(row) for row in reader.connection.execute(statement)]

    def hour(self) -> dict[str, Any]:
        """Return the activity of antenna 3."""
        with Reader(self.path) as reader:
            hours = {hour["antenna"]: hour for hour in hours_listened(reader, DetectionFilter())}
        found: dict[str, Any] = hours["3"]
        return found


async def searched() -> None:
    """Let the loop take the pulses on that wait."""
    for _ in range(3):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(
    path: Path, *tags: MadeUpTag, station: Station | None = None
) -> AsyncIterator[Station]:
    """Run a station, with a list of tags if there are any; it is stopped with the block."""
    station = station or Station(path / "marsh.db")
    station.writer.start()
    if tags:
        await station.listener.change(str(write_list(path / "tags.csv", *tags)))
    try:
        yield station
    finally:
        await station.writer.stop(5)


async def test_a_run_opens_with_its_second_burst_and_ends_by_a_timer(tmp_path: Path) -> None:
    async with running(tmp_path, WREN) as station:
        with structlog.testing.capture_logs() as logs:
            await station.hear(WREN, MONO_NS + S, 1)
            station.at(MONO_NS + 2 * S)
            assert station.listener.open_runs == 0
            await station.hear(WREN, MONO_NS + 3 * S, 1)
            # A burst waits for late pulses, half a second, and for rivals, no more.
            station.at(MONO_NS + 4 * S + S // 2)
            assert station.listener.open_runs == 1
            assert station.pipeline.heard.detections == 2
            await station.hear(WREN, MONO_NS + 5 * S, 3)
            # The shortest silence that ends a run: 60 s.
            station.at(MONO_NS + 9 * S + 59 * S)
            assert station.listener.open_runs == 1
            station.at(MONO_NS + 9 * S + 63 * S)
            assert station.listener.open_runs == 0
        await station.stop()
        told = [entry for entry in logs if entry["event"] in ("run opened", "run ended")]
        assert [(entry["event"], entry["tag"], entry["bursts"]) for entry in told] == [
            ("run opened", "Marsh#1", 2),
            ("run ended", "Marsh#1", 5),
        ]
        assert {entry["antenna"] for entry in told} == {"3"}
        found = station.detections()
    assert [row["time"] for row in found] == [
        f"2026-09-21T14:13:{21 + 2 * number:02d}.000000Z" for number in range(5)
    ]
    assert {row["run"] for row in found} == {1}
    assert {row["confidence"] for row in found} == {"certain"}
    row = found[-1]
    assert (row["protocol"], row["tag_id"], row["antenna"]) == ("coded-id", "Marsh#1", "3")
    assert (row["integrity"], row["decoder"], row["link"]) == ("unverified", "coded-id/1", "vah")
    assert (row["rssi_dbm"], row["frequency_offset_hz"], row["snr_db"]) == (None, 2500.0, 25.2)
    assert set(row["measurements"]) == {
        "pulse_count",
        "signal_db",
        "signal_sd_percent",
        "noise_db",
        "frequency_sd_hz",
        "slop_ms",
        "interval_error_ms",
    }
    assert bytes.fromhex(row["raw"]).count(b"\n") == 3


async def test_a_run_is_one_row_that_tells_what_it_missed(tmp_path: Path) -> None:
    async with running(tmp_path, WREN) as station:
        await station.hear(WREN, MONO_NS, 2)
        await station.hear(WREN, MONO_NS + 8 * S, 1)
        await station.stop()
        assert station.rows(
            "SELECT protocol, texts.text, place, detections, missed, interval_s, reason"
            " FROM runs JOIN texts ON texts.id = tag"
        ) == [("coded-id", "Marsh#1", "3", 3, 2, 2, "3-bursts-2-missed")]


async def test_a_run_that_opens_with_every_second_burst_misses_the_others(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, WREN) as station:
        await station.hear(WREN, MONO_NS, 1)
        await station.hear(WREN, MONO_NS + 4 * S, 1)
        await station.stop()
        assert station.rows("SELECT detections, missed, interval_s FROM runs") == [(2, 1, 2)]


async def test_a_run_goes_on_when_its_radio_is_tuned_a_little(tmp_path: Path) -> None:
    async with running(tmp_path, WREN) as station:
        await station.hear(WREN, MONO_NS, 2)
        station.intake.received(b"S,%d,3,-m,166.377,0,\n" % (UTC_NS // S))
        await station.hear(WREN, MONO_NS + 4 * S, 2)
        await station.stop()
        assert [row["run"] for row in station.detections()] == [1] * 4


async def test_antennas_do_not_mix_and_each_has_its_own_run(tmp_path: Path) -> None:
    async with running(tmp_path, WREN) as station:
        await station.hear(WREN, MONO_NS, 2, port=3)
        await station.hear(WREN, MONO_NS + 10 * S, 2, port=5)
        # Half of a burst here and half there is none.
        for port, pulses in ((3, slice(0, 2)), (5, slice(2, 4))):
            for pulse_ns in WREN.burst_ns(MONO_NS + 200 * S)[pulses]:
                station.at(pulse_ns + LATENCY_NS)
                station.intake.received(line(pulse_ns + station.offset_ns, port))
        await station.stop()
        found = station.detections()
        assert [(row["antenna"], row["run"]) for row in found] == [
            ("3", 1),
            ("3", 1),
            ("5", 2),
            ("5", 2),
        ]


@pytest.mark.parametrize("ahead_s", [0, 7_200], ids=["of this machine", "of another machine"])
@pytest.mark.parametrize("step_s", [-3_600, -3, 0.4, 3, 3_600])
async def test_a_step_of_the_clock_cuts_no_run(tmp_path: Path, step_s: float, ahead_s: int) -> None:
    async with running(tmp_path, WREN) as station:
        ahead_ns = ahead_s * S
        await station.hear(WREN, MONO_NS, 3, ahead_ns=ahead_ns)
        station.offset_ns += round(step_s * S)
        if ahead_s:
            ahead_ns -= round(step_s * S)  # The other machine's clock was right all the time.
        await station.hear(WREN, MONO_NS + 6 * S, 3, ahead_ns=ahead_ns)
        await station.stop()
        found = station.detections()
        assert [row["run"] for row in found] == [1] * 6
        # The way from another machine takes as long as it takes.
        way_ns = LATENCY_NS if ahead_s else 0
        assert [utc_ns for (utc_ns,) in station.rows("SELECT utc_ns FROM detections")] == [
            UTC_NS + 2 * number * S + way_ns + (round(step_s * S) if number > 2 else 0)
            for number in range(6)
        ]


async def test_another_machines_clock_that_begins_again_is_followed(tmp_path: Path) -> None:
    async with running(tmp_path, WREN) as station:
        await station.hear(WREN, MONO_NS, 3, ahead_ns=-700 * S)
        station.at(MONO_NS + 100 * S)
        await station.hear(WREN, MONO_NS + 101 * S, 3, ahead_ns=-UTC_NS)
        await station.stop()
        found = station.detections()
        assert [row["run"] for row in found] == [1, 1, 1, 2, 2, 2]
        assert found[3]["time"].startswith("2026-09-21T14:15:01.1")


async def test_pulses_that_no_tag_used_are_counted_and_not_kept(tmp_path: Path) -> None:
    async with running(tmp_path, WREN) as station:
        station.intake.received(line(station.clock.stamp().utc_ns, offset_khz=4.2))
        await station.hear(WREN, MONO_NS + S, 2)
        await station.stop()
        assert station.rows("SELECT count(*) FROM pulses") == [(8,)]
        assert station.hour()["pulses"] == 9
        assert station.hour()["detections"] == 2


async def test_all_pulses_are_kept_where_the_owner_says_so(tmp_path: Path) -> None:
    async with running(
        tmp_path, WREN, station=Station(tmp_path / "marsh.db", pulses="all")
    ) as station:
        station.intake.received(line(station.clock.stamp().utc_ns, offset_khz=4.2))
        await station.hear(WREN, MONO_NS + S, 2)
        await station.stop()
        assert station.rows("SELECT count(*) FROM pulses") == [(9,)]
        assert len(station.detections()) == 2


async def test_without_a_tag_list_pulses_are_kept_whole_with_their_own_times(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as station:
        await station.hear(WREN, MONO_NS, 2)
        assert not station.listener.waits_for_time
        await station.stop()
        times = station.rows("SELECT utc_ns FROM pulses ORDER BY id LIMIT 2")
    assert times == [(UTC_NS,), (UTC_NS + 22_000_000,)]


async def test_the_tag_list_is_read_again_when_it_changes(tmp_path: Path) -> None:
    async with running(tmp_path, WREN) as station:
        await station.hear(WREN, MONO_NS, 3)
        await station.hear(KNOT, MONO_NS + 6 * S, 2)
        assert set(station.pipeline.heard.tags) == {"Marsh#1"}
        write_list(tmp_path / "tags.csv", WREN, KNOT)
        await station.listener.look()
        await station.hear(WREN, MONO_NS + 12 * S, 1)
        await station.hear(KNOT, MONO_NS + 15 * S, 2)
        await station.stop()
        runs = [(row["tag_id"], row["run"]) for row in station.detections()]
    # The run that was open goes on.
    assert runs == [("Marsh#1", 1)] * 4 + [("Marsh#2", 2)] * 2


async def test_a_wrong_list_is_refused_and_the_old_one_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, WREN) as station:
        (tmp_path / "tags.csv").write_text("no list at all\n")
        with structlog.testing.capture_logs() as logs:
            await station.listener.look()
            await station.listener.look()
        assert [(entry["event"], entry["log_level"]) for entry in logs] == [
            ("tag list refused; the old one goes on", "error")
        ]
        assert "tags.csv" in logs[0]["reason"]
        await station.hear(WREN, MONO_NS, 2)
        await station.stop()
        assert len(station.detections()) == 2


async def test_a_list_that_was_missing_is_used_once_it_is_there(tmp_path: Path) -> None:
    async with running(tmp_path) as station:
        with structlog.testing.capture_logs() as logs:
            await station.listener.change(str(tmp_path / "late.csv"))
        assert [entry["event"] for entry in logs] == ["tag list refused; pulses are kept whole"]
        await station.hear(WREN, MONO_NS, 1)
        write_list(tmp_path / "late.csv", WREN)
        await station.listener.look()
        await station.hear(WREN, MONO_NS + 4 * S, 2)
        await station.stop()
        assert len(station.detections()) == 2
        assert station.rows("SELECT count(*) FROM pulses") == [(12,)]


async def test_a_list_that_is_named_no_more_ends_the_runs(tmp_path: Path) -> None:
    async with running(tmp_path, WREN) as station:
        await station.hear(WREN, MONO_NS, 2)
        await station.listener.change(None)
        assert not station.listener.is_decoding
        assert station.listener.open_runs == 0
        await station.hear(WREN, MONO_NS + 4 * S, 2)
        await station.stop()
        assert len(station.detections()) == 2
        assert station.rows("SELECT count(*) FROM pulses") == [(16,)]


async def test_an_interval_that_is_not_the_lists_is_told_and_kept(tmp_path: Path) -> None:
    listed = MadeUpTag(number=1, gaps_ms=WREN.gaps_ms, interval_s=3.1)
    async with running(tmp_path, listed) as station:
        with structlog.testing.capture_logs() as logs:
            await station.hear(WREN, MONO_NS, 4)
            station.at(MONO_NS + 10 * S)
        (warning,) = [entry for entry in logs if entry["log_level"] == "warning"]
        assert warning["event"] == "code seen, interval does not match the list"
        assert (warning["tags"], warning["heard_every_s"]) == ("Marsh#1@166.38:3.1", 2.0)
        assert warning["listed_s"] == "3.1"
        await station.stop()
        assert station.detections() == []
        ((kind, body),) = station.rows("SELECT kind, body FROM events")
        assert kind == "UnlistedInterval"
        assert '"measured_interval_s":2.0' in body
        assert '"listed_intervals_s":[3.1]' in body
        # Once the list is mended, an import of the pulses finds the tag.
        assert station.rows("SELECT count(*) FROM pulses")[0][0] >= 12


async def test_tags_that_cannot_be_told_apart_are_one_detection(tmp_path: Path) -> None:
    twin = MadeUpTag(number=9, gaps_ms=WREN.gaps_ms, interval_s=1.999)
    async with running(tmp_path, twin, WREN) as station:
        await station.hear(WREN, MONO_NS, 2)
        await station.stop()
        assert [row["tag_id"] for row in station.detections()] == ["Marsh#1|Marsh#9"] * 2


def is_awake(station: Station) -> bool:
    return station.listener.waits_for_time


async def test_nothing_wakes_the_station_when_nothing_is_open(tmp_path: Path) -> None:
    async with running(tmp_path, WREN) as station:
        assert not is_awake(station)
        await station.hear(WREN, MONO_NS, 2)
        assert is_awake(station)
        station.at(MONO_NS + 40 * S)
        station.listener._tick()
        assert is_awake(station)  # A run is open.
        station.at(MONO_NS + 70 * S)
        station.listener._tick()
        assert not is_awake(station)
        await station.stop()


async def test_a_flood_is_bounded_and_what_was_not_searched_is_counted(tmp_path: Path) -> None:
    async with running(
        tmp_path, WREN, station=Station(tmp_path / "marsh.db", most_waiting=50)
    ) as station:
        flood = b"".join(line(UTC_NS + number * 10**6) for number in range(120))
        station.intake.received(flood)
        # Reception was over before the first pulse was searched.
        assert station.pipeline.heard.pulses == 120
        await station.stop()
        assert station.hour()["rejects"]["pulses_not_searched"] == 70
        assert station.rows("SELECT count(*) FROM pulses")[0][0] >= 70


async def test_the_search_gives_the_loop_back_after_its_slice(tmp_path: Path) -> None:
    moments = itertools.count()
    slow = Station(tmp_path / "marsh.db", slice_s=0.5, busy_s=lambda: float(next(moments)))
    # Each look at the clock is a second: a slice is over after one antenna's turn.
    async with running(tmp_path, WREN, station=slow) as station:
        station.intake.received(
            b"".join(line(UTC_NS + number * 10**6, port) for port in (3, 4) for number in range(40))
        )
        waited = []
        for _ in range(12):
            waited.append(station.listener._waiting)
            await asyncio.sleep(0)
        assert waited[0] == 80
        assert all(before - after <= 16 for before, after in itertools.pairwise(waited))
        assert waited[-1] == 0
        await station.stop()


async def test_decoder_counters_reach_the_hours_rejects(tmp_path: Path) -> None:
    async with running(tmp_path, WREN) as station:
        station.at(MONO_NS + 20 * S)
        now_ns = station.clock.stamp().utc_ns
        station.intake.received(line(now_ns) + line(now_ns - 5 * S) + line(now_ns - 6 * S))
        await searched()
        station.intake.received(line(now_ns + S // 50))
        await searched()
        await station.stop()
        assert station.hour()["rejects"]["late_pulses"] == 2


async def test_more_antennas_than_there_can_be_are_kept_but_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.coded_ids.listener.ANTENNAS_SEARCHED", 2)
    async with running(tmp_path, WREN) as station:
        for port in (3, 4, 5):
            station.intake.received(line(UTC_NS, port))
        await station.stop()
        assert station.rows("SELECT antenna FROM readable_pulses") == [("5",)]


def station_link(station: Station) -> MessageIntake:
    topic = MqttTopic(topic="frames", decoder="station-link", antenna="north")
    link = MqttLink(name="field", broker="mqtt://localhost", topics=(topic,))
    return MessageIntake(station.pipeline, link, LinkStatus("field"))


async def test_pulses_of_the_station_link_become_detections(tmp_path: Path) -> None:
    other = MadeUpTag(number=7, gaps_ms=KNOT.gaps_ms, interval_s=KNOT.interval_s)
    async with running(tmp_path, WREN, other) as station:
        intake = station_link(station)
        delays_ms = iter((3, 40, 1, 25, 7, 60, 2, 30))
        for number, pulses in enumerate(WREN.bursts_ns(MONO_NS + S, 4)):
            # Each burst comes in two frames, and each frame takes its own time.
            for pair in (pulses[:2], pulses[2:]):
                sent_ns = pair[-1] + 2_000_000
                readings = tuple(
                    PulseReading(
                        age_us=(sent_ns - pulse_ns) // 1000,
                        offset_hz=2_500,
                        signal_ddb=-412,
                        noise_ddb=-690,
                    )
                    for pulse_ns in pair
                )
                frame = build_frame(
                    Pulses(radio=0, frequency_hz=166_376_000, pulses=readings),
                    seq=number,
                    uptime_us=(sent_ns - MONO_NS + 77 * S) // 1000,
                )
                station.at(sent_ns + next(delays_ms) * 10**6)
                intake.message("frames", frame, None)
            await searched()
        await station.stop()
        found = station.detections()
        assert [(row["tag_id"], row["antenna"], row["run"]) for row in found] == [
            ("Marsh#1", "north", 1)
        ] * 4
        # Stamped by the quickest frames: within a few ms, not within the slowest's 60.
        assert [row["time"][17:21] for row in found] == ["21.0", "23.0", "25.0", "27.0"]
        times = [utc_ns for (utc_ns,) in station.rows("SELECT utc_ns FROM pulses ORDER BY utc_ns")]
        assert len(times) == 16
        gaps_ms = [(after - before) / 1e6 for before, after in itertools.pairwise(times[-4:])]
        assert gaps_ms == pytest.approx(WREN.gaps_ms, abs=0.01)


async def test_an_antenna_hears_the_tags_of_the_frequency_it_is_tuned_to(tmp_path: Path) -> None:
    async with running(tmp_path) as station:
        rows = WREN.row + WREN.row.replace("Marsh,1,166.38", "Fen,1,150.1")
        (tmp_path / "tags.csv").write_text("proj,id,tagFreq,g1,g2,g3,bi\n" + rows)
        await station.listener.change(str(tmp_path / "tags.csv"))
        station.intake.received(b"S,%d,3,-m,150.096,0,\n" % (UTC_NS // S))
        await station.hear(WREN, MONO_NS + S, 2)
        await station.hear(WREN, MONO_NS + 9 * S, 2, port=4)
        await station.stop()
        assert [row["tag_id"] for row in station.detections()] == [
            "Fen#1",
            "Fen#1",
            "Fen#1|Marsh#1",
            "Fen#1|Marsh#1",
        ]


async def test_the_run_index_leaves_coded_ids_alone(tmp_path: Path) -> None:
    async with running(tmp_path, WREN) as station:
        await station.hear(WREN, MONO_NS, 3)
        # A burst that SensorGnome itself found has no run.
        station.intake.received(b"B3,%d.5,117,2.5,0.01,-40,3,-65,25\n" % (UTC_NS // S))
        await station.stop()
        with Store.open(station.path) as store:
            index_runs(store)
        assert station.rows("SELECT count(*) FROM detection_runs") == [(0,)]
        assert station.rows("SELECT count(*) FROM runs") == [(1,)]
        told = {row["tag_id"]: row for row in station.detections()}
        assert told["lotek#117"]["confidence_reason"] == "told-without-a-run"
        assert told["Marsh#1"]["confidence_reason"] == "3-bursts"


async def test_a_daemon_hears_a_tag_through_a_pseudo_terminal(
    tmp_path: Path, plug_in: Callable[[], PseudoRadio], until: Until
) -> None:
    radio = plug_in()
    tags = write_list(tmp_path / "tags.csv", WREN)
    settings = Settings(
        station=StationSettings(id="marsh"),
        store=StoreSettings(path=str(tmp_path / "marsh.db"), commit_interval=0.05),
        links=(SerialLink(name="vah", device=radio.device, decoder="sensorgnome"),),
        tags=TagsSettings(coded_ids=str(tags)),
    )
    daemon = Daemon(settings)
    running_daemon = asyncio.create_task(daemon.run())
    await until(lambda: any(link.opened for link in daemon.links))
    # vamp-alsa-host's lines may be seconds late: four bursts of the last eight seconds, at once.
    begin_ns = time.time_ns() - 8 * S
    for pulses in WREN.bursts_ns(begin_ns, 4):
        radio.say(b"".join(map(line, pulses)))
    await until(lambda: daemon.pipeline.heard.detections == 4)
    assert daemon.coded_ids.open_runs == 1
    daemon.stop()
    assert await running_daemon == 0
    with Reader(tmp_path / "marsh.db") as reader:
        found = list(reader.detections(DetectionFilter(min_confidence="likely")))
        (hour,) = [
            each for each in hours_listened(reader, DetectionFilter()) if each["antenna"] == "3"
        ]
    assert [(row["tag_id"], row["run"]) for row in found] == [("Marsh#1", found[0]["run"])] * 4
    assert (hour["pulses"], hour["detections"]) == (16, 4)


def test_a_list_can_change_while_the_station_runs_and_known_tags_wait() -> None:
    old = Settings()
    new = Settings(tags=TagsSettings(coded_ids="/etc/tags.csv", known=("0000AA00",)))
    settings, waiting = taken_over(old, new)
    assert settings.tags == TagsSettings(coded_ids="/etc/tags.csv")
    assert waiting == ("tags.known",)
