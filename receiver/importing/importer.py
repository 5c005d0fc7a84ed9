"""Recorded files into the store: again, in another order, or longer, without harm.

Each block of a file is one transaction that holds its rows and how far the file has come, so a
killed import loses nothing and, run again, goes on. What is in the store already is found by the
file's identity (`import_ledger`): content that begins with what was imported is read on from
there; any other copy is compared with the stored rows line by line, each as often as it stands
there, so that two equal rows of one file are two detections and the same row of two copies is one.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from protocols.records import Ignored, Unknown
from receiver.arrivals import Source
from receiver.importing.ledger import Entry, Identity, Ledger, as_recorded, head_of, identity_of
from receiver.importing.recorded_files import Block, RecordedFile, UnreadableFileError
from receiver.importing.recorded_kinds import Recording, recognise
from receiver.importing.recordings import (
    KIND,
    import_recording,
    is_recording,
    is_recording_file,
)
from receiver.importing.rows import LineConverter, Outcome
from receiver.importing.sample_files import is_sample_file
from receiver.store.database import Store


class FileReport(msgspec.Struct, kw_only=True):
    """What became of one file."""

    path: Path
    kind: str | None = None
    outcome: Outcome = msgspec.field(default_factory=Outcome)
    already_there: int = 0
    """Lines that were rows of the store before, where they were counted."""
    is_known: bool = False
    """The whole file had been imported before; nothing was read again."""
    is_foreign: bool = False
    """A text file of no kind that we read."""
    damage: list[str] = msgspec.field(default_factory=list)
    """What could not be read, and where."""
    notes: list[str] = msgspec.field(default_factory=list)
    import_ids: set[int] = msgspec.field(default_factory=set)
    """The entries of the ledger that have the file's rows, those of its earlier copies too."""


class _Plan(msgspec.Struct, kw_only=True):
    """How a file is to be read, given what was imported of it before."""

    start: int = 0
    """Byte from which lines are new."""
    entry: Entry | None = None
    """The entry that is continued at `start`."""
    known: Counter[bytes] | None = None
    """Lines that are rows already, to be passed over as often."""
    compared: list[Entry] = msgspec.field(default_factory=list)
    """The entries that `known` is from."""


