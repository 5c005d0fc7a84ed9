"""SIGHUP: what changed in the configuration is taken over, the rest runs on, errors do no harm."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from conftest import Until
from pseudo_terminals import PseudoRadio
from station_process import StationProcess, beep, serial_link
from structlog.testing import capture_logs

from receiver import config
from receiver.clock import Clock
from receiver.daemon import Daemon
from receiver.links.intake import LinkState
from receiver.links.serial_port import PortError, SerialPort
from receiver.settings import (
    ClockSettings,
    LogSettings,
    Settings,
    StationSettings,
    StoreSettings,
)
from receiver.store.activity_queries import hours_listened
from receiver.store.queries import DetectionFilter, Reader
from receiver.supervision.reload import taken_over

PlugIn: TypeAlias = Callable[[], PseudoRadio]

HEAD = '[station]\nid = "marsh"\n[store]\npath = "marsh.db"\n[clock]\ngpsd = ""\nchrony = "never"\n'


class Owner:
    """Somebody who edits the configuration of a running station."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "stopover.toml"
        self.daemon: Daemon | None = None

    def writes(self, *sections: str, head: str = HEAD) -> None:
        """Write the configuration."""
        self.path.write_text("\n".join((head, *sections)), encoding="utf-8")

    async def runs(self) -> Daemon:
        """Start the station."""
        self.daemon = Daemon(
            config.load(self.path),
            clock=Clock(quality=lambda: "ntp"),
            load=lambda: config.load(self.path),
        )
        self._running = asyncio.create_task(self.daemon.run())
        return self.daemon

    async def stops(self) -> None:
        """Stop it, if it runs."""
        if self.daemon is not None:
            self.daemon.stop()
            await self._running


@pytest.fixture
async def owner(tmp_path: Path) -> AsyncIterator[Owner]:
    made = Owner(tmp_path)
    yield made
    await made.stops()


def is_held(radio: PseudoRadio) -> bool:
    """Tell whether somebody has the port of this radio open."""
    try:
        SerialPort.open(radio.device, 115_200).close()
    except PortError:
        return True
    return False


async def is_read_again(until: Until) -> list[dict[str, object]]:
    """Send SIGHUP and wait for its end; return what was told."""
    with capture_logs() as told:
        os.kill(os.getpid(), signal.SIGHUP)
        ends = ("configuration read again", "configuration refused; the old one goes on")
        await until(lambda: any(line["event"] in ends for line in told))
    return [dict(line) for line in told]


async def test_unchanged_links_run_on_new_ones_start_and_removed_ones_stop(
    owner: Owner, plug_in: PlugIn, until: Until
) -> None:
    same, gone, new = plug_in(), plug_in(), plug_in()
    owner.writes(serial_link("same", same.device), serial_link("gone", gone.device))
    daemon = await owner.runs()
    await until(lambda: [link.opened for link in daemon.links] == [1, 1])
    status = daemon.links[0]
    owner.writes(serial_link("new", new.device), serial_link("same", same.device))
    told = await is_read_again(until)
    (changes,) = [line for line in told if line["event"] == "configuration read again"]
    assert changes["links_kept"] == "same"
    assert changes["links_stopped"] == "gone"
    assert changes["links_started"] == "new"
    await until(lambda: daemon.links[0].opened)
    assert [link.name for link in daemon.links] == ["new", "same"]
    assert daemon.links[1] is status
    assert status.opened == 1
    assert not is_held(gone)
    assert is_held(same)
    new.say(beep(1))
    same.say(beep(2))
    await until(lambda: daemon.pipeline.heard.detections == 2)


async def test_a_changed_link_is_opened_again_with_its_new_settings(
    owner: Owner, plug_in: PlugIn, until: Until
) -> None:
    radio = plug_in()
    owner.writes(serial_link("ch1", radio.device, 'antenna = "north"'))
    daemon = await owner.runs()
    await until(lambda: daemon.links and daemon.links[0].opened)
    radio.say(beep(1))
    await until(lambda: daemon.pipeline.heard.detections == 1)
    owner.writes(serial_link("ch1", radio.device, 'antenna = "south"'))
    await is_read_again(until)
    await until(lambda: daemon.links[0].opened)
    radio.say(beep(2))
    await until(lambda: daemon.pipeline.heard.detections == 2)
    await owner.stops()
    with Reader(Path(daemon.settings.store.path)) as reader:
        rows = list(reader.detections(DetectionFilter()))
        hours = list(hours_listened(reader, DetectionFilter()))
    assert [row["antenna"] for row in rows] == ["north", "south"]
    assert {hour["antenna"]: hour["detections"] for hour in hours} == {"north": 1, "south": 1}


