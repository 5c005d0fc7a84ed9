"""A simulated stick behind a fake rtl_tcp, heard by a real station: what is sent is stored."""

import asyncio
import functools
import importlib.util
import os
import signal
import threading
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from conftest import Until
from live_station import LiveStation
from station_process import StationProcess
from structlog.testing import capture_logs

pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

from simulated_sticks import BYTES_PER_S, Air, Player, Sent, air

from protocols.rtl_tcp import SET_AGC, SET_FREQUENCY, SET_GAIN, SET_SAMPLE_RATE
from receiver.cli.importing import import_command
from receiver.links import software_radio as software_radio_module
from receiver.links.backoff import Backoff
from receiver.links.intake import LinkState
from receiver.radio_settings import SoftwareRadioLink
from receiver.store.activity_queries import hours_listened
from receiver.store.queries import DetectionFilter, Reader
from receiver.web.local_client import LocalStation
from receiver.web.unix_address import socket_beside
from simulator.iq import IqTape, coded_bursts, encoded
from simulator.rtl_tcp_server import rtl_tcp_server

SECONDS = 7.0


@pytest.fixture(scope="session")
def busy_air() -> Air:
    return air(SECONDS, tags=50)


@pytest.fixture(scope="session")
def short_air() -> Air:
    return air(8.0, tags=20)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the link come back in hundredths of what it waits otherwise."""
    hasty = functools.partial(Backoff, first_s=0.01, longest_s=0.05)
    monkeypatch.setattr(software_radio_module, "Backoff", hasty)


def stick_at(port: int, **told: object) -> SoftwareRadioLink:
    return msgspec.convert(
        {"name": "stick", "source": f"rtl_tcp://127.0.0.1:{port}", "antenna": "roof", **told},
        SoftwareRadioLink,
    )


def found_in(rows: list[dict[str, Any]], sent: list[Sent]) -> list[Sent]:
    """Return which of the packets sent are among the rows."""
    left = [row["tag_id"] for row in rows]
    found = []
    for packet in sent:
        if packet.tag_id in left:
            left.remove(packet.tag_id)
            found.append(packet)
    return found


async def test_what_is_on_the_air_is_in_the_store_of_a_running_station(
    busy_air: Air, tmp_path: Path, until: Until
) -> None:
    player = Player(busy_air.blocks)
    audible = [each for each in busy_air.sent if each.is_alone and each.snr_db >= -2]
    async with rtl_tcp_server(player, bytes_per_s=BYTES_PER_S) as (stick, port):
        station = StationProcess(
            tmp_path,
            [section(port)],
            commit_interval_s=0.2,
        )
        try:
            await station.start_and_hear()
            opened_s = time.monotonic()
            assert station.pid is not None
            (worker,) = workers(station.pid)
            assert has_numpy(worker)
            assert not has_numpy(station.pid), "12 MB that the daemon has no use for"
            # systemd tells every process of a service to stop; only the daemon says when.
            os.kill(worker, signal.SIGTERM)
            await asyncio.sleep(SECONDS)
            # On a busy machine it is some seconds behind.
            await until(lambda: len(found_in(station.detections(), audible)) >= 0.99 * len(audible))
            open_s = time.monotonic() - opened_s
            station.send(signal.SIGTERM)
            assert await station.ended() == 0
        finally:
            station.kill()
        commands = {each.number: each.argument for each in stick.commands}
    rows = station.detections()
    verified = [row for row in rows if row["integrity"] == "verified"]
    assert len(audible) > 60
    assert sum(each.snr_db < 4 for each in audible) >= 10, "no radio that slices hears these"
    assert len(found_in(verified, audible)) >= 0.99 * len(audible)
    assert {row["tag_id"] for row in verified} <= {each.tag_id for each in busy_air.sent}
    assert {(row["link"], row["antenna"], row["decoder"]) for row in rows} == {
        ("stick", "roof", "radio-ctt/1")
    }
    assert commands[SET_FREQUENCY] == 433_950_000
    assert commands[SET_SAMPLE_RATE] == 250_000
    assert (commands[SET_AGC], commands[SET_GAIN]) == (0, 364)
    # Levels in dBm: 36.4 dB of gain, and noise of 0.15 (of full scale).
    with Reader(station.store) as reader:
        (hour, *_) = hours_listened(
            reader,
            DetectionFilter(),
        )
    assert hour["noise_dbm"] == pytest.approx(-10 - 36.4 - 16.5, abs=0.6)
    assert hour["detections"] == len(rows)
    assert SECONDS - 1 < hour["listening_s"] < open_s + 2
    # The stick and the clock's anchor share this machine's processor with all the other tests.
    assert max(map(abs, late_ms(rows, busy_air, player))) < 60


def section(port: int) -> str:
    """Return the link of the configuration."""
    lines = (
        "[[links]]",
        'kind = "software-radio"',
        'name = "stick"',
        'antenna = "roof"',
        f'source = "rtl_tcp://localhost:{port}"',
        "full_scale_dbm = -10.0",
    )
    return "\n".join(lines)


async def test_a_worker_ends_with_its_daemon_however_that_ends(
    short_air: Air, until: Until, tmp_path: Path
) -> None:
    async with rtl_tcp_server(Player(short_air.blocks), bytes_per_s=BYTES_PER_S) as (_, port):
        station = StationProcess(tmp_path, [section(port)])
        try:
            await station.start_and_hear()
            assert station.pid is not None
            (worker,) = workers(station.pid)
        finally:
            station.kill()
        await until(lambda: not Path(f"/proc/{worker}").exists())


async def test_a_changed_frequency_and_gain_reach_the_stick_without_a_restart_and_are_told(
    short_air: Air, until: Until, tmp_path: Path
) -> None:
    async with rtl_tcp_server(Player(short_air.blocks), bytes_per_s=BYTES_PER_S) as (stick, port):
        station = StationProcess(tmp_path, [section(port)])
        try:
            await station.start_and_hear()
            text = station.configuration.read_text(encoding="utf-8")
            changed = "full_scale_dbm = -10.0\nfrequency_mhz = 434.01\ngain = 20"
            station.configuration.write_text(text.replace("full_scale_dbm = -10.0", changed))
            station.send(signal.SIGHUP)
            await until(lambda: stick.commands[-1:] and (SET_GAIN, 197) in stick.commands)
            tuned = [each.argument for each in stick.commands if each.number == SET_FREQUENCY]
            assert (tuned[0], tuned[-1]) == (433_950_000, 433_960_000)
            assert stick.clients == 2, "the first has left before the second came"
            local = LocalStation(socket_beside(station.store))
            await until(lambda: local.status().antennas[0].gain_db == 19.7)
            (antenna,) = local.status().antennas
            assert antenna.noise_dbfs is not None
            assert antenna.noise_dbm == pytest.approx(antenna.noise_dbfs - 10 - 19.7, abs=0.1)
            station.send(signal.SIGTERM)
            assert await station.ended() == 0
        finally:
            station.kill()


def late_ms(rows: list[dict[str, Any]], heard: Air, player: Player) -> list[float]:
    """Return by how much the rows' times differ from the truth, in ms, of tags sent once only."""
    late = []
    for row in rows:
        moments = [each.ends_s for each in heard.sent if each.tag_id == row["tag_id"]]
        at_s = datetime.fromisoformat(row["time"]).timestamp() - player.begun_unix_s[0]
        late.append(min((at_s - moment for moment in moments), key=abs) * 1000)
    return late


