"""The first row of each group and how many there are, however many groups, in bounded memory.

Groups are gathered in memory and moved to a scratch database when there are many; rows may come in
any order.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import msgspec

_GROUPS_IN_MEMORY: Final = 20_000
"""About 700 bytes each, so 14 MB."""


class Group(NamedTuple):
    """One group: its key, how many rows it has, and what was told of the first."""

    key: str
    rows: int
    first: dict[str, Any]


class FirstOf:
    """Gathers groups, as a context manager."""

    def __init__(self, scratch: Path) -> None:
        """Prepare to gather; `scratch` is a file that does not exist yet."""
        self._gathered: dict[str, tuple[int, str, dict[str, Any]]] = {}
        self._connection = sqlite3.connect(scratch, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(
            "CREATE TABLE groups (key TEXT PRIMARY KEY, count INTEGER NOT NULL,"
            " time TEXT NOT NULL, first BLOB NOT NULL) WITHOUT ROWID"
        )

    def add(self, key: str, time: str, told: dict[str, Any]) -> None:
        """Count a row of a group; `told` is kept if it is the earliest by `time`."""
        known = self._gathered.get(key)
        if known is None:
            if len(self._gathered) >= _GROUPS_IN_MEMORY:
                self._flush()
            self._gathered[key] = (1, time, told)
        elif time < known[1]:
            self._gathered[key] = (known[0] + 1, time, told)
        else:
            self._gathered[key] = (known[0] + 1, known[1], known[2])

    def groups(self) -> Iterator[Group]:
        """Yield all groups, ordered by key."""
        self._flush()
        for key, count, first in self._connection.execute(
            "SELECT key, count, first FROM groups ORDER BY key"
        ):
            yield Group(key, count, msgspec.json.decode(first))

    def _flush(self) -> None:
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO groups VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " first = CASE WHEN excluded.time < time THEN excluded.first ELSE first END,"
            " time = min(time, excluded.time), count = count + excluded.count",
            (
                (key, count, time, msgspec.json.encode(told))
                for key, (count, time, told) in self._gathered.items()
            ),
        )
        self._connection.execute("COMMIT")
        self._gathered.clear()

    def __enter__(self) -> Self:
        """Return it; the scratch database is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
