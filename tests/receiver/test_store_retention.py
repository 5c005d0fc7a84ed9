"""Retention: the oldest acknowledged rows go first, the others only if the owner allows it."""

import asyncio
from pathlib import Path

import pytest
from store_traffic import AT_NS, SOURCE, is_sound, numbered, numbers, stored

from protocols.records import GpsFix, LogLine, Pulse, Record, RelayHealth, Unknown
from receiver.arrivals import Arrival, Stamp
from receiver.limits import PRUNE_CHUNK_ROWS
from receiver.settings import StoreSettings
from receiver.store.database import Store
from receiver.store.housekeeping import Housekeeping
from receiver.store.outbox import SinkNote
from receiver.store.queries import Reader
from receiver.store.reserve import Reserve
from receiver.store.retention import Retention, acknowledged_seq, prune, retention_of, used_bytes
from receiver.store.sink_queries import sink_backlogs
from receiver.store.writer import Batch, Writer

ONE_SINK = Retention(sinks=("motus",))


def other(record: Record, second: float) -> Arrival:
    return Arrival(record, SOURCE, Stamp(AT_NS + round(second * 1e9), "ntp", 5, "boot-a"))


def file_bytes(path: Path) -> int:
    return path.stat().st_size


def pulse(second: float) -> Arrival:
    return other(Pulse(frequency_offset_hz=1, signal_db=2, raw=b"p"), second)


def prune_all(store: Store, retention: Retention) -> dict[str, int]:
    gone: dict[str, int] = {}
    while (pruned := prune(store, retention, 7)) is not None:
        assert 0 < pruned.rows <= 7
        gone[pruned.table] = gone.get(pruned.table, 0) + pruned.rows
    return gone


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


def acknowledge(store: Store, **marks: int) -> None:
    with store.transaction():
        store.note_sinks(
            [SinkNote(sink=sink, marks={"detections": seq}) for sink, seq in marks.items()], AT_NS
        )


def test_only_what_every_sink_acknowledged_goes(path: Path) -> None:
    with Store.open(path) as store:
        store.append(numbers(range(1, 101)))
        retention = Retention(sinks=("motus", "owner"))
        acknowledge(store, motus=80)
        assert prune_all(store, retention) == {}  # the owner's far end has nothing yet
        acknowledge(store, owner=50, someone_else=3)
        assert acknowledged_seq(store.connection, retention.sinks) == 50
        assert prune_all(store, retention) == {"detections": 50}
    assert stored(path) == list(range(51, 101))


def test_without_sinks_nothing_counts_as_acknowledged(path: Path) -> None:
    with Store.open(path) as store:
        store.append([*numbers(range(1, 50)), pulse(1)])
        acknowledge(store, a_sink_that_was_removed=49)
        assert prune_all(store, Retention()) == {}


def test_a_mark_never_goes_back_nor_beyond_what_was_given_out(path: Path) -> None:
    with Store.open(path) as store:
        acknowledge(store, motus=5)
        assert acknowledged_seq(store.connection, ("motus",)) == 0
        store.append(numbers(range(1, 11)))
        acknowledge(store, motus=8)
        acknowledge(store, motus=3)
    with Reader(path) as reader:
        (backlog,) = sink_backlogs(reader)
    assert (backlog["sink"], backlog["acknowledged_seq"]) == ("motus", 8)


def test_rows_of_other_tables_go_with_the_detections_of_their_time(path: Path) -> None:
    kinds: list[Record] = [
        Pulse(frequency_offset_hz=1, signal_db=2, raw=b"p"),
        Unknown(reason="crc", raw=b"?"),
        LogLine(message="hello"),
        GpsFix(latitude=44.3, longitude=-66.1),
        RelayHealth(relay_id="377"),
    ]
    with Store.open(path) as store:
        for second in range(1, 21):
            store.append([numbered(second), *(other(kind, second + 0.5) for kind in kinds)])
        acknowledge(store, motus=10)
        assert prune_all(store, ONE_SINK) == {
            "detections": 10,
            **dict.fromkeys(
                ("pulses", "unknown_frames", "events", "gps_fixes", "relay_health"), 10
            ),
        }
        assert prune_all(store, Retention(sinks=("motus",), delete_unacknowledged=True)) == {
            "detections": 10,
            **dict.fromkeys(
                ("pulses", "unknown_frames", "events", "gps_fixes", "relay_health"), 10
            ),
        }
    with Reader(path) as reader:
        assert reader.rows_pruned()["pulses"] == {"acknowledged": 10, "unacknowledged": 10}
        assert sum(reader.counts().values()) == 0


def test_the_oldest_of_all_goes_first(path: Path) -> None:
    with Store.open(path) as store:
        store.append([numbered(5), pulse(4), other(LogLine(message="x"), 3)])
        retention = Retention(delete_unacknowledged=True)
        order = []
        while (pruned := prune(store, retention)) is not None:
            order.append(pruned.table)
    assert order == ["events", "pulses", "detections"]


