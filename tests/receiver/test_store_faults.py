"""Whatever call to SQLite fails, nothing is lost, nothing is there twice, nothing is told too soon.

Each test lets the N-th call fail, until one run meets no fault at all: for every N in the long
campaigns and for the store alone, for some where a writer stands before it.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from campaign_reports import write_report
from fault_injection import Faults, failing
from store_traffic import SOURCE, is_sound, numbered, numbers, stored

from protocols.records import Detection, Unknown
from receiver.arrivals import ActivityRow, Arrival, ClockSample, Stamp
from receiver.store.database import Store
from receiver.store.errors import StoreError
from receiver.store.outbox import SinkNote
from receiver.store.queries import Reader
from receiver.store.retention import Retention
from receiver.store.writer import Batch, StoreState, Writer

CODES = ("SQLITE_IOERR_WRITE", "SQLITE_FULL", "SQLITE_BUSY")
EVERY = pytest.mark.parametrize(
    "every", [5, pytest.param(1, marks=pytest.mark.soak)], ids=["some", "every"]
)
BATCHES: Sequence[range] = (range(4), range(4, 5), range(5, 60))


def mixed(batch: range) -> list[Arrival]:
    """Return numbered detections, each with an unknown frame: two tables in one transaction."""
    return [
        each
        for detection in numbers(batch)
        for each in (detection, Arrival(Unknown(reason="crc", raw=b"?"), SOURCE, detection.stamp))
    ]


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("code", CODES)
def test_a_store_whose_nth_call_fails_has_all_of_a_batch_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, *, late: bool
) -> None:
    path = tmp_path / "0.db"
    Store.open(path, station_id="marsh").close()
    made = path.read_bytes()
    call = 0
    has_failed = True
    while has_failed:
        call += 1
        path = tmp_path / f"{call}.db"
        path.write_bytes(made)
        kept: list[int] = []
        with failing(monkeypatch, Faults(call, code, late=late)) as faults:
            try:
                store = Store.open(path, station_id="marsh")
            except StoreError:
                store = Store.open(path, station_id="marsh")
            for batch in BATCHES:
                try:
                    store.append(mixed(batch))
                except sqlite3.Error:
                    continue
                kept += batch
            store.close()
        has_failed = faults.failed > 0
        assert stored(path) == kept, f"call {call}"
        with Reader(path) as reader:
            assert reader.counts()["unknown_frames"] == len(kept)
        assert is_sound(path)
    assert call > 30


def test_when_not_even_the_rollback_works_the_first_fault_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    with failing(monkeypatch, Faults(10**9)) as faults, Store.open(path) as store:
        faults.fail_from(faults.calls + 1, calls=10**9)
        with pytest.raises(sqlite3.OperationalError, match="BEGIN"):
            store.append([numbered(1)])
        faults.fail_from(faults.calls + 2, calls=10**9)
        with pytest.raises(sqlite3.OperationalError, match="SELECT"):
            store.append([numbered(1)])
        faults.fail_from(10**9)
    assert stored(path) == []


@EVERY
@pytest.mark.parametrize(
    ("code", "in_a_row"), [*((code, 1) for code in CODES), ("SQLITE_IOERR_FSYNC", 3)]
)
async def test_a_writer_whose_nth_call_fails_keeps_everything_in_order_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, in_a_row: int, every: int
) -> None:
    Store.open(tmp_path / "0.db", station_id="marsh").close()
    made = (tmp_path / "0.db").read_bytes()
    call = 1 - every
    has_failed = True
    while has_failed:
        call += every
        path = tmp_path / f"{call}.db"
        path.write_bytes(made)
        told: list[tuple[int, int]] = []

        def teller(batch: range, path: Path, told: list[tuple[int, int]]) -> Callable[[], None]:
            return lambda: told.append((batch[-1], stored(path)[-1]))

        with failing(monkeypatch, Faults(call, code, calls=in_a_row)) as faults:
            writer = Writer(path, "marsh", retry_first_s=0.0001, reserve_bytes=4096)
            for batch in BATCHES:
                writer.submit(
                    Batch(mixed(batch), [sample()], [hour()], [teller(batch, path, told)])
                )
            writer.start()
            assert await writer.stop(20) == 0
        await asyncio.sleep(0)
        has_failed = faults.failed > 0
        assert stored(path) == list(range(60)), f"call {call}"
        assert [batch for batch, _ in told] == [3, 4, 59]
        assert all(last >= batch for batch, last in told), "told before it was in the store"
        assert writer.state is StoreState.WRITING
        assert is_sound(path)
    assert call > 30
    report_faults(f"faults-writing-{code}-{in_a_row}", call - 1, every)


def sample() -> ClockSample:
    return ClockSample("boot-a", 5, 6, "ntp", "hourly")


def hour() -> ActivityRow:
    return ActivityRow(
        hour_utc_s=3600,
        session="a",
        link="ch1",
        antenna="north",
        listening_s=1,
        frames=1,
        detections=1,
        pulses=0,
        noise_dbm=None,
        rejects={},
    )


@EVERY
@pytest.mark.parametrize("code", CODES)
async def test_deletions_whose_nth_call_fails_take_nothing_that_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, every: int
) -> None:
    with Store.open(tmp_path / "0.db", station_id="marsh") as store:
        store.append(numbers(range(2_000)))
    made = (tmp_path / "0.db").read_bytes()
    retention = Retention(max_bytes=100_000, sinks=("motus",))
    call = 1 - every
    has_failed = True
    while has_failed:
        call += every
        path = tmp_path / f"{call}.db"
        path.write_bytes(made)
        with failing(monkeypatch, Faults(call, code)) as faults:
            writer = Writer(
                path, "marsh", retention=retention, retry_first_s=0.0001, reserve_bytes=4096
            )
            writer.note(SinkNote(sink="motus", marks={"detections": 1_200}))
            writer.submit(Batch(numbers(range(2_000, 2_010))))
            writer.start()
            assert await writer.stop(20) == 0
        has_failed = faults.failed > 0
        kept = stored(path)
        with Reader(path) as reader:
            counted = reader.rows_pruned().get("detections", {"acknowledged": 0})["acknowledged"]
        assert kept == list(range(counted, 2_010)), f"call {call}"
        assert counted <= 1_200
        assert is_sound(path)
    assert (call > 30, counted) == (True, 1_000)
    report_faults(f"faults-deleting-{code}", call - 1, every)


def report_faults(name: str, faults: int, every: int) -> None:
    """Write a long campaign's report; it comes here when every assertion has held."""
    if every == 1:
        write_report(
            name.lower(),
            {"faults_injected": faults, "rows_lost": 0, "rows_twice": 0, "told_too_soon": 0},
        )


