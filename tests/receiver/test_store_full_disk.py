"""A full disk is a state with a name: what is heard waits, old rows make room, and it ends."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disks import SmallDisk, small_disk
from store_traffic import is_sound, numbers, stored

from receiver.activity import Activity
from receiver.clock import Clock
from receiver.intakes.stream import StreamIntake
from receiver.limits import MAX_BATCH_ROWS
from receiver.links.intake import LinkStatus
from receiver.pipeline import Pipeline
from receiver.settings import SerialLink
from receiver.store.database import Store
from receiver.store.outbox import SinkNote
from receiver.store.queries import Reader
from receiver.store.reserve import Reserve
from receiver.store.retention import Retention
from receiver.store.writer import Batch, StoreState, Writer

RESERVE_BYTES = 1_500_000
"""More than the log of these tests ever has."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", megabytes=6) as disk:
        yield disk


def last_seq(path: Path) -> int:
    """Return the last `seq` that was given out."""
    with Reader(path) as reader:
        (last,) = reader.connection.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'detections'"
        ).fetchone()
    return int(last)


class States:
    """The states that a writer goes through, for tests to wait for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = threading.Event()
        plain = Writer._tell_failing

        def tell_failing(writer: Writer, error: Exception, fault: object) -> None:
            plain(writer, error, fault)  # type: ignore[arg-type]
            if writer.state is StoreState.DISK_FULL:
                self.full.set()

        monkeypatch.setattr(Writer, "_tell_failing", tell_failing)


def a_writer(path: Path, retention: Retention | None = None) -> Writer:
    return Writer(
        path,
        "marsh",
        retention=retention,
        reserve_bytes=RESERVE_BYTES,
        retry_first_s=0.01,
    )


async def test_reception_goes_on_in_bounded_memory_and_the_disk_is_used_again_once_it_has_room(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = States(monkeypatch)
    monkeypatch.setattr("receiver.waiting_rows.MAX_WAITING_ROWS", 12_000)
    path = disk.folder / "a.db"
    writer = a_writer(path)
    pipeline = Pipeline(Clock(), writer, Activity(0), commit_interval_s=0.05)
    intake = StreamIntake(pipeline, SerialLink("ch1", "/dev/null"), LinkStatus("ch1"))
    writer.start()
    told = asyncio.Event()
    writer.submit(Batch(on_durable=[told.set]))
    await told.wait()
    disk.fill(leaving_bytes=100_000)
    heard = 0
    while not states.full.is_set():
        intake.received(b"78664c3304,-75\n" * 500)
        heard += 500
        await asyncio.sleep(0.001)
    assert str(writer.state) == "disk-full"
    for _ in range(30):  # reception goes on: 15,000 rows, of which 12,000 may wait
        intake.received(b"78664c3304,-75\n" * 500)
        heard += 500
    assert pipeline.heard.detections == heard
    assert pipeline.waiting_rows == 12_000
    dropped = pipeline.heard.dropped_rows
    assert dropped >= 3_000
    disk.free()
    told.clear()
    writer.submit(Batch(on_durable=[told.set]))
    await asyncio.wait_for(told.wait(), 20)
    assert str(writer.state) == "writing"
    pipeline.flush()
    assert await writer.stop(20) == 0
    await asyncio.sleep(0)
    with Reader(path) as reader:
        assert reader.counts()["detections"] == heard - dropped
    assert pipeline.waiting_rows == 0
    assert is_sound(path)


async def test_on_a_full_disk_acknowledged_rows_make_room_and_the_others_stay(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = States(monkeypatch)
    path = disk.folder / "a.db"
    writer = a_writer(path, Retention(sinks=("motus",)))
    writer.start()
    told = asyncio.Event()
    writer.submit(Batch(numbers(range(5_000)), on_durable=[told.set]))
    await told.wait()
    assert writer.housekeeping.reserve.is_held
    disk.fill()
    told.clear()
    for begin in range(5_000, 15_000, MAX_BATCH_ROWS):
        writer.submit(Batch(numbers(range(begin, begin + MAX_BATCH_ROWS))))
    writer.submit(Batch(on_durable=[told.set]))
    assert await asyncio.to_thread(states.full.wait, 20)
    assert not told.is_set()
    assert stored(path)[0] == 0  # nothing was acknowledged: nothing may go
    writer.note(SinkNote(sink="motus", marks={"detections": 30_000}))  # no seq of the future counts
    while not told.is_set():
        await asyncio.sleep(0.05)
        last = last_seq(path)
        writer.note(SinkNote(sink="motus", marks={"detections": last}))
    assert not writer.housekeeping.reserve.path.exists()  # the disk is as full as before
    assert await writer.stop(20) == 0
    kept = stored(path)
    with Reader(path) as reader:
        pruned = reader.rows_pruned()["detections"]
    assert kept == list(range(15_000 - len(kept), 15_000))
    assert pruned == {"acknowledged": 15_000 - len(kept), "unacknowledged": 0}
    assert is_sound(path)


async def test_an_owner_may_let_old_rows_go_on_a_full_disk_and_they_are_counted(
    disk: SmallDisk,
) -> None:
    path = disk.folder / "a.db"
    writer = a_writer(path, Retention(delete_unacknowledged=True))
    writer.start()
    writer.submit(Batch(numbers(range(5_000))))
    told = asyncio.Event()
    writer.submit(Batch(on_durable=[told.set]))
    await told.wait()
    disk.fill()
    for begin in range(5_000, 20_000, 1_000):
        writer.submit(Batch(numbers(range(begin, begin + 1_000))))
    assert await writer.stop(20) == 0
    kept = stored(path)
    assert kept == list(range(20_000 - len(kept), 20_000))
    assert 1_000 < len(kept) < 15_000
    with Reader(path) as reader:
        assert reader.rows_pruned() == {
            "detections": {"acknowledged": 0, "unacknowledged": 20_000 - len(kept)}
        }
    assert writer.housekeeping.rows_pruned["unacknowledged"] == 20_000 - len(kept)


@pytest.mark.parametrize("rows", [1, 2_000], ids=["without a fault", "after a fault"])
async def test_once_the_disk_has_room_the_reserve_is_taken_and_no_row_is_deleted(
    disk: SmallDisk, rows: int
) -> None:
    path = disk.folder / "a.db"
    with Store.open(path, station_id="marsh") as store:
        store.append(numbers(range(2_000)))
    disk.fill(leaving_bytes=RESERVE_BYTES - 200_000)
    writer = a_writer(path, Retention(delete_unacknowledged=True))
    writer.start()
    told = asyncio.Event()
    writer.submit(Batch(on_durable=[told.set]))
    await told.wait()
    assert not writer.housekeeping.reserve.path.exists()
    disk.free()
    writer.submit(Batch(numbers(range(2_000, 2_000 + rows))))
    assert await writer.stop(20) == 0
    assert writer.housekeeping.reserve.is_held
    assert stored(path) == list(range(2_000 + rows))


async def test_a_batch_larger_than_the_room_that_can_be_made_goes_in_by_parts(
    disk: SmallDisk,
) -> None:
    path = disk.folder / "a.db"
    writer = a_writer(path, Retention(delete_unacknowledged=True))
    writer.start()
    told = asyncio.Event()
    writer.submit(Batch(numbers(range(1_000)), on_durable=[told.set]))
    await told.wait()
    disk.fill()
    told.clear()
    writer.submit(Batch(numbers(range(1_000, 10_000)), on_durable=[told.set]))
    await asyncio.wait_for(told.wait(), 20)
    kept = stored(path)
    assert kept == list(range(10_000 - len(kept), 10_000))
    assert await writer.stop(20) == 0


def test_without_the_reserve_not_even_a_deletion_can_be_written(disk: SmallDisk) -> None:
    path = disk.folder / "a.db"
    with Store.open(path) as store:
        reserve = Reserve(path, RESERVE_BYTES)
        assert reserve.take()
        store.append(numbers(range(10_000)))
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        disk.fill()
        deletion = "DELETE FROM detections WHERE seq <= 5000"
        with pytest.raises(sqlite3.OperationalError, match="full"):
            store.connection.execute(deletion)
        with reserve.opened():
            store.connection.execute(deletion)
            assert store.connection.execute("PRAGMA wal_checkpoint").fetchone()[0] == 0
        store.append(numbers(range(10_000, 12_000)))  # into the pages that were freed
    assert stored(path) == list(range(5_000, 12_000))


def test_the_reserve_is_taken_whole_or_not_at_all(disk: SmallDisk) -> None:
    reserve = Reserve(disk.folder / "a.db", RESERVE_BYTES)
    disk.fill(leaving_bytes=RESERVE_BYTES - 100_000)
    assert not reserve.take()
    assert not reserve.path.exists()
    disk.free()
    assert reserve.take()
    assert reserve.is_held
    assert disk.free_bytes() < 6 * 2**20 - RESERVE_BYTES


@pytest.mark.parametrize("acknowledged", [False, True])
async def test_a_store_that_may_not_grow_takes_rows_again_when_others_may_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, acknowledged: bool
) -> None:
    """The same without a small disk: SQLite's own bound on the size of a file."""
    states = States(monkeypatch)
    path = tmp_path / "a.db"
    monkeypatch.setattr("receiver.store.housekeeping._UNBOUNDED_PAGES", 600)
    writer = a_writer(path, Retention(sinks=("motus",)))
    writer.start()
    for begin in range(0, 6_000, 100):
        writer.submit(Batch(numbers(range(begin, begin + 100))))
    assert await asyncio.to_thread(states.full.wait, 20)
    if not acknowledged:
        assert await writer.stop(0.1) > 0
        assert stored(path)[0] == 0
        return
    stopping = asyncio.create_task(writer.stop(20))
    while not stopping.done():
        await asyncio.sleep(0.02)
        last = last_seq(path)
        writer.note(SinkNote(sink="motus", marks={"detections": last}))
    assert await stopping == 0
    assert stored(path)[-1] == 5_999
    assert is_sound(path)
