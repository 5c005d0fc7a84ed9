"""SQLite that fails at one chosen call, as on a worn card, a full disk or a busy store."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

_plain_connect = sqlite3.connect


class Faults:
    """Counts the calls to SQLite, and lets one of them, or several in a row, fail."""

    def __init__(
        self, fails_at: int, code: str = "SQLITE_IOERR_WRITE", *, calls: int = 1, late: bool = False
    ) -> None:
        """Prepare to fail.

        Args:
            fails_at: the first call that fails, counted from 1.
            code: SQLite's name of the error.
            calls: how many calls in a row fail.
            late: the failing statement has taken effect all the same; never so for a COMMIT.
        """
        self.calls = 0
        self.failed = 0
        self._failing = range(fails_at, fails_at + calls)
        self._code = code
        self._late = late

    def fail_from(self, fails_at: int, calls: int = 1) -> None:
        """Choose other calls to fail, counted as before."""
        self._failing = range(fails_at, fails_at + calls)

    def call(self, function: Callable[[], Any], statement: str) -> Any:  # noqa: ANN401  SQLite's.
        """Count and make one call, or fail."""
        self.calls += 1
        if self.calls not in self._failing:
            return function()
        self.failed += 1
        if self._late and not statement.startswith("COMMIT"):
            function()
        error = sqlite3.OperationalError(f"injected at call {self.calls}: {statement[:60]}")
        error.sqlite_errorname = self._code
        raise error


class FaultyConnection(sqlite3.Connection):
    """A connection whose statements fail as `faults` says."""

    faults: Faults

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:  # noqa: ANN401
        """Execute a statement, or fail."""
        plain = super().execute
        return self.faults.call(lambda: plain(sql, *arguments), sql)  # type: ignore[no-any-return]

    def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        """Execute a statement for several rows, or fail."""
        plain = super().executemany
        return self.faults.call(lambda: plain(sql, rows), sql)  # type: ignore[no-any-return]


@contextlib.contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> Iterator[Faults]:
    """Let all connections that are opened in the block fail as `faults` says."""

    def connect(*arguments: Any, **settings: Any) -> sqlite3.Connection:  # noqa: ANN401
        connection = _plain_connect(*arguments, **settings, factory=FaultyConnection)
        assert isinstance(connection, FaultyConnection)
        connection.faults = faults
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        yield faults
