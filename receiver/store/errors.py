"""The errors of the store; each message says what to do."""


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
