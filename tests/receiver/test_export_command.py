"""`stopover export`: what it says, how it ends, and that no half file is ever left."""

import csv
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from export_season import MAY_NS, NORTH, Season, empty_store, export, make_season

from protocols.records import Detection
from receiver.arrivals import Arrival, Source, Stamp
from receiver.cli.exporting import export_command
from receiver.exports import first_of
from receiver.exports.first_of import FirstOf
from receiver.exports.formats import FORMATS
from receiver.exports.formats import export as make
from receiver.exports.metadata import load
from receiver.exports.request import Request
from receiver.exports.staging import Staging
from receiver.store.database import Store
from receiver.store.detection_rows import DETECTION_KEYS
from receiver.store.queries import DetectionFilter, Reader


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    return make_season(tmp_path_factory.mktemp("season"))


def left_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*")) if folder.exists() else []


def test_csv_has_every_key_of_every_detection(season: Season, tmp_path: Path) -> None:
    result = export("csv", season.path, tmp_path)
    assert result.exit_code == 0, result.output
    with (tmp_path / "detections.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(DETECTION_KEYS)
    with Reader(season.path) as reader:
        own = list(reader.detections(DetectionFilter()))
    assert [int(row["seq"]) for row in rows] == [row["seq"] for row in own]
    assert [row["tag_id"] for row in rows] == [row["tag_id"] for row in own]
    assert rows[-1]["measurements"] == "" or rows[-1]["measurements"].startswith("{")


def test_filters_choose_rows(season: Season, tmp_path: Path) -> None:
    chosen = ("--since", "2026-05-02", "--until", "2026-05-03", "--tag", "61337F34")
    result = export("csv", season.path, tmp_path, *chosen, "--antenna", "south")
    assert result.exit_code == 0
    with (tmp_path / "detections.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert {(row["tag_id"], row["antenna"], row["time"][:10]) for row in rows} == {
        ("61337F34", "south", "2026-05-02")
    }


@pytest.mark.parametrize("name", ["csv", "motus", "ctt", "movebank", "darwin-core", "euring"])
def test_what_is_not_trusted_enough_is_left_out_and_counted(
    name: str, season: Season, tmp_path: Path
) -> None:
    args = ("--metadata", season.metadata, "--min-confidence", "likely")
    result = export(name, season.path, tmp_path, *args)
    assert result.exit_code == 0, result.output
    with Reader(season.path) as reader:
        doubted = sum(
            row["confidence"] not in ("certain", "likely")
            for row in reader.detections(DetectionFilter())
        )
    assert doubted
    assert f"{doubted} left out: confidence below likely" in result.output


def test_texts_from_the_air_are_no_formulas_and_no_cells(tmp_path: Path) -> None:
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=x", 'a,"b"\r\nc', "a\x1b[31m\x00b", "ok"]
    with Store.open(tmp_path / "bad.db", station_id="marsh") as store:
        store.append(
            Arrival(
                Detection(protocol="coded-id", tag_id=text, integrity="unverified", rssi_dbm=-7),
                Source(link=f"-{number}", decoder="sensorgnome/1", antenna=text),
                Stamp(MAY_NS + number, "ntp", number, "b"),
            )
            for number, text in enumerate(hostile)
        )
    assert export("csv", tmp_path / "bad.db", tmp_path / "out").exit_code == 0
    with (tmp_path / "out" / "detections.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(hostile)
    assert [row["tag_id"] for row in rows[:5]] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", " x"]
    assert rows[5]["tag_id"] == "' =x"
    assert rows[6]["antenna"] == 'a,"b"  c'
    assert rows[7]["antenna"] == "a[31mb"
    assert {row["rssi_dbm"] for row in rows} == {"-7"}
    assert rows[0]["link"] == "'-0"


def test_an_empty_store_gives_a_table_without_rows(tmp_path: Path) -> None:
    assert export("csv", empty_store(tmp_path), tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "detections.csv").read_text() == ",".join(DETECTION_KEYS) + "\n"


@pytest.mark.parametrize("name", list(FORMATS))
def test_an_export_that_fails_on_the_way_leaves_nothing(
    name: str, season: Season, tmp_path: Path
) -> None:
    class StoppedError(Exception):
        """What ends the export in its middle."""

    def stop(_: int) -> None:
        raise StoppedError

    with Reader(season.path) as reader:
        request = Request(
            reader=reader,
            metadata=load(season.metadata),
            now_ns=MAY_NS * 2,
            on_progress=stop,
        )
        with pytest.raises(StoppedError):
            make(name, request, tmp_path / "out")
    assert left_in(tmp_path / "out") == []


def test_a_file_that_is_there_is_replaced_whole_or_stays(season: Season, tmp_path: Path) -> None:
    (tmp_path / "detections.csv").write_text("of last year\n")

    def stop(_: int) -> None:
        raise OSError(28, "No space left on device")

    with Reader(season.path) as reader, pytest.raises(OSError, match="No space"):
        make("csv", Request(reader=reader, now_ns=0, on_progress=stop), tmp_path)
    assert (tmp_path / "detections.csv").read_text() == "of last year\n"
    export("csv", season.path, tmp_path)
    assert (tmp_path / "detections.csv").read_text().startswith("seq,")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_export_leaves_no_file_under_its_name(how: signal.Signals, tmp_path: Path) -> None:
    db, out = tmp_path / "long.db", tmp_path / "out"
    with Store.open(db, station_id="marsh") as store:
        heard = Detection(protocol="ctt-434", tag_id="78664C33", integrity="verified")
        store.append(
            Arrival(heard, NORTH, Stamp(MAY_NS + number * 10**9, "ntp", number, "b"))
            for number in range(25_000)
        )
    program = "from receiver.cli.exporting import export_command; export_command()"
    args = [sys.executable, "-c", program, "csv", "--db", str(db), "--out", str(out)]
    with subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        for _ in _until(lambda: any(path.stat().st_size for path in out.rglob("*.csv"))):
            assert process.poll() is None
        process.send_signal(how)
        process.wait(60)
        assert process.returncode
    assert not (out / "detections.csv").exists()
    if how == signal.SIGTERM:
        assert left_in(out) == []
    assert export("csv", db, out).exit_code == 0
    assert left_in(out) == [out / "detections.csv"]
    with (out / "detections.csv").open(encoding="utf-8") as file:
        assert sum(1 for _ in file) == 25_001


def _until(is_true: object) -> Iterator[None]:
    assert callable(is_true)
    end = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < end
        yield
        time.sleep(0.001)


def test_two_exports_into_one_folder_do_not_mix(season: Season, tmp_path: Path) -> None:
    with Staging(tmp_path):
        result = export("csv", season.path, tmp_path)
        assert result.exit_code == 1
        assert "another export is writing here" in result.output
    assert export("csv", season.path, tmp_path).exit_code == 0


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    folder = tmp_path / ".unfinished-export"
    folder.mkdir()
    (folder / "half.csv").write_text("left over")
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.close(descriptor)
    with Staging(tmp_path) as staging:
        staging.path("sub/whole.csv").write_text("x")
    assert left_in(tmp_path) == [tmp_path / "sub", tmp_path / "sub" / "whole.csv"]


def test_a_folder_that_cannot_be_written_to_is_named(season: Season, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    result = export("csv", season.path, tmp_path / "file" / "out")
    assert result.exit_code == 1
    assert str(tmp_path / "file" / "out") in result.output
    assert "Traceback" not in result.output


def test_a_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = export("csv", tmp_path / "none.db", tmp_path / "out")
    assert result.exit_code == 1
    assert "there is no store here" in result.output
    assert left_in(tmp_path / "out") == []


def test_wrong_metadata_end_it_with_2_before_anything_is_written(
    season: Season, tmp_path: Path
) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text("[project]\ntitel = 'x'\n")
    result = export("csv", season.path, tmp_path / "out", "--metadata", metadata)
    assert result.exit_code == 2
    assert f"{metadata}:2: project.titel" in result.output
    assert left_in(tmp_path / "out") == []


def test_an_example_of_metadata_is_written_but_not_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "metadata.toml"
    first = CliRunner().invoke(export_command, ["--example-metadata", str(path)])
    assert first.exit_code == 0, first.output
    assert load(path).stations[0].id == "my-station"
    path.write_text("mine")
    again = CliRunner().invoke(export_command, ["--example-metadata", str(path)])
    assert again.exit_code == 1
    assert path.read_text() == "mine"


def test_groups_are_the_same_however_many_fit_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    for number, fit in enumerate((3, 1000)):
        monkeypatch.setattr(first_of, "_GROUPS_IN_MEMORY", fit)
        with FirstOf(tmp_path / f"{number}.db") as groups:
            for each in range(500):
                time_text = f"{(each * 7919) % 500:03d}"
                groups.add(f"key {each % 37}", time_text, {"time": time_text})
            told.append(list(groups.groups()))
    assert told[0] == told[1]
    assert sum(group.rows for group in told[0]) == 500
    assert told[0][0].key == "key 0"
    assert told[0][0].first["time"] == min(
        f"{(each * 7919) % 500:03d}" for each in range(0, 500, 37)
    )