def unstorable(tag_id: str, **fields: object) -> Arrival:
    given: dict[str, object] = {
        "protocol": "ctt-434",
        "tag_id": tag_id,
        "integrity": "verified",
        "raw": b"raw bytes of " + tag_id.encode("ascii", "ignore"),
    }
    return Arrival(Detection(**(given | fields)), SOURCE, Stamp(1, "ntp", 5, "boot"))  # type: ignore[arg-type]


async def test_a_row_that_sqlite_refuses_is_kept_as_raw_bytes_and_holds_nothing_up(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    writer = Writer(path, "marsh", retry_first_s=0.001)
    writer.start()
    batch = [
        numbered(1),
        unstorable("A", rssi_dbm=2**70),
        numbered(2),
        unstorable("B", payload=object()),
        unstorable("\ud800C"),
    ]
    writer.submit(Batch(batch))
    writer.submit(Batch([numbered(3)]))
    assert await writer.stop(20) == 0
    assert stored(path) == [1, 2, 3]
    assert writer.rows_unstorable == 3
    with Reader(path) as reader:
        kept = reader.connection.execute("SELECT reason, raw FROM unknown_frames").fetchall()
    assert [tuple(row) for row in kept] == [
        ("unstorable", b"raw bytes of A"),
        ("unstorable", b"raw bytes of B"),
        ("unstorable", b"raw bytes of C"),
    ]


async def test_a_note_of_the_station_that_sqlite_refuses_holds_nothing_up(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    writer = Writer(path, "marsh", retry_first_s=0.001)
    writer.start()
    impossible = ClockSample("boot-a", 2**70, 6, "ntp", "hourly")
    writer.submit(Batch([numbered(1)], clock_samples=[impossible]))
    writer.submit(Batch([numbered(2)], clock_samples=[sample()]))
    assert await writer.stop(20) == 0
    assert stored(path) == [1, 2]
