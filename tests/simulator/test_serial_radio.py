"""Simulated radios on pseudo-terminals, opened as a host opens a port."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from protocols.ctt.commands import VERSION, preset
from protocols.ctt.lines import CttLineDecoder
from protocols.ctt.printed_lines import Generation
from protocols.framing import LineFramer
from protocols.records import CommandReply, Detection, RadioInfo
from simulator.demo import simulated_ports
from simulator.play import play
from simulator.scenario import quiet_marsh
from simulator.serial_radio import SerialRadio
from simulator.serial_station import serial_station
from simulator.stations import Channel, Radio, Vice
from simulator.truth import Reception
from simulator.truth_file import read_truth
from simulator.world import World

WITHIN_S = 60.0


class Host:
    """Somebody who has a port open."""

    def __init__(self, device: str) -> None:
        self._port = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._framer = LineFramer()
        self.hung_up = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._port, self._read)

    def _read(self) -> None:
        try:
            chunk = os.read(self._port, 4096)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            asyncio.get_running_loop().remove_reader(self._port)
            self.hung_up.set()
        for line in self._framer.feed(chunk):
            self._lines.put_nowait(line)

    def write(self, command: bytes) -> None:
        """Send a command."""
        os.write(self._port, command)

    async def line(self) -> bytes:
        """Return the next line that the radio prints."""
        return await asyncio.wait_for(self._lines.get(), WITHIN_S)

    def close(self) -> None:
        """Close the port."""
        asyncio.get_running_loop().remove_reader(self._port)
        os.close(self._port)


@contextlib.asynccontextmanager
async def opened(serial: SerialRadio) -> AsyncIterator[Host]:
    host = Host(serial.device)
    try:
        await until(lambda: serial.is_open)
        yield host
    finally:
        host.close()


@contextlib.contextmanager
def plugged_in(
    radio: Radio, tuned: Callable[[Channel], None] | None = None
) -> Iterator[SerialRadio]:
    serial = SerialRadio(radio, on_tuned=tuned)
    try:
        yield serial
    finally:
        serial.unplug()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what the kernel tells nobody about."""
    async with asyncio.timeout(WITHIN_S):
        while not is_so():  # noqa: ASYNC110  The kernel sends no event for it.
            await asyncio.sleep(0.002)


def radio(generation: Generation, vice: Vice | None = None) -> Radio:
    return Radio(name="radio", generation=generation, antenna="roof", vice=vice)


BEEP = b"78664C33,-75\r\n"


@pytest.mark.parametrize(
    ("generation", "firmware"), [("G3", "1.0.0"), ("G4", "3.0.0"), ("G5", "4.0.0")]
)
async def test_a_station_radio_answers_version(generation: Generation, firmware: str) -> None:
    with plugged_in(radio(generation)) as serial:
        async with opened(serial) as host:
            host.write(VERSION)
            (record,) = CttLineDecoder().decode(await host.line())
    assert isinstance(record, RadioInfo)
    assert record.firmware == firmware


async def test_a_command_written_the_moment_the_port_opens_is_answered() -> None:
    with plugged_in(radio("G4")) as serial:
        host = Host(serial.device)
        host.write(VERSION)
        (record,) = CttLineDecoder().decode(await host.line())
        host.close()
    assert isinstance(record, RadioInfo)


@pytest.mark.parametrize("generation", ["G0", "G1", "G2"])
async def test_a_dongle_answers_nothing_and_goes_on(generation: Generation) -> None:
    with plugged_in(radio(generation)) as serial:
        async with opened(serial) as host:
            host.write(VERSION)
            await until(lambda: serial.commands == ["version"])
            assert serial.send(BEEP)
            assert await host.line() == BEEP.strip()


@pytest.mark.parametrize(
    ("generation", "name", "channel"),
    [
        ("G4", "fsktag", "tags"),
        ("G4", "node3", "nodes"),
        ("G4", "ooktag", "neither"),
        ("G5", "node3", "nodes"),
        ("G5", "ooktag", None),
    ],
)
async def test_a_preset_is_acknowledged_and_obeyed(
    generation: Generation, name: str, channel: Channel | None
) -> None:
    tuned: list[Channel] = []
    with plugged_in(radio(generation), tuned.append) as serial:
        async with opened(serial) as host:
            host.write(preset(name))
            (record,) = CttLineDecoder().decode(await host.line())
    assert isinstance(record, CommandReply)
    assert (record.command, record.ok) == ("preset", channel is not None)
    assert tuned == ([channel] if channel else [])


async def test_an_unknown_command_is_refused() -> None:
    with plugged_in(radio("G5")) as serial:
        async with opened(serial) as host:
            host.write(b"\xff\xfe\r\ndance:tango\r\n")
            (record,) = CttLineDecoder().decode(await host.line())
    assert isinstance(record, CommandReply)
    assert (record.command, record.ok) == ("dance", False)


