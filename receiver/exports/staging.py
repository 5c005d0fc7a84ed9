"""Files that appear under their final names whole, or not at all.

Everything is written into a hidden folder beside its place and moved there at the end. What an
interrupted export left behind is cleared by the next one into the same folder.
"""

import fcntl
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from receiver.exports.request import ExportError

_FOLDER: Final = ".unfinished-export"


class Staging:
    """The files of one export on their way, as a context manager.

    Leaving the block moves them into place, synced to the disk; leaving it by an exception removes
    them.
    """

    def __init__(self, out: Path) -> None:
        """Prepare to write files into the folder `out`, which is made where there is none."""
        self._out = out
        self._folder = out / _FOLDER
        self._lock = -1
        self._names: dict[str, None] = {}

    def __enter__(self) -> Self:
        """Make the hidden folder.

        Raises:
            ExportError: another export writes into the same folder, or nobody may.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ExportError(
                f"{self._out}: another export is writing here; wait for it or name another folder"
            ) from None
        except OSError as error:
            raise ExportError(f"{self._out}: cannot be written to: {error.strerror}") from error
        self._clear()
        return self

    def path(self, name: str) -> Path:
        """Return where to write the file that is to stand as `name` (with its subfolders)."""
        path = self._folder / name
        if name not in self._names:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._names[name] = None
        return path

    def scratch(self, name: str) -> Path:
        """Return where to write a file that is needed on the way only."""
        return self._folder / f".{name}"

    def final_paths(self) -> list[Path]:
        """Return where the files stand at the end."""
        return [self._out / name for name in self._names]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._move()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)

    def _clear(self) -> None:
        for entry in self._folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def _move(self) -> None:
        # One call for all: a year may be 17,000 files, and a sync of each takes its time on a card.
        os.sync()
        for name, place in zip(self._names, self.final_paths(), strict=True):
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._folder / name, place)  # noqa: PTH105  Replaces, as the name says.
        os.sync()
