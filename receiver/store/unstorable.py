"""Rows that SQLite refuses, such as an integer of more than 64 bits: found, and kept as raw bytes.

A single row of that kind must not keep everything behind it out of the store for ever.
"""

from collections.abc import Sequence

import msgspec

from protocols.records import Ignored, Unknown
from receiver.arrivals import Arrival
from receiver.store.database import Store
from receiver.store.faults import Fault, kind


class Refused(msgspec.Struct, frozen=True):
    """A batch in which what was refused is an unknown frame."""

    arrivals: Sequence[Arrival]
    rows: int
    """How many were refused."""
    reason: str
    """Of the last that was."""


def without_unstorable(store: Store, arrivals: Sequence[Arrival]) -> Refused:
    """Try each row in a transaction that is taken back; return the batch that can be stored.

    Raises:
        sqlite3.Error: the store itself is at fault.
    """
    connection = store.connection
    connection.execute("BEGIN IMMEDIATE")
    try:
        kept, rows, reason = [], 0, ""
        for arrival in arrivals:
            try:
                store.insert(store.row_maker.rows([arrival]))
            except Exception as error:
                if kind(error) is not Fault.UNSTORABLE:
                    raise
                rows, reason = rows + 1, str(error) or type(error).__name__
                kept.append(_as_unknown(arrival))
            else:
                kept.append(arrival)
    finally:
        store.row_maker.forget()
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return Refused(kept, rows, reason)


def _as_unknown(arrival: Arrival) -> Arrival:
    record = arrival.record
    raw = b"" if isinstance(record, Ignored) else record.raw
    unknown = Unknown(reason="unstorable", raw=raw if isinstance(raw, bytes) else b"")
    return msgspec.structs.replace(arrival, record=unknown)
