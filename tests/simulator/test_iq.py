"""I/Q that somebody else's program decodes, files of it, and a stick on the network."""

import asyncio
import json
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

np = pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

from protocols.ctt.packet import build_packet  # noqa: E402  Below the check for numpy.
from receiver.cli.importing import import_command  # noqa: E402
from receiver.cli.score import score_command  # noqa: E402
from receiver.cli.simulate import simulate_command  # noqa: E402
from simulator.iq import (  # noqa: E402
    NOISE_RMS,
    RATE_HZ,
    Burst,
    IqTape,
    coded_bursts,
    encoded,
    fsk_samples,
    pulse_samples,
)
from simulator.iq_radio import IqFile, iq_blocks  # noqa: E402
from simulator.play import play_at_once  # noqa: E402
from simulator.rtl_tcp_server import Command, rtl_tcp_server  # noqa: E402
from simulator.scenario import parse_scenario, scenario  # noqa: E402
from simulator.scenario_file import everyday_id  # noqa: E402
from simulator.truth import Reception, TruthRow  # noqa: E402
from simulator.truth_file import read_truth  # noqa: E402
from simulator.world import World  # noqa: E402

RTL_433 = shutil.which("rtl_433")
FLEX = "n=CTT,m=FSK_PCM,s=40,l=40,r=2000,preamble=d391,bits>=56"
PACKETS = 100
needs_rtl_433 = pytest.mark.skipif(
    RTL_433 is None, reason="rtl_433 is not installed: sudo apt-get install rtl-433"
)


def ids(seed: int) -> list[str]:
    dice = random.Random(seed)
    return [everyday_id(dice.randrange(1, 65_536)) for _ in range(PACKETS)]


def recording(sent: list[str], snr_db: float) -> bytes:
    tape = IqTape(1)
    for number, tag_id in enumerate(sent):
        samples = fsk_samples(build_packet(tag_id))
        tape.put(Burst(0.1 + 0.05 * number, samples, snr_db))
    return encoded(tape.take(0.3 + 0.05 * len(sent)), "cu8")


