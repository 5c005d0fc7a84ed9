"""What was imported: which file, how far, and which rows came from it.

A file is known again by its identity, not by its path: its base name without `.gz` where that names
the station and the time, otherwise (`beep_0.csv`) the name of its folder too. A CTT station's live
file is known again under the dated name that rotation gives it, by its header and first row.
"""

import hashlib
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from protocols.ctt.files import is_card_name, parse_station_name
from protocols.sensorgnome import parse_name


class Identity(msgspec.Struct, frozen=True):
    """What makes a file the same file."""

    name: str
    """Base name without `.gz`."""
    folder: str
    """Name of the folder, where the base name alone says too little; else empty."""


_COPY_MARK = re.compile(r" ?\([0-9]{1,3}\)(?=\.)")
"""`…-all (1).txt.gz`: what browsers and file managers call a file that they have already."""


def as_recorded(path: Path) -> Path:
    """Return a path by the names that its recorder gave, as text.

    What marks a further copy is left out of a name that then tells its station or is a node
    card's; bytes that are no text are escaped.
    """
    told = Path(os.fsencode(path).decode("utf-8", "backslashreplace"))
    name = _COPY_MARK.sub("", told.name)
    return told.with_name(name) if _names_its_station(name) or is_card_name(name) else told


def _names_its_station(name: str) -> bool:
    return parse_name(name) is not None or parse_station_name(name) is not None


def identity_of(path: Path) -> Identity:
    """Return the identity of the file at a resolved path."""
    name = path.name[: -len(".gz")] if path.name.lower().endswith(".gz") else path.name
    return Identity(name, "" if _names_its_station(name) else path.parent.name)


