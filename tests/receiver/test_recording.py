"""Recordings of raw bytes, and their replay."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pseudo_terminals import PseudoRadio
from recorded_session import BEEP, SECOND, SESSION
from station_process import STOPOVER

from protocols.records import Detection, Record
from receiver.arrivals import Arrival, Stamp
from receiver.cli.recording import record_command
from receiver.cli.replaying import replay_command
from receiver.links.replay import DecodingIntake, ReplayLink
from receiver.recording import (
    Chunk,
    Interruption,
    Recorder,
    RecordingError,
    Session,
    read_recording,
)
from receiver.store.database import Store


def recording(path: Path, *chunks: tuple[float, bytes], session: Session = SESSION) -> Path:
    """Record chunks, each so many seconds after the session's start."""
    with Recorder.open(path) as recorder:
        recorder.begin(session)
        for after_s, chunk in chunks:
            recorder.received(session.t_ns + round(after_s * SECOND), chunk)
    return path


def test_what_was_recorded_is_read_again_and_sessions_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "ch1.jsonl"
    recording(path, (1, b"\x00\xff"), (2.5, BEEP))
    with Recorder.open(path) as recorder:
        recorder.begin(SESSION)
        recorder.interrupted(101 * SECOND, "Input/output error")
    assert list(read_recording(path)) == [
        SESSION,
        Chunk(101 * SECOND, b"\x00\xff"),
        Chunk(102_500_000_000, BEEP),
        SESSION,
        Interruption(101 * SECOND, "Input/output error"),
    ]
    first, second, *_ = path.read_text().splitlines()
    assert first.startswith('{"stopover_recording":1,"link":"ch1",')
    assert json.loads(second) == {"t_ns": 101 * SECOND, "hex": "00ff"}


@settings(max_examples=50)
@given(chunks=st.lists(st.binary(min_size=1, max_size=4096), max_size=10))
def test_any_bytes_are_recorded_unchanged(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("any") / "any.jsonl"
    recording(path, *((0.1, chunk) for chunk in chunks))
    read = [each.received for each in read_recording(path) if isinstance(each, Chunk)]
    assert read == chunks


def test_a_stamp_is_the_recorded_time_and_trusts_the_recorded_clock_only_as_far_as_it_says() -> (
    None
):
    assert SESSION.stamp(101 * SECOND) == Stamp(1_788_000_001 * SECOND, "file")
    doubtful = Session(
        link="ch1",
        device="",
        decoder="ctt",
        baud_rate=1,
        boot="",
        t_ns=0,
        utc_ns=0,
        clock="unsynchronised",
    )
    assert doubtful.stamp(5).clock == "unsynchronised"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"t_ns":1,"hex":"7"}\n', "line 3"),
        (b'{"t_ns":1,"hex":"xy"}\n', "line 3"),
        (b'{"t_ns":-1,"hex":"00"}\n', "line 3"),
        (b'{"t_ns":1e99,"hex":"00"}\n', "line 3"),
        (b'{"hex":"00"}\n', "line 3"),
        (b"\xff\xfe\n", "line 3"),
        (b"\n", "line 3"),
        (b"{" * 200_000 + b"\n", "line 3: the line is too long"),
        (b'{"stopover_recording":2}\n', "line 3"),
    ],
)
def test_a_damaged_line_is_named_by_its_number_and_the_others_are_read(
    tmp_path: Path, line: bytes, said: str
) -> None:
    path = recording(tmp_path / "ch1.jsonl", (1, b"a"))
    whole = path.read_bytes()
    path.write_bytes(whole + line + b'{"t_ns":102000000000,"hex":"62"}\n')
    with pytest.raises(RecordingError, match=said):
        list(read_recording(path))
    damage: list[RecordingError] = []
    read = [each for each in read_recording(path, damage.append) if isinstance(each, Chunk)]
    assert [chunk.received for chunk in read] == [b"a", b"b"]
    assert [said in str(each) for each in damage] == [True]


def test_a_last_line_that_a_power_cut_took_is_damage_and_appending_goes_on_after_it(
    tmp_path: Path,
) -> None:
    path = recording(tmp_path / "ch1.jsonl", (1, b"a"), (2, b"b"))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(RecordingError, match="line 3: the line is cut off"):
        list(read_recording(path))
    recording(path, (3, b"c"))
    damage: list[RecordingError] = []
    read = [each for each in read_recording(path, damage.append) if isinstance(each, Chunk)]
    assert [chunk.received for chunk in read] == [b"a", b"c"]
    assert len(damage) == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 JPEG", b"78664C33,-75\n", b"{}\n"])
def test_a_file_that_is_no_recording_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"photo\.jsonl"):
        list(read_recording(path, lambda _: None))


def test_a_file_that_holds_something_else_is_not_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "stopover.toml"
    path.write_text("[station]\n")
    with pytest.raises(RecordingError, match="something else"):
        Recorder.open(path)
    assert path.read_text() == "[station]\n"


class Intake:
    """Keeps what is replayed, and when by the test's clock."""

    def __init__(self, clock: list[float]) -> None:
        self._clock = clock
        self.replayed: list[tuple[float, object]] = []

    def received(self, chunk: bytes) -> Sequence[Record]:
        """Keep a chunk that is stamped now."""
        self.replayed.append((self._clock[0], chunk))
        return []

    def received_at(self, chunk: bytes, stamp: Stamp) -> Sequence[Record]:
        """Keep a chunk with its recorded time."""
        self.replayed.append((self._clock[0], (chunk, stamp.utc_ns)))
        return []

    def interrupted(self) -> None:
        """Keep that the stream was interrupted."""
        self.replayed.append((self._clock[0], None))


