"""The writer: everything in order, nothing told durable before it is, faults survived by itself."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from protocols.records import Detection
from receiver.arrivals import Arrival, Source, Stamp
from receiver.store import writer as writer_module
from receiver.store.faults import Fault
from receiver.store.queries import DetectionFilter, Reader
from receiver.store.writer import Batch, StoreState, Writer

SOURCE = Source(link="ch1", decoder="ctt/1")


def batch(*tag_ids: str, on_durable: Callable[[], None] | None = None) -> Batch:
    arrivals = [
        Arrival(
            Detection(protocol="ctt-434", tag_id=tag_id, integrity="verified"),
            SOURCE,
            Stamp(1_767_225_600_000_000_000, "ntp", 5, "boot"),
        )
        for tag_id in tag_ids
    ]
    return Batch(arrivals, on_durable=[on_durable] if on_durable else [])


def tag_ids(path: Path) -> list[str]:
    with Reader(path) as reader:
        return [row["tag_id"] for row in reader.detections(DetectionFilter())]


async def test_batches_are_kept_in_order_and_told_after_they_are_on_the_disk(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    writer = Writer(path, "marsh")
    writer.start()
    seen_when_told: list[list[str]] = []
    told = asyncio.Event()

    def on_durable() -> None:
        seen_when_told.append(tag_ids(path))
        told.set()

    writer.submit(batch("00000007", "00000019", on_durable=on_durable))
    writer.submit(batch("0000001E"))
    await told.wait()
    assert await writer.stop(5) == 0
    assert seen_when_told[0][:2] == ["00000007", "00000019"]
    assert tag_ids(path) == ["00000007", "00000019", "0000001E"]
    assert writer.state is StoreState.WRITING


async def test_a_station_that_heard_nothing_has_a_store_all_the_same(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.db", "marsh")
    writer.start()
    assert await writer.stop(5) == 0
    assert tag_ids(tmp_path / "a.db") == []


async def test_a_damaged_store_is_set_aside_and_a_new_one_takes_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"no database at all" * 1000)
    writer = Writer(path, "marsh", now_utc_ns=lambda: 1_767_225_600_000_000_000)
    writer.start()
    writer.submit(batch("78664C33"))
    assert await writer.stop(5) == 0
    assert tag_ids(path) == ["78664C33"]
    aside = tmp_path / "a.db.damaged-20260101T000000Z"
    assert aside.read_bytes().startswith(b"no database")
    assert writer.stores_set_aside == 1


async def test_a_store_damaged_while_it_runs_is_set_aside_too(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    writer = Writer(path, "marsh", now_utc_ns=lambda: 1_767_225_600_000_000_000)
    writer.start()
    told = asyncio.Event()
    writer.submit(batch("78664C33", on_durable=told.set))
    await told.wait()
    for name in ("a.db", "a.db-wal", "a.db-shm"):
        file = tmp_path / name
        file.write_bytes(b"\xa5" * file.stat().st_size)
    told.clear()
    writer.submit(batch("61337F34", on_durable=told.set))
    await told.wait()
    assert await writer.stop(5) == 0
    assert tag_ids(path)[-1:] == ["61337F34"]


async def test_a_full_disk_is_a_named_state_and_ends_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = True
    failing = threading.Event()
    plain_write, plain_tell = Writer._write, Writer._tell_failing

    def tell_failing(self: Writer, error: Exception, fault: Fault) -> None:
        plain_tell(self, error, fault)
        failing.set()

    monkeypatch.setattr(Writer, "_tell_failing", tell_failing)

    def write(self: Writer, each: Batch) -> None:
        plain_write(self, Batch())
        if full:
            store = self._store
            assert store is not None
            pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
            store.connection.execute(f"PRAGMA max_page_count = {pages}")
        else:
            assert self._store is not None
            self._store.connection.execute("PRAGMA max_page_count = 1000000")
        plain_write(self, each)

    monkeypatch.setattr(Writer, "_write", write)
    writer = Writer(tmp_path / "a.db", "marsh", retry_first_s=0.01)
    writer.start()
    told = asyncio.Event()
    many = [f"{number:08X}" for number in range(500)]
    writer.submit(batch(*many, on_durable=told.set))
    assert await asyncio.to_thread(failing.wait, 60)
    assert str(writer.state) == "disk-full"
    assert not told.is_set()
    full = False
    await told.wait()
    assert str(writer.state) == "writing"
    assert await writer.stop(5) == 0
    assert tag_ids(tmp_path / "a.db") == many


async def test_stop_gives_up_at_its_deadline_and_counts_what_was_not_kept(tmp_path: Path) -> None:
    missing = tmp_path / "no-such-folder" / "a.db"
    writer = Writer(missing, "marsh", retry_first_s=30)
    writer.start()
    writer.submit(batch("78664C33", "61337F34"))
    begun = time.monotonic()
    assert await writer.stop(0.2) == 2
    assert time.monotonic() - begun < 25
    assert writer.state is StoreState.FAILING


async def test_a_busy_store_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"
    attempts = 0
    plain_write = Writer._write

    def write(self: Writer, each: Batch) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise sqlite3.OperationalError("database is locked")
        plain_write(self, each)

    monkeypatch.setattr(writer_module.Writer, "_write", write)
    writer = Writer(path, "marsh", retry_first_s=0.01)
    writer.start()
    writer.submit(batch("78664C33"))
    assert await writer.stop(5) == 0
    assert attempts == 2
    assert tag_ids(path) == ["78664C33"]
