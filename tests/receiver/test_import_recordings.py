"""Recordings of `stopover record` into a store: once, again, cut, joined, packed."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from recorded_session import BEEP, SECOND
from recorded_session import SESSION as MORNING

from receiver.importing.importer import FileReport, Importer, expand
from receiver.recording import Recorder, Session
from receiver.store.database import Store

EVENING = msgspec.structs.replace(
    MORNING, t_ns=40_000 * SECOND, utc_ns=1_788_039_900 * SECOND, clock="unsynchronised"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db", station_id="test") as opened:
        yield opened


def record(path: Path, session: Session, chunks: int) -> Path:
    """Record a session of so many reads, each of a beep, and then noise."""
    with Recorder.open(path) as recorder:
        recorder.begin(session)
        for number in range(chunks):
            recorder.received(session.t_ns + number * SECOND, BEEP)
        recorder.interrupted(session.t_ns + chunks * SECOND, "Input/output error")
        recorder.received(session.t_ns + (chunks + 1) * SECOND, b"?!noise\r\n")
    return path


def import_(store: Store, path: Path) -> FileReport:
    return Importer(store, now_ns=1_800_000_000 * SECOND).import_file(path)


def rows(store: Store) -> list[tuple[object, ...]]:
    return store.connection.execute(
        "SELECT seq, link, tag_id, raw, time_quality, time_ns FROM readable_detections ORDER BY seq"
    ).fetchall()


def test_a_recording_gives_what_its_radio_said_with_its_times(store: Store, tmp_path: Path) -> None:
    path = record(record(tmp_path / "ch1.jsonl", MORNING, 3), EVENING, 2)
    report = import_(store, path)
    assert not report.damage
    assert report.outcome.rows == {"detections": 5, "unknown_frames": 2}
    told = rows(store)
    assert told[0] == (1, "ch1", "78664C33", BEEP.strip(), "file", MORNING.utc_ns)
    assert [row[4] for row in told] == ["file"] * 3 + ["unsynchronised"] * 2


def test_a_session_is_known_again_in_a_longer_a_packed_and_a_joined_file(
    store: Store, tmp_path: Path
) -> None:
    whole = record(tmp_path / "ch1.jsonl", MORNING, 6)
    content = whole.read_bytes()
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(content[: len(content) // 2])
    assert "damaged" in import_(store, cut).damage[0]
    kept = len(rows(store))
    assert 0 < kept < 6
    report = import_(store, whole)
    assert (report.already_there, report.outcome.rows["detections"]) == (kept, 6 - kept)
    before = rows(store)
    assert len(before) == 6
    packed = tmp_path / "sent.jsonl.gz"
    packed.write_bytes(gzip.compress(content + content))
    assert import_(store, packed).is_known
    assert import_(store, whole).is_known
    assert rows(store) == before
    joined = record(packed.with_name("both.jsonl"), EVENING, 2)
    joined.write_bytes(joined.read_bytes() + content)
    assert import_(store, joined).outcome.rows["detections"] == 2
    assert len(rows(store)) == 8


def test_damage_and_a_strange_decoder_cost_only_their_part(store: Store, tmp_path: Path) -> None:
    path = record(tmp_path / "ch1.jsonl", MORNING, 4)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"\0" * len(lines[2].rstrip()) + b"\n"
    strange = lines[0].replace(b'"ctt"', b'"martian"')
    misplaced = lines[0].replace(b'"ctt"', b'"rtl433"')
    path.write_bytes(b"".join([*lines, strange, *lines[1:], misplaced, *lines[1:]]))
    report = import_(store, path)
    assert len(rows(store)) == 3
    assert any("no decoder 'martian'" in each for each in report.damage)
    assert any("'rtl433' reads messages" in each for each in report.damage)
    assert any(each.startswith("line 3: damaged") for each in report.damage)


def test_recordings_in_a_folder_are_found_among_other_files_of_json_lines(tmp_path: Path) -> None:
    record(tmp_path / "ch1.jsonl", MORNING, 1)
    (tmp_path / "truth.jsonl").write_bytes(b'{"kind":"receiver"}\n')
    assert expand([tmp_path]) == ([tmp_path / "ch1.jsonl"], 1)
