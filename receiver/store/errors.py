"""The errors of the store; each message says what to do."""

from collections.abc import Sequence
from pathlib import Path

_TABLES_NAMED = 3


class StoreError(Exception):
    """The store cannot be used."""


class StoreMissingError(StoreError):
    """There is no store at the path that was given."""


class StoreDamagedError(StoreError):
    """The file is no SQLite database, or SQLite says that it is damaged."""


class StoreOlderError(StoreError):
    """An older version of this program wrote the store, and it was not brought up to date."""


class StoreNewerError(StoreError):
    """A newer version of this program wrote the store."""


class StoreForeignError(StoreError):
    """The file is another program's database."""

    def __init__(self, path: Path, tables: Sequence[str]) -> None:
        """`tables` are those that it has."""
        more = " …" if len(tables) > _TABLES_NAMED else ""
        named = ", ".join(tables[:_TABLES_NAMED])
        super().__init__(
            f"{path}: is no store of stopover but another program's database, with the tables"
            f" {named}{more}: name another file"
        )