def head_of(lines: list[bytes]) -> str | None:
    """Return the mark of a file's first two lines, None where there are not two."""
    return hashlib.sha256(b"\n".join(lines[:2])).hexdigest() if len(lines) > 1 else None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One imported content of a file."""

    import_id: int
    sha256: str
    """Of the first `size_bytes` bytes, unpacked."""
    size_bytes: int
    """All lines up to here are in the store."""
    tail: bytes | None
    """A last line without terminator that was read as a row."""
    is_complete: bool


_COLUMNS = "id, sha256, bytes, tail, complete, name"


class Ledger:
    """The tables `imports` and `import_rows` of a store.

    Methods that write belong inside the transaction that stores the rows they tell of.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def entries(self, identity: Identity, head: str | None) -> list[Entry]:
        """Return what was imported of a file before, the longest first."""
        station_file = parse_station_name(identity.name)
        is_live = station_file is not None and station_file.rotated is None
        found = self._connection.execute(
            f"SELECT {_COLUMNS} FROM imports WHERE name = ? AND folder = ?"  # noqa: S608  Constant.
            " AND (NOT ? OR head IS ?)",
            (identity.name, identity.folder, is_live, head),
        ).fetchall()
        if station_file is not None and head is not None:
            same_head = self._connection.execute(
                f"SELECT {_COLUMNS} FROM imports WHERE head = ? AND name <> ?",  # noqa: S608  Same.
                (head, identity.name),
            )
            for row in same_head:
                other = parse_station_name(row[5])
                if (
                    other is not None
                    and (other.station_id, other.suffix)
                    == (station_file.station_id, station_file.suffix)
                    and (is_live or other.rotated is None)
                ):
                    found.append(row)
        return _longest_first(found)

    def of_head(self, head: str, kind: str) -> list[Entry]:
        """Return what was imported of files of a kind that begin so, the longest first."""
        found = self._connection.execute(
            f"SELECT {_COLUMNS} FROM imports WHERE head = ? AND kind = ?",  # noqa: S608  Constant.
            (head, kind),
        )
        return _longest_first(found)

    def begin(self, identity: Identity, head: str | None, kind: str, now_ns: int) -> int:
        """Enter a file of which nothing is stored yet; return its number."""
        cursor = self._connection.execute(
            "INSERT INTO imports (name, folder, kind, head, sha256, bytes, complete,"
            " imported_utc_ns) VALUES (?, ?, ?, ?, '', 0, 0, ?)",
            (identity.name, identity.folder, kind, head, now_ns),
        )
        assert cursor.lastrowid is not None  # noqa: S101  An INSERT that did not raise has one.
        return cursor.lastrowid

    def advance(
        self, import_id: int, size_bytes: int, sha256: str, tail: bytes | None, *, is_complete: bool
    ) -> None:
        """Enter how far a file's lines are in the store."""
        self._connection.execute(
            "UPDATE imports SET bytes = ?, sha256 = ?, tail = ?, complete = ? WHERE id = ?",
            (size_bytes, sha256, tail, is_complete, import_id),
        )

    def forget_if_empty(self, import_id: int) -> None:
        """Strike out a file that gave no row: a copy of what another entry tells of."""
        self._connection.execute(
            "DELETE FROM imports WHERE id = ? AND id NOT IN (SELECT import_id FROM import_rows)",
            (import_id,),
        )

    def last_ids(self) -> dict[str, int]:
        """Return the last row number that each table gave out."""
        return dict(self._connection.execute("SELECT name, seq FROM sqlite_sequence"))

    def claim_rows(self, import_id: int, tables: Iterable[str], before: dict[str, int]) -> None:
        """Enter that all rows given out since `before` are of this file."""
        after = self.last_ids()
        for table in tables:
            first, last = before.get(table, 0) + 1, after.get(table, 0)
            if last < first:
                continue
            grown = self._connection.execute(
                "UPDATE import_rows SET last_id = ?"
                " WHERE import_id = ? AND kept_in = ? AND last_id = ?",
                (last, import_id, table, first - 1),
            )
            if grown.rowcount == 0:
                self._connection.execute(
                    "INSERT INTO import_rows (import_id, kept_in, first_id, last_id)"
                    " VALUES (?, ?, ?, ?)",
                    (import_id, table, first, last),
                )

    def lines(self, entries: list[Entry]) -> Counter[bytes]:
        """Return the lines of these imports that are rows of the store, each with its number."""
        lines: Counter[bytes] = Counter()
        for table, first, last in self._ranges(entries):
            rows = self._connection.execute(
                f"SELECT raw FROM {table} WHERE rowid BETWEEN ? AND ?",  # noqa: S608  Our own name.
                (first, last),
            )
            lines.update(row[0] for row in rows)
        return lines

    def stamped_lines(self, entries: list[Entry]) -> Counter[tuple[str, object, object]]:
        """Return the rows of these imports by table, time and line, each with its number."""
        rows: Counter[tuple[str, object, object]] = Counter()
        for table, first, last in self._ranges(entries):
            rows.update(
                (table, utc_ns, raw)
                for utc_ns, raw in self._connection.execute(
                    f"SELECT utc_ns, raw FROM {table} WHERE rowid BETWEEN ? AND ?",  # noqa: S608  Our own name.
                    (first, last),
                )
            )
        return rows

    def has_line_beginning(self, entries: list[Entry], start: bytes) -> bool:
        """Tell whether a row of these imports begins with these bytes."""
        return any(
            self._connection.execute(
                f"SELECT 1 FROM {table} WHERE rowid BETWEEN ? AND ?"  # noqa: S608  Our own name.
                " AND substr(raw, 1, ?) = ? LIMIT 1",
                (first, last, len(start), start),
            ).fetchone()
            for table, first, last in self._ranges(entries)
        )

    def retract(self, entry: Entry) -> None:
        """Take back the one row made of an unterminated last line that was not whole after all."""
        for table, first, last in reversed(self._ranges([entry])):
            gone = self._connection.execute(
                f"DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table}"  # noqa: S608  Our own name.
                " WHERE rowid BETWEEN ? AND ? AND raw = ?)",
                (first, last, entry.tail),
            )
            if gone.rowcount:
                return

    def _ranges(self, entries: list[Entry]) -> list[tuple[str, int, int]]:
        return [
            row
            for entry in entries
            for row in self._connection.execute(
                "SELECT kept_in, first_id, last_id FROM import_rows WHERE import_id = ?"
                " ORDER BY rowid",
                (entry.import_id,),
            )
        ]


def _longest_first(rows: Iterable[Sequence[Any]]) -> list[Entry]:
    entries = [
        Entry(import_id=row[0], sha256=row[1], size_bytes=row[2], tail=row[3], is_complete=row[4])
        for row in rows
    ]
    return sorted(entries, key=lambda entry: -entry.size_bytes)