@pytest.mark.parametrize(("speed", "at"), [(1.0, [1.0, 3.0]), (10.0, [0.1, 0.3]), (0.0, [0, 0])])
async def test_replay_keeps_the_pauses_at_its_speed(
    tmp_path: Path, speed: float, at: list[float]
) -> None:
    path = recording(tmp_path / "ch1.jsonl", (1, b"a"), (3, b"b"))
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds
        await asyncio.sleep(0)

    intake = Intake(now)
    link = ReplayLink(
        path,
        lambda _: intake,
        speed=speed,
        with_recorded_times=False,
        clock=lambda: now[0],
        sleep=sleep,
    )
    await link.run()
    assert [what for _, what in intake.replayed] == [b"a", b"b", None]
    assert [when for when, _ in intake.replayed] == pytest.approx([*at, at[-1]])


async def test_replay_gives_the_recorded_times_and_does_not_wait_between_sessions(
    tmp_path: Path,
) -> None:
    path = recording(tmp_path / "ch1.jsonl", (0, b"a"))
    later = Session(
        link="ch1",
        device="",
        decoder="ctt",
        baud_rate=1,
        boot="other",
        t_ns=0,
        utc_ns=1_789_000_000 * SECOND,
        clock="gps",
    )
    recording(path, (0, b"b"), session=later)
    intake = Intake([0.0])
    async with asyncio.timeout(60):
        await ReplayLink(path, lambda _: intake, speed=1).run()
    assert [what for _, what in intake.replayed] == [
        (b"a", SESSION.utc_ns),
        None,
        (b"b", later.utc_ns),
        None,
    ]


def test_a_decoding_intake_hands_on_arrivals_under_their_recorded_times() -> None:
    arrivals: list[Arrival] = []
    intake = DecodingIntake("ch1", "ctt", arrivals.extend)
    stamp = Stamp(5, "file")
    intake.received_at(BEEP[:5], stamp)
    intake.interrupted()
    intake.received_at(BEEP, stamp)
    assert [type(arrival.record) for arrival in arrivals] == [Detection]
    assert arrivals[0].stamp == stamp
    assert arrivals[0].source.link == "ch1"


def test_replay_fills_a_store_and_prints_records(tmp_path: Path) -> None:
    path = recording(tmp_path / "ch1.jsonl", (1, BEEP[:7]), (2, BEEP[7:] + BEEP))
    database = tmp_path / "replayed.db"
    result = CliRunner().invoke(replay_command, [str(path), "--db", str(database)])
    assert result.exit_code == 0, result.output
    with Store.open(database, create=False) as store:
        rows = store.connection.execute("SELECT utc_ns FROM detections ORDER BY seq").fetchall()
    assert rows == [(1_788_000_002 * SECOND,)] * 2
    shown = CliRunner().invoke(replay_command, [str(path)])
    first = json.loads(shown.stdout.splitlines()[0])
    assert first["tag_id"] == "78664C33"
    assert first["time"] == "2026-08-29T10:40:02.000000Z"
    assert first["raw"] == BEEP.strip().hex()


def test_replay_of_a_damaged_recording_keeps_the_rest_and_fails(tmp_path: Path) -> None:
    path = recording(tmp_path / "ch1.jsonl", (1, BEEP))
    path.write_bytes(path.read_bytes() + b"rubbish\n" + path.read_bytes())
    result = CliRunner().invoke(replay_command, [str(path)])
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    assert f"{path}: line 3" in result.stderr


@pytest.mark.parametrize("arguments", [["/nonexistent/file"], ["--decoder", "rtl433", "{path}"]])
def test_replay_that_cannot_be_says_why(tmp_path: Path, arguments: list[str]) -> None:
    path = recording(tmp_path / "ch1.jsonl", (1, BEEP))
    named = [argument.format(path=path) for argument in arguments]
    result = CliRunner().invoke(replay_command, named)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.output


def test_a_disk_that_is_full_behind_replay_is_not_told_as_the_recordings_fault(
    tmp_path: Path,
) -> None:
    path = recording(tmp_path / "ch1.jsonl", (1, BEEP))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [STOPOVER, "replay", path], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: what is printed cannot be written: No space left")


def test_record_keeps_what_a_port_says_and_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    radio = PseudoRadio()
    path = tmp_path / "ch1.jsonl"
    command = ["record", "ch1", str(path), "--device", radio.device]
    process = subprocess.Popen(
        [sys.executable, "-m", "receiver.cli.main", *command],
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stderr is not None
        said = b""
        while b"link open" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        radio.say(BEEP)
        deadline = time.monotonic() + 60
        while b"hex" not in path.read_bytes():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        radio.unplug()
    assert process.returncode == 0, rest
    assert b"16 bytes in 1 reads recorded" in rest
    session, chunk, *_ = read_recording(path)
    assert isinstance(session, Session)
    assert isinstance(chunk, Chunk)
    assert session.device == radio.device
    assert chunk.received == BEEP
    assert 0 <= chunk.t_ns - session.t_ns < 30 * SECOND


def test_record_of_a_missing_port_or_link_says_so(tmp_path: Path) -> None:
    file = str(tmp_path / "ch1.jsonl")
    missing = CliRunner().invoke(record_command, ["ch1", file, "--device", "/dev/no-such-port"])
    assert missing.exit_code == 1
    assert "stopover ports" in missing.stderr
    assert not Path(file).exists()
    config = tmp_path / "stopover.toml"
    config.write_text('[[links]]\nkind = "serial"\nname = "ch2"\ndevice = "/dev/x"\n')
    unknown = CliRunner().invoke(record_command, ["ch1", file, "-c", str(config)])
    assert unknown.exit_code == 2
    assert "there are: ch2" in unknown.stderr