class Importer:
    """Imports files, one after another, into one store."""

    def __init__(
        self,
        store: Store,
        *,
        now_ns: int,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Prepare to import.

        Args:
            store: where the rows go.
            now_ns: the computer's time; recordings of later than a day after are implausible.
            on_progress: told how many bytes of the present file have been read.
        """
        self._store = store
        self._ledger = Ledger(store.connection)
        self._now_ns = now_ns
        self._on_progress = on_progress

    def import_file(self, path: Path) -> FileReport:
        """Import one file; what is wrong with it is told in the report.

        Raises:
            sqlite3.Error: the store cannot be written; what was committed before stays.
        """
        report = FileReport(path=path)
        try:
            resolved = path.resolve(strict=True)
            self._import(resolved, report)
        except UnreadableFileError as error:
            report.damage.append(str(error))
        except (OSError, RuntimeError) as error:
            # Python 3.11 reports a loop of symbolic links as RuntimeError.
            reason = error.strerror if isinstance(error, OSError) else "a loop of symbolic links"
            report.damage.append(f"cannot be opened: {reason}")
        return report

    def _import(self, path: Path, report: FileReport) -> None:
        with RecordedFile.open(path) as file:
            first = next(iter(file.blocks()))
            tail = file.tail if first.is_last else None
            damage = list(file.damage) if first.is_last else []
        lines = first.lines if tail is None else [*first.lines, tail]
        if is_recording(lines):
            self._import_recording(path, report)
            return
        named = as_recorded(path)
        recording = recognise(named, lines)
        if recording is None or not lines:
            report.damage += damage
            if lines:
                shown = lines[0][:60].decode("ascii", "backslashreplace")
                report.notes.append(f"line 1: no recording of a known kind begins so: {shown!r}")
                report.is_foreign = True
            elif not damage:
                report.notes.append("is empty")
            return
        report.kind = recording.kind
        report.notes += [recording.note] if recording.note else []
        identity, head = identity_of(named), head_of(first.lines)
        entries = self._ledger.entries(identity, head)
        report.import_ids.update(entry.import_id for entry in entries)
        plan = self._plan(path, entries)
        if plan is None:
            report.is_known = True
            return
        _FileImport(self._store, self._ledger, recording, plan, report).run(
            path, identity, head, self._now_ns, self._on_progress
        )

    def _import_recording(self, path: Path, report: FileReport) -> None:
        told = import_recording(
            self._store, path, now_ns=self._now_ns, on_progress=self._on_progress
        )
        report.kind, report.outcome, report.damage = KIND, told.outcome, told.damage
        report.import_ids = told.import_ids
        report.is_known = bool(told.already_there) and not told.outcome.rows.total()
        report.already_there = 0 if report.is_known else told.already_there

    def _plan(self, path: Path, entries: list[Entry]) -> _Plan | None:
        """Return what to do with a file; None where all of it is in the store."""
        if not entries:
            return _Plan()
        with RecordedFile.open(path) as file:
            prefixes = file.prefixes({entry.size_bytes for entry in entries})
            is_whole = not file.damage
        size_bytes = max(prefixes)
        for entry in entries:
            is_all = entry.size_bytes == size_bytes and prefixes[size_bytes] == entry.sha256
            if is_whole and is_all and entry.is_complete and entry.tail is None:
                return None
        only = entries[0]
        if len(entries) == 1 and prefixes.get(only.size_bytes) == only.sha256:
            return _Plan(start=only.size_bytes, entry=only)
        return _Plan(known=self._ledger.lines(entries), compared=entries)


class _FileImport:
    """One file on its way into the store."""

    def __init__(
        self, store: Store, ledger: Ledger, recording: Recording, plan: _Plan, report: FileReport
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._recording = recording
        self._plan = plan
        self._report = report
        self._zeros_at: int | None = None
        self._lines_with_zeros = 0

    def run(
        self,
        path: Path,
        identity: Identity,
        head: str | None,
        now_ns: int,
        on_progress: Callable[[int], None],
    ) -> None:
        """Read the file from where the plan says, block by block, each one transaction."""
        import_id = None if self._plan.entry is None else self._plan.entry.import_id
        converter: LineConverter | None = None
        with RecordedFile.open(path) as file:
            for block in file.blocks(self._plan.start):
                with self._store.transaction():
                    if import_id is None:
                        import_id = self._ledger.begin(identity, head, self._recording.kind, now_ns)
                        self._report.import_ids.add(import_id)
                    converter = converter or self._converter(import_id, now_ns)
                    before = self._ledger.last_ids()
                    self._store_block(converter, block)
                    tail = self._store_tail(converter, file, block) if block.is_last else None
                    self._ledger.claim_rows(import_id, converter.outcome.rows, before)
                    self._ledger.advance(
                        import_id,
                        block.end,
                        block.sha256,
                        tail,
                        is_complete=block.is_last and not file.damage,
                    )
                    if block.is_last and self._plan.known is not None:
                        self._ledger.forget_if_empty(import_id)
                on_progress(file.read_bytes)
            self._tell(file)

    def _converter(self, import_id: int, now_ns: int) -> LineConverter:
        reader = self._recording.reader
        converter = LineConverter(
            self._store,
            reader,
            Source(link=self._recording.link, decoder=reader.decoder, import_id=import_id),
            is_synchronised=self._recording.is_synchronised,
            started_ns=self._recording.started_ns,
            now_ns=now_ns,
        )
        self._report.outcome = converter.outcome
        return converter

    def _store_block(self, converter: LineConverter, block: Block) -> None:
        lines = self._without_zeros(block) if block.has_zeros else block.lines
        entry = self._plan.entry
        if entry is not None and entry.tail is not None and lines:
            # The unterminated line of last time now has its end.
            self._plan.entry = None
            if lines[0] == entry.tail:
                lines = lines[1:]
            elif lines[0].startswith(entry.tail):
                self._ledger.retract(entry)
        if self._plan.known is not None:
            lines = self._new_ones(lines, self._plan.known)
        converter.store_lines(lines, block.first_line)

    def _new_ones(self, lines: Sequence[bytes], known: Counter[bytes]) -> list[bytes]:
        new = []
        for line in lines:
            if known.get(line):
                known[line] -= 1
                self._report.already_there += 1
            else:
                new.append(line)
        self._retract_cut_tails(new, known)
        return new

    def _retract_cut_tails(self, new: Sequence[bytes], known: Counter[bytes]) -> None:
        for entry in [each for each in self._plan.compared if each.tail is not None]:
            tail = entry.tail or b""
            if known.get(tail) and any(line.startswith(tail) for line in new):
                self._ledger.retract(entry)
                known[tail] -= 1

    def _store_tail(
        self, converter: LineConverter, file: RecordedFile, block: Block
    ) -> bytes | None:
        """Store a last line without terminator, where it can be read; return it if it is a row.

        It may be cut: when a longer copy shows that, the row is taken back.
        """
        tail, entry = file.tail, self._plan.entry
        if tail is None:
            return entry.tail if entry is not None else None
        if entry is not None and entry.tail is not None:
            if tail == entry.tail:
                self._report.already_there += 1
                return tail
            if tail.startswith(entry.tail):
                self._ledger.retract(entry)
        known = self._plan.known
        if known is not None and (
            known.get(tail) or self._ledger.has_line_beginning(self._plan.compared, tail)
        ):
            self._report.already_there += 1
            return None
        line_number = block.first_line + len(block.lines)
        record = self._recording.reader.read(tail).record
        if isinstance(record, Unknown):
            what = "incomplete last line" if tail.strip(b"\0") else "NUL bytes up to the end"
            file.damage.append(f"line {line_number} (byte {block.end}): {what}, left out")
            return None
        converter.store_lines([tail], line_number)
        return None if isinstance(record, Ignored) else tail

    def _without_zeros(self, block: Block) -> list[bytes]:
        """Take out NUL bytes, as a power cut leaves them; what follows them may be a whole line."""
        lines = []
        for number, line in enumerate(block.lines, block.first_line):
            before, _, after = line.rpartition(b"\0")
            if len(after) == len(line):
                lines.append(line)
                continue
            self._zeros_at = self._zeros_at or number
            self._lines_with_zeros += 1
            if before.strip(b"\0"):
                lines.append(before + b"\0")
            if after:
                lines.append(after)
        return lines

    def _tell(self, file: RecordedFile) -> None:
        report = self._report
        report.damage += file.damage
        if self._zeros_at is not None:
            report.damage.append(
                f"line {self._zeros_at}: NUL bytes, in {self._lines_with_zeros} lines in all; "
                "what they replaced is lost"
            )
        first_unknown = report.outcome.first_unknown
        if first_unknown is None:
            return
        number, reason = first_unknown
        told = f"line {number}: unreadable ({reason})"
        unreadable = report.outcome.unknown.total()
        if report.outcome.rows.total() + report.already_there <= unreadable:
            report.damage.append(f"{told}, as is every other line of {unreadable}")
        else:
            report.notes.append(f"{told}; {unreadable} such lines in all")


def expand(paths: Iterable[Path]) -> tuple[list[Path], int]:
    """Return the files to import, each once, and how many files of folders were left alone.

    A folder stands for the `.txt` and `.csv` files (or `.gz` of them), the recordings of links and
    the files of samples in it and below, sorted.
    """
    files: dict[Path, None] = {}
    left_alone = 0
    for path in paths:
        if not path.is_dir():
            files[path] = None
            continue
        for folder, subfolders, names in os.walk(path):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in sorted(names):
                is_taken = not name.startswith(".") and (
                    name.lower().endswith((".txt", ".csv", ".txt.gz", ".csv.gz"))
                    or is_sample_file(Path(name))
                    or is_recording_file(Path(folder, name))
                )
                if is_taken:
                    files[Path(folder, name)] = None
                else:
                    left_alone += 1
    return list(files), left_alone
