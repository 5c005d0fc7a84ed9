"""Detections as text, piece by piece, for a download."""

import csv
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from receiver.exports.detections_csv import cells
from receiver.limits import PAGE_CHUNK_BYTES, PAGE_CHUNK_S
from receiver.store.detection_rows import DETECTION_KEYS
from receiver.store.queries import DetectionFilter, Reader
from receiver.web.made_files import explained

_ENCODER: Final = msgspec.json.Encoder()


class RowChunks:
    """The detections of one download; all calls from one thread."""

    def __init__(self, store: Path, wanted: DetectionFilter, ending: str) -> None:
        """`ending` is csv, or json for one object a line."""
        self._store = store
        self._wanted = wanted
        self._is_csv = ending == "csv"
        self._reader: Reader | None = None
        self._lines: Iterator[bytes] | None = None

    def following(self) -> bytes | None:
        """Return the next piece, which may be empty; None at the end.

        Raises:
            MakingError: the store cannot be read.
        """
        with explained(self._store):
            if self._lines is None:
                self._reader = Reader(self._store)
                self._lines = self._csv(self._reader) if self._is_csv else self._json(self._reader)
            return self._piece(self._lines)

    def close(self) -> None:
        """Let the store go."""
        if self._reader is not None:
            self._reader.close()

    def _piece(self, lines: Iterator[bytes]) -> bytes | None:
        piece = bytearray()
        until_s = time.monotonic() + PAGE_CHUNK_S
        for line in lines:
            piece += line
            if len(piece) >= PAGE_CHUNK_BYTES or time.monotonic() >= until_s:
                return bytes(piece)
        return bytes(piece) or None

    def _json(self, reader: Reader) -> Iterator[bytes]:
        for row in reader.detections(self._wanted):
            yield _ENCODER.encode(row) + b"\n"

    def _csv(self, reader: Reader) -> Iterator[bytes]:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(DETECTION_KEYS)
        for row in reader.detections(self._wanted):
            writer.writerow(cells(row))
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
        yield text.getvalue().encode()
