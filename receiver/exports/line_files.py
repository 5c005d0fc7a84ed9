"""Many text files that are written to in turn, few of them open at once.

A file that was closed and is written to again is continued: gzip files then have several members,
which every reader of gzip takes for one file. The same lines give the same bytes: no name and no
time stands in a compressed file.
"""

import gzip
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from receiver.exports.staging import Staging

_OPEN_AT_ONCE: Final = 16
"""Two streams of a few boots and hours that rows jump between: 16 compressors are 4 MB."""

_LINES_AT_ONCE: Final = 500


class LineFiles:
    """Files by name, as a context manager; a name that ends in `.gz` is compressed."""

    def __init__(self, staging: Staging, line_end: bytes, headers: bytes = b"") -> None:
        """Prepare to write; each new file begins with `headers`."""
        self._staging = staging
        self._line_end = line_end
        self._headers = headers
        self._begun: set[str] = set()
        self._open: OrderedDict[str, _LineFile] = OrderedDict()

    def write(self, name: str, line: str) -> None:
        """Put a line into the file of this name."""
        file = self._open.get(name)
        if file is None:
            file = self._opened(name)
        file.lines.append(line)
        if len(file.lines) >= _LINES_AT_ONCE:
            file.flush(self._line_end)

    def __enter__(self) -> Self:
        """Return it; all files are closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._open.values():
            if kind is None:
                file.flush(self._line_end)
            file.close()

    def _opened(self, name: str) -> "_LineFile":
        if len(self._open) >= _OPEN_AT_ONCE:
            _, oldest = self._open.popitem(last=False)
            oldest.flush(self._line_end)
            oldest.close()
        file = self._open[name] = _LineFile(self._staging.path(name))
        if name not in self._begun:
            self._begun.add(name)
            file.write(self._headers)
        return file


class _LineFile:
    def __init__(self, path: Path) -> None:
        self.lines: list[str] = []
        self._file: BinaryIO = path.open("ab")
        self._zipped: gzip.GzipFile | None = None
        if path.suffix == ".gz":
            self._zipped = gzip.GzipFile(
                filename="", mode="wb", compresslevel=6, fileobj=self._file, mtime=0
            )

    def flush(self, line_end: bytes) -> None:
        if self.lines:
            joined = b"".join(
                line.encode("utf-8", "surrogateescape") + line_end for line in self.lines
            )
            self.lines.clear()
            self.write(joined)

    def write(self, content: bytes) -> None:
        (self._zipped or self._file).write(content)

    def close(self) -> None:
        if self._zipped is not None:
            self._zipped.close()
        self._file.close()
