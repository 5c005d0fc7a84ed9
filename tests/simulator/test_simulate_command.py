"""`stopover simulate` as a user types it."""

import asyncio
import contextlib
import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest
from click.testing import CliRunner, Result

from protocols.ctt.lines import CttLineDecoder
from protocols.records import Detection
from protocols.sensorgnome import SensorGnomeReader, parse_name
from receiver.cli.simulate import simulate_command
from simulator.scenario import SCENARIOS
from simulator.truth import Reception, Transmission
from simulator.truth_file import read_truth

WITHIN_S = 60.0
COMMAND = [sys.executable, "-c", "from receiver.cli.simulate import simulate_command as s; s()"]
QUARTER_HOUR = ["quiet-marsh", "--duration", "900", "--line-noise", "0.1"]
HOUR_FILES = ["--duration", "5400", "--bit-error-rate", "0.001"]


def simulate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(simulate_command, [str(each) for each in arguments])


def unzipped(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines()


@pytest.fixture
def broker_port(tmp_path: Path) -> Iterator[int]:
    """Run mosquitto on a port of its own."""
    mosquitto = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    assert mosquitto, "install mosquitto: apt-get install mosquitto"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with subprocess.Popen(
        [mosquitto, "-c", str(configuration)], stderr=subprocess.DEVNULL
    ) as running:
        try:
            _wait_for_port(port)
            yield port
        finally:
            running.terminate()


def _wait_for_port(port: int) -> None:
    async def connected() -> None:
        async with asyncio.timeout(WITHIN_S):
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)

    asyncio.run(connected())


def test_files_hold_what_the_truth_says_was_recorded(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    result = simulate("all-generations", "--files", tmp_path / "sg", "--truth", truth, *HOUR_FILES)
    assert result.exit_code == 0, result.output
    files = sorted((tmp_path / "sg").iterdir())
    names = [parse_name(path.name) for path in files]
    assert [name.source for name in names if name] == ["ctt", "ctt"]
    assert all(name is not None and name.is_synchronised for name in names)
    reader = SensorGnomeReader()
    heard = []
    for line in [line for path in files for line in unzipped(path)]:
        record = reader.read(line).record
        assert isinstance(record, Detection)
        heard.append((record.antenna, record.rssi_dbm))
    rows = read_truth(truth)
    beeps = {row.number for row in rows if isinstance(row, Transmission) and row.what == "beep"}
    ports = {f"g{port - 1}": str(port) for port in range(1, 7)}
    recorded = [
        (ports[row.receiver], None if row.receiver == "g0" else row.rssi_dbm)
        for row in rows
        if isinstance(row, Reception) and row.outcome == "printed" and row.transmission in beeps
    ]
    assert heard == recorded
    assert len(heard) > 10_000


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    for folder, seed in (("one", "7"), ("same", "7"), ("other", "8")):
        simulate(*QUARTER_HOUR, "--files", tmp_path / folder, "--seed", seed)
    one, same, other = (
        [path.read_bytes() for path in sorted((tmp_path / folder).iterdir())]
        for folder in ("one", "same", "other")
    )
    assert one == same
    assert one != other


def test_serial_radios_are_told_with_a_configuration_and_heard(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    arguments = ["quiet-marsh", "--serial", "--truth", str(truth)]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        snippet = b""
        while b"node3" not in snippet:
            snippet += running.stdout.readline()
        links = tomllib.loads(snippet.decode())["links"]
        # Not to become this process's own terminal, whose end would end the tests.
        descriptor = os.open(links[0]["device"], os.O_RDONLY | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb", buffering=0) as port:
            first = port.readline()
        running.send_signal(signal.SIGINT)
        assert running.wait(WITHIN_S) == 0
    assert [link["name"] for link in links] == ["north", "south", "nodes"]
    assert [link["preset"] for link in links] == ["fsktag", "fsktag", "node3"]
    (record,) = CttLineDecoder().decode(first.strip())
    assert isinstance(record, Detection)
    senders = {row.sender for row in read_truth(truth) if isinstance(row, Transmission)}
    assert record.tag_id in senders


def test_lines_are_published_to_a_broker(broker_port: int, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    arguments = ["quiet-marsh", "--mqtt", f"mqtt://127.0.0.1:{broker_port}", "--speed", "50"]

    async def published() -> list[tuple[str, bytes]]:
        async with aiomqtt.Client("127.0.0.1", broker_port) as client:
            await client.subscribe("stopover/marsh/lines/+", qos=1)
            running = await asyncio.create_subprocess_exec(
                *COMMAND, *arguments, "--duration", "50", "--truth", str(truth)
            )
            messages: list[tuple[str, bytes]] = []
            try:
                assert await asyncio.wait_for(running.wait(), WITHIN_S) == 0
                printed = _printed(truth)
                async with asyncio.timeout(WITHIN_S):
                    async for message in client.messages:
                        assert isinstance(message.payload, bytes)
                        messages.append((str(message.topic), message.payload))
                        if len(messages) == len(printed):
                            break
            finally:
                if running.returncode is None:
                    running.kill()
        return messages

    messages = asyncio.run(published())
    assert [topic.split("/")[-1] for topic, _ in messages] == [
        row.receiver for row in _printed(truth)
    ]
    assert len(messages) > 30
    for _, line in messages:
        (record,) = CttLineDecoder().decode(line)
        assert not line.endswith(b"\n")
        assert type(record).__name__ in ("Detection", "RelayHealth")


def _printed(truth: Path) -> list[Reception]:
    rows = [row for row in read_truth(truth) if isinstance(row, Reception)]
    return [row for row in rows if row.outcome == "printed"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            ["quiet-marsh"],
            2,
            "say where to: --serial, --mqtt URL, --files DIR, --iq FILE or --rtl-tcp PORT",
        ),
        (["nowhere", "--serial"], 2, "there is no scenario 'nowhere'; there are: quiet-marsh"),
        (["quiet-marsh", "--serial", "--speed", "0"], 2, "--speed"),
        (["quiet-marsh", "--mqtt", "http://localhost"], 1, "must be like mqtt://localhost:1883"),
        (["quiet-marsh", "--mqtt", "mqtt://127.0.0.1:1"], 1, "mqtt://127.0.0.1:1: "),
        (["quiet-marsh", "--files", "/proc/nowhere"], 1, "/proc/nowhere: No such file"),
    ],
)
def test_wrong_use_is_told_in_a_line(arguments: list[str], status: int, said: str) -> None:
    result = simulate(*arguments)
    assert result.exit_code == status
    assert said in result.output


def test_the_help_names_every_scenario() -> None:
    result = simulate("--help")
    assert all(name in result.output for name in SCENARIOS)


def test_a_station_has_a_serial_number_that_motus_takes(tmp_path: Path) -> None:
    simulate("quiet-marsh", "--files", tmp_path, "--duration", "60")
    (path,) = tmp_path.iterdir()
    name = parse_name(path.name)
    assert name is not None
    assert name.station_id[4:8] == "RPI4"
    assert len(name.station_id) == 12
