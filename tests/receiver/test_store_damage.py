"""A damaged store is found within a bounded time and set aside; what is heard goes into a new one.

Every kind of damage that a power cut or a worn card leaves behind, to a store of some size.
"""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from store_traffic import AT_NS, is_sound, numbers, stored

from receiver.store import damage, database
from receiver.store.database import Store
from receiver.store.errors import StoreDamagedError, StoreError
from receiver.store.writer import Batch, StoreState, Writer

OLD = range(3_000)
NEW = range(10_000, 10_003)


def some_store(path: Path) -> None:
    """Write a store that was not closed: part of it is in the file, part of it in the log."""
    with Store.open(path, station_id="marsh") as store:
        store.append(numbers(OLD[:2_900]))
    copies = {}
    with Store.open(path) as store:
        store.append(numbers(OLD[2_900:]))
        for suffix in ("", "-wal"):
            copies[suffix] = path.with_name(path.name + suffix).read_bytes()
    for suffix, contents in copies.items():
        path.with_name(path.name + suffix).write_bytes(contents)


def overwrite(path: Path, at: int, contents: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(contents)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if "shm" not in file.name}


def header(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()  # it may hold the first page whole
    overwrite(path, 0, b"\xff" * 100)


def first_page_zeroed(path: Path) -> None:
    overwrite(path, 0, bytes(4096))


def middle_pages(path: Path) -> None:
    overwrite(path, path.stat().st_size // 2 // 512 * 512, b"\xa5" * 4096)


def truncated(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 3)


def emptied_beside_its_log(path: Path) -> None:
    path.write_bytes(b"")


def gone_but_for_its_log(path: Path) -> None:
    path.unlink()


def another_programs_text(path: Path) -> None:
    path.write_bytes(b"2026-01-01 00:00:00 something else\n" * 1_000)


DAMAGES: tuple[Callable[[Path], None], ...] = (
    header,
    first_page_zeroed,
    middle_pages,
    truncated,
    emptied_beside_its_log,
    gone_but_for_its_log,
    another_programs_text,
)


@pytest.mark.parametrize("damaging", DAMAGES)
async def test_a_damaged_store_is_set_aside_whole_and_rows_that_waited_go_into_a_new_one(
    tmp_path: Path, damaging: Callable[[Path], None]
) -> None:
    path = tmp_path / "a.db"
    some_store(path)
    damaging(path)
    left = contents(tmp_path)
    writer = Writer(path, "marsh", now_utc_ns=lambda: AT_NS)
    writer.submit(Batch(numbers(NEW)))  # it was heard while the store was being looked at
    begun = time.monotonic()
    writer.start()
    assert await writer.stop(30) == 0
    assert time.monotonic() - begun < 25
    assert (writer.stores_set_aside, stored(path)) == (1, list(NEW))
    aside = tmp_path / "a.db.damaged-20260101T000000Z"
    if aside.exists():  # SQLite moves what a sound log holds into the file when it closes it
        assert len(aside.read_bytes()) >= len(left["a.db"])
    else:
        assert aside.with_name(aside.name + "-wal").read_bytes() == left["a.db-wal"]


def test_a_first_page_that_the_log_still_holds_is_mended_by_it(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    some_store(path)
    overwrite(path, 0, b"\xff" * 100)
    assert damage.check(path) is True
    assert stored(path) == list(OLD)


def garbled(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    overwrite(log, 0, b"\xa5" * log.stat().st_size)


def zeroed(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    overwrite(log, 0, bytes(log.stat().st_size))


def garbled_in_the_middle(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    overwrite(log, log.stat().st_size // 2, b"\xa5" * 700)


@pytest.mark.parametrize("damaging", [garbled, zeroed, garbled_in_the_middle])
async def test_a_damaged_log_costs_what_it_held_and_the_store_goes_on(
    tmp_path: Path, damaging: Callable[[Path], None]
) -> None:
    path = tmp_path / "a.db"
    some_store(path)
    damaging(path)
    writer = Writer(path, "marsh")
    writer.start()
    writer.submit(Batch(numbers(NEW)))
    assert await writer.stop(30) == 0
    assert writer.stores_set_aside == 0
    kept = stored(path)
    assert kept[-3:] == list(NEW)
    assert kept[:-3] == list(OLD[: len(kept) - 3])
    assert len(kept) >= 2_900 + 3
    assert is_sound(path)


def test_an_index_that_does_not_agree_with_its_table_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Store.open(path, station_id="marsh") as store:
        store.append(numbers(OLD[:200]))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema = ON")
    (root,) = connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE tbl_name = 'texts' AND type = 'index'"
    ).fetchone()
    # An empty index leaf: sound in itself, and it knows none of the texts.
    connection.close()
    overwrite(path, (root - 1) * 512, b"\x0a\0\0\0\0\2\0\0" + bytes(504))
    assert not is_sound(path)
    assert damage.check(path) is True
    assert is_sound(path)
    with Store.open(path) as store:
        store.append(numbers(OLD[200:300]))
        texts = store.connection.execute("SELECT count(*), count(DISTINCT text) FROM texts")
        assert len(set(texts.fetchone())) == 1
    assert stored(path) == list(OLD[:300])


def test_two_numbers_for_one_tag_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Store.open(path, station_id="marsh") as store:
        store.append(numbers(OLD[:5]))
        ((sql, root),) = store.connection.execute(
            "SELECT sql, rootpage FROM sqlite_schema WHERE name = 'texts'"
        ).fetchall()
    with sqlite3.connect(path, isolation_level=None) as connection:
        # The same table, told without its index, takes the text twice.
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("CREATE TABLE unbound (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
        connection.execute("UPDATE sqlite_schema SET rootpage = ? WHERE name = 'unbound'", (root,))
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("INSERT INTO unbound (text) SELECT text FROM unbound LIMIT 1")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'unbound'")
    assert "UNIQUE" in sql
    with pytest.raises(StoreDamagedError):
        damage.check(path)


def test_the_check_of_a_large_store_ends_when_its_time_is_over(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Store.open(path, station_id="marsh") as store:
        store.append(numbers([1]))
        with store.transaction() as connection:
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"
                " INSERT INTO detections (source, utc_ns, clock, tag, integrity, raw)"
                " SELECT 1, i, 2, 1, 0, randomblob(60) FROM n"
            )
    begun = time.thread_time()
    assert damage.check(path) is True
    whole_s = time.thread_time() - begun
    begun = time.thread_time()
    assert damage.check(path, longest_s=0.01) is False
    assert time.thread_time() - begun < whole_s


async def test_a_store_of_a_newer_version_is_set_aside_too(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    some_store(path)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('stopover', 'm999_from_the_future', '2030')"
        )
    connection.close()
    writer = Writer(path, "marsh", now_utc_ns=lambda: AT_NS)
    writer.start()
    writer.submit(Batch(numbers(NEW)))
    assert await writer.stop(30) == 0
    assert stored(path) == list(NEW)
    assert stored(tmp_path / "a.db.newer-20260101T000000Z") == list(OLD)


async def test_a_store_on_a_worn_place_of_the_card_is_set_aside_after_some_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    some_store(path)
    inode = path.stat().st_ino
    plain = damage.check

    def check(path: Path) -> bool:
        if path.exists() and path.stat().st_ino == inode:
            unreadable = sqlite3.OperationalError("disk I/O error")
            unreadable.sqlite_errorname = "SQLITE_IOERR_READ"
            raise database.explained(path, unreadable) from unreadable
        return plain(path)

    monkeypatch.setattr("receiver.store.writer.check", check)
    writer = Writer(path, "marsh", retry_first_s=0.001)
    writer.start()
    writer.submit(Batch(numbers(NEW)))
    assert await writer.stop(30) == 0
    assert (writer.stores_set_aside, stored(path)) == (1, list(NEW))


async def test_a_damaged_store_that_cannot_be_renamed_does_not_end_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"no database at all" * 1_000)
    refusals = 3
    plain = damage.set_aside

    def set_aside(path: Path, now_utc_ns: int, why: str) -> Path:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            raise PermissionError(13, "Permission denied")
        return plain(path, now_utc_ns, why)

    monkeypatch.setattr("receiver.store.writer.set_aside", set_aside)
    writer = Writer(path, "marsh", retry_first_s=0.001)
    writer.start()
    writer.submit(Batch(numbers(NEW)))
    assert await writer.stop(30) == 0
    assert (writer.state, stored(path)) == (StoreState.WRITING, list(NEW))


def test_an_empty_store_beside_a_log_is_not_opened_since_that_would_delete_the_log(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    some_store(path)
    path.write_bytes(b"")
    with pytest.raises(StoreDamagedError, match=r"a\.db-wal"):
        Store.open(path)
    with pytest.raises(StoreError):
        damage.check(path)
    assert path.with_name("a.db-wal").stat().st_size > 0
