"""Repeated text as small numbers."""

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

    def forget(self) -> None:
        """Ask the store again for every number."""
        self._texts.clear()
        self._sources.clear()

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
