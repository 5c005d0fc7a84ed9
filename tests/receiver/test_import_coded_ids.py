"""Recorded pulses become detections of coded-ID tags, in whatever portions they are imported."""

import csv
import gzip
import itertools
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from coded_pulses import WREN, MadeUpTag, S, line, write_list
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.cli.importing import import_command
from receiver.coded_ids.importing import decode_imported
from receiver.coded_ids.tag_lists import read_tag_list
from receiver.importing.importer import Importer
from receiver.store.database import Store
from receiver.store.queries import DetectionFilter, Reader

FIELD = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
needs_field_recordings = pytest.mark.skipif(
    not FIELD.is_dir(), reason="the field recordings are not beside the project"
)
FOLDERS = {
    # Runs by antenna and length; bursts beside the reference's, which lost a pulse.
    "kingsburg-2017": ([("1", 62), ("2", 65)], 0),
    "sensorgnome-2021": ([("3", 143), ("3", 144), ("3", 430)], 5),
}
BEGIN_NS = 1_639_614_000 * S


def import_(db: Path, files: Sequence[Path], tags: Path) -> Result:
    arguments = [str(path) for path in files]
    return CliRunner().invoke(import_command, [*arguments, "--db", str(db), "--tags", str(tags)])


def heard(db: Path) -> list[dict[str, Any]]:
    with Reader(db) as reader:
        return [
            row for row in reader.detections(DetectionFilter()) if row["protocol"] == "coded-id"
        ]


def rows(db: Path, statement: str) -> list[tuple[Any, ...]]:
    with Reader(db) as reader:
        return [tuple(row) for row in reader.connection.execute(statement)]


def content(db: Path) -> list[list[tuple[Any, ...]]]:
    return [rows(db, f"SELECT * FROM {table}") for table in ("detections", "runs", "events")]


def bursts(db: Path) -> set[tuple[str, str]]:
    """Return antenna and time of every detection, to the 0.1 ms that the recordings tell."""
    return {(row["antenna"], row["time"][:24]) for row in heard(db)}


def runs(db: Path) -> list[tuple[str, int]]:
    return sorted(rows(db, "SELECT place, detections FROM runs WHERE protocol = 'coded-id'"))


def reference(folder: Path) -> set[tuple[str, int]]:
    told = csv.DictReader((folder / "reference-hits.csv").read_text().splitlines())
    return {(row["port"], round(float(row["first_pulse_unix_s"]) * 10_000)) for row in told}