def test_rows_that_stay_are_not_rewritten_and_no_seq_comes_again(path: Path) -> None:
    with Store.open(path) as store:
        store.append(numbers(range(1, 101)))
        before = store.connection.execute("SELECT * FROM detections WHERE seq > 60").fetchall()
        acknowledge(store, motus=60)
        prune_all(store, ONE_SINK)
        assert store.connection.execute("SELECT * FROM detections").fetchall() == before
        acknowledge(store, motus=100)
        prune_all(store, ONE_SINK)
        assert stored(path) == []
    with Store.open(path) as store:
        store.append(numbers([7]))
        assert store.connection.execute("SELECT seq FROM detections").fetchall() == [(101,)]


async def test_a_store_keeps_to_its_size_and_its_file_stops_growing(path: Path) -> None:
    most = 300_000
    writer = Writer(path, "marsh", retention=Retention(max_bytes=most, sinks=("motus",)))
    writer.start()
    for begin in range(0, 40_000, 1_000):
        told = asyncio.Event()
        writer.submit(Batch(numbers(range(begin, begin + 1_000)), on_durable=[told.set]))
        await told.wait()
        writer.note(SinkNote(sink="motus", marks={"detections": begin + 1_000}))
    assert await writer.stop(20) == 0
    with Store.open(path) as store:
        assert most * 0.7 < used_bytes(store.connection) <= most
    kept = stored(path)
    assert kept == list(range(40_000 - len(kept), 40_000))
    assert file_bytes(path) < 1.5 * most + 200_000  # a batch comes before its deletions
    assert writer.housekeeping.rows_pruned["acknowledged"] == 40_000 - len(kept)
    assert is_sound(path)


async def test_a_store_over_its_size_goes_on_when_nothing_may_be_deleted(path: Path) -> None:
    writer = Writer(path, "marsh", retention=Retention(max_bytes=50_000, sinks=("motus",)))
    writer.start()
    for begin in range(0, 5_000, 1_000):
        writer.submit(Batch(numbers(range(begin, begin + 1_000))))
    assert await writer.stop(20) == 0
    assert stored(path) == list(range(5_000))


@pytest.mark.parametrize(("awaited", "gone"), [(True, PRUNE_CHUNK_ROWS), (False, 4_000)])
def test_what_is_heard_waits_for_one_small_deletion_at_most(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, awaited: bool, gone: int
) -> None:
    monkeypatch.setattr("receiver.store.housekeeping.PRUNE_S", 0)
    with Store.open(path) as store:
        store.append(numbers(range(5_000)))
        acknowledge(store, motus=4_000)
        keeping = Housekeeping(
            Retention(max_bytes=20_000, sinks=("motus",)), Reserve(path, size_bytes=4096)
        )
        keeping.keep_to_size(store, lambda: awaited)
    assert stored(path) == list(range(gone, 5_000))
    assert keeping.rows_pruned["acknowledged"] == gone


def test_a_row_that_a_sink_sends_stays_until_its_far_end_has_it(path: Path) -> None:
    with Store.open(path) as store:
        store.append([numbered(100), *(pulse(second) for second in range(20))])
        with store.transaction():
            for sink, last in (("motus", 15), ("owner", 5), ("removed", 1)):
                store.note_sinks([SinkNote(sink=sink, marks={"pulses": last})], AT_NS)
        acknowledge(store, motus=1, owner=1)
        assert prune_all(store, Retention(sinks=("motus", "owner"))) == {
            "detections": 1,
            "pulses": 5,
        }
    with Reader(path) as reader:
        assert reader.counts()["pulses"] == 15


def test_what_is_noted_of_deleted_rows_goes_with_them(path: Path) -> None:
    with Store.open(path) as store:
        store.append(numbers(range(1, 101)))
        with store.transaction() as connection:
            connection.executemany(
                "INSERT INTO redecoded (kept_in, id, decoder, read_utc_ns, verdict)"
                " VALUES (?, ?, 'ctt/2', 1, '{}')",
                [(table, key) for table in ("detections", "pulses") for key in (70, 71)],
            )
            for run, (first, last) in enumerate(((1, 40), (41, 60), (30, 90)), start=1):
                connection.execute(
                    "INSERT INTO runs (protocol, tag, place, first_utc_ns, last_utc_ns, detections,"
                    " verified, confidence, reason) VALUES ('ctt-434', 1, '', ?, ?, 1, 1, 0, '')",
                    (AT_NS + first * 10**9, AT_NS + last * 10**9),
                )
                connection.executemany(
                    "INSERT OR IGNORE INTO detection_runs (seq, run) VALUES (?, ?)",
                    [(seq, run) for seq in range(first, last + 1)],
                )
        acknowledge(store, motus=70)
        prune_all(store, ONE_SINK)
        members = store.connection.execute("SELECT min(seq), count(*) FROM detection_runs")
        assert members.fetchone() == (71, 20)
        assert store.connection.execute("SELECT id FROM runs").fetchall() == [(3,)]
        verdicts = store.connection.execute("SELECT kept_in, id FROM redecoded ORDER BY 1, 2")
        assert verdicts.fetchall() == [("detections", 71), ("pulses", 70), ("pulses", 71)]


def test_the_owners_settings_are_told_in_megabytes() -> None:
    assert retention_of(StoreSettings()) == Retention()
    assert retention_of(StoreSettings(max_size_mb=500, delete_unacknowledged=True), ("a",)) == (
        Retention(max_bytes=500_000_000, sinks=("a",), delete_unacknowledged=True)
    )