def decoded(samples: bytes, folder: Path) -> list[str]:
    """Return the ids that the real rtl_433 finds."""
    file = folder / "air_434M_250k.cu8"
    file.write_bytes(samples)
    assert RTL_433 is not None
    done = subprocess.run(
        [RTL_433, "-R", "0", "-X", FLEX, "-Y", "minmax", "-r", str(file), "-F", "json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    rows = [row for line in done.stdout.splitlines() for row in json.loads(line)["rows"]]
    return [row["data"][:8].upper() for row in rows if row["len"] >= 32]


@needs_rtl_433
def test_rtl_433_decodes_our_packets_and_loses_them_in_noise(tmp_path: Path) -> None:
    sent = ids(4)
    found = {
        snr_db: len(set(sent) & set(decoded(recording(sent, snr_db), tmp_path))) / len(set(sent))
        for snr_db in (20, 9, 6, 3)
    }
    assert found[20] >= 0.95
    assert found[9] >= 0.95
    assert 0.1 < found[6] < 0.95
    assert found[3] < 0.1


@needs_rtl_433
def test_rtl_433_hears_what_the_truth_says_was_on_the_air(tmp_path: Path) -> None:
    file, truth = tmp_path / "walk_434M_250k.cu8", tmp_path / "truth.jsonl"
    arguments = ["walk-test", "--iq", str(file), "--truth", str(truth), "--duration", "40"]
    result = CliRunner().invoke(simulate_command, [*arguments, "--iq-radio", "tower/stick"])
    assert result.exit_code == 0, result.output
    assert file.stat().st_size == 2 * 40 * RATE_HZ
    on_air = [
        row
        for row in read_truth(truth)
        if isinstance(row, Reception) and row.receiver == "stick" and row.rssi_dbm > -100
    ]
    found = decoded(file.read_bytes(), tmp_path)
    assert len(on_air) >= 18
    assert 0.95 * len(on_air) <= found.count("78664C33") <= len(on_air)


def test_a_one_is_above_the_carrier_and_a_zero_below() -> None:
    samples = fsk_samples(bytes.fromhex("78554C3358"))
    assert len(samples) == (3 + 2 + 5) * 8 * 10
    hertz = np.angle(samples[1:] * np.conj(samples[:-1])) * RATE_HZ / (2 * np.pi)
    bits = "".join("1" if hertz[at] > 0 else "0" for at in range(4, len(hertz), 10))
    assert int(bits, 2).to_bytes(10, "big").hex() == "aaaaaad39178554c3358"
    assert np.allclose(np.abs(hertz), 25_000, atol=10)


def test_a_burst_is_as_strong_as_asked() -> None:
    tape = IqTape(1)
    tape.put(Burst(1.0, fsk_samples(bytes(5)), 12.0))
    quiet, loud = tape.take(1.0), tape.take(1.0032)
    noise = float(np.mean(np.abs(quiet) ** 2))
    both = float(np.mean(np.abs(loud) ** 2))
    assert 10 * np.log10((both - noise) / noise) == pytest.approx(12.0, abs=0.5)


def test_blocks_of_any_size_make_the_same_burst() -> None:
    whole, pieces = IqTape(1, noise_rms=0), IqTape(1, noise_rms=0)
    for tape in (whole, pieces):
        for burst in coded_bursts(0.0013, (22.0, 19.5, 24.5), 4_000, 10.0):
            tape.put(burst)
    cut = np.concatenate([pieces.take(0.0071 * number) for number in range(1, 20)])
    assert np.array_equal(cut, whole.take(0.0071 * 19))


def test_four_pulses_lie_as_far_apart_as_their_code_says() -> None:
    tape = IqTape(1)
    for burst in coded_bursts(0.01, (22.0, 19.5, 24.5), 4_000, 25.0):
        tape.put(burst)
    level = np.abs(np.convolve(tape.take(0.1), np.conj(pulse_samples(4_000))[::-1], "same"))
    peaks = []
    for _ in range(4):
        peak = int(np.argmax(level))
        peaks.append(peak / RATE_HZ * 1000)
        level[max(0, peak - 1000) : peak + 1000] = 0
    gaps = np.diff(sorted(peaks))
    assert gaps == pytest.approx([22.0, 19.5, 24.5], abs=0.1)


def test_the_same_seed_writes_the_same_samples(tmp_path: Path) -> None:
    for name in ("one.cf32", "two.cf32"):
        arguments = ["walk-test", "--iq", str(tmp_path / name), "--duration", "3"]
        assert CliRunner().invoke(simulate_command, arguments).exit_code == 0
    assert (tmp_path / "one.cf32").read_bytes() == (tmp_path / "two.cf32").read_bytes()
    assert (tmp_path / "one.cf32").stat().st_size == 8 * 3 * RATE_HZ


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["walk-test", "--iq", "air.wav"], "air.wav: I/Q is written as .cu8 or .cf32"),
        (["walk-test", "--iq", "a.cu8", "--iq-radio", "x/y"], "no radio 'x/y'; there are: tower/"),
        (["walk-test", "--iq", "a.cu8", "--serial"], "use it without --serial"),
    ],
)
def test_wrong_use_is_told_in_a_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(simulate_command, arguments)
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(
    ("name", "radio", "suffix", "efficiency"),
    [("quiet-marsh", "marsh/south", "cf32", 0.99), ("colony", "islet/vhf1", "cu8", 0.6)],
)
def test_written_air_is_imported_and_scored_as_it_is(
    name: str, radio: str, suffix: str, efficiency: float, tmp_path: Path
) -> None:
    """The description beside the samples tells all: rate, frequency, beginning, antenna."""
    air, truth, store = tmp_path / f"air.{suffix}", tmp_path / "truth", tmp_path / "air.db"
    ears = ["--iq", str(air), "--iq-radio", radio, "--truth", str(truth), "--duration", "24"]
    assert CliRunner().invoke(simulate_command, [name, *ears]).exit_code == 0
    rows = [
        f"islet,166.38,{each.tag_id.split('#')[1]},{','.join(map(str, each.gaps_ms))},"
        f"{each.interval_s}"
        for each in scenario(name).tags
        if each.gaps_ms is not None
    ]
    listed = tmp_path / "tags.csv"
    listed.write_text("\n".join(["proj,tagFreq,id,g1,g2,g3,bi", *rows]))
    tags = ["--tags", str(listed)] if rows else []
    result = CliRunner().invoke(import_command, [str(air), "--db", str(store), *tags])
    assert result.exit_code == 0, result.output
    scored = CliRunner().invoke(
        score_command, ["--truth", str(truth), "--db", str(store), "--format", "json"]
    )
    (antenna,) = [each for each in json.loads(scored.output)["antennas"] if each["in_store"]]
    assert antenna["name"] == radio.replace("/", " ")
    assert antenna["efficiency"] > efficiency
    assert abs(antenna["time_error"]["median_ms"]) < 1


def test_packets_end_when_the_truth_says_they_were_heard() -> None:
    walk = scenario("walk-test").changed(duration_s=6)
    rows: list[TruthRow] = []
    air = b"".join(iq_blocks(walk, "tower/stick", form="cf32", witness=rows.append))
    loud = np.abs(np.frombuffer(air, dtype=np.complex64)) > 1.0
    ends = np.flatnonzero(loud[:-2] & ~loud[1:-1] & ~loud[2:])
    told = [
        (row.heard_at_unix_s - walk.start_unix_s) * RATE_HZ
        for row in rows
        if isinstance(row, Reception) and row.receiver == "stick"
    ]
    assert len(told) >= 3
    for place in told:
        assert np.abs(ends - place).min() < 20


