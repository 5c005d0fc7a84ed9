"""Files of I/Q samples: what they are, into the store without harm, recorded from a link."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_sticks import Air, air
from station_process import STOPOVER

from protocols.ctt.packet import build_packet
from receiver.cli.importing import import_command
from receiver.cli.recording import record_command
from receiver.importing.sample_files import (
    SampleFileError,
    Told,
    is_sample_file,
    moment_ns,
    sample_file,
)
from receiver.importing.sample_importer import SampleImporter
from receiver.store.database import Store
from receiver.store.queries import DetectionFilter, Reader
from simulator.iq import Burst, IqTape, coded_bursts, encoded, fsk_samples

NS = 1_000_000_000
NAME = "morning_20260512T043000.5Z_433.95M_250k.cu8"


@pytest.fixture(scope="session")
def morning_air() -> Air:
    return air(4.0, tags=20)


@pytest.fixture
def morning(morning_air: Air, tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(b"".join(morning_air.blocks))
    return path


def run_import(*arguments: str | Path) -> Result:
    return CliRunner().invoke(import_command, [str(each) for each in arguments])


def detections(store: Path) -> list[dict[str, Any]]:
    with Reader(store) as reader:
        return list(reader.detections(DetectionFilter()))


def test_a_recording_is_decoded_with_the_times_that_its_name_tells(
    morning: Path, morning_air: Air, tmp_path: Path
) -> None:
    store = tmp_path / "s.db"
    result = run_import(morning, "--db", store)
    assert result.exit_code == 0, result.output
    rows = detections(store)
    alone = [each for each in morning_air.sent if each.is_alone and each.snr_db >= -2]
    heard = {(row["tag_id"], row["time"]) for row in rows}
    assert len(rows) >= len(alone)
    for each in alone:
        moments = [time for tag_id, time in heard if tag_id == each.tag_id]
        sent_ns = 1_778_560_200 * NS + NS // 2 + round(each.ends_s * NS)
        assert min(abs(moment_ns(moment) - sent_ns) for moment in moments) < 500_000
    assert {row["time_quality"] for row in rows} == {"file"}
    assert {row["decoder"] for row in rows} == {"radio-ctt/1"}


def test_importing_again_adds_nothing_whatever_the_copy_is_called(
    morning: Path, tmp_path: Path
) -> None:
    store = tmp_path / "s.db"
    run_import(morning, "--db", store)
    first = detections(store)
    again = run_import(morning, "--db", store)
    assert "imported before" in again.output
    copy = tmp_path / "copy.cu8"
    copy.write_bytes(morning.read_bytes())
    told = ("--rate-hz", "250000", "--frequency-mhz", "433.95", "--start", "2026-05-12T04:30:00.5Z")
    assert "imported before" in run_import(copy, "--db", store, *told).output
    assert detections(store) == first


def test_a_longer_copy_adds_what_is_new_and_a_shorter_one_nothing(
    morning: Path, tmp_path: Path
) -> None:
    whole = morning.read_bytes()
    store, other = tmp_path / "s.db", tmp_path / "whole.db"
    for length in (len(whole) // 2 + 1, len(whole), len(whole) // 3):
        morning.write_bytes(whole[:length])
        assert run_import(morning, "--db", store).exit_code == 0
    morning.write_bytes(whole)
    run_import(morning, "--db", other)
    told = [
        [(row["tag_id"], row["time"][:22]) for row in detections(each)] for each in (store, other)
    ]
    assert sorted(told[0]) == sorted(told[1])


def test_an_import_that_was_killed_goes_on_without_harm(
    morning: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.importing.sample_importer._COMMITTED_S", 1.0)
    path = tmp_path / "s.db"

    def die(read_bytes: int) -> None:
        if read_bytes > 1_000_000:
            raise KeyboardInterrupt

    with Store.open(path, station_id="marsh") as store:
        importer = SampleImporter(store, Told(), now_ns=time.time_ns(), on_progress=die)
        with pytest.raises(KeyboardInterrupt):
            importer.import_file(morning)
    before = detections(path)
    assert before
    run_import(morning, "--db", path)
    whole = tmp_path / "whole.db"
    run_import(morning, "--db", whole)
    told = [
        sorted((row["tag_id"], row["time"]) for row in detections(each)) for each in (path, whole)
    ]
    assert told[0] == told[1]
    assert len(told[0]) > len(before)


def test_a_start_that_nobody_tells_is_taken_from_the_file_and_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "g001_434M_250k.cu8"
    tape = IqTape(1)
    tape.put(Burst(0.1, fsk_samples(build_packet("78664C33")), 12))
    path.write_bytes(encoded(tape.take(0.5), "cu8"))
    os.utime(path, (1_778_560_200, 1_778_560_200))
    store = tmp_path / "s.db"
    result = run_import(path, "--db", store)
    assert "--start" in result.output
    (row,) = detections(store)
    assert (row["tag_id"], row["time_quality"]) == ("78664C33", "unsynchronised")
    assert abs(moment_ns(row["time"]) - (1_778_560_200 - 0.4 + 0.0032) * NS) < 2e6
    told = tmp_path / "told.db"
    run_import(path, "--db", told, "--start", "2026-05-12 06:30:00+02:00", "--unsynchronised")
    (row,) = detections(told)
    assert row["time"].startswith("2026-05-12T04:30:00.10")
    assert row["time_quality"] == "unsynchronised"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("air.cu8", "--rate-hz 250000"),
        ("air_166.38M_250k.cu8", "--hears coded-id"),
        ("air_434M_20k.cu8", "do not fit"),
    ],
)
def test_what_is_not_known_is_asked_for(tmp_path: Path, name: str, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(range(200)) * 10)
    result = run_import(path, "--db", tmp_path / "s.db")
    assert result.exit_code == 1
    assert words in result.output


def test_the_names_of_others_are_understood(tmp_path: Path) -> None:
    gqrx = tmp_path / "gqrx_20260512_043000_434000000_250000_fc.raw"
    gqrx.write_bytes(b"")
    assert is_sample_file(gqrx)
    about = sample_file(gqrx, Told())
    assert (about.link.form, about.link.rate_hz, about.link.tuned_hz) == (
        "cf32",
        250_000,
        434_000_000,
    )
    assert about.start_ns == 1_778_560_200 * NS
    assert about.is_synchronised
    assert not is_sample_file(tmp_path / "notes.raw")


def test_what_rtl_433_samples_unless_told_is_heard_as_far_as_it_reaches(tmp_path: Path) -> None:
    path = tmp_path / "g001_433.92M_250k.cu8"
    path.write_bytes(bytes(100))
    about = sample_file(path, Told())
    assert (about.link.channel_offset_hz, about.link.half_width_hz) == (80_000, 2_500)
    assert "only 2500 Hz to either side" in about.note
    assert sample_file(path, Told(rate_hz=1_000_000)).link.half_width_hz == 20_000
    for told in (Told(channel_hz=434_010_000), Told(frequency_hz=434_000_000, rate_hz=100_000)):
        with pytest.raises(SampleFileError, match="do not fit"):
            sample_file(path, told)
    with pytest.raises(SampleFileError, match="--rate-hz"):
        sample_file(path, Told(rate_hz=10**12))


@pytest.mark.parametrize("name", ["air_434M_250k.cs8", "air_434M_250k.wav", "air.sigmf-data"])
def test_samples_in_a_form_that_is_not_read_are_foreign(tmp_path: Path, name: str) -> None:
    named, folder = tmp_path / name, tmp_path / "folder"
    folder.mkdir()
    for path in (named, folder / name):
        path.write_bytes(bytes(range(200)) * 10)
    described = '{"global": {"core:datatype": "ci8", "core:sample_rate": 250000}}'
    named.with_suffix(".sigmf-meta").write_text(described)
    result = run_import(named, "--db", tmp_path / "s.db")
    assert result.exit_code == 1
    assert "convert them to" in result.output
    assert run_import(folder, "--db", tmp_path / "s.db").exit_code == 0


def test_a_recording_as_sigmf_names_it_is_read_as_its_description_says(tmp_path: Path) -> None:
    path = tmp_path / "air.sigmf-data"
    path.write_bytes(bytes(100))
    described = {
        "global": {"core:datatype": "ci16_le", "core:sample_rate": 1_024_000.0},
        "captures": [{"core:frequency": 433_900_000}],
    }
    path.with_suffix(".sigmf-meta").write_bytes(msgspec.json.encode(described))
    assert is_sample_file(path)
    link = sample_file(path, Told()).link
    assert (link.form, link.rate_hz, link.tuned_hz, link.channel_hz) == (
        "cs16",
        1_024_000,
        433_900_000,
        434_000_000,
    )


def test_a_moment_that_no_row_can_hold_is_none() -> None:
    for moment in ("0001-01-01", "9999-12-31T23:59:59Z"):
        with pytest.raises(ValueError, match="a row"):
            moment_ns(moment)


def test_a_description_beside_a_file_counts_before_its_name(tmp_path: Path) -> None:
    path = tmp_path / "air_434M_250k.cs16"
    path.write_bytes(bytes(100))
    meta = {
        "global": {
            "core:datatype": "ci16_le",
            "core:sample_rate": 1e6,
            "stopover:link": "stick1",
            "stopover:antenna": "north",
        },
        "captures": [
            {"core:frequency": 433.9e6, "core:datetime": "2026-05-12T04:30:00.123456789Z"}
        ],
    }
    path.with_suffix(".sigmf-meta").write_bytes(msgspec.json.encode(meta))
    about = sample_file(path, Told(hears="ctt-434"))
    link = about.link
    assert (link.name, link.antenna, link.form, link.rate_hz, link.tuned_hz) == (
        "stick1",
        "north",
        "cs16",
        1_000_000,
        433_900_000,
    )
    assert about.start_ns == 1_778_560_200_123_456_789
    assert sample_file(path, Told(rate_hz=500_000)).link.rate_hz == 500_000


@settings(max_examples=150)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.integers(),
        lambda children: (
            st.lists(children, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["global", "captures", "core:sample_rate", "core:datetime", "stopover:hears"]
                ),
                children,
                max_size=3,
            )
        ),
        max_leaves=8,
    )
)
def test_no_description_raises(tmp_path_factory: pytest.TempPathFactory, tree: object) -> None:
    path = tmp_path_factory.mktemp("any") / "air_434M_250k.cu8"
    path.write_bytes(bytes(100))
    path.with_suffix(".sigmf-meta").write_bytes(msgspec.json.encode(tree))
    try:
        sample_file(path, Told())
    except SampleFileError:
        return


def test_pulses_of_a_recording_are_searched_for_the_tags_of_a_list(tmp_path: Path) -> None:
    gaps_ms = (29.296875, 43.945312, 63.476562)
    tape = IqTape(3)
    for number in range(4):
        for burst in coded_bursts(1.0 + 5.1 * number, gaps_ms, 3_000.0, 12.0):
            tape.put(burst)
    path = tmp_path / "vhf_20260512T043000Z_166.38M_250k.cu8"
    path.write_bytes(encoded(tape.take(18.0), "cu8"))
    tags = tmp_path / "tags.csv"
    tags.write_text(
        "proj,id,tagFreq,fcdFreq,g1,g2,g3,bi,dfreq\n"
        f"marsh,7,166.38,166.376,{','.join(map(str, gaps_ms))},5.1,3.0\n"
    )
    store = tmp_path / "s.db"
    told = ("--hears", "coded-id", "--tags", tags)
    result = run_import(path, "--db", store, *told)
    assert result.exit_code == 0, result.output
    rows = detections(store)
    assert [row["tag_id"] for row in rows] == ["marsh#7"] * 4
    run_import(path, "--db", store, *told)
    assert detections(store) == rows


def test_tags_without_a_crc_are_told_where_they_are_known(tmp_path: Path) -> None:
    """Known by the caller, and by the station that recorded; the list may come later."""
    tape = IqTape(3)
    for number, tag_id in enumerate(("78664C33", "6161527F")):
        packet = build_packet(tag_id)[:4]
        tape.put(Burst(0.1 + 0.1 * number, fsk_samples(packet), 12))
    path, store, known = tmp_path / "air_434M_250k.cu8", tmp_path / "s.db", tmp_path / "known"
    path.write_bytes(encoded(tape.take(0.5), "cu8"))
    known.write_text("6161527f # a thrush\nproj#1\n")
    assert "no rows added" in run_import(path, "--db", store).output
    for _ in range(2):
        assert run_import(path, "--db", store, "--known", known).exit_code == 0
    assert [row["tag_id"] for row in detections(store)] == ["6161527F"]
    assert detections(store)[0]["integrity"] == "unverified"
    told = '{"global": {"stopover:known_tags": ["78664C33", 5]}}'
    path.with_suffix(".sigmf-meta").write_text(told)
    other = tmp_path / "other.db"
    assert run_import(path, "--db", other, "--known", known).exit_code == 0
    assert [row["tag_id"] for row in detections(other)] == ["78664C33", "6161527F"]
    refused = run_import(path, "--db", other, "--known", tmp_path / "none")
    assert refused.exit_code == 2
    assert "list of known tags" in refused.output


def test_a_file_without_noise_and_an_empty_one_are_no_trouble(tmp_path: Path) -> None:
    silent, empty = tmp_path / "silent_434M_250k.cu8", tmp_path / "empty_434M_250k.cu8"
    silent.write_bytes(bytes([127]) * 300_001)
    empty.write_bytes(b"")
    store = tmp_path / "s.db"
    result = run_import(silent, empty, "--db", store)
    assert result.exit_code == 0, result.output
    assert "is empty" in result.output
    assert detections(store) == []


# Recording.


def configured(folder: Path, source: str) -> Path:
    path = folder / "stopover.toml"
    path.write_text(
        f'[[links]]\nkind = "software-radio"\nname = "stick1"\nsource = "{source}"\n'
        'antenna = "north"\n'
    )
    return path


def test_the_samples_of_a_link_are_recorded_with_their_description(
    morning: Path, tmp_path: Path
) -> None:
    samples = morning.read_bytes()[:500_000]
    (tmp_path / "air.cu8").write_bytes(samples)
    configuration = configured(tmp_path, "file:air.cu8")
    arguments = ["stick1", str(tmp_path / "out.cu8"), "-c", str(configuration)]
    result = CliRunner().invoke(record_command, arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out.cu8").read_bytes() == samples
    told = msgspec.json.decode((tmp_path / "out.sigmf-meta").read_bytes())
    began_ns = moment_ns(told["captures"][0]["core:datetime"])
    assert abs(time.time_ns() - began_ns) < 30 * NS
    assert told["captures"][0]["core:frequency"] == 433_950_000
    again = CliRunner().invoke(record_command, arguments)
    assert again.exit_code == 1
    assert "name another" in again.output


def test_a_recording_ends_at_its_largest_size(morning: Path, tmp_path: Path) -> None:
    (tmp_path / "air.cu8").write_bytes(morning.read_bytes() + morning.read_bytes())
    configuration = configured(tmp_path, "file:air.cu8")
    result = CliRunner().invoke(
        record_command,
        ["stick1", str(tmp_path / "out.cu8"), "-c", str(configuration), "--max-mb", "1"],
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out.cu8").stat().st_size == 1_000_000


def test_samples_around_packets_alone_can_be_recorded(
    morning: Path, morning_air: Air, tmp_path: Path
) -> None:
    (tmp_path / "air.cu8").write_bytes(morning.read_bytes()[:750_000])
    configuration = configured(tmp_path, "file:air.cu8")
    kept = tmp_path / "kept"
    result = CliRunner().invoke(
        record_command, ["stick1", str(kept), "-c", str(configuration), "--around", "unknown"]
    )
    assert result.exit_code == 0, result.output
    assert list(kept.glob("stick1_*.cu8"))
    assert "packets heard" in result.output
    assert morning_air.sent


def test_ctrl_c_ends_a_recording_well(tmp_path: Path) -> None:
    pipe = tmp_path / "air.fifo"
    os.mkfifo(pipe)
    configuration = configured(tmp_path, "pipe:air.fifo")
    out = tmp_path / "out.cu8"
    recording = subprocess.Popen(
        [STOPOVER, "record", "stick1", str(out), "-c", str(configuration)],
        stderr=subprocess.PIPE,
    )
    is_over = threading.Event()

    def write() -> None:
        with pipe.open("wb", buffering=0) as into:
            while not is_over.wait(0.05):
                try:
                    into.write(bytes(25_000))
                except BrokenPipeError:
                    return

    writer = threading.Thread(target=write)
    writer.start()
    deadline = time.monotonic() + 60
    while not (out.exists() and out.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    recording.send_signal(signal.SIGINT)
    told = recording.communicate(timeout=60)[1].decode()
    is_over.set()
    writer.join()
    assert recording.returncode == 0, told
    assert "recorded" in told
    assert out.with_suffix(".sigmf-meta").exists()
