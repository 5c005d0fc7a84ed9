"""A store is read where nothing can be written beside it: a card, a full disk, another's folder."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from doctors_patient import Patient
from small_disks import SmallDisk, small_disk

from protocols.records import Detection
from receiver.arrivals import Arrival, Source, Stamp
from receiver.cli.main import main
from receiver.doctor import store as doctor_of_stores
from receiver.store.database import Store
from receiver.store.errors import StoreError
from receiver.store.queries import DetectionFilter, Reader

TAG = "78664C33"
AT_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Return a small disk."""
    with small_disk(tmp_path / "disk", megabytes=2) as disk:
        yield disk


def a_store(path: Path) -> Store:
    """Return a store, still open, with one detection in it."""
    store = Store.open(path, station_id="marsh")
    source = Source(link="ch1", decoder="ctt/1", antenna="north")
    record = Detection(protocol="ctt-434", tag_id=TAG, integrity="verified")
    store.append([Arrival(record, source, Stamp(AT_NS, "ntp"))])
    return store


def mount_read_only(disk: SmallDisk) -> None:
    """Let nobody write to a disk any more."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True)


def tags_in(path: Path) -> list[str]:
    """Return the tags of a store's detections."""
    with Reader(path) as reader:
        return [row["tag_id"] for row in reader.detections(DetectionFilter())]


@pytest.mark.parametrize("has_empty_log", [False, True])
def test_a_store_on_a_medium_that_cannot_be_written_is_read(
    disk: SmallDisk, *, has_empty_log: bool
) -> None:
    path = disk.folder / "card.db"
    a_store(path).close()
    if has_empty_log:
        path.with_name("card.db-wal").touch()
    mount_read_only(disk)
    assert tags_in(path) == [TAG]


def test_rows_that_are_still_in_the_log_are_not_passed_over_in_silence(
    disk: SmallDisk, tmp_path: Path
) -> None:
    with a_store(tmp_path / "live.db"):
        for end in ("", "-wal"):  # As a card has it that was pulled out of a running station.
            shutil.copy(tmp_path / f"live.db{end}", disk.folder / f"card.db{end}")
    mount_read_only(disk)
    with pytest.raises(StoreError, match=r"newest rows are in card.db-wal.* copy both files"):
        Reader(disk.folder / "card.db")


def test_a_store_on_a_full_disk_is_read(disk: SmallDisk) -> None:
    path = disk.folder / "full.db"
    a_store(path).close()
    disk.fill()
    assert tags_in(path) == [TAG]


def test_a_store_that_cannot_be_opened_is_not_taken_for_something_else(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreError, match=r"cannot be read: .* copy it to another disk"):
        Reader(tmp_path / "folder.db")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody with fewer rights")
def test_who_may_not_write_beside_a_stopped_stations_store_reads_it_all_the_same() -> None:
    reads = (
        "import os, sys; from pathlib import Path; from receiver.store.queries import Reader\n"
        "os.setuid(65534); print(Reader(Path(sys.argv[1])).counts()['detections'])"
    )
    # Not in the test's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "station.db"
        a_store(path).close()
        done = subprocess.run(
            [sys.executable, "-c", reads, path], capture_output=True, text=True, check=False
        )
    assert done.stdout == "1\n", done.stderr


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """Return another program's database."""
    path = tmp_path / "tags.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE tags (id INTEGER)")
    connection.close()
    return path


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("import", "a.csv", "--db"), 2),
        (("demo", "--duration", "0.1", "--db"), 2),
        (("replay", "a.jsonl", "--db"), 2),
        (("redecode", "--db"), 1),
        (("tags", "--db"), 1),
    ],
)
def test_another_programs_database_is_left_as_it_is(
    strangers: Path, command: tuple[str, ...], status: int
) -> None:
    before = strangers.read_bytes()
    result = CliRunner().invoke(main, [*command, str(strangers)])
    assert result.exit_code == status
    assert "another program's database, with the tables tags" in " ".join(result.stderr.split())
    assert strangers.read_bytes() == before
    assert not list(strangers.parent.glob("tags.sqlite-*"))


def test_a_store_path_that_is_another_programs_database_is_warned_of(
    tmp_path: Path, strangers: Path
) -> None:
    patient = Patient(tmp_path)
    patient.text += f'[store]\npath = "{strangers.name}"\n'
    (finding,) = patient.found(doctor_of_stores.store)
    assert (finding.severity, finding.subject) == ("fault", "store.path")
    assert "another program's database" in finding.found
    result = CliRunner().invoke(main, ["check", "-c", str(patient.configuration)])
    assert result.exit_code == 0
    assert "note: store.path" in result.stderr