async def test_two_links_may_change_their_ports(
    owner: Owner, plug_in: PlugIn, until: Until
) -> None:
    one, other = plug_in(), plug_in()
    owner.writes(serial_link("a", one.device), serial_link("b", other.device))
    daemon = await owner.runs()
    await until(lambda: [link.opened for link in daemon.links] == [1, 1])
    owner.writes(serial_link("a", other.device), serial_link("b", one.device))
    told = await is_read_again(until)
    await until(lambda: [link.opened for link in daemon.links] == [1, 1])
    assert not [line for line in told if line["event"] == "link lost"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("[store]\ncommit_intervall = 3\n", ["stopover.toml:3", "store.commit_intervall"]),
        ("x = [", ["stopover.toml", "not TOML"]),
        ('[[links]]\nkind = "serial"\nname = "a"\n', ["stopover.toml", "links[0]", "device"]),
    ],
)
async def test_a_wrong_configuration_is_refused_with_file_and_key_and_the_old_goes_on(
    owner: Owner, plug_in: PlugIn, until: Until, wrong: str, words: list[str]
) -> None:
    radio = plug_in()
    owner.writes(serial_link("ch1", radio.device))
    daemon = await owner.runs()
    await until(lambda: daemon.links and daemon.links[0].opened)
    before = daemon.settings
    owner.writes(wrong, head="")
    (told,) = await is_read_again(until)
    assert told["log_level"] == "error"
    for word in words:
        assert word in str(told["reason"])
    assert daemon.settings is before
    radio.say(beep(1))
    await until(lambda: daemon.pipeline.heard.detections == 1)
    assert daemon.links[0].opened == 1
    assert daemon.links[0].state is LinkState.HEARING


async def test_a_missing_file_is_refused_too(owner: Owner, until: Until) -> None:
    owner.writes()
    await owner.runs()
    await until(lambda: owner.daemon is not None and owner.daemon.writer.commits)
    owner.path.unlink()
    (told,) = await is_read_again(until)
    assert "no such file" in str(told["reason"])


async def test_what_cannot_change_while_it_runs_is_told_and_stays(
    owner: Owner, plug_in: PlugIn, until: Until
) -> None:
    radio = plug_in()
    owner.writes(serial_link("ch1", radio.device))
    daemon = await owner.runs()
    await until(lambda: daemon.writer.commits)
    head = HEAD.replace('"marsh"', '"dune"').replace("marsh.db", "dune.db")
    owner.writes(serial_link("ch1", radio.device), head=head)
    told = await is_read_again(until)
    waiting = [line["key"] for line in told if line["event"] == "setting waits for a restart"]
    assert waiting == ["station.id", "store.path"]
    assert daemon.settings.station.id == "marsh"
    assert daemon.settings.store.path.endswith("marsh.db")


async def test_interval_bound_and_position_change_at_once(
    owner: Owner, plug_in: PlugIn, until: Until
) -> None:
    radio = plug_in()
    owner.writes(
        serial_link("ch1", radio.device),
        head=HEAD.replace("[clock]", "commit_interval = 60\n[clock]"),
    )
    daemon = await owner.runs()
    await until(lambda: daemon.writer.commits and daemon.links[0].opened)
    head = HEAD.replace("[clock]", "commit_interval = 0.05\nmax_size_mb = 7\n[clock]")
    head = head.replace('id = "marsh"', 'id = "marsh"\nlatitude = 53.5\nlongitude = 8.2')
    owner.writes(serial_link("ch1", radio.device), head=head)
    await is_read_again(until)
    assert daemon.writer.housekeeping.retention.max_bytes == 7_000_000
    radio.say(beep(1))
    await until(lambda: daemon.pipeline.heard.detections == 1)
    await until(lambda: daemon.pipeline.waiting_rows == 0)
    with Reader(Path(daemon.settings.store.path)) as reader:
        (row,) = reader.detections(DetectionFilter())
    assert (row["latitude"], row["longitude"]) == (53.5, 8.2)


def test_settings_are_taken_over_but_for_what_names_the_open_store() -> None:
    old = Settings()
    new = Settings(
        station=StationSettings(id="dune", latitude=1.0, longitude=2.0),
        store=StoreSettings(path="dune.db", commit_interval=5),
        log=LogSettings(level="debug"),
        clock=ClockSettings(gpsd=""),
    )
    merged, waiting = taken_over(old, new)
    assert waiting == ("station.id", "store.path")
    assert merged.station == StationSettings(latitude=1.0, longitude=2.0)
    assert merged.store == StoreSettings(commit_interval=5)
    assert (merged.log, merged.clock) == (new.log, new.clock)
    assert taken_over(old, old) == (old, ())


async def test_a_real_process_refuses_a_wrong_file_and_takes_a_right_one(
    tmp_path: Path, plug_in: PlugIn
) -> None:
    radio, other = plug_in(), plug_in()
    station = StationProcess(tmp_path, [serial_link("ch1", radio.device)])
    await station.start_and_hear()
    try:
        right = station.configuration.read_text(encoding="utf-8")
        without_links = right.split("[[links]]")[0]
        station.configuration.write_text(without_links, encoding="utf-8")
        station.send(signal.SIGHUP)
        await station.tells(1, "configuration refused; the old one goes on")
        station.configuration.write_text(right + serial_link("ch2", other.device), encoding="utf-8")
        station.send(signal.SIGHUP)
        await station.tells(2, "link open")
        assert station.told("configuration read again") == 1
        station.send(signal.SIGTERM)
        assert await station.ended() == 0
    finally:
        station.kill()
