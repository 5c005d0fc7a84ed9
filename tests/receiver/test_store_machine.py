# ruff: noqa: D102  The name of a rule is its sentence.
"""Everything that can happen to a store, in any order: no row is lost or taken for another.

A model of the world stands beside the real store: what links received, what a broker still holds,
what a far end has. Crashes drop the process and keep its files; what only memory held is then lost,
unless a broker brings it again.
"""

import shutil
import sqlite3
import tempfile
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from store_traffic import AT_NS, is_sound, numbered

from receiver.arrivals import Arrival, ClockSample
from receiver.store.damage import check
from receiver.store.database import Store
from receiver.store.housekeeping import Housekeeping
from receiver.store.outbox import SinkNote
from receiver.store.reserve import Reserve
from receiver.store.retention import Retention, prune

FAR_END = Retention(sinks=("far-end",))


class DiskOfTheModel(Reserve):
    """A reserve that is there while the model's disk has room."""

    def __init__(self, store: Path) -> None:
        super().__init__(store, 4096)
        self.is_full = False

    def take(self) -> bool:
        return not self.is_full

    @property
    def is_held(self) -> bool:
        return not self.is_full


class StoreMachine(RuleBasedStateMachine):
    """The store and the world around it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.lives = 0
        self.received = 0
        self.memory: list[int] = []
        self.lost_in_crashes: set[int] = set()
        self.stamps: dict[int, int] = {}
        """Of each number, the time it was stamped with."""
        self.of_the_broker: set[int] = set()
        self.at_the_broker: set[int] = set()
        """What the broker keeps: published, and not acknowledged by us."""
        self.broker_is_up = True
        self.seqs: dict[int, int] = {}
        """Every seq ever seen, with its number."""
        self.far_end: dict[int, int] = {}
        self.mark_told = 0
        self.clock_offset_ns = 0

    @initialize()
    def begin(self) -> None:
        self.path = Path(self.folder.name, "0.db")
        self.disk = DiskOfTheModel(self.path)
        self.open()

    def open(self) -> None:
        self.store = Store.open(self.path, station_id="marsh")
        self.housekeeping = Housekeeping(FAR_END, self.disk)
        self.housekeeping.begin(self.store)

    @rule(rows=st.integers(1, 60))
    def receive(self, rows: int) -> None:
        """A serial port brings rows: nobody will bring them again."""
        for _ in range(rows):
            self.hear(self.new_number())

    @rule(rows=st.integers(1, 20))
    def publish(self, rows: int) -> None:
        """Messages come to the broker, which delivers them if it is up."""
        for _ in range(rows):
            number = self.new_number()
            self.of_the_broker.add(number)
            self.at_the_broker.add(number)
            if self.broker_is_up:
                self.hear(number)

    @precondition(lambda self: self.broker_is_up)
    @rule()
    def broker_goes_down(self) -> None:
        self.broker_is_up = False

    @precondition(lambda self: not self.broker_is_up)
    @rule()
    def broker_comes_back(self) -> None:
        """It delivers again what was not acknowledged, also what waits in our memory."""
        self.broker_is_up = True
        for number in sorted(self.at_the_broker):
            self.hear(number)

    @rule()
    def commit(self) -> None:
        batch = [self.arrival(number) for number in self.memory]
        for _ in range(2):
            try:
                self.store.append(batch)
            except sqlite3.OperationalError:
                if not self.disk.is_full:
                    raise
                self.housekeeping.make_room(self.store, lambda: None)
                continue
            self.at_the_broker -= set(self.memory) if self.broker_is_up else set()
            self.memory = []
            return

    @rule()
    def crash(self) -> None:
        """The process is gone; its files are as they were."""
        self.lives += 1
        after = Path(self.folder.name, f"{self.lives}.db")
        for suffix in ("", "-wal"):
            shutil.copy(f"{self.path}{suffix}", f"{after}{suffix}")
        self.store.close()
        self.lost_in_crashes |= set(self.memory) - self.at_the_broker
        self.memory = []
        self.path = after
        assert check(self.path)
        self.open()
        if self.broker_is_up:
            for number in sorted(self.at_the_broker):
                self.hear(number)

    @rule()
    def close_and_reopen(self) -> None:
        self.commit()
        if not self.memory:
            self.store.close()
            self.open()

    @rule(days=st.integers(-400, 400))
    def clock_steps(self, days: int) -> None:
        self.clock_offset_ns += days * 86_400 * 10**9
        if not self.disk.is_full:
            with self.store.transaction():
                self.store.add_clock_sample(
                    ClockSample("boot-a", 5, AT_NS + self.clock_offset_ns, "ntp", "step")
                )

    @rule()
    def disk_fills_up(self) -> None:
        self.disk.is_full = True
        self.housekeeping.begin(self.store)

    @rule()
    def disk_has_room_again(self) -> None:
        self.disk.is_full = False
        self.housekeeping.begin(self.store)

    @rule(rows=st.integers(1, 100), answered=st.booleans())
    def upload(self, rows: int, *, answered: bool) -> None:
        """A sink sends what is on the disk; the far end has it, whether its answer comes or not."""
        for seq, number in self.on_disk(after=self.mark(), at_most=rows).items():
            self.far_end[seq] = number
        if answered and self.far_end:
            self.acknowledge(max(self.far_end))

    @precondition(lambda self: self.mark_told)
    @rule(back=st.integers(0, 50))
    def an_old_answer_comes_again(self, back: int) -> None:
        before = self.mark()
        self.acknowledge(max(1, self.mark_told - back))
        assert self.mark() >= before

    @rule(at_most=st.integers(1, 40))
    def prune(self, at_most: int) -> None:
        prune(self.store, FAR_END, at_most)

    @invariant()
    def every_received_row_is_in_memory_on_disk_or_at_the_far_end(self) -> None:
        if self.seqs or self.received:
            kept = set(self.memory) | set(self.on_disk().values()) | set(self.far_end.values())
            kept |= self.lost_in_crashes | self.at_the_broker
            assert kept >= set(range(self.received))

    @invariant()
    def no_seq_means_two_rows(self) -> None:
        for seq, number in self.on_disk().items():
            assert self.seqs.setdefault(seq, number) == number

    @invariant()
    def what_is_acknowledged_is_at_the_far_end(self) -> None:
        on_disk = self.on_disk()
        for seq, number in self.seqs.items():
            if seq <= self.mark() or seq not in on_disk:
                assert self.far_end[seq] == number

    @invariant()
    def rows_are_not_rewritten(self) -> None:
        for raw, utc_ns in self.store.connection.execute("SELECT raw, utc_ns FROM detections"):
            assert utc_ns == self.stamps[int(raw)]

    @invariant()
    def only_what_a_serial_port_brought_since_the_last_commit_is_lost(self) -> None:
        assert not self.lost_in_crashes & self.at_the_broker

    def teardown(self) -> None:
        self.store.close()
        assert is_sound(self.path)
        self.folder.cleanup()

    def new_number(self) -> int:
        self.received += 1
        number = self.received - 1
        self.stamps[number] = AT_NS + number * 10**9 + self.clock_offset_ns
        return number

    def hear(self, number: int) -> None:
        self.memory.append(number)

    def arrival(self, number: int) -> Arrival:
        arrival = numbered(number)
        stamp = msgspec.structs.replace(arrival.stamp, utc_ns=self.stamps[number])
        return msgspec.structs.replace(arrival, stamp=stamp)

    def on_disk(self, after: int = 0, at_most: int = -1) -> dict[int, int]:
        rows = self.store.connection.execute(
            "SELECT seq, raw FROM detections WHERE seq > ? ORDER BY seq LIMIT ?", (after, at_most)
        )
        return {seq: int(raw) for seq, raw in rows}

    def mark(self) -> int:
        row = self.store.connection.execute("SELECT acknowledged_seq FROM sink_marks").fetchone()
        return row[0] if row else 0

    def acknowledge(self, seq: int) -> None:
        try:
            with self.store.transaction():
                self.store.note_sinks([SinkNote(sink="far-end", marks={"detections": seq})], 1)
        except sqlite3.OperationalError:
            if not self.disk.is_full:
                raise
        else:
            self.mark_told = max(self.mark_told, seq)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=25,
    stateful_step_count=30,
)
