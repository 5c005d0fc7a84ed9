"""Compressed files that hold the same bytes for the same world."""

import gzip
from pathlib import Path


class ZippedFile:
    """One compressed file; no name and no time inside, so the same world gives the same bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._zipped = gzip.GzipFile(filename="", mode="wb", fileobj=self._file, mtime=0)

    def write(self, text: bytes) -> None:
        """Append bytes."""
        self._zipped.write(text)

    def close(self) -> None:
        """End the file."""
        self._zipped.close()
        self._file.close()
