"""Repeated text as small numbers, and runs as the store numbers them."""

import sqlite3

from receiver.arrivals import Source
from receiver.limits import INTERNED_TEXTS_CACHED
from receiver.store.errors import StoreDamagedError


class Interning:
    """Numbers of texts and sources in one store, remembered while its connection is open.

    Numbers that were given out inside a transaction that is then rolled back are void: call
    `forget` after a rollback. Other processes may intern into the same store at the same time.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._texts: dict[str, int] = {}
        self._sources: dict[tuple[Source, str | None, str | None], int] = {}
        self._runs: dict[int, int] = {}
        self._runs_not_committed: list[int] = []

    def forget(self) -> None:
        """Ask the store again for every number; runs not yet committed have none."""
        self._texts.clear()
        self._sources.clear()
        for number in self._runs_not_committed:
            self._runs.pop(number, None)
        self._runs_not_committed.clear()

    def committed(self) -> None:
        """Take the numbers given out since the last commit as lasting."""
        self._runs_not_committed.clear()

    def remember_run(self, number: int, run_id: int) -> None:
        """Take `run_id` as the store's number of a run of this process."""
        if number not in self._runs:
            self._runs_not_committed.append(number)
            if len(self._runs) >= INTERNED_TEXTS_CACHED:
                del self._runs[next(iter(self._runs))]
        self._runs[number] = run_id

    def run(self, number: int) -> int | None:
        """Return the store's number of a run of this process, None where it has none yet."""
        return self._runs.get(number)

    def text(self, text: str) -> int:
        """Return the number of `text`, which is stored if it is new."""
        number = self._texts.get(text)
        if number is None:
            if len(self._texts) >= INTERNED_TEXTS_CACHED:
                self._texts.clear()
            number = self._number(
                "INSERT INTO texts (text) VALUES (?) ON CONFLICT DO NOTHING RETURNING id",
                "SELECT id FROM texts WHERE text = ?",
                (text,),
            )
            self._texts[text] = number
        return number

    def source(self, source: Source, radio: str | None, protocol: str | None) -> int:
        """Return the number of a source; `radio` is the antenna as the frame names it."""
        key = (source, radio, protocol)
        number = self._sources.get(key)
        if number is None:
            if len(self._sources) >= INTERNED_TEXTS_CACHED:
                self._sources.clear()
            number = self._number(
                "INSERT INTO sources (link, antenna, protocol, decoder, import_id)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
                "SELECT id FROM sources WHERE link = ? AND antenna IS ? AND protocol IS ?"
                " AND decoder = ? AND import_id IS ?",
                (
                    source.link,
                    source.antenna_of(radio),
                    protocol,
                    source.decoder,
                    source.import_id,
                ),
            )
            self._sources[key] = number
        return number

    def _number(self, insert: str, select: str, values: tuple[object, ...]) -> int:
        # Looking first spares the write lock in the usual case that another process was first.
        for statement in (select, insert, select):
            row = self._connection.execute(statement, values).fetchone()
            if row is not None:
                return int(row[0])
        raise StoreDamagedError(f"the store is damaged: no number could be given to {values!r}")
