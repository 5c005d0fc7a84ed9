"""The sixth version: what newer decoders made of kept raw bytes, beside what the rows say.

`kept_in` and `id` name the row whose raw bytes were read again; rows themselves stay as they are.
`verdict` is JSON: see `receiver.store.redecoded`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def m006(db: "Database") -> None:
    """Make the table."""
    db.execute("""
CREATE TABLE redecoded (
    kept_in TEXT NOT NULL,
    id INTEGER NOT NULL,
    decoder TEXT NOT NULL,
    read_utc_ns INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    PRIMARY KEY (kept_in, id, decoder)
) WITHOUT ROWID""")
