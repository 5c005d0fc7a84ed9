"""Files of truth: rows written one JSON object a line, and read back. Schema: `truth.py`."""

from pathlib import Path
from typing import Self

import msgspec

from simulator.truth import TruthRow


class TruthFile:
    """Writes a truth file; every row is in the file when `write` returns.

    Use as a context manager, or `close` it.
    """

    def __init__(self, path: Path) -> None:
        self.rows = 0
        self._encoder = msgspec.json.Encoder()
        self._file = path.open("wb", buffering=0)

    def write(self, row: TruthRow) -> None:
        """Append one row."""
        self._file.write(self._encoder.encode(row) + b"\n")
        self.rows += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_truth(path: Path) -> list[TruthRow]:
    """Return the rows of a truth file.

    Raises:
        ValueError: a line is no such row; the message names file and line.
    """
    decoder = msgspec.json.Decoder(TruthRow)
    rows: list[TruthRow] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            rows.append(decoder.decode(line))
        except msgspec.DecodeError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return rows
