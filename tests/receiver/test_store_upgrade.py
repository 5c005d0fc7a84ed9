"""A store of every older version is brought to the newest with its rows intact.

`stores/v001.sql` and so on are dumps of stores as each version of the schema left them. Whoever
adds a migration adds the dump of a store of that version.
"""

import contextlib
import re
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fault_injection import Faults, failing
from store_traffic import is_sound, numbered

from receiver.cli.main import main
from receiver.store import schema
from receiver.store.activity_queries import hours_listened
from receiver.store.database import Store, connect
from receiver.store.errors import StoreError
from receiver.store.queries import DetectionFilter, Reader

VERSIONS = sorted((Path(__file__).parent / "stores").glob("v*.sql"))
MIGRATIONS = [migration.name for migration in schema.migrations._migrations]


def store_of(version: Path, path: Path) -> None:
    connection = connect(path, is_new=True)
    connection.executescript(version.read_text(encoding="utf-8"))
    connection.close()


def structure(path: Path) -> set[tuple[str, str, str]]:
    connection = sqlite3.connect(path)
    found = set(connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_schema"))
    connection.close()
    return found


@pytest.mark.parametrize("number", range(1, len(MIGRATIONS) + 1))
def test_every_version_of_the_schema_has_a_store_to_test_the_upgrade_with(number: int) -> None:
    version = Path(__file__).parent / "stores" / f"v{number:03}.sql"
    assert version.exists(), f"dump a store of {MIGRATIONS[number - 1]} to {version}"
    applied = re.findall(r"'(m\d{3}_\w+)'", version.read_text(encoding="utf-8"))
    assert applied == MIGRATIONS[:number]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.stem)
def test_an_older_store_is_upgraded_with_its_rows_and_its_identity(
    tmp_path: Path, version: Path
) -> None:
    path = tmp_path / "a.db"
    store_of(version, path)
    with Store.open(path, station_id="another") as store:
        assert (store.station_id, store.store_uuid[:8]) == ("marsh", "5d0f3a9e")
        store.append([numbered(1)])
    assert is_sound(path)
    with Reader(path) as reader:
        rows = list(reader.detections(DetectionFilter()))
        counts = reader.counts()
        (hour,) = hours_listened(reader, DetectionFilter())
    assert [(row["seq"], row["tag_id"], row["time_quality"]) for row in rows] == [
        (1, "78664C33", "corrected"),
        (3, "61337F34", "ntp"),
        (4, "00000001", "ntp"),  # 2 and 3 had been given out
    ]
    assert (rows[0]["time"], rows[0]["time_stamped"]) == (
        "2027-02-05T00:00:01.000000Z",
        "2026-01-01T00:00:01.000000Z",
    )
    assert (rows[1]["relay_id"], rows[1]["collection"]) == ("3796F5", "17,3,0")
    assert (rows[1]["measurements"], rows[1]["payload"]) == ({"battery_v": 3.9}, "0102")
    assert counts == {
        "detections": 3,
        "pulses": 1,
        "gps_fixes": 1,
        "relay_health": 1,
        "events": 1,
        "unknown_frames": 1,
    }
    assert (hour["listening_s"], hour["rejects"]) == (900, {"crc": 1})


@pytest.mark.parametrize("version", VERSIONS[:-1], ids=lambda version: version.stem)
def test_a_command_says_how_an_older_store_is_brought_up_to_date(
    tmp_path: Path, version: Path
) -> None:
    path = tmp_path / "a.db"
    store_of(version, path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments, "--db", str(path)], prog_name="stopover")

    for command in ("status", "detections", "tags", "runs", "activity"):
        told = run(command)
        assert told.exit_code == 1, told.output
        assert f"stopover redecode --db {path}" in told.output
    done = run("redecode")
    assert done.exit_code == 0, done.output
    for command in ("status", "detections"):
        assert run(command).exit_code == 0
    assert is_sound(path)


def test_the_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    with pytest.raises(StoreError):
        Store.open(path, create=False)
    assert {name for _, name, _ in structure(path)} == {"birds"}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.stem)
def test_an_upgraded_store_is_built_like_a_new_one(tmp_path: Path, version: Path) -> None:
    store_of(version, tmp_path / "old.db")
    for name in ("old.db", "new.db"):
        Store.open(tmp_path / name).close()
    assert structure(tmp_path / "old.db") == structure(tmp_path / "new.db")


@pytest.mark.parametrize(
    "every", [5, pytest.param(1, marks=pytest.mark.soak)], ids=["some", "every"]
)
def test_an_upgrade_that_fails_at_any_point_is_done_by_the_next_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    call, failed = 1, True
    while failed:
        path = tmp_path / f"{call}.db"
        store_of(VERSIONS[0], path)
        with failing(monkeypatch, Faults(call)) as faults, contextlib.suppress(StoreError):
            Store.open(path).close()
        failed = faults.failed > 0
        with Store.open(path) as store:
            assert store.station_id == "marsh"
            store.append([numbered(1)])
        assert is_sound(path)
        with Reader(path) as reader:
            assert [row["seq"] for row in reader.detections(DetectionFilter())] == [1, 3, 4]
        call += every
    assert call > 20
