"""A simulated stick: what it hears depends on its tuning and gain, as of a real one."""

import asyncio
import signal
import socket
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

import numpy as np

from protocols.radio.ctt_ear import CttEar
from protocols.radio.heard_packet import HeardPacket
from protocols.radio.samples import complex_samples
from protocols.rtl_tcp import GREETING_BYTES, SET_FREQUENCY, SET_GAIN, tuner_of
from receiver import config
from receiver.cli.simulate import simulate_command
from receiver.radio_settings import SoftwareRadioLink
from simulator.iq import RATE_HZ
from simulator.rtl_stick import RtlStick
from simulator.rtl_tcp_server import Command
from simulator.scenario import scenario
from simulator.truth import Transmission, TruthRow

COMMAND = (sys.executable, "-c", "from receiver.cli.simulate import simulate_command as s; s()")
OFFSET_HZ = 50_000
COLONY = scenario("colony").changed(duration_s=3.0)


def heard(tuned_hz: int, gain_db: float) -> tuple[bytes, list[HeardPacket], list[TruthRow]]:
    """Return a stick's samples, the packets in them, and the truth."""
    truth: list[TruthRow] = []
    stick = RtlStick(COLONY, witness=truth.append)
    stick.commands = [
        Command(SET_FREQUENCY, tuned_hz),
        Command(SET_GAIN, round(10 * gain_db)),
    ]
    stream = b"".join(stick.blocks())
    ear = CttEar(RATE_HZ, centre_offset_hz=OFFSET_HZ)
    return stream, ear.feed(complex_samples(stream, "cu8")) + ear.finish(), truth


def test_a_stick_tuned_beside_the_tags_hears_them_beside_its_middle() -> None:
    stream, packets, truth = heard(434_000_000 - OFFSET_HZ, 36.4)
    assert len(stream) == 2 * RATE_HZ * 3.5, "half a second before anybody may have tuned it"
    sent = {row.sender for row in truth if isinstance(row, Transmission)}
    assert len(packets) > 20
    assert {each.tag_id for each in packets} <= sent


def test_a_stick_tuned_elsewhere_hears_noise_and_one_with_little_gain_less_of_it() -> None:
    stream, packets, _ = heard(868_000_000, 36.4)
    assert packets == []
    quiet, _, _ = heard(868_000_000, 16.4)
    loud_lsb, quiet_lsb = (
        np.frombuffer(each, dtype=np.uint8).reshape(-1, 2).std(axis=0).mean()
        for each in (stream, quiet)
    )
    assert loud_lsb == pytest.approx(10 * quiet_lsb, rel=0.05)


def test_only_the_first_clients_world_is_the_truth_and_each_begins_when_its_client_comes() -> None:
    truth: list[TruthRow] = []
    clock = iter((1_000_000_000.0, 1_000_000_500.0))
    stick = RtlStick(COLONY, witness=truth.append, now_unix_s=lambda: next(clock))
    for _ in range(2):
        list(stick.blocks())
    times = [row.sent_at_unix_s for row in truth if isinstance(row, Transmission)]
    assert times
    assert all(0 <= each - 1_000_000_000 < 3 for each in times)


async def test_the_command_tells_a_link_that_can_be_pasted_and_serves_a_stick_there(
    tmp_path: Path,
) -> None:
    running = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("ship", "--rtl-tcp", "0", "--iq-radio", "vessel/vhf"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert running.stdout is not None
    try:
        async with asyncio.timeout(20):
            told = (await running.stdout.readuntil(b"\n\n")).decode()
            settings = config.parse(told, tmp_path / "stopover.toml")
            (link,) = settings.links
            assert tomllib.loads(told)["links"][0]["hears"] == "coded-id"
            assert isinstance(link, SoftwareRadioLink)
            reader, writer = await asyncio.open_connection(*link.address)
            assert tuner_of(await reader.readexactly(GREETING_BYTES))[0] == "R820T"
            assert len(await reader.readexactly(RATE_HZ)) == RATE_HZ
            writer.close()
        running.send_signal(signal.SIGINT)
        assert await running.wait() == 0
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(simulate_command, ["colony", "--rtl-tcp", port])
    assert result.exit_code == 1
    assert f"--rtl-tcp {port}: " in result.output
    assert "name another port" in result.output


def test_a_stick_is_a_world_of_its_own() -> None:
    result = CliRunner().invoke(simulate_command, ["colony", "--rtl-tcp", "0", "--serial"])
    assert result.exit_code == 2
    assert "world of its own" in result.output
