"""Whose fault a refusal is, for any pattern of bad rows: the good arrive, the bad are told."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from store_traffic import numbers

from receiver.links.backoff import Backoff
from receiver.sink_settings import FolderSink
from receiver.sinks.batches import Batch, unpack
from receiver.sinks.far_end import BatchRefusedError
from receiver.sinks.refusals import Refusals
from receiver.sinks.runner import SinkRunner
from receiver.sinks.state import SinkState
from receiver.store.database import Store
from receiver.store.outbox import RefusedRow, SinkNote

ROWS = 30
"""Fewer than `SINK_SUSPECTS`: each row is tried by itself before any is leapt over."""


class Choosy:
    """A far end in memory that refuses batches with certain rows in them."""

    def __init__(self, bad: frozenset[int]) -> None:
        self.bad = bad
        self.kept: set[int] = set()

    async def send(self, batch: Batch) -> None:
        """Take a batch, or refuse it."""
        header, _ = unpack(batch.body, 10**6)
        assert header.first_seq is not None
        assert header.last_seq is not None
        rows = set(range(header.first_seq, header.last_seq + 1))
        if rows & self.bad:
            raise BatchRefusedError("bad")
        self.kept |= rows

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(scope="module")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "s.db"
    with Store.open(path, station_id="marsh") as opened:
        opened.append(numbers(range(1, ROWS + 1)))
    return path


@given(
    bad=st.frozensets(st.integers(1, ROWS)),
    batch_rows=st.integers(1, ROWS),
    mended=st.booleans(),
)
@example(bad=frozenset((1, 2, 3, 4, 5, *range(11, 20), 21, 24, 29, 30)), batch_rows=1, mended=False)
@settings(max_examples=30)
def test_good_rows_arrive_and_bad_ones_are_set_aside_unless_nothing_is_taken(
    tmp_path_factory: pytest.TempPathFactory,
    made_store: Path,
    bad: frozenset[int],
    batch_rows: int,
    mended: bool,  # noqa: FBT001  hypothesis gives it by name.
) -> None:
    path = tmp_path_factory.mktemp("store") / "s.db"
    path.write_bytes(made_store.read_bytes())
    far_end = Choosy(bad)

    store = Store.open(path)
    store.connection.execute("PRAGMA synchronous = OFF")

    async def note(each: SinkNote) -> None:
        with store.transaction():
            store.note_sinks([each], 0)

    async def send() -> SinkRunner:
        runner = SinkRunner(
            far_end,
            FolderSink(name="far", folder="", batch_rows=batch_rows, also=()),
            path,
            note,
            backoff=Backoff(first_s=0.0, longest_s=0.0),
        )
        for number in range(2_000):
            if mended and number == 10:
                far_end.bad = frozenset()
            await runner.step()
            if runner.status.state in (SinkState.UP_TO_DATE, SinkState.REFUSED):
                break
        return runner

    runner = asyncio.run(send())
    with store as opened:
        refused = {seq for (seq,) in opened.connection.execute("SELECT id FROM rows_refused")}
        mark = opened.connection.execute("SELECT max(acknowledged_seq) FROM sink_marks").fetchone()
    assert set(range(1, (mark[0] or 0) + 1)) <= far_end.kept | refused
    assert refused <= bad
    # What comes after the last good row has nothing behind it that would show whose fault it is.
    last_good = max(set(range(1, ROWS + 1)) - far_end.bad, default=0)
    assert {seq for seq in range(1, last_good + 1) if seq not in bad} <= far_end.kept
    if runner.status.state is SinkState.UP_TO_DATE:
        assert far_end.kept | refused == set(range(1, ROWS + 1))
    else:
        assert last_good < ROWS


def test_a_far_end_that_refuses_everything_is_known_after_few_tries() -> None:
    refusals = Refusals().of("a")
    last, tries, rows = 0, 0, 1_000_000
    while True:
        position = refusals.passed_over({"detections": 0}).get("detections", 0)
        if position >= rows:
            if not refusals.leapt_too_far():
                break
            continue
        tries += 1
        last = position + 1
        assert refusals.refused("detections", last, "no") is None
    assert (tries < 85, last) == (True, rows)


def test_what_was_refused_of_another_store_is_forgotten() -> None:
    refusals = Refusals().of("a")
    refusals.refused("detections", 7, "no")
    assert refusals.of("a").taken()
    assert refusals.of("b").refused("detections", 7, "no") is None
    refusals.of("b").taken()
    assert refusals.refused("detections", 7, "no") == RefusedRow("detections", 7, "no")