@pytest.mark.parametrize(
    ("more", "louder_db"),
    [
        ('noise = [{ band = "434", level_dbm = -101 }]', 0.0),
        ("interference = [{ bursts_per_hour = 3600, burst_s = 1, level_dbm = -101 }]", 20.0),
    ],
)
def test_a_site_has_its_noise_in_its_samples(more: str, louder_db: float) -> None:
    """-101 dBm in 50 kHz are -94 in 250 kHz, 20 dB above the noise of a quiet site."""
    text = f"""
        shows = "a tag and noise"
        duration_s = 20
        [air]
        fading_db = 0
        [[stations]]
        name = "roof"
        position = {{ latitude = 52.52, longitude = 13.40 }}
        radios = [{{ name = "r", antenna = "r", sensitivity_dbm = -90 }}]
        {more}
        [[tags]]
        tag_id = "78664C33"
        position = {{ latitude = 52.5203, longitude = 13.40 }}
        interval_s = 60
        first_beep_s = 19
    """
    world = parse_scenario(text, "noisy.toml")
    rows: list[TruthRow] = []
    air = b"".join(iq_blocks(world, form="cf32", witness=rows.append))
    samples = np.frombuffer(air, dtype=np.complex64)
    pieces = np.abs(samples.reshape(-1, 2500)) ** 2
    levels_db = 10 * np.log10(pieces.mean(axis=1)) - 20 * np.log10(NOISE_RMS)
    quiet, loud = np.percentile(levels_db[: 18 * 100], [5, 95])
    assert quiet == pytest.approx(0, abs=0.2)
    assert loud == pytest.approx(louder_db, abs=0.3)
    (row,) = [each for each in rows if isinstance(each, Reception)]
    beep = float(np.median(pieces[1900, 100:800]))
    on_quiet_site_db = row.rssi_dbm + 114
    told_db = 10 * np.log10(beep) - 20 * np.log10(NOISE_RMS)
    assert told_db == pytest.approx(on_quiet_site_db - (20 - louder_db), abs=1.5)


async def test_a_stick_on_the_network_greets_serves_and_takes_commands() -> None:
    async with rtl_tcp_server(lambda: [b"\x80" * 1000, b"\x7f" * 500]) as (stick, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(struct.pack(">BI", 1, 434_000_000) + struct.pack(">BI", 2, 250_000))
        greeting = await reader.readexactly(12)
        samples = await reader.readexactly(1500)
        async with asyncio.timeout(60):
            while len(stick.commands) < 2:  # noqa: ASYNC110  A command announces nothing.
                await asyncio.sleep(0.002)
        writer.close()
    assert greeting == b"RTL0" + struct.pack(">II", 5, 29)
    assert samples == b"\x80" * 1000 + b"\x7f" * 500
    assert stick.commands == [Command(1, 434_000_000), Command(2, 250_000)]


def test_blocks_are_the_bytes_of_the_file(tmp_path: Path) -> None:
    walk = scenario("walk-test").changed(duration_s=4.5)
    rows: list[TruthRow] = []
    blocks = list(iq_blocks(walk, "tower/stick", witness=rows.append))
    with IqFile(tmp_path / "a.cu8", walk, "tower/stick") as file:
        play_at_once(World(walk), [file], file.witness)
    assert b"".join(blocks) == (tmp_path / "a.cu8").read_bytes()
    assert [len(block) for block in blocks] == [2 * RATE_HZ] * 4 + [RATE_HZ]
    assert any(isinstance(row, Reception) for row in rows)


@needs_rtl_433
async def test_rtl_433_decodes_what_the_stick_on_the_network_serves() -> None:
    sent = ids(5)[:20]
    samples = recording(sent, 20)
    assert RTL_433 is not None

    async with rtl_tcp_server(lambda: [samples], bytes_per_s=8 * RATE_HZ) as (_, port):
        running = await asyncio.create_subprocess_exec(
            *(RTL_433, "-d", f"rtl_tcp:127.0.0.1:{port}", "-f", "434M", "-s", "250k"),
            *("-Y", "minmax", "-R", "0", "-X", FLEX, "-F", "json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert running.stdout is not None
        heard: list[str] = []
        try:
            async with asyncio.timeout(60):
                while len(heard) < 15:
                    line = await running.stdout.readline()
                    assert line
                    heard += [row["data"][:8].upper() for row in json.loads(line)["rows"]]
        finally:
            running.kill()
            await running.wait()
    assert len(set(heard) & set(sent)) >= 14
