"""Space kept back for the day the disk is full: without it not even a deletion can be written."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Reserve:
    """A file beside the store that holds nothing but space.

    In WAL mode a DELETE and a checkpoint need room for the log and for what it has not yet moved
    into the file. While `opened`, that room is there; afterwards it is taken back, so that rows
    and other programs do not use it up.
    """

    def __init__(self, store: Path, size_bytes: int) -> None:
        self.path = store.with_name(store.name + ".reserve")
        self.size_bytes = size_bytes

    @property
    def is_held(self) -> bool:
        """Whether the space is kept."""
        try:
            return self.path.stat().st_size >= self.size_bytes
        except OSError:
            return False

    def take(self) -> bool:
        """Keep the space if it is there; return whether it is kept."""
        if self.is_held:
            return True
        try:
            free_bytes = shutil.disk_usage(self.path.parent).free
            if free_bytes < self.size_bytes:
                return False
            with self.path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self.size_bytes)
                os.fsync(file.fileno())
        except OSError:
            self._give()
            return False
        return True

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Give the space back for the block, then take it again if it is still there."""
        self._give()
        try:
            yield
        finally:
            self.take()

    def _give(self) -> None:
        with suppress(OSError):
            self.path.unlink()
