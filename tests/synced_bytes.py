"""Power cuts that take everything that was not synced, replayed from what a program wrote.

A library of ours, preloaded into a child process, writes down each write, sync, truncation and
removal in one folder (`synced_bytes.c`). `PowerCuts` then builds what the disk would hold after a
cut at each of these moments: of what was not synced nothing is left, or all of it, or any part.
"""

import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

_SOURCE = Path(__file__).with_name("synced_bytes.c")
_HEAD = struct.Struct("<4Q")
_BLOCK_BYTES = 512
_SAY = "import os\ndef say(what):\n    os.write(3, b'%s\\n' % str(what).encode())\n"


class _Step(msgspec.Struct, frozen=True):
    what: str
    path: str
    at: int
    written: bytes


def recorded_writes(folder: Path, program: str) -> list[int]:
    """Run a program whose files in `folder/store` are watched; return the numbers that it said.

    The program calls `say(number)` when that many rows are durable.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here: sudo apt-get install gcc libc6-dev")
    library = folder / "synced_bytes.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"], check=True
    )
    said = folder / "store" / "said"
    with said.open("wb") as file:
        tests = Path(__file__).parent
        subprocess.run(
            [sys.executable, "-c", f"{_SAY.replace('3', str(file.fileno()))}{program}"],
            check=True,
            pass_fds=[file.fileno()],
            env=os.environ
            | {
                "LD_PRELOAD": str(library),
                "SYNCED_BYTES_FOLDER": f"{folder / 'store'}/",
                "SYNCED_BYTES_LOG": str(folder / "writes"),
                "PYTHONPATH": f"{tests}:{tests.parent}",
            },
        )
    return [int(number) for number in said.read_text(encoding="ascii").split()]


def _steps(recording: bytes) -> Iterator[_Step]:
    at = 0
    while at < len(recording):
        what, path_length, place, size = _HEAD.unpack_from(recording, at)
        at += _HEAD.size
        path = recording[at : at + path_length].decode()
        at += path_length
        length = size if chr(what) == "w" else 0
        yield _Step(chr(what), path, place, recording[at : at + length])
        at += length


class PowerCuts:
    """What a disk holds after a cut at each moment of a recorded program."""

    def __init__(self, folder: Path) -> None:
        self._steps = list(_steps((folder / "writes").read_bytes()))
        self._disk = folder / "after-the-cut"
        self._disk.mkdir()
        self._synced: dict[str, bytes] = {}
        self._unsynced: dict[str, list[_Step]] = {}
        self._dice = random.Random(1)

    def path_of(self, path: Path) -> Path:
        """Return where a watched file is after the cut."""
        return self._disk / path.name

    def moments(self, every: int = 1) -> Iterator[int]:
        """Cut at every n-th moment: nothing, some or all of what was not synced is left.

        Yields how many rows had been told durable by then; -1 before the program said anything.
        """
        durable = -1
        for number, step in enumerate(self._steps):
            if step.path.endswith("/said"):
                durable = int(step.written)
                continue
            self._take(step)
            if number % every:
                continue
            for part in (0.0, 0.5, 1.0):
                self._lay_out(part)
                yield durable

    def _take(self, step: _Step) -> None:
        if step.what == "s":
            for each in self._unsynced.pop(step.path, []):
                self._apply(self._synced, each)
        elif step.what == "u":
            # A name that goes, goes at once here: the log may go before the file's bytes are kept.
            self._synced.pop(step.path, None)
            self._unsynced.pop(step.path, None)
        else:
            self._unsynced.setdefault(step.path, []).append(step)

    def _lay_out(self, part: float) -> None:
        """Write the disk: what was synced, and each block of the rest with this chance."""
        files = dict(self._synced)
        for steps in self._unsynced.values():
            for step in steps:
                if step.what == "t":
                    if self._dice.random() < part:
                        self._apply(files, step)
                    continue
                for at in range(0, len(step.written), _BLOCK_BYTES):
                    if self._dice.random() < part:
                        block = step.written[at : at + _BLOCK_BYTES]
                        self._apply(files, _Step("w", step.path, step.at + at, block))
        for old in self._disk.iterdir():
            old.unlink()
        for path, contents in files.items():
            (self._disk / Path(path).name).write_bytes(contents)

    @staticmethod
    def _apply(files: dict[str, bytes], step: _Step) -> None:
        before = files.get(step.path, b"")
        if step.what == "t":
            files[step.path] = before[: step.at].ljust(step.at, b"\0")
        else:
            end = step.at + len(step.written)
            files[step.path] = before[: step.at].ljust(step.at, b"\0") + step.written + before[end:]
