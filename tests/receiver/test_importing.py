"""Recorded files into a store: once, again, longer, cut, damaged, interrupted."""

import contextlib
import fcntl
import gzip
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.cli.importing import import_command
from receiver.importing.importer import FileReport, Importer, expand
from receiver.limits import IMPORT_LONGEST_LINE_BYTES, UNPACKED_ALWAYS_BYTES
from receiver.store.database import Store

PROJECT = Path(__file__).resolve().parents[2]
FIELD = PROJECT.parent / "shared" / "data"
needs_field_recordings = pytest.mark.skipif(
    not FIELD.is_dir(), reason="the field recordings are not beside the project"
)
NOW_NS = 1_800_000_000 * 10**9
SENSORGNOME = "label-7F5ERPI46977-3-2021-12-16T00-25-01.8450Z-ctt.txt"
RAW_HEADER = b"Time,RadioId,TagId,TagRSSI,NodeId,Validated\r\n"
TABLES = ("detections", "pulses", "gps_fixes", "relay_health", "events")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db", station_id="test") as opened:
        yield opened


def import_(store: Store, *paths: Path) -> list[FileReport]:
    importer = Importer(store, now_ns=NOW_NS)
    return [importer.import_file(path) for path in paths]


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def stored(store: Store) -> Counter[tuple[str, bytes]]:
    """Return every row's table and raw line."""
    return Counter(
        (table, raw)
        for table in TABLES
        for (raw,) in store.connection.execute(f"SELECT raw FROM {table}")
    )


def snapshot(store: Store) -> list[list[tuple[object, ...]]]:
    return [
        store.connection.execute(f"SELECT * FROM {table}").fetchall()
        for table in (*TABLES, "unknown_frames", "imports", "import_rows")
    ]


def tag_line(number: int, rssi_dbm: int = -75) -> bytes:
    return b"T1,%d.%03d,78664c3304,%d" % (1_639_614_305 + number, number % 1000, rssi_dbm)


def tag_lines(count: int) -> list[bytes]:
    return [tag_line(number, -70 - number % 30) for number in range(count)]


