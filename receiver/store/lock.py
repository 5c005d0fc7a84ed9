"""One daemon for one store: a lock that ends with its process, however that ends."""

import fcntl
import os
from pathlib import Path
from typing import IO

from receiver.store.errors import StoreError


class StoreInUseError(StoreError):
    """Another daemon writes to the store, or its folder cannot be written; the message says."""


def hold(store: Path) -> IO[str]:
    """Hold the store for this daemon until the returned file is closed.

    Raises:
        StoreInUseError: another has it, or the folder cannot be written.
    """
    path = _lock_file(store)
    try:
        file = path.open("a+", encoding="ascii")
    except OSError as error:
        raise StoreInUseError(
            f"{path}: cannot be written: {error.strerror}; check the folder of `store.path`"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise StoreInUseError(
            f"{store}: another `stopover run` has this store; stop it first"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def is_held(store: Path) -> bool:
    """Return whether a daemon has the store."""
    try:
        with _lock_file(store).open(encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def holder(store: Path) -> int | None:
    """Return the process of the daemon that has the store, None where none has."""
    if not is_held(store):
        return None
    try:
        return int(_lock_file(store).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _lock_file(store: Path) -> Path:
    return store.with_name(store.name + ".lock")
