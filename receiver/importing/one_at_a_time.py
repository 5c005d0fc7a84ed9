"""One import into a store at a time: two that read the same file at once would both add it."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def one_at_a_time(store: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the right to import into a store; wait for another import that has it.

    Open the store inside the block and close it there: the lock is on the file itself, and to
    close a file ends what SQLite has locked in it. Whatever ends the process ends the lock. Where
    the file cannot be opened for writing there is none; opening the store says why.
    """
    try:
        file = os.open(store, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        yield
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # A file system without locks; who imports onto it must not do so twice at once.
        yield
    finally:
        os.close(file)