def recordings(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-all.txt.gz"))


@needs_field_recordings
@pytest.mark.parametrize("name", FOLDERS)
def test_a_field_recording_gives_every_burst_of_the_reference(name: str, tmp_path: Path) -> None:
    folder, db = FIELD / name, tmp_path / "field.db"
    wanted_runs, more = FOLDERS[name]
    result = import_(db, recordings(folder), folder / "tags.csv")
    assert result.exit_code == 0
    found = {
        (antenna, utc_ns // 100_000): json.loads(told)["pulse_count"]
        for antenna, utc_ns, told in rows(
            db,
            "SELECT antenna, time_stamped_ns, measurements FROM readable_detections"
            " WHERE protocol = 'coded-id'",
        )
    }
    wanted = reference(folder)
    assert wanted - set(found) == set()
    assert Counter(found[each] for each in set(found) - wanted) == Counter({3: more})
    assert runs(db) == wanted_runs
    assert f"{len(found)} bursts of coded-ID tags in {len(wanted_runs)} runs" in result.stdout
    assert {(row["confidence"], row["integrity"]) for row in heard(db)} == {
        ("certain", "unverified")
    }
    assert all(isinstance(row["run"], int) for row in heard(db))


@needs_field_recordings
@pytest.mark.parametrize("name", FOLDERS)
def test_importing_again_in_another_order_changes_nothing(name: str, tmp_path: Path) -> None:
    folder, db = FIELD / name, tmp_path / "field.db"
    files = recordings(folder)
    import_(db, files, folder / "tags.csv")
    before = content(db)
    assert import_(db, files[::-1], folder / "tags.csv").exit_code == 0
    assert import_(db, files[1:2], folder / "tags.csv").exit_code == 0
    assert content(db) == before


@needs_field_recordings
@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("step", [1, -1], ids=["oldest hour first", "newest hour first"])
def test_hour_by_hour_gives_what_all_at_once_gives(name: str, step: int, tmp_path: Path) -> None:
    folder, db, whole = FIELD / name, tmp_path / "hours.db", tmp_path / "whole.db"
    for path in recordings(folder)[::step]:
        assert import_(db, [path], folder / "tags.csv").exit_code == 0
    import_(whole, recordings(folder), folder / "tags.csv")
    assert bursts(db) == bursts(whole)
    assert len(heard(db)) == len(heard(whole))
    assert runs(db) == runs(whole) == FOLDERS[name][0]
    members = Counter((row["antenna"], row["run"]) for row in heard(db))
    assert sorted((antenna, count) for (antenna, _), count in members.items()) == runs(db)


@needs_field_recordings
def test_pulses_that_were_imported_before_the_list_was_there_are_decoded(tmp_path: Path) -> None:
    folder, db = FIELD / "kingsburg-2017", tmp_path / "field.db"
    with Store.open(db, station_id="test") as store:
        importer = Importer(store, now_ns=1_800_000_000 * S)
        for path in recordings(folder):
            importer.import_file(path)
    assert heard(db) == []
    import_(db, recordings(folder), folder / "tags.csv")
    assert len(heard(db)) == 127


@needs_field_recordings
def test_the_shipped_list_with_its_wrong_interval_is_told_and_then_mended(tmp_path: Path) -> None:
    folder, db = FIELD / "sensorgnome-2021", tmp_path / "field.db"
    shipped = tmp_path / "shipped.csv"
    shipped.write_text((folder / "tags.csv").read_text().replace("25.0978", "19.995"))
    result = import_(db, recordings(folder), shipped)
    assert result.exit_code == 0
    (told,) = [each for each in result.stderr.splitlines() if "interval" in each]
    assert told == (
        "antenna 3: code seen, interval does not match the list: TestTag#1@166.38:20 is heard"
        " every 25.0978 s, the list says 19.995 s"
    )
    assert heard(db) == []
    kinds = Counter(rows(db, "SELECT kind FROM events WHERE kind != 'ClockEvent'"))
    assert list(kinds) == [("UnlistedInterval",)]
    before = content(db)
    import_(db, recordings(folder), shipped)
    assert content(db) == before
    import_(db, recordings(folder), folder / "tags.csv")
    assert len(heard(db)) == 717
    # A wrong list by mistake takes nothing away.
    import_(db, recordings(folder), shipped)
    assert len(heard(db)) == 717


# Recordings made here.

NAME = "marsh-7F5ERPI46977-3-2021-12-16T{hour:02d}-00-00.0000{code}-all.txt"


def recording(folder: Path, hour: int, lines: Sequence[bytes], code: str = "Z") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / NAME.format(hour=hour, code=code)
    path.write_bytes(b"".join(lines))
    return path


def lines_of(tag: MadeUpTag, count: int, *, port: int = 3, begin_ns: int = BEGIN_NS) -> list[bytes]:
    return [
        line(pulse_ns, port) for pulses in tag.bursts_ns(begin_ns, count) for pulse_ns in pulses
    ]


@pytest.fixture
def tags(tmp_path: Path) -> Path:
    return write_list(tmp_path / "tags.csv", WREN)


def test_a_burst_that_two_files_share_is_made_whole_by_the_second(
    tmp_path: Path, tags: Path
) -> None:
    lines, db = lines_of(WREN, 6), tmp_path / "marsh.db"
    # The second file begins behind the first pulse of the third burst.
    first, second = recording(tmp_path, 0, lines[:9]), recording(tmp_path, 1, lines[9:])
    import_(db, [second], tags)
    assert [row["measurements"]["pulse_count"] for row in heard(db)] == [4, 4, 4]
    result = import_(db, [first], tags)
    assert [row["measurements"]["pulse_count"] for row in sorted_by_time(db)] == [4] * 6
    assert runs(db) == [("3", 6)]
    assert "6 bursts of coded-ID tags in 1 runs: 3 added" in result.stdout


def sorted_by_time(db: Path) -> list[dict[str, Any]]:
    return sorted(heard(db), key=lambda row: str(row["time"]))


def test_a_three_pulse_burst_gives_way_to_the_whole_one(tmp_path: Path, tags: Path) -> None:
    lines, db = lines_of(WREN, 6), tmp_path / "marsh.db"
    lost = lines.pop(16)  # The first pulse of the fifth burst is in another file.
    late = lost.replace(b".0000,", b".0004,")
    import_(db, [recording(tmp_path, 0, lines)], tags)
    assert sorted_by_time(db)[4]["measurements"]["pulse_count"] == 3
    result = import_(db, [recording(tmp_path, 1, [late])], tags)
    assert [row["measurements"]["pulse_count"] for row in sorted_by_time(db)] == [4] * 6
    assert "1 earlier ones were replaced" in result.stdout
    assert runs(db) == [("3", 6)]


def test_what_was_missing_between_two_runs_makes_them_one(tmp_path: Path, tags: Path) -> None:
    db = tmp_path / "marsh.db"
    lines = lines_of(WREN, 53)
    ends = [recording(tmp_path, 0, lines[:12]), recording(tmp_path, 2, lines[-12:])]
    import_(db, ends, tags)
    assert runs(db) == [("3", 3), ("3", 3)]
    import_(db, [recording(tmp_path, 1, lines[12:-12])], tags)
    assert runs(db) == [("3", 53)]
    assert {row["run"] for row in heard(db)} == {1}


def test_runs_that_were_stored_as_one_are_told_apart(tmp_path: Path, tags: Path) -> None:
    db = tmp_path / "marsh.db"
    lines = [*lines_of(WREN, 3), *lines_of(WREN, 2, begin_ns=BEGIN_NS + 90 * S)]
    file = recording(tmp_path, 0, lines)
    import_(db, [file], tags)
    with Store.open(db) as store:
        store.connection.execute("UPDATE detections SET run = 1")
        store.connection.execute("DELETE FROM runs WHERE id = 2")
    import_(db, [file], tags)
    assert [row["run"] for row in sorted_by_time(db)[:3]] == [1, 1, 1]
    assert len({row["run"] for row in sorted_by_time(db)}) == 2
    assert runs(db) == [("3", 2), ("3", 3)]


def test_a_pulse_that_two_files_have_counts_once(tmp_path: Path, tags: Path) -> None:
    db = tmp_path / "marsh.db"
    lines = lines_of(WREN, 3)
    import_(db, [recording(tmp_path, 0, lines), recording(tmp_path, 1, lines)], tags)
    assert len(heard(db)) == 3
    assert [row["measurements"]["pulse_count"] for row in heard(db)] == [4, 4, 4]


def test_the_tag_the_antenna_and_the_files_quality_are_told(tmp_path: Path, tags: Path) -> None:
    db = tmp_path / "marsh.db"
    import_(db, [recording(tmp_path, 0, lines_of(WREN, 2, port=12), "P")], tags)
    row = heard(db)[0]
    assert (row["tag_id"], row["antenna"], row["link"]) == ("Marsh#1", "12", "7F5ERPI46977")
    assert (row["time_quality"], row["confidence"]) == ("unsynchronised", "doubtful")
    assert bytes.fromhex(row["raw"]) == b"".join(lines_of(WREN, 1, port=12)).rstrip()


def test_stations_do_not_mix(tmp_path: Path, tags: Path) -> None:
    db = tmp_path / "marsh.db"
    other = recording(tmp_path / "other", 0, lines_of(WREN, 1, begin_ns=BEGIN_NS + 2 * S))
    other = other.rename(other.with_name(other.name.replace("7F5ERPI46977", "4001BBBK2600")))
    import_(db, [recording(tmp_path, 0, lines_of(WREN, 1)), other], tags)
    assert heard(db) == []


def test_only_the_passages_that_an_import_touches_are_decoded(tmp_path: Path, tags: Path) -> None:
    db = tmp_path / "marsh.db"
    first = recording(tmp_path, 0, lines_of(WREN, 3))
    later = recording(tmp_path, 5, lines_of(WREN, 3, begin_ns=BEGIN_NS + 5 * 3600 * S))
    import_(db, [first, later], tags)
    with Store.open(db) as store:
        (import_id,) = store.connection.execute(
            "SELECT id FROM imports WHERE name = ?", (later.name,)
        ).fetchone()
        decoded = decode_imported(store, read_tag_list(tags), [import_id])
    assert (decoded.pulses, decoded.bursts, decoded.added, decoded.runs) == (12, 3, 0, 1)


def test_a_radio_looks_for_the_tags_of_the_frequency_it_is_tuned_to(tmp_path: Path) -> None:
    db, two = tmp_path / "marsh.db", tmp_path / "two.csv"
    two.write_text(
        "proj,id,tagFreq,g1,g2,g3,bi\n" + WREN.row + WREN.row.replace("Marsh,1,166.38", "Fen,1,150")
    )
    tuned = [
        b"S,%d,3,-m,149.996,0,\n" % (BEGIN_NS // S - 5),
        *lines_of(WREN, 2),
        b"S,%d,3,-m,166.376,0,\n" % (BEGIN_NS // S + 100),
        b"S,%d,3,-m,150,1,failed\n" % (BEGIN_NS // S + 101),
        *lines_of(WREN, 2, begin_ns=BEGIN_NS + 110 * S),
    ]
    import_(db, [recording(tmp_path, 0, tuned)], two)
    assert [row["tag_id"] for row in heard(db)] == ["Fen#1", "Fen#1", "Marsh#1", "Marsh#1"]


def test_a_list_that_is_none_is_wrong_use_and_nothing_is_imported(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,b\n1,2\n")
    db = tmp_path / "marsh.db"
    result = import_(db, [recording(tmp_path, 0, lines_of(WREN, 2))], wrong)
    assert result.exit_code == 2
    assert "wrong.csv" in result.stderr
    assert not db.exists()


def test_a_skipped_row_of_the_list_is_told(tmp_path: Path, tags: Path) -> None:
    with tags.open("a") as file:
        file.write("Marsh,2,166.38,x,1,1,1\n")
    result = import_(tmp_path / "marsh.db", [recording(tmp_path, 0, lines_of(WREN, 2))], tags)
    assert result.exit_code == 0
    assert "line 3: g1 is 'x'" in result.stderr


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.sets(st.integers(1, 39), max_size=2), order=st.randoms(use_true_random=False))
def test_however_a_recording_is_cut_and_ordered_its_bursts_are_the_same(
    tmp_path: Path, tags: Path, cuts: set[int], order: random.Random
) -> None:
    lines = lines_of(WREN, 10)
    borders = [0, *sorted(cuts), len(lines)]
    db = tmp_path / "cut.db"
    for end in ("", "-wal", "-shm"):
        db.with_name(db.name + end).unlink(missing_ok=True)
    pieces = [
        recording(tmp_path, hour, lines[begin:end])
        for hour, (begin, end) in enumerate(itertools.pairwise(borders))
    ]
    order.shuffle(pieces)
    for piece in pieces:
        import_(db, [piece], tags)
    assert [row["time"] for row in sorted_by_time(db)] == [
        f"2021-12-16T00:20:{2 * number:02d}.000000Z" for number in range(10)
    ]
    assert runs(db) == [("3", 10)]


@needs_field_recordings
def test_lines_of_a_field_recording_in_any_order_give_the_same(tmp_path: Path) -> None:
    folder = FIELD / "kingsburg-2017"
    shuffled = []
    for number, path in enumerate(recordings(folder)):
        lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
        pulses = sorted(each for each in lines if each.startswith(b"p"))
        shuffled.append(recording(tmp_path, number, pulses[::-1]))
    import_(tmp_path / "shuffled.db", shuffled, folder / "tags.csv")
    assert runs(tmp_path / "shuffled.db") == FOLDERS["kingsburg-2017"][0]
