"""Recordings of links, as `stopover record` makes them, decoded again into a store.

What is known again is a session, by its first line: of one that was imported before only that is
added which has no row yet, whether the file was appended to, cut, renamed or joined with others.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from protocols.errors import UnknownDecoderError
from protocols.times import is_plausible
from receiver.arrivals import Arrival, Source, Stamp
from receiver.importing.ledger import Ledger, as_recorded, identity_of
from receiver.importing.recorded_files import RecordedFile, UnreadableFileError
from receiver.importing.rows import Outcome
from receiver.limits import MAX_BATCH_ROWS, UNKNOWN_LINES_KEPT_PER_FILE
from receiver.links.replay import DecodingIntake
from receiver.recording import START, Interruption, Session, recorded_line
from receiver.store.database import Store
from receiver.store.rows import Row

KIND: Final = "recording"


def is_recording(lines: Sequence[bytes]) -> bool:
    """Tell whether the first lines of a file are those of a recording."""
    return bool(lines) and lines[0].startswith(START)


def is_recording_file(path: Path) -> bool:
    """Tell by the name, and what stands first in it, whether a file is a recording."""
    if not path.name.lower().endswith((".jsonl", ".jsonl.gz")):
        return False
    try:
        with RecordedFile.open(path) as file:
            return is_recording(next(iter(file.blocks())).lines)
    except UnreadableFileError:
        return False


class ImportedRecording(msgspec.Struct, kw_only=True):
    """What became of one recording."""

    outcome: Outcome = msgspec.field(default_factory=Outcome)
    already_there: int = 0
    """Rows that were in the store before."""
    damage: list[str] = msgspec.field(default_factory=list)
    import_ids: set[int] = msgspec.field(default_factory=set)


def import_recording(
    store: Store, path: Path, *, now_ns: int, on_progress: Callable[[int], None]
) -> ImportedRecording:
    """Import a recording, plain or gzip; what is wrong with it is told in `damage`.

    Raises:
        UnreadableFileError: it cannot be read at all.
        sqlite3.Error: the store cannot be written; what was committed before stays.
    """
    recording = _RecordingImport(store, path, now_ns)
    with RecordedFile.open(path) as file:
        for block in file.blocks():
            tail = [] if file.tail is None or not block.is_last else [file.tail]
            for number, line in enumerate([*block.lines, *tail], block.first_line):
                recording.take(line, number)
            on_progress(file.read_bytes)
        recording.end(file.damage)
    return recording.told


class _RecordingImport:
    """One recording on its way into the store, line by line."""

    def __init__(self, store: Store, path: Path, now_ns: int) -> None:
        self.told = ImportedRecording()
        self._store = store
        self._path = path
        self._now_ns = now_ns
        self._session: _SessionImport | None = None
        self._damaged_lines = 0
        self._first_damage = ""

    def take(self, line: bytes, number: int) -> None:
        """Take one line."""
        try:
            recorded = recorded_line(line + b"\n", in_session=True)
        except (ValueError, msgspec.MsgspecError) as error:
            self._first_damage = self._first_damage or f"line {number}: damaged: {error}"
            self._damaged_lines += 1
            return
        if isinstance(recorded, Session):
            self._begin(recorded, number)
        elif self._session is None:
            return
        elif isinstance(recorded, Interruption):
            self._session.intake.interrupted()
        else:
            stamp = self._session.recorded.stamp(recorded.t_ns)
            self._session.intake.received_at(recorded.received, stamp)

    def _begin(self, recorded: Session, number: int) -> None:
        self._end_session()
        try:
            self._session = _SessionImport(
                self._store, self._path, recorded, self._now_ns, self.told
            )
        except UnknownDecoderError as error:
            self.told.damage.append(f"line {number}: {error}; its session was left out")

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.keep()
            self._session = None

    def end(self, damage: Sequence[str]) -> None:
        """Keep what waits, and tell what could not be read."""
        self._end_session()
        self.told.damage += damage
        if self._damaged_lines:
            self.told.damage.append(
                f"{self._first_damage}; {self._damaged_lines} such lines in all"
            )


class _SessionImport:
    """One session of a recording on its way into the store."""

    def __init__(
        self, store: Store, path: Path, recorded: Session, now_ns: int, told: ImportedRecording
    ) -> None:
        """Raise `UnknownDecoderError` where the session's decoder is not there."""
        self.recorded = recorded
        self.intake = DecodingIntake(recorded.link, recorded.decoder, self._take)
        self._store = store
        self._identity = identity_of(as_recorded(path))
        self._now_ns = now_ns
        self._told = told
        self._ledger = Ledger(store.connection)
        self._head = hashlib.sha256(msgspec.json.encode(recorded)).hexdigest()
        entries = self._ledger.of_head(self._head, KIND)
        self._import_id = entries[0].import_id if entries else None
        self._known = self._ledger.stamped_lines(entries)
        self._waiting: list[Arrival] = []
        self._unknown = 0
        told.import_ids.update(entry.import_id for entry in entries)

    def _take(self, arrivals: Sequence[Arrival]) -> None:
        self._waiting += arrivals
        if len(self._waiting) >= MAX_BATCH_ROWS:
            self.keep()

    def keep(self) -> None:
        """Put what waits into the store."""
        if not self._waiting:
            return
        with self._store.transaction():
            if self._import_id is None:
                self._import_id = self._ledger.begin(self._identity, self._head, KIND, self._now_ns)
                self._told.import_ids.add(self._import_id)
            before = self._ledger.last_ids()
            source = Source(
                link=self.recorded.link,
                decoder=self._waiting[0].source.decoder,
                import_id=self._import_id,
            )
            by_table = self._store.row_maker.rows(
                Arrival(each.record, source, self._judged(each.stamp)) for each in self._waiting
            )
            rows = {table: self._new_ones(table, made) for table, made in by_table.items()}
            self._store.insert(rows)
            self._ledger.claim_rows(self._import_id, rows, before)
        self._told.outcome.rows += Counter({table: len(made) for table, made in rows.items()})
        self._waiting = []

    def _new_ones(self, table: str, made: Sequence[Row]) -> list[Row]:
        new = []
        for row in made:
            key = (table, row[_UTC_AT], row[-1])
            if self._known[key]:
                self._known[key] -= 1
                self._told.already_there += 1
            else:
                new.append(row)
        if table != "unknown_frames":
            return new
        room = max(0, UNKNOWN_LINES_KEPT_PER_FILE - self._unknown)
        self._unknown += len(new)
        return new[:room]

    def _judged(self, stamp: Stamp) -> Stamp:
        if is_plausible(stamp.utc_ns, now_ns=self._now_ns):
            return stamp
        return Stamp(stamp.utc_ns, "implausible")


_UTC_AT: Final = 1
"""The column of a row that has the time; the last has the bytes."""
