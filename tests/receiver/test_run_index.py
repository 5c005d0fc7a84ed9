"""The run index: stored detections are sorted into runs behind the writer, and survive faults."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fault_injection import Faults, failing

from protocols.records import Detection, Integrity
from receiver import run_index
from receiver.arrivals import Arrival, RunRow, Source, Stamp
from receiver.cli.main import main
from receiver.confidence import Confidence
from receiver.run_index import RunIndex, RunSorting, index_runs
from receiver.runs import RUN_GAP_NS
from receiver.store.database import Store
from receiver.store.queries import DetectionFilter, Reader
from receiver.store.writer import Batch, Writer

S = 10**9
BEGIN_NS = 1_790_000_000 * S
TAG = "344C2A55"
TWIN = "B44C2A55"  # A mutilation of it: bit 7 of the first byte.
NORTH = Source(link="ch1", decoder="ctt/1", antenna="north")
SOUTH = Source(link="ch2", decoder="ctt/1", antenna="south")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "marsh.db", station_id="marsh") as opened:
        yield opened


def heard(
    at_s: float,
    tag_id: str = TAG,
    integrity: Integrity = "verified",
    *,
    source: Source = NORTH,
    id_legal: bool = True,
    protocol: str = "ctt-434",
    run: int | None = None,
) -> Arrival:
    detection = Detection(
        protocol=protocol, tag_id=tag_id, integrity=integrity, id_legal=id_legal, raw=b"x"
    )
    return Arrival(detection, source, Stamp(BEGIN_NS + round(at_s * S), "ntp"), run)


def runs_of(store: Store) -> list[tuple[int, int | None]]:
    """Return seq and run of every detection."""
    return [
        tuple(row)
        for row in store.connection.execute("SELECT seq, run FROM readable_detections ORDER BY seq")
    ]


def run_rows(store: Store) -> list[dict[str, Any]]:
    cursor = store.connection.execute(
        "SELECT runs.id AS id, texts.text AS tag_id, place, detections, verified, reason"
        " FROM runs JOIN texts ON texts.id = tag ORDER BY runs.id"
    )
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def indexed(store: Store) -> int:
    return int(store.connection.execute("SELECT indexed_seq FROM run_index").fetchone()[0])


def told(store: Store, least: Confidence = "false") -> list[tuple[str, str, str]]:
    with Reader(store.path) as reader:
        return [
            (row["tag_id"], row["confidence"], row["confidence_reason"])
            for row in reader.detections(DetectionFilter(min_confidence=least))
        ]


def test_detections_are_sorted_once_in_the_order_of_seq(store: Store) -> None:
    store.append([heard(0), heard(5), heard(6, source=SOUTH), heard(10)])
    index = RunIndex(store)
    assert index.advance() == 4
    assert index.advance() == 0
    first, second, other, third = (run for _, run in runs_of(store))
    assert first == second == third != other
    assert {row["id"]: (row["place"], row["detections"]) for row in run_rows(store)} == {
        first: ("north", 3),
        other: ("south", 1),
    }
    assert indexed(store) == 4


def test_an_open_run_goes_on_in_its_own_row(store: Store) -> None:
    index = RunIndex(store)
    for at_s in (0, 5, 10):
        store.append([heard(at_s)])
        index.advance()
    (row,) = run_rows(store)
    assert (row["id"], row["detections"], row["verified"]) == (1, 3, 3)


def test_a_run_that_has_ended_is_not_gone_on_with(store: Store) -> None:
    index = RunIndex(store)
    store.append([heard(0)])
    index.advance()
    store.append([heard(RUN_GAP_NS / S + 1)])
    index.advance()
    assert runs_of(store) == [(1, 1), (2, 2)]


def test_many_rows_are_sorted_in_portions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_index, "ROWS_AT_ONCE", 3)
    store.append([heard(at_s) for at_s in range(8)])
    index = RunIndex(store)
    assert [index.advance() for _ in range(4)] == [3, 3, 2, 0]
    assert {run for _, run in runs_of(store)} == {1}


def test_rows_that_were_deleted_are_passed_over(store: Store) -> None:
    store.append([heard(0), heard(5), heard(10)])
    store.connection.execute("DELETE FROM detections WHERE seq < 3")
    index_runs(store)
    assert runs_of(store) == [(3, 1)]
    assert indexed(store) == 3


def test_coded_ids_are_left_to_their_own_decoder(store: Store) -> None:
    verdict = RunRow(
        number=7,
        protocol="coded-id",
        tag_id="Marsh#1",
        place="3",
        first_utc_ns=BEGIN_NS,
        last_utc_ns=BEGIN_NS,
        detections=1,
        verified=0,
        confidence="likely",
        reason="1-bursts",
    )
    with store.transaction():
        store.put_run(verdict)
        store.insert(
            store.row_maker.rows(
                [
                    heard(0, "Marsh#1", "unverified", protocol="coded-id", run=7),
                    heard(1, "lotek#117", "unverified", protocol="coded-id"),
                    heard(2),
                ]
            )
        )
    index_runs(store)
    # A new index takes its evidence from the rows before its mark: not from these either.
    index_runs(store)
    assert runs_of(store) == [(1, 1), (2, None), (3, 2)]
    assert store.connection.execute("SELECT seq, run FROM detection_runs").fetchall() == [(3, 2)]
    assert told(store)[:2] == [
        ("Marsh#1", "likely", "1-bursts"),
        ("lotek#117", "doubtful", "told-without-a-run"),
    ]


async def test_half_a_batch_knows_its_runs_too(tmp_path: Path) -> None:
    verdict = RunRow(
        number=7,
        protocol="coded-id",
        tag_id="Marsh#1",
        place="3",
        first_utc_ns=BEGIN_NS,
        last_utc_ns=BEGIN_NS,
        detections=2,
        verified=0,
        confidence="doubtful",
        reason="2-bursts",
    )
    bursts = [heard(at, "Marsh#1", "unverified", protocol="coded-id", run=7) for at in (0, 2)]
    writer = Writer(tmp_path / "marsh.db", "marsh")
    writer.start()
    batch = Batch(bursts, runs=[verdict])
    # As on a disk with little room: the first half now, the rest when there is more.
    await asyncio.to_thread(writer._write_first_half, batch)
    writer.submit(batch)
    assert await writer.stop(5) == 0
    with Store.open(tmp_path / "marsh.db") as opened:
        assert runs_of(opened) == [(1, 1), (2, 1)]


def test_after_a_restart_runs_begin_anew_and_what_was_heard_still_counts(store: Store) -> None:
    store.append([heard(5 * number) for number in range(100)])
    index_runs(store)
    # Another process: the twin's mother is known from before its mark.
    store.append([heard(510, TWIN, "unverified"), heard(515)])
    index_runs(store)
    assert [(row["tag_id"], row["reason"]) for row in run_rows(store)] == [
        (TAG, "verified-repeatedly"),
        (TWIN, f"bit-7-of-{TAG}"),
        (TAG, "verified-repeatedly"),
    ]
    assert runs_of(store)[-3:] == [(100, 1), (101, 2), (102, 3)]


def test_without_that_evidence_the_twin_would_be_taken_for_a_tag(store: Store) -> None:
    store.append([heard(510, TWIN, "unverified")])
    index_runs(store)
    assert run_rows(store)[0]["reason"] == "without-checksum"


@pytest.mark.parametrize("statement", ["write_run", "detection_runs", "run_index"])
def test_a_step_that_fails_is_rolled_back_and_done_again_by_the_next_index(
    store: Store, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    store.append([heard(0), heard(5)])
    index = RunIndex(store)
    with monkeypatch.context() as broken:
        if statement == "write_run":

            def full(*_: object) -> int:
                raise sqlite3.OperationalError("database or disk is full")

            broken.setattr(store, "write_run", full)
        else:
            store.connection.execute(
                f"CREATE TRIGGER full BEFORE {'INSERT' if '_runs' in statement else 'UPDATE'} ON"
                f" {statement} BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
            )
        with pytest.raises(sqlite3.Error, match="full"):
            index.advance()
    assert runs_of(store) == [(1, None), (2, None)]
    assert (indexed(store), run_rows(store)) == (0, [])
    store.connection.execute("DROP TRIGGER IF EXISTS full")
    index_runs(store)
    assert runs_of(store) == [(1, 1), (2, 1)]
    assert run_rows(store)[0]["detections"] == 2


def test_whatever_statement_fails_nothing_is_lost_and_nothing_counts_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = [heard(0), heard(5), heard(6, source=SOUTH), heard(10)]
    fails_at, failed = 0, 1
    while failed:
        fails_at += 1
        path = tmp_path / f"{fails_at}.db"
        faults = Faults(0)
        with failing(monkeypatch, faults), Store.open(path) as opened:
            opened.append(arrivals)
            faults.fail_from(faults.calls + fails_at)
            sorting = RunSorting(every_s=0)
            with contextlib.suppress(sqlite3.Error):
                sorting.step(opened, lambda: False)
            failed = faults.failed
            faults.fail_from(0)
            sorting.finish(opened)
            counts = {row["place"]: row["detections"] for row in run_rows(opened)}
            assert counts == {"north": 3, "south": 1}, fails_at
            assert None not in {run for _, run in runs_of(opened)}, fails_at
    assert fails_at > 8


def test_the_chore_makes_a_new_index_after_a_fault(store: Store) -> None:
    store.append([heard(0)])
    sorting = RunSorting(every_s=0)
    store.connection.execute(
        "CREATE TRIGGER full BEFORE UPDATE ON run_index"
        " BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
    )
    with pytest.raises(sqlite3.Error):
        sorting.step(store, lambda: False)
    store.connection.execute("DROP TRIGGER full")
    sorting.step(store, lambda: False)
    # The tracker of the failed step had heard the row; it is counted once all the same.
    assert [row["detections"] for row in run_rows(store)] == [1]


def test_hours_imported_in_another_order_give_the_same_runs(tmp_path: Path) -> None:
    hours = [[heard(3600 * hour + 5 * number) for number in range(4)] for hour in range(3)]
    results = []
    for number, order in enumerate(([0, 1, 2], [2, 0, 1])):
        with Store.open(tmp_path / f"{number}.db") as opened:
            for hour in order:
                opened.append(hours[hour])
                index_runs(opened)
            results.append(
                opened.connection.execute(
                    "SELECT first_utc_ns, last_utc_ns, detections, confidence FROM runs"
                    " ORDER BY first_utc_ns"
                ).fetchall()
            )
    assert results[0] == results[1]
    assert len(results[0]) == 3


def test_a_later_hour_in_seq_that_was_earlier_in_time_joins_no_wrong_run(store: Store) -> None:
    store.append([heard(7_200), heard(7_205)])
    store.append([heard(0), heard(5)])
    index_runs(store)
    assert [run for _, run in runs_of(store)] == [1, 1, 2, 2]


class Moments:
    """A steady clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the moment."""
        return self.now_s


def test_the_chore_waits_for_its_minute(store: Store) -> None:
    clock = Moments()
    sorting = RunSorting(every_s=60, monotonic=clock)
    store.append([heard(0)])
    for now_s, expected in ((0, 0), (59.9, 0), (60, 1), (61, 1)):
        clock.now_s = now_s
        sorting.step(store, lambda: False)
        assert indexed(store) == expected
    store.append([heard(5)])
    clock.now_s = 119.9
    sorting.step(store, lambda: False)
    assert indexed(store) == 1
    clock.now_s = 120
    sorting.step(store, lambda: False)
    assert indexed(store) == 2


def test_the_chore_stops_while_a_batch_waits_and_goes_on_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_index, "ROWS_AT_ONCE", 2)
    clock = Moments()
    sorting = RunSorting(every_s=60, monotonic=clock)
    store.append([heard(at_s) for at_s in range(7)])
    clock.now_s = 60
    sorting.step(store, lambda: True)
    assert indexed(store) == 2
    sorting.step(store, lambda: False)
    assert indexed(store) == 7


def test_the_chore_ends_all_runs_when_the_store_closes(store: Store) -> None:
    sorting = RunSorting(every_s=60)
    store.append([heard(at_s) for at_s in range(3)])
    sorting.finish(store)
    assert indexed(store) == 3
    sorting.finish(store)
    assert len(run_rows(store)) == 1


def test_a_store_that_takes_the_place_of_another_is_indexed_from_its_start(
    tmp_path: Path,
) -> None:
    sorting = RunSorting(every_s=0)
    for name in ("first.db", "second.db"):
        with Store.open(tmp_path / name) as opened:
            opened.append([heard(0), heard(5)])
            sorting.step(opened, lambda: False)
            assert runs_of(opened) == [(1, 1), (2, 1)]


def test_known_tags_are_asked_for_when_a_store_is_opened(store: Store) -> None:
    asked: list[Sequence[str]] = []

    def known_tags() -> Sequence[str]:
        asked.append((TAG,))
        return (TAG,)

    store.append([heard(0, integrity="unverified")])
    sorting = RunSorting(known_tags, every_s=0)
    sorting.step(store, lambda: False)
    sorting.step(store, lambda: False)
    assert len(asked) == 1
    assert told(store) == [(TAG, "likely", "on-the-list")]


def test_the_reader_shows_how_far_each_detection_can_be_believed(store: Store) -> None:
    store.append(
        [
            *(heard(5 * number) for number in range(60)),
            heard(301, integrity="failed"),
            heard(302, TWIN, "unverified"),
            heard(303, "78554C33", "unverified"),
        ]
    )
    # Not sorted yet: from the row alone.
    assert told(store)[0] == (TAG, "likely", "not-sorted-yet")
    assert [confidence for _, confidence, _ in told(store)[-3:]] == [
        "false",
        "doubtful",
        "doubtful",
    ]
    index_runs(store)
    assert told(store)[0] == (TAG, "certain", "verified-repeatedly")
    assert told(store)[-3:] == [
        # The id is right, the packet is not.
        (TAG, "likely", "verified-repeatedly"),
        (TWIN, "false", f"bit-7-of-{TAG}"),
        ("78554C33", "doubtful", "without-checksum"),
    ]


@pytest.mark.parametrize(
    ("least", "count"), [("certain", 60), ("likely", 61), ("doubtful", 62), ("false", 63)]
)
def test_min_confidence_leaves_out_what_is_worse(
    store: Store, least: Confidence, count: int
) -> None:
    store.append(
        [
            *(heard(5 * number) for number in range(60)),
            heard(301, integrity="failed"),
            heard(302, TWIN, "unverified"),
            heard(303, "78554C33", "unverified"),
        ]
    )
    index_runs(store)
    assert len(told(store, least)) == count
    arguments = ["detections", "--db", str(store.path), "--format", "json"]
    result = CliRunner().invoke(main, [*arguments, "--min-confidence", least])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == count