@pytest.mark.usefixtures("hasty")
async def test_a_stick_that_is_pulled_out_is_told_once_and_heard_again_when_it_is_back(
    live: LiveStation, short_air: Air, until: Until
) -> None:
    with capture_logs() as log:
        async with rtl_tcp_server(Player(short_air.blocks), bytes_per_s=BYTES_PER_S) as (
            stick,
            port,
        ):
            live.hear(stick_at(port))
            status = live.statuses["stick"]
            await until(lambda: len(live.detections()) >= 5)
            assert str(status.state) == "hearing"
            assert status.firmware == "RTL-SDR R820T"
            await stick.hang_up()
        await until(lambda: status.state is LinkState.FAILED)
        async with rtl_tcp_server(Player(short_air.blocks), port=port, bytes_per_s=BYTES_PER_S):
            await until(lambda: status.state is LinkState.HEARING)
            await live.end()
    told = [line["event"] for line in log if line["event"].startswith("link ")]
    assert told[:2] == ["link open", "link lost"]
    assert told.count("link found again") == 1
    assert 1 <= told.count("link lost") <= 3, "once for each different reason"


async def test_a_station_that_stops_keeps_the_packets_that_its_worker_had(
    live: LiveStation, short_air: Air, until: Until
) -> None:
    blocks = short_air.blocks[:60]
    async with rtl_tcp_server(Player(blocks)) as (_, port):
        live.hear(stick_at(port))
        await until(lambda: live.statuses["stick"].opened)
        await until(live.detections)  # From here on it is quick, however long its start took.
        await asyncio.sleep(0.3)
        await live.end()
    sent = [each for each in short_air.sent if each.ends_s < 1.15 and each.is_alone]
    assert len(found_in(live.detections(), sent)) >= len(sent) - 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("rtl_tcp://127.0.0.1:1", "does rtl_tcp run"),
        ("rtl_tcp://no-such-host.invalid", "check the host"),
        ("pipe:/nowhere/air.cu8", "there is nothing"),
        ("file:/etc", "is not a file"),
    ],
)
async def test_a_source_that_is_not_there_is_told_with_what_to_do(
    live: LiveStation, until: Until, source: str, words: str
) -> None:
    live.hear(SoftwareRadioLink(name="stick", source=source))
    status = live.statuses["stick"]
    await until(lambda: status.state is LinkState.FAILED)
    assert words in (status.reason or "")