async def test_a_dongle_that_hangs_when_written_to_talks_again_once_reopened() -> None:
    with plugged_in(radio("G1", Vice(kind="hangs-on-write"))) as serial:
        async with opened(serial) as host:
            assert serial.send(BEEP)
            assert await host.line() == BEEP.strip()
            host.write(VERSION)
            await until(lambda: serial.commands == ["version"])
            assert not serial.send(BEEP)
        await until(lambda: not serial.is_open)
        async with opened(serial) as host:
            assert serial.send(BEEP)
            assert await host.line() == BEEP.strip()
    assert serial.lines_dropped == 1


async def test_a_radio_that_stops_talking_talks_again_once_plugged_in_anew() -> None:
    with plugged_in(radio("G5", Vice(kind="stops-talking", after_s=0.1))) as serial:
        async with opened(serial) as host:
            await until(lambda: not serial.send(BEEP))
            host.write(VERSION)
            await until(lambda: serial.commands == ["version"])
        serial.unplug()
        serial.plug_in()
        async with opened(serial) as host:
            assert serial.send(BEEP)
            assert await host.line() == BEEP.strip()


async def test_a_flooding_radio_prints_diagnostics_without_end() -> None:
    with plugged_in(radio("G5", Vice(kind="floods"))) as serial:
        async with opened(serial) as host:
            lines = [await host.line() for _ in range(21)]
    assert all(b"terra_uhf" in line for line in lines)


async def test_an_unplugged_radio_hangs_up_and_comes_back_under_its_lasting_name(
    tmp_path: Path,
) -> None:
    alias = tmp_path / "radio"
    vice = Vice(kind="unplugs", after_s=0.1, back_after_s=0.5)
    serial = SerialRadio(radio("G5", vice), alias=alias)
    first = Host(serial.device)
    await asyncio.wait_for(first.hung_up.wait(), WITHIN_S)
    assert not alias.is_symlink()
    assert not serial.send(BEEP)
    first.close()
    await until(alias.exists)
    async with opened(serial) as host:
        assert serial.send(BEEP)
        assert await host.line() == BEEP.strip()
    serial.unplug()
    assert not alias.is_symlink()


async def test_nothing_is_sent_while_nobody_has_the_port_open() -> None:
    with plugged_in(radio("G5")) as serial:
        assert not serial.send(BEEP)
        async with opened(serial) as host:
            assert serial.send(b"after\r\n")
            assert await host.line() == b"after"
    assert (serial.lines_sent, serial.lines_dropped) == (1, 1)


async def test_a_host_that_does_not_read_costs_lines_and_never_stops_the_loop() -> None:
    with plugged_in(radio("G1")) as serial:
        port = os.open(serial.device, os.O_RDWR | os.O_NOCTTY)
        await until(lambda: serial.is_open)
        taken = [serial.send(BEEP) for _ in range(20_000)]
        assert 100 < sum(taken) < 20_000
        assert not taken[-1]
        # What was taken is whole, also the line that met the full buffer.
        received = 0
        while received < sum(taken) * len(BEEP):
            await asyncio.sleep(0)
            chunk = os.read(port, 4096)
            received += len(chunk)
        os.close(port)
    assert serial.lines_dropped == 20_000 - sum(taken)
    assert received == sum(taken) * len(BEEP)


async def test_ports_print_exactly_what_the_truth_calls_printed(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    heard: list[str] = []
    scenario = quiet_marsh().changed(duration_s=60)
    async with simulated_ports(scenario, truth=truth, speed=40) as ports:
        hosts = [Host(port.device) for port in ports]
        async with asyncio.timeout(WITHIN_S):
            while len(heard) < 30:
                (record,) = CttLineDecoder().decode(await hosts[0].line())
                assert isinstance(record, Detection)
                heard.append(record.tag_id)
    for host in hosts:
        await asyncio.wait_for(host.hung_up.wait(), WITHIN_S)
        host.close()
    printed = [
        row.received[:8]
        for row in read_truth(truth)
        if isinstance(row, Reception) and row.outcome == "printed" and row.receiver == "north"
        if row.received is not None
    ]
    assert heard == printed[: len(heard)]
    assert [(port.name, port.antenna, port.preset) for port in ports] == [
        ("north", "north", "fsktag"),
        ("south", "south", "fsktag"),
        ("nodes", "nodes", "node3"),
    ]


async def test_a_preset_on_one_port_changes_what_that_radio_hears(tmp_path: Path) -> None:
    world = World(msgspec.structs.replace(quiet_marsh(), duration_s=60))
    with serial_station(world, aliases=tmp_path) as station:
        north = Host(str(tmp_path / "marsh-north"))
        await until(lambda: station.radios["marsh", "north"].is_open)
        north.write(preset("ooktag"))
        (reply,) = CttLineDecoder().decode(await north.line())
        await play(world, [station], speed=600)
        assert isinstance(reply, CommandReply)
        assert station.radios["marsh", "north"].lines_sent == 0
        assert station.lines_dropped > 0
        north.close()