def text(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def raw_lines(store: Store) -> list[bytes]:
    rows = store.connection.execute("SELECT raw FROM detections ORDER BY seq").fetchall()
    return [row[0] for row in rows]


@needs_field_recordings
def test_the_2021_station_gives_its_counted_records_once(store: Store) -> None:
    files = sorted((FIELD / "sensorgnome-2021").glob("*.gz"))
    reports = import_(store, *files)
    assert not [report for report in reports if report.damage or report.outcome.unknown]
    rows = store.connection.execute(
        "SELECT tag_id, integrity, antenna, time_quality, count(*) FROM readable_detections"
        " GROUP BY 1, 2, 3, 4"
    ).fetchall()
    assert rows == [("78664C33", "verified", "1", "file", 2807)]
    assert store.connection.execute("SELECT count(*) FROM pulses").fetchone() == (3055,)
    assert store.connection.execute("SELECT count(*) FROM events").fetchone() == (60,)
    before = snapshot(store)
    again = import_(store, *reversed(files))
    assert all(report.is_known for report in again)
    assert snapshot(store) == before


@needs_field_recordings
def test_the_2017_station_gives_its_counted_records_once(store: Store) -> None:
    files = sorted((FIELD / "kingsburg-2017").glob("*.gz"))
    import_(store, *files)
    rows = store.connection.execute(
        "SELECT antenna, count(*) FROM readable_pulses GROUP BY antenna ORDER BY antenna"
    ).fetchall()
    assert rows == [("1", 2320), ("2", 287)]
    assert store.connection.execute(
        "SELECT count(*), count(latitude) FROM gps_fixes"
    ).fetchone() == (40, 40)
    before = snapshot(store)
    import_(store, *reversed(files))
    assert snapshot(store) == before


@needs_field_recordings
def test_packed_and_plain_are_the_same_file(store: Store, tmp_path: Path) -> None:
    packed = min((FIELD / "sensorgnome-2021").glob("*-ctt.txt.gz"))
    import_(store, packed)
    before = snapshot(store)
    plain = write(tmp_path / packed.name[: -len(".gz")], gzip.decompress(packed.read_bytes()))
    assert import_(store, plain)[0].is_known
    assert snapshot(store) == before


def test_a_longer_copy_adds_only_what_is_new(store: Store, tmp_path: Path) -> None:
    lines = tag_lines(300)
    for count in (10, 10, 200, 300):
        import_(store, write(tmp_path / str(count) / SENSORGNOME, text(lines[:count])))
        assert raw_lines(store) == lines[:count]


def test_a_shorter_copy_after_the_whole_adds_nothing(store: Store, tmp_path: Path) -> None:
    lines = tag_lines(300)
    import_(store, write(tmp_path / "whole" / SENSORGNOME, text(lines)))
    before = snapshot(store)
    (report,) = import_(store, write(tmp_path / "cut" / SENSORGNOME, text(lines[:100])))
    assert report.already_there == 100
    assert snapshot(store) == before
    import_(store, write(tmp_path / "longer" / SENSORGNOME, text([*lines, tag_line(999)])))
    assert raw_lines(store) == [*lines, tag_line(999)]


def test_copies_that_overlap_make_one_whole(store: Store, tmp_path: Path) -> None:
    lines = tag_lines(300)
    import_(store, write(tmp_path / "end" / SENSORGNOME, text(lines[100:])))
    import_(store, write(tmp_path / "start" / SENSORGNOME, text(lines[:200])))
    import_(store, write(tmp_path / "whole" / SENSORGNOME, text(lines)))
    assert Counter(raw_lines(store)) == Counter(lines)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_equal_rows_of_one_file_are_as_many_detections(
    store: Store, tmp_path: Path, count: int
) -> None:
    lines = [tag_line(1), *[tag_line(2)] * count, tag_line(3)]
    import_(store, write(tmp_path / SENSORGNOME, text(lines)))
    assert raw_lines(store) == lines
    import_(store, write(tmp_path / "reordered" / SENSORGNOME, text(lines[::-1])))
    assert raw_lines(store) == lines
    import_(store, write(tmp_path / "more" / SENSORGNOME, text([tag_line(2), *lines])))
    assert Counter(raw_lines(store)) == Counter([tag_line(2), *lines])


def test_the_same_rows_under_another_name_are_another_file(store: Store, tmp_path: Path) -> None:
    content = text(tag_lines(5))
    import_(store, write(tmp_path / SENSORGNOME, content))
    import_(store, write(tmp_path / SENSORGNOME.replace("T00", "T09"), content))
    assert len(raw_lines(store)) == 10


@pytest.mark.parametrize("cut_at", [1000, 1017, 1018, 1019, 1020, 1021, 1050])
def test_a_cut_copy_and_then_the_whole_give_the_whole(
    store: Store, tmp_path: Path, cut_at: int
) -> None:
    lines = tag_lines(100)
    import_(store, write(tmp_path / "cut" / SENSORGNOME, text(lines)[:cut_at]))
    import_(store, write(tmp_path / "whole" / SENSORGNOME, text(lines)))
    assert raw_lines(store) == lines
    before = stored(store)
    import_(store, write(tmp_path / "cut again" / SENSORGNOME, text(lines)[: cut_at + 7]))
    assert stored(store) == before


def test_a_last_line_without_its_end_is_kept_where_it_can_be_read(
    store: Store, tmp_path: Path
) -> None:
    path = write(tmp_path / SENSORGNOME, text(tag_lines(3)).removesuffix(b"\n"))
    assert not import_(store, path)[0].damage
    assert raw_lines(store) == tag_lines(3)
    import_(store, path)
    assert raw_lines(store) == tag_lines(3)
    (report,) = import_(store, write(tmp_path / "x" / SENSORGNOME, text(tag_lines(3))[:-20]))
    assert raw_lines(store) == tag_lines(3)
    assert not report.outcome.rows


def test_a_cut_gzip_keeps_what_could_be_read_and_says_where(store: Store, tmp_path: Path) -> None:
    chance = random.Random(3)
    lines = [tag_line(number, -chance.randrange(50, 110)) for number in range(3000)]
    packed = gzip.compress(text(lines))
    cut = write(tmp_path / "cut" / f"{SENSORGNOME}.gz", packed[: len(packed) // 2])
    (report,) = import_(store, cut)
    kept = raw_lines(store)
    assert 500 < len(kept) < 2500
    assert kept == lines[: len(kept)]
    assert any("cut off" in message and "byte" in message for message in report.damage)
    import_(store, cut)
    assert raw_lines(store) == kept
    (report,) = import_(store, write(tmp_path / "whole" / f"{SENSORGNOME}.gz", packed))
    assert not report.damage
    assert raw_lines(store) == lines


@pytest.mark.parametrize(("wrong_at", "least"), [(1500, 10), (-2000, 300), (-6, 700), (-2, 700)])
def test_a_gzip_with_a_wrong_byte_keeps_what_comes_before(
    store: Store, tmp_path: Path, wrong_at: int, least: int
) -> None:
    chance = random.Random(7)
    lines = [tag_line(number, -chance.randrange(50, 110)) for number in range(700)]
    packed = bytearray(gzip.compress(text(lines)))
    packed[wrong_at] ^= 0xFF
    (report,) = import_(store, write(tmp_path / f"{SENSORGNOME}.gz", bytes(packed)))
    assert any("damaged" in message for message in report.damage)
    assert raw_lines(store)[:least] == lines[:least]


def test_a_byte_order_mark_costs_no_line(store: Store, tmp_path: Path) -> None:
    marked = write(tmp_path / SENSORGNOME, b"\xef\xbb\xbf" + text(tag_lines(3)))
    (report,) = import_(store, marked)
    assert raw_lines(store) == tag_lines(3)
    assert not report.outcome.unknown
    assert import_(store, marked)[0].is_known


def test_gzip_is_known_by_its_bytes_and_may_have_several_members(
    store: Store, tmp_path: Path
) -> None:
    lines = tag_lines(20)
    members = gzip.compress(text(lines[:10])) + gzip.compress(text(lines[10:])) + b"\0" * 100
    (report,) = import_(store, write(tmp_path / SENSORGNOME, members))
    assert not report.damage
    assert raw_lines(store) == lines


def test_an_endless_gzip_ends_at_the_limit(store: Store, tmp_path: Path) -> None:
    bomb = gzip.compress(b"\0" * (UNPACKED_ALWAYS_BYTES + 10_000_000), compresslevel=1)
    (report,) = import_(store, write(tmp_path / f"{SENSORGNOME}.gz", bomb))
    assert any("unpacks to more than" in message for message in report.damage)
    assert not raw_lines(store)


def test_zeros_of_a_power_cut_cost_only_what_they_replaced(store: Store, tmp_path: Path) -> None:
    lines = tag_lines(9)
    content = bytearray(text(lines))
    third = content.index(lines[2])
    content[third : third + len(lines[2])] = bytes(len(lines[2]))
    content[content.index(lines[5]) + 10] = 0
    (report,) = import_(
        store, write(tmp_path / SENSORGNOME, bytes(content) + b"\0" * 64 + lines[0] + b"\n")
    )
    assert raw_lines(store) == [*lines[:2], *lines[3:5], *lines[6:], lines[0]]
    assert [message for message in report.damage if message.startswith("line 3: NUL bytes")]


@pytest.mark.parametrize(
    ("long", "what"),
    [
        (b"x" * 3_000_000 + b"\n", "too long"),
        (b"x" * (IMPORT_LONGEST_LINE_BYTES + 1) + b"\0" * 3_000_000, "NUL bytes"),
        (bytes(3_000_000), "NUL bytes"),
    ],
)
@pytest.mark.parametrize("before", [[], [tag_line(1)]])
def test_a_line_that_never_ends_is_skipped_and_told(
    store: Store, tmp_path: Path, before: list[bytes], long: bytes, what: str
) -> None:
    path = write(tmp_path / SENSORGNOME, text(before) + long + text([tag_line(2), tag_line(3)]))
    (report,) = import_(store, path)
    assert raw_lines(store) == [*before, tag_line(2), tag_line(3)]
    assert report.damage[0].startswith(f"line {len(before) + 1} (byte {33 * len(before)}): {what}")
    assert sum("bytes skipped" in message for message in report.damage) == 1
    import_(store, path)
    assert len(raw_lines(store)) == len(before) + 2


def test_node_cards_with_equal_names_are_told_apart_by_their_folders(
    store: Store, tmp_path: Path
) -> None:
    content = b"time,id,rssi\n2022-02-08T14:24:35Z,1E4C3433EB,-98\n"
    for folder in ("377A13", "377a14"):
        import_(store, write(tmp_path / folder / "beep_0.csv", content))
    import_(store, write(tmp_path / "copy" / "377A13" / "beep_0.csv", content))
    rows = store.connection.execute(
        "SELECT relay_id, tag_id, link, time_quality FROM readable_detections ORDER BY seq"
    ).fetchall()
    assert rows == [
        ("377A13", "1E4C3433", "node 377A13", "file"),
        ("377A14", "1E4C3433", "node 377A14", "file"),
    ]


def test_a_card_that_was_wiped_and_filled_again_adds_its_new_rows(
    store: Store, tmp_path: Path
) -> None:
    header = b"time,id,rssi\n"
    import_(
        store,
        write(
            tmp_path / "may" / "377A13" / "beep_0.csv",
            header + b"2022-05-08T14:24:35Z,1E4C3433EB,-98\n",
        ),
    )
    import_(
        store,
        write(
            tmp_path / "july" / "377A13" / "beep_0.csv",
            header + b"2022-07-08T14:24:35Z,1E4C3433EB,-98\n",
        ),
    )
    assert len(raw_lines(store)) == 2


def test_default_clocks_and_the_future_are_marked_and_kept(store: Store, tmp_path: Path) -> None:
    card = (
        b"time,id,rssi\n2017-01-01T01:01:03Z,1E4C3433EB,-98\n2080-01-06T00:00:00Z,1E4C3433EB,-98\n"
        b"2022-07-08T14:24:35Z,1E4C3433EB,-98\n"
    )
    import_(store, write(tmp_path / "377A13" / "beep_0.csv", card))
    qualities = "SELECT time_quality FROM readable_detections ORDER BY seq"
    rows = store.connection.execute(qualities).fetchall()
    assert rows == [("implausible",), ("implausible",), ("file",)]


def test_a_file_of_an_unsynchronised_clock_says_so(store: Store, tmp_path: Path) -> None:
    name = SENSORGNOME.replace("8450Z", "8450P")
    import_(store, write(tmp_path / name, text([b"T1,946684811.249,78664c3304,-70", tag_line(1)])))
    qualities = "SELECT time_quality FROM readable_detections ORDER BY seq"
    rows = store.connection.execute(qualities).fetchall()
    assert rows == [("implausible",), ("unsynchronised",)]


def test_a_fix_without_a_time_takes_that_of_the_line_before(store: Store, tmp_path: Path) -> None:
    undefined = b"G,undefined,undefined,undefined,undefined"
    import_(store, write(tmp_path / SENSORGNOME, text([undefined, tag_line(5), undefined])))
    rows = store.connection.execute("SELECT utc_ns, latitude FROM gps_fixes ORDER BY id").fetchall()
    assert rows == [(1_639_614_301_845_000_000, None), (1_639_614_310_005_000_000, None)]


def test_a_live_station_file_is_known_again_under_its_rotated_name(
    store: Store, tmp_path: Path
) -> None:
    rows = [b"2021-10-26 18:29:%02d,1,52345578,-91,,1\r\n" % second for second in range(40)]
    live, rotated = (
        "CTT-V3033D413FBC-raw-data.csv",
        "CTT-V3033D413FBC-raw-data.2021-10-26_190000.csv",
    )
    import_(store, write(tmp_path / live, RAW_HEADER + b"".join(rows[:10])))
    import_(store, write(tmp_path / live, RAW_HEADER + b"".join(rows[:20])))
    import_(store, write(tmp_path / f"{rotated}.gz", gzip.compress(RAW_HEADER + b"".join(rows))))
    assert len(raw_lines(store)) == 40
    import_(store, write(tmp_path / live, RAW_HEADER + b"".join(rows[:15])))
    assert len(raw_lines(store)) == 40
    next_hour = [row.replace(b" 18", b" 19") for row in rows]
    import_(store, write(tmp_path / live, RAW_HEADER + b"".join(next_hour[:5])))
    assert len(raw_lines(store)) == 45


def test_a_station_file_keeps_ragged_rows_and_reports_unreadable_ones(
    store: Store, tmp_path: Path
) -> None:
    content = RAW_HEADER + (
        b"2021-10-26 18:29:52,1,52345578,-91,,1\r\n"
        b"2021-10-26 18:29:53,1,52345578,-91\r\n"
        b"2021-10-26 18:29:54,1,5234\r\n"
        b"2021-10-26 18:29:55,2,1E4C3433,-98,3796F5,1\r\n"
    )
    path = write(tmp_path / "CTT-V3033D413FBC-raw-data.csv", content)
    (report,) = import_(store, path)
    assert len(raw_lines(store)) == 3
    assert not report.damage
    assert report.notes == ["line 4: unreadable (broken-cell); 1 such lines in all"]
    assert store.connection.execute("SELECT raw FROM unknown_frames").fetchall() == [
        (b"2021-10-26 18:29:54,1,5234",)
    ]


def test_a_file_without_a_header_is_read_by_its_shape_and_says_so(
    store: Store, tmp_path: Path
) -> None:
    path = write(tmp_path / "377A13" / "export.csv", b"2022-02-08T14:24:35Z,1E4C3433EB,-98\n")
    (report,) = import_(store, path)
    assert len(raw_lines(store)) == 1
    assert "no header" in report.notes[0]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("CTT-V30300000001-raw-data.csv", b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1" * 99, "JPEG"),
        ("beep_0.csv", bytes(range(1, 256)) * 9, "not a text file"),
        ("x.csv", b"PK\x03\x04....", "ZIP"),
        ("x.csv", "time,id,rssi\n".encode("utf-16"), "UTF-16"),
        (SENSORGNOME, bytes(4096), "NUL bytes up to the end"),
        (SENSORGNOME, b"hello\nworld\n", "as is every other line of 2"),
    ],
)
def test_what_is_no_recording_is_named_with_the_place(
    store: Store, tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (report,) = import_(store, write(tmp_path / name, content))
    assert told in report.damage[0]
    assert report.damage[0].startswith(("byte", "line"))


@pytest.mark.parametrize("mark", ["-ctt (1).txt", "-ctt.txt (12).gz", "-ctt.txt(3).gz"])
def test_a_copy_that_a_browser_numbered_is_the_same_file(
    store: Store, tmp_path: Path, mark: str
) -> None:
    name = SENSORGNOME.replace("Z-ctt", "P-ctt")
    copy = write(tmp_path / name.replace("-ctt.txt", mark), text(tag_lines(3)))
    import_(store, copy)
    qualities = store.connection.execute("SELECT DISTINCT time_quality FROM readable_detections")
    assert qualities.fetchall() == [("unsynchronised",)]
    (report,) = import_(store, write(tmp_path / name, text(tag_lines(3))))
    assert report.is_known


def test_a_name_that_is_no_text_is_a_name_all_the_same(store: Store, tmp_path: Path) -> None:
    path = write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xf6we.txt")), text(tag_lines(3)))
    import_(store, path)
    import_(store, path)
    names = store.connection.execute("SELECT link FROM readable_detections").fetchall()
    assert names == [("M\\xf6we",)] * 3


def test_a_nodes_own_time_keeps_its_milliseconds(store: Store, tmp_path: Path) -> None:
    row = b"2019-08-17T03:09:27.458Z,3,6161527F,-96,377\r\n"
    import_(
        store, write(tmp_path / "CTT-867459049219777-data.csv", RAW_HEADER[:-12] + b"\r\n" + row)
    )
    (told,) = store.connection.execute("SELECT recorded_at_ns FROM detections").fetchone()
    assert told == 1_566_011_367_458_000_000


def test_files_that_cannot_be_opened_are_told(store: Store, tmp_path: Path) -> None:
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    reports = import_(store, loop, pipe, tmp_path / "missing.csv", tmp_path)
    assert all(len(report.damage) == 1 for report in reports)
    assert "regular file" in reports[1].damage[0]


def test_a_folder_stands_for_the_recordings_in_it(tmp_path: Path) -> None:
    for name in ("b/2.csv", "a.txt", "b/1.TXT.GZ", "photo.jpg", ".hidden.csv", ".git/x.csv"):
        write(tmp_path / name, b"")
    (tmp_path / "b" / "round").symlink_to(tmp_path)
    files, left_alone = expand([tmp_path, tmp_path / "a.txt"])
    assert [str(file.relative_to(tmp_path)) for file in files] == ["a.txt", "b/1.TXT.GZ", "b/2.csv"]
    assert left_alone == 2


def test_the_command_goes_on_after_damage_and_fails_at_the_end(tmp_path: Path) -> None:
    picture = write(tmp_path / "CTT-V30300000001-raw-data.csv", b"\xff\xd8\xff\xe0\1\2" * 100)
    good = write(tmp_path / SENSORGNOME, text(tag_lines(7)))
    db = tmp_path / "new.db"
    outcome = CliRunner().invoke(
        import_command, [str(picture), str(tmp_path / "gone.txt"), str(good), "--db", str(db)]
    )
    assert outcome.exit_code == 1
    assert f"{picture}: byte 0: not a text file" in outcome.stderr
    assert "gone.txt: cannot be opened" in outcome.stderr
    assert "3 files: 7 detections added" in outcome.stdout
    again = CliRunner().invoke(import_command, [str(good), "--db", str(db)])
    assert again.exit_code == 0
    with Store.open(db, create=False) as store:
        assert len(raw_lines(store)) == 7
        assert store.station_id == "V30300000001"


def test_imports_into_one_store_follow_each_other(tmp_path: Path) -> None:
    path = write(tmp_path / SENSORGNOME, text(tag_lines(3)))
    db = tmp_path / "new.db"
    with db.open("wb") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "receiver.cli.main", "import", str(path), "--db", str(db)]
        with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) as second:
            assert second.stderr is not None
            assert second.stderr.readline() == f"{db}: waiting for another import\n"
            assert db.stat().st_size == 0
            fcntl.flock(first, fcntl.LOCK_UN)
            assert second.wait(60) == 0
    with Store.open(db, create=False) as store:
        assert raw_lines(store) == tag_lines(3)


def imported_bytes(db: Path) -> int:
    """Return how far a file has come, 0 where there is no store yet."""
    with contextlib.closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        with contextlib.suppress(sqlite3.OperationalError):
            row = connection.execute("SELECT coalesce(sum(bytes), 0) FROM imports").fetchone()
            return int(row[0])
        return 0


def wait_for_more_than(known_bytes: int, db: Path, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with contextlib.suppress(sqlite3.OperationalError):
            if imported_bytes(db) > known_bytes:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.002)


def test_a_killed_import_is_completed_by_the_next(tmp_path: Path) -> None:
    chance = random.Random(5)
    lines = [tag_line(number, -chance.randrange(50, 110)) for number in range(200_000)]
    recording = write(tmp_path / SENSORGNOME, text(lines))
    db = tmp_path / "killed.db"
    command = [
        sys.executable,
        "-c",
        "from receiver.cli.importing import import_command; import_command()",
        str(recording),
        "--db",
        str(db),
    ]
    kept_bytes, kept_rows = 0, 0
    for _ in range(3):
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL)
        wait_for_more_than(kept_bytes, db, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with contextlib.closing(sqlite3.connect(db)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            (rows,) = connection.execute("SELECT count(*) FROM detections").fetchone()
        assert rows > kept_rows or rows == len(lines)
        kept_bytes, kept_rows = imported_bytes(db), rows
    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    with Store.open(db, create=False) as store:
        assert raw_lines(store) == lines


SESSION = (
    b'{"stopover_recording":1,"link":"ch1","device":"x","decoder":"ctt","baud_rate":115200,'
    b'"boot":"b","t_ns":1000,"utc_ns":1788000000000000000,"clock":"ntp"}'
)
_CONTENT = st.one_of(
    st.binary(max_size=300),
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    *tag_lines(3),
                    RAW_HEADER.strip(),
                    b"time,id,rssi",
                    b"2021-10-26 18:29:52,1,52345578,-91,,1",
                    b"2022-02-08T14:24:35Z,1E4C3433EB,-98",
                    b"\0" * 9,
                    b"\xef\xbb\xbf",
                    SESSION,
                    b'{"t_ns":2000,"hex":"3738363634433333303441382c2d37350d0a"}',
                    b'{"t_ns":3000,"interrupted":"Input/output error"}',
                    b"G,undefined,undefined,undefined,undefined",
                ]
            ),
            st.binary(max_size=20),
        ),
        max_size=12,
    ).map(b"\n".join),
)


@settings(max_examples=60)
@given(
    name=st.sampled_from([SENSORGNOME, "CTT-V3033D413FBC-raw-data.csv", "beep_0.csv", "x.txt"]),
    content=_CONTENT,
    packing=st.sampled_from(["plain", "gzip", "cut gzip", "wrong gzip"]),
    begin=st.sampled_from([b"", SESSION + b"\n"]),
)
def test_no_bytes_in_a_file_make_the_import_raise_and_none_come_twice(
    name: str, content: bytes, packing: str, begin: bytes
) -> None:
    packed = begin + content if packing == "plain" else gzip.compress(begin + content)
    packed = packed[:-6] if packing == "cut gzip" else packed
    if packing == "wrong gzip":
        packed = packed[:-9] + bytes((packed[-9] ^ 0xFF,)) + packed[-8:]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder, "377A13", name), packed)
        with Store.open(Path(folder, "store.db"), station_id="test") as store:
            import_(store, path)
            before = stored(store)
            import_(store, path)
            assert stored(store) == before