async def test_without_numpy_it_says_what_to_install(
    live: LiveStation, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    live.hear(SoftwareRadioLink(name="stick", source="rtl_tcp://127.0.0.1:1"))
    status = live.statuses["stick"]
    await until(lambda: status.state is LinkState.FAILED)
    assert status.reason == "numpy is not installed: pip install 'stopover[sdr]'"


async def test_a_stick_that_gives_nothing_any_more_is_silent(
    live: LiveStation, short_air: Air, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = functools.partial(software_radio_module.SoftwareRadio, stall_s=0.3)
    monkeypatch.setattr(software_radio_module, "SoftwareRadio", impatient)
    async with rtl_tcp_server(Player(short_air.blocks[:20])) as (_, port):
        live.hear(stick_at(port))
        status = live.statuses["stick"]
        await until(lambda: status.state is LinkState.SILENT)
        assert "no samples for 0.3 s" in (status.reason or "")
        await live.end()


@pytest.mark.usefixtures("hasty")
async def test_a_worker_that_hangs_is_killed_and_another_takes_its_place(
    live: LiveStation,
    short_air: Air,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    impatient = functools.partial(
        software_radio_module.SoftwareRadio, silent_after_s=6.0, level_s=0.25
    )
    monkeypatch.setattr(software_radio_module, "SoftwareRadio", impatient)
    async with rtl_tcp_server(Player(short_air.blocks), bytes_per_s=BYTES_PER_S) as (stick, port):
        live.hear(stick_at(port))
        await until(lambda: live.statuses["stick"].opened)
        (worker,) = workers()
        os.kill(worker, signal.SIGSTOP)
        await until(lambda: stick.clients == 2)
        await until(lambda: workers() not in ([worker], []))
        await live.end()
    assert workers() == []


def has_numpy(pid: int) -> bool:
    """Tell whether a process has loaded numpy."""
    return b"numpy" in Path(f"/proc/{pid}/maps").read_bytes()


def workers(parent: int | None = None) -> list[int]:
    """Return the processes of radio workers that a process, this one by default, started."""
    pid = parent or os.getpid()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [
        int(pid)
        for pid in children.split()
        if b"radio_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


async def test_pipes_and_files_are_heard_at_their_own_pace(
    live: LiveStation, short_air: Air, until: Until, tmp_path: Path
) -> None:
    pipe, file = tmp_path / "air.fifo", tmp_path / "air.cu8"
    os.mkfifo(pipe)
    blocks = short_air.blocks[:100]
    file.write_bytes(b"".join(blocks))

    def write() -> None:
        with pipe.open("wb", buffering=0) as out:
            for block in blocks:
                out.write(block)
                time.sleep(0.02)

    live.hear(SoftwareRadioLink(name="pipe", source=f"pipe:{pipe}"))
    live.hear(SoftwareRadioLink(name="file", source=f"file:{file}"))
    writer = threading.Thread(target=write)
    writer.start()
    status = live.statuses["file"]
    await until(lambda: "to its end" in (status.reason or ""))
    assert status.state is LinkState.QUIET
    await until(lambda: "has ended" in (live.statuses["pipe"].reason or ""))
    writer.join()
    await live.end()
    sent = [each for each in short_air.sent if each.ends_s < 1.99 and each.is_alone]
    rows = live.detections()
    for name in ("pipe", "file"):
        heard = [row for row in rows if row["link"] == name]
        assert len(found_in(heard, sent)) >= len(sent) - 1


async def test_pulses_are_heard_with_their_frequency_and_the_gaps_of_their_code(
    live: LiveStation, until: Until, tmp_path: Path
) -> None:
    gaps_ms = (30.0, 45.5, 62.25)
    tape = IqTape(3)
    for burst in coded_bursts(1.0, gaps_ms, 25_000 + 1_700.0, 10.0):
        tape.put(burst)
    file = tmp_path / "pulses.cu8"
    file.write_bytes(encoded(tape.take(2.0), "cu8"))
    live.hear(
        SoftwareRadioLink(
            name="stick", source=f"file:{file}", hears="coded-id", frequency_mhz=166.38
        )
    )
    await until(lambda: "to its end" in (live.statuses["stick"].reason or ""))
    await live.end()
    rows = live.rows("SELECT utc_ns, frequency_offset_hz, snr_db FROM pulses ORDER BY utc_ns")
    strong = [row for row in rows if row["snr_db"] > 25]
    assert len(strong) == 4
    gaps = [(b["utc_ns"] - a["utc_ns"]) / 1e6 for a, b in pairwise(strong)]
    assert gaps == pytest.approx(gaps_ms, abs=0.2)
    assert [row["frequency_offset_hz"] for row in strong] == pytest.approx([1_700] * 4, abs=10)


async def test_samples_around_packets_are_kept_and_decode_to_the_same(
    live: LiveStation, short_air: Air, until: Until, tmp_path: Path
) -> None:
    air_file, kept = tmp_path / "air.cu8", tmp_path / "kept"
    air_file.write_bytes(b"".join(short_air.blocks[:75]))
    live.hear(
        SoftwareRadioLink(
            name="stick", source=f"file:{air_file}", keep="all", keep_folder=str(kept)
        )
    )
    await until(lambda: "to its end" in (live.statuses["stick"].reason or ""))
    await live.end()
    files = sorted(kept.glob("*.cu8"))
    assert files
    store = tmp_path / "kept.db"
    result = CliRunner().invoke(import_command, [*map(str, files), "--db", str(store)])
    assert result.exit_code == 0, result.output
    with Reader(store) as reader:
        again = list(reader.detections(DetectionFilter()))
    first = live.detections()
    assert sorted(row["tag_id"] for row in again) == sorted(row["tag_id"] for row in first)
    assert {row["link"] for row in again} == {"stick"}
    apart = [
        abs(datetime.fromisoformat(one["time"]) - datetime.fromisoformat(other["time"]))
        for one, other in zip(
            sorted(again, key=lambda row: row["time"]),
            sorted(first, key=lambda row: row["time"]),
            strict=True,
        )
    ]
    assert max(apart).total_seconds() < 0.02
