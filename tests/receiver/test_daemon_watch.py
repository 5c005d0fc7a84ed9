"""What the daemon looks after in silence: clock, position, disagreement, its own watches."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import Until
from structlog.testing import capture_logs

from protocols.records import GpsFix
from receiver.clock import Clock
from receiver.daemon import Daemon
from receiver.intakes.stream import StreamIntake
from receiver.limits import POSITION_STATED_EVERY_S
from receiver.links.intake import LinkStatus
from receiver.settings import (
    ClockSettings,
    SerialLink,
    Settings,
    StationSettings,
    StoreSettings,
    TagsSettings,
)
from receiver.store.queries import DetectionFilter, Reader
from receiver.supervision.own_watches import OwnWatches

if TYPE_CHECKING:
    from receiver.arrivals import ClockQuality

S = 10**9
DAY_S = 86_400


class Machine:
    """Clocks that a test sets."""

    def __init__(self) -> None:
        self.mono_ns = 50 * S
        self.utc_ns = 1_800_000_000 * S
        self.quality: ClockQuality = "ntp"

    def passes(self, seconds: float, *, step_s: float = 0) -> None:
        """Let time pass; the system clock is stepped by `step_s` besides."""
        self.mono_ns += round(seconds * S)
        self.utc_ns += round((seconds + step_s) * S)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
async def daemon(tmp_path: Path, machine: Machine) -> AsyncIterator[Daemon]:
    settings = Settings(
        station=StationSettings(id="marsh", latitude=53.5, longitude=8.2),
        store=StoreSettings(path=str(tmp_path / "marsh.db"), commit_interval=0.05),
        clock=ClockSettings(gpsd="", chrony="never"),
    )
    clock = Clock(
        utc_ns=lambda: machine.utc_ns,
        mono_ns=lambda: machine.mono_ns,
        quality=lambda: machine.quality,
        boot="boot-a",
    )
    made = Daemon(settings, clock=clock)
    running = asyncio.create_task(made.run())
    yield made
    made.stop()
    await running


def fetch(daemon: Daemon, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(daemon.settings.store.path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def reasons(daemon: Daemon) -> list[object]:
    return [row[0] for row in fetch(daemon, "SELECT reason FROM clock_samples ORDER BY id")]


async def test_a_step_in_silence_is_in_the_store_after_the_next_look(
    daemon: Daemon, machine: Machine, until: Until
) -> None:
    await until(lambda: daemon.writer.commits)
    assert reasons(daemon) == ["start"]
    machine.passes(60, step_s=400 * DAY_S)
    commits = daemon.writer.commits
    await daemon.look(1)
    await until(lambda: daemon.writer.commits > commits)
    assert reasons(daemon) == ["start", "step"]


async def test_an_hour_of_silence_is_a_sample(
    daemon: Daemon, machine: Machine, until: Until
) -> None:
    await until(lambda: daemon.writer.commits)
    for minute in range(61):
        machine.passes(60)
        await daemon.look(60 * minute)
    await until(lambda: daemon.writer.commits >= 2)
    assert reasons(daemon) == ["start", "hourly"]


async def test_the_configured_position_is_in_the_store_from_the_start_and_again_each_day(
    daemon: Daemon, until: Until
) -> None:
    positions = "SELECT latitude, longitude FROM gps_fixes"
    await until(lambda: daemon.writer.commits)
    assert fetch(daemon, positions) == [(53.5, 8.2)]
    start_s = asyncio.get_running_loop().time()
    await daemon.look(start_s + POSITION_STATED_EVERY_S - 60)
    await daemon.look(start_s + POSITION_STATED_EVERY_S + 60)
    await until(lambda: daemon.pipeline.waiting_rows == 0)
    assert fetch(daemon, positions) == [(53.5, 8.2)] * 2


async def test_gpsds_fixes_are_kept_as_rows(daemon: Daemon, until: Until) -> None:
    await until(lambda: daemon.writer.commits)
    daemon.clock_watch._take_fix(GpsFix(latitude=53.6, longitude=8.2, accuracy_m=4.0, fix_mode=3))
    await until(lambda: daemon.pipeline.waiting_rows == 0)
    assert fetch(
        daemon,
        "SELECT link, decoder, latitude, accuracy_m FROM readable_gps_fixes WHERE link = 'gpsd'",
    ) == [("gpsd", "gpsd/1", 53.6, 4)]


async def test_a_clock_that_disagrees_with_gps_is_told_once_and_once_when_it_agrees(
    daemon: Daemon, machine: Machine
) -> None:
    def gps_says(wrong_by_s: int) -> None:
        for _ in range(15):
            machine.passes(1)
            daemon.clock.gps_said(machine.utc_ns - S // 3 - wrong_by_s * S)

    with capture_logs() as told:
        gps_says(7200)
        await daemon.look(1)
        await daemon.look(2)
        gps_says(0)
        await daemon.look(3)
        await daemon.look(4)
    events = [(line["event"], line["log_level"]) for line in told]
    assert events == [
        ("clock and GPS disagree", "warning"),
        ("clock and GPS agree again", "warning"),
    ]


async def test_runs_of_tags_on_the_stations_list_are_judged_by_it(tmp_path: Path) -> None:
    listed = tmp_path / "known.txt"
    listed.write_text("78664c33\n")
    settings = Settings(
        store=StoreSettings(path=str(tmp_path / "marsh.db")),
        clock=ClockSettings(gpsd="", chrony="never"),
        tags=TagsSettings(known_file=str(listed)),
    )
    station = Daemon(settings)
    running = asyncio.create_task(station.run())
    intake = StreamIntake(station.pipeline, SerialLink("ch1", "/dev/none"), LinkStatus("ch1"))
    intake.received(b"78664C3304,-75\r\n")
    station.stop()
    await running
    with Reader(tmp_path / "marsh.db") as reader:
        (detection,) = reader.detections(DetectionFilter())
    assert detection["confidence_reason"] == "on-the-list"


async def test_a_fault_in_a_watch_of_the_daemon_is_told_and_the_watch_begins_again(
    until: Until,
) -> None:
    runs = 0

    async def watch() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise ZeroDivisionError
        await asyncio.Event().wait()

    watches = OwnWatches(again_after_s=0)
    with capture_logs() as told:
        watches.start([watch])
        await until(lambda: runs == 2)
    await watches.stop()
    assert [line["event"] for line in told] == ["failed by a fault in the program"]
