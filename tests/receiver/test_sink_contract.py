"""What every sink promises, whatever happens to its far end: all rows arrive, each is kept once.

Throughout, a sink's mark never goes beyond what its far end has.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from brokers import MOSQUITTO
from certificates import certificate
from far_ends import KINDS, STATION, FarEnd
from store_traffic import numbers

from receiver.collector.collector import Outcome
from receiver.links.backoff import Backoff
from receiver.sink_settings import Sink
from receiver.sinks.runner import SinkRunner
from receiver.sinks.state import SinkState
from receiver.sinks.uploads import made, notes_into
from receiver.store.damage import set_aside
from receiver.store.database import Store
from receiver.store.outbox import SinkNote

ROWS = 40


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "station.db"
    with Store.open(path, station_id=STATION) as opened:
        opened.append(numbers(range(1, ROWS + 1)))
    return path


@pytest.fixture(params=KINDS)
def far_end(request: pytest.FixtureRequest) -> FarEnd:
    if request.param == "mqtt" and MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: sudo apt-get install mosquitto")
    return KINDS[request.param]()


@pytest.fixture
async def running(far_end: FarEnd, tmp_path: Path) -> AsyncIterator[FarEnd]:
    await far_end.start(tmp_path)
    yield far_end
    await far_end.stop()


class Sending:
    """A sink that is stepped by the test."""

    def __init__(self, settings: Sink, store: Path, far_end: FarEnd) -> None:
        sink, _ = made(settings, store, STATION)
        self.runner = SinkRunner(
            sink,
            settings,
            store,
            notes_into(store),
            backoff=Backoff(first_s=1.0, longest_s=8.0, jitter=lambda: 0.0),
        )
        self.status = self.runner.status
        self._store = store
        self._far_end = far_end

    @property
    def mark(self) -> int:
        """How far the far end has the detections, as the store notes."""
        with contextlib.closing(sqlite3.connect(self._store)) as connection:
            found = connection.execute("SELECT acknowledged_seq FROM sink_marks").fetchone()
        return found[0] if found else 0

    async def step(self) -> float:
        """Let it send once; return how long it would wait then."""
        wait_s = await self.runner.step()
        with contextlib.closing(sqlite3.connect(self._store)) as connection:
            refused = connection.execute("SELECT id FROM rows_refused").fetchall()
        wanted = set(range(1, self.mark + 1)) - {seq for (seq,) in refused}
        assert wanted <= set(self._far_end.kept())
        return wait_s

    async def until_up_to_date(self, at_most: int = 200) -> None:
        """Step until nothing waits; what it would wait is not waited."""
        for _ in range(at_most):
            await self.step()
            if self.status.state is SinkState.UP_TO_DATE:
                return
        raise AssertionError(f"{self.status.state}: {self.status.reason}")

    async def close(self) -> None:
        """Disconnect."""
        await self.runner._sink.close()


@contextlib.asynccontextmanager
async def sending(far_end: FarEnd, store: Path, **changes: object) -> AsyncIterator[Sending]:
    settings = far_end.settings(**{"batch_rows": 10, "timeout": 5.0, **changes})
    each = Sending(settings, store, far_end)
    try:
        yield each
    finally:
        await each.close()


def all_rows() -> list[int]:
    return list(range(1, ROWS + 1))


async def test_every_row_arrives_and_is_noted(running: FarEnd, store: Path) -> None:
    async with sending(running, store) as sink:
        await sink.until_up_to_date()
        assert sink.mark == ROWS
        assert (sink.status.batches, sink.status.rows) == (4, ROWS)
        with Store.open(store) as opened:
            opened.append(numbers(range(ROWS + 1, ROWS + 3)))
        await sink.until_up_to_date()
    assert running.kept() == list(range(1, ROWS + 3))


async def test_during_an_outage_rows_wait_and_then_all_arrive(running: FarEnd, store: Path) -> None:
    async with sending(running, store) as sink:
        await sink.step()
        await running.away()
        waits = [await sink.step() for _ in range(5)]
        assert sink.status.state is SinkState.AWAY
        assert waits == [1.0, 2.0, 4.0, 6.4, 6.4]
        assert sink.mark == 10
        await running.back()
        await sink.until_up_to_date()
    assert running.kept() == all_rows()


async def test_a_restarted_station_goes_on_where_it_was(running: FarEnd, store: Path) -> None:
    async with sending(running, store) as sink:
        await sink.step()
        assert sink.mark == 10
    async with sending(running, store) as sink:
        await sink.until_up_to_date()
        assert sink.status.rows == ROWS - 10
    assert running.kept() == all_rows()


async def test_an_acknowledgement_that_was_not_noted_costs_a_repetition_only(
    running: FarEnd, store: Path
) -> None:
    before = store.with_name("before.db")
    shutil.copy(store, before)
    async with sending(running, store) as sink:
        await sink.until_up_to_date()
    # The power went before the marks reached the disk.
    for end in ("-wal", "-shm"):
        store.with_name(store.name + end).unlink(missing_ok=True)
    shutil.copy(before, store)
    async with sending(running, store) as sink:
        assert sink.mark == 0
        await sink.until_up_to_date()
        assert sink.mark == ROWS
    assert running.kept() == all_rows()


async def test_a_half_sent_batch_counts_for_nothing_and_comes_again(
    running: FarEnd, store: Path
) -> None:
    async with sending(running, store, compression="none") as sink:
        running.cut_next()
        await sink.step()
        if sink.status.kind != "folder":
            assert (sink.status.state, running.kept()) == (SinkState.AWAY, [])
        await sink.until_up_to_date()
    assert running.kept() == all_rows()


async def test_a_refused_batch_is_halved_down_to_the_row_that_is_at_fault(
    running: FarEnd, store: Path
) -> None:
    running.collector.refuses = lambda contents: any(row.seq == 17 for row in contents.detections)
    async with sending(running, store) as sink:
        await sink.until_up_to_date()
        assert sink.mark == ROWS
        await sink.step()
        assert sink.status.rows_refused == 1
    assert running.kept() == [seq for seq in all_rows() if seq != 17]
    with contextlib.closing(sqlite3.connect(store)) as connection:
        refused = connection.execute("SELECT sink, kept_in, id, reason FROM rows_refused")
        ((name, kind, seq, reason),) = refused.fetchall()
    assert (name, kind, seq) == ("far", "detections", 17)
    assert "told to" in reason


async def test_a_long_stretch_of_refused_rows_is_no_wall(running: FarEnd, store: Path) -> None:
    running.collector.refuses = lambda contents: any(
        5 <= row.seq < 27 for row in contents.detections
    )
    async with sending(running, store) as sink:
        await sink.until_up_to_date(at_most=400)
        await sink.step()
        assert (sink.mark, sink.status.rows_refused) == (ROWS, 22)
    assert running.kept() == [*range(1, 5), *range(27, ROWS + 1)]


async def test_a_batch_that_is_too_large_is_halved_until_it_fits(
    running: FarEnd, store: Path
) -> None:
    collector = running.collector
    collector.refuses = lambda contents: contents.rows > 4
    collector.refuses_as = Outcome.TOO_LARGE
    async with sending(running, store) as sink:
        await sink.until_up_to_date()
        await sink.step()
        assert sink.status.rows_refused == 0
    assert running.kept() == all_rows()
    refused = sum(rows > 4 for rows in collector.batches_came)
    assert refused < len(collector.batches_came) / 2


async def test_a_far_end_that_refuses_everything_loses_nothing(
    running: FarEnd, store: Path
) -> None:
    running.collector.refuses = lambda _contents: True
    async with sending(running, store) as sink:
        for _ in range(60):
            await sink.step()
            if sink.status.state is SinkState.REFUSED:
                break
        assert sink.status.state is SinkState.REFUSED
        assert (sink.mark, sink.status.rows_refused) == (0, 0)
        running.collector.refuses = lambda _contents: False
        await sink.until_up_to_date()
        await sink.step()
        assert sink.status.rows_refused == 0
    assert running.kept() == all_rows()


async def test_the_last_row_is_not_blamed_as_long_as_no_other_was_taken_after_it(
    running: FarEnd, store: Path
) -> None:
    running.collector.refuses = lambda contents: any(row.seq == ROWS for row in contents.detections)
    async with sending(running, store) as sink:
        for _ in range(20):
            await sink.step()
        assert (sink.mark, sink.status.state) == (ROWS - 1, SinkState.REFUSED)
        with Store.open(store) as opened:
            opened.append(numbers(range(ROWS + 1, ROWS + 3)))
        await sink.until_up_to_date()
        assert sink.mark == ROWS + 2
    assert running.kept() == [*range(1, ROWS), ROWS + 1, ROWS + 2]


async def test_a_slow_far_end_gets_smaller_batches_and_keeps_rows_once(
    running: FarEnd, store: Path
) -> None:
    running.collector.delay_s = 0.6
    async with sending(running, store, timeout=0.2) as sink:
        wait_s = await sink.step()
        assert (sink.status.state, wait_s) == (SinkState.AWAY, 1.0)
        running.collector.delay_s = 0.0
        await sink.until_up_to_date()
        assert sink.mark == ROWS
    assert running.collector.batches_came[:2] == [10, 5]
    assert running.kept() == all_rows()


async def test_a_lost_acknowledgement_makes_rows_come_twice_and_be_kept_once(
    running: FarEnd, store: Path
) -> None:
    collector = running.collector
    lost = iter([True])

    def lose_it() -> None:
        if next(lost, False):
            running.wire.end_connections()  # type: ignore[attr-defined]  # Those with a collector have one.

    collector.on_stored = lose_it
    async with sending(running, store) as sink:
        await sink.step()
        assert (sink.status.state, sink.mark) == (SinkState.AWAY, 0)
        await sink.until_up_to_date()
    assert running.kept() == all_rows()
    assert collector.came[1] == 2
    assert collector.rows_new == ROWS


async def test_a_wrong_password_is_told_and_tried_again_seldom(
    running: FarEnd, store: Path, tmp_path: Path
) -> None:
    async with sending(running, store, **running.wrong_password(tmp_path)) as sink:
        wait_s = await sink.step()
        assert wait_s == pytest.approx(6.4)
        assert sink.status.state is SinkState.REFUSED
        assert "password" in (sink.status.advice or "")
        assert sink.mark == 0
    assert running.kept() == []


_PAHO_LEAKS = "ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
"""paho leaves a socket whose handshake failed to the garbage collector."""


@pytest.mark.filterwarnings(_PAHO_LEAKS)
@pytest.mark.parametrize(
    ("days", "words"),
    [((-30, -1), "expired"), ((2, 30), "clock of this station seems to be behind")],
    ids=["expired", "station-clock-behind"],
)
async def test_a_certificate_of_another_time_is_not_taken_and_the_reason_told(
    far_end: FarEnd, store: Path, tmp_path: Path, days: tuple[int, int], words: str
) -> None:
    bad = certificate(tmp_path / "tls", *days)
    await far_end.start(tmp_path, bad)
    try:
        async with sending(far_end, store) as sink:
            await sink.step()
            assert sink.status.state is SinkState.AWAY
            assert words in f"{sink.status.reason} {sink.status.advice}"
            assert sink.mark == 0
    finally:
        await far_end.stop()
    assert far_end.kept() == []


@pytest.mark.filterwarnings(_PAHO_LEAKS)
async def test_over_tls_every_row_arrives_and_a_stranger_is_not_trusted(
    far_end: FarEnd, store: Path, tmp_path: Path
) -> None:
    own = certificate(tmp_path / "tls")
    await far_end.start(tmp_path, own)
    try:
        other = certificate(tmp_path / "other")
        async with sending(far_end, store, ca_file=str(other.file)) as sink:
            await sink.step()
            assert sink.status.state is SinkState.AWAY
            assert "ca_file" in (sink.status.advice or "")
        async with sending(far_end, store) as sink:
            await sink.until_up_to_date()
        assert far_end.kept() == all_rows()
    finally:
        await far_end.stop()


async def test_with_a_wrong_clock_rows_are_sent_with_the_times_they_have(
    running: FarEnd, store: Path
) -> None:
    async with sending(running, store, bytes_per_day=100_000) as sink:
        sink.runner._utc_ns = lambda: 0  # 1970: no clock was set yet.
        await sink.step()
        sink.runner._utc_ns = lambda: 4_000_000_000 * 10**9  # 2096, from a GPS that lies.
        await sink.step()
        sink.runner._utc_ns = lambda: 1_790_000_000 * 10**9
        await sink.until_up_to_date()
    assert running.kept() == all_rows()


async def test_a_store_that_is_set_aside_takes_no_marks_of_the_one_before(
    running: FarEnd, store: Path
) -> None:
    async with sending(running, store) as sink:
        await sink.step()
        set_aside(store, 0)
        with Store.open(store, station_id=STATION) as opened:
            opened.append(numbers(range(1, 16)))
        await sink.until_up_to_date()
        assert sink.mark == 15
        assert sink.status.rows == 10 + 15


async def test_while_the_store_takes_no_notes_sending_goes_on_and_nothing_is_sent_twice(
    running: FarEnd, store: Path
) -> None:
    async def lost(_note: SinkNote) -> None:
        """The disk is full."""

    async with sending(running, store) as sink:
        sink.runner._note = lost
        await sink.until_up_to_date()
        assert sink.mark == 0
        assert sink.status.rows == ROWS
    assert running.kept() == all_rows()


async def test_an_acknowledgement_that_comes_after_the_store_was_set_aside_marks_nothing(
    running: FarEnd, store: Path
) -> None:
    once = iter([True])

    def set_it_aside() -> None:
        if next(once, False):
            set_aside(store, 0)
            with Store.open(store, station_id=STATION) as opened:
                opened.append(numbers(range(1, 6)))

    running.collector.on_stored = set_it_aside
    async with sending(running, store) as sink:
        await sink.runner.step()
        assert sink.mark == 0
        await sink.until_up_to_date()
        assert sink.mark == 5
    assert running.collector.rows_new == 10 + 5
