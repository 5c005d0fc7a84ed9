r"""Recordings of a link: raw bytes with their times, as text that can be sent with a bug report.

One JSON object a line, UTF-8, only ever appended to. A file may hold several sessions; each begins
with its first line, which ties the two clocks together:

    {"stopover_recording":1,"link":"ch1","device":"/dev/…","decoder":"ctt","baud_rate":115200,
     "boot":"…","t_ns":1000,"utc_ns":1788000000000000000,"clock":"ntp"}       (on one line)
    {"t_ns":2000,"hex":"7b22…0d0a"}         bytes of one read, CLOCK_BOOTTIME at the read
    {"t_ns":3000,"interrupted":"Input/output error"}    the port ended; frames do not run across

Keys that a reader does not know are ignored, so that the format can grow.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal, Self, TypeAlias

import msgspec
from msgspec import Meta

from receiver.arrivals import ClockQuality, Stamp
from receiver.limits import MAX_RECORDING_LINE_BYTES

_FORMAT: Final = 1
START: Final = b'{"stopover_recording":'
"""How every recording begins."""

_GOOD_CLOCKS: Final = ("pps", "gps", "ntp", "file")

_Monotonic: TypeAlias = Annotated[int, Meta(ge=0, le=2**61)]
"""Nanoseconds; 73 years."""
_Utc: TypeAlias = Annotated[int, Meta(ge=0, le=2**62)]
"""Nanoseconds since 1970; until 2116."""


class RecordingError(Exception):
    """A recording that cannot be used; the message names file and line."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a session."""

    stopover_recording: Literal[1] = _FORMAT
    link: str
    device: str
    decoder: str
    baud_rate: int
    boot: str
    t_ns: _Monotonic
    """CLOCK_BOOTTIME at the session's start."""
    utc_ns: _Utc
    """The system clock of the same instant."""
    clock: ClockQuality
    """How far the system clock could be trusted then."""

    def stamp(self, t_ns: int) -> Stamp:
        """Return the recorded time of a read in this session."""
        clock: ClockQuality = "file" if self.clock in _GOOD_CLOCKS else "unsynchronised"
        return Stamp(self.utc_ns + t_ns - self.t_ns, clock)


class Chunk(msgspec.Struct, frozen=True):
    """The bytes of one read."""

    t_ns: int
    received: bytes


class Interruption(msgspec.Struct, frozen=True):
    """The port ended here and was opened again later."""

    t_ns: int
    reason: str


Recorded: TypeAlias = Session | Chunk | Interruption


class _ChunkLine(msgspec.Struct, frozen=True):
    t_ns: _Monotonic
    hex: str


class _InterruptionLine(msgspec.Struct, frozen=True):
    t_ns: _Monotonic
    interrupted: str


class Recorder:
    """Appends to a recording; every line is with the kernel when its call returns."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.chunks = 0
        self.received_bytes = 0

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a recording to append to, or begin one.

        Raises:
            RecordingError: the file holds something else.
            OSError: it cannot be written.
        """
        file = path.open("a+b", buffering=0)
        if file.tell():
            file.seek(0)
            if file.read(len(START)) != START:
                file.close()
                raise RecordingError(f"{path}: holds something else than a recording; name another")
            file.seek(-1, 2)
            if file.read(1) != b"\n":  # A power cut took the end of the last line.
                file.write(b"\n")
        return cls(file)

    def begin(self, session: Session) -> None:
        """Write the first line of a session."""
        self._write(session)

    def received(self, t_ns: int, chunk: bytes) -> None:
        """Write the bytes of one read."""
        self._write(_ChunkLine(t_ns, chunk.hex()))
        self.chunks += 1
        self.received_bytes += len(chunk)

    def interrupted(self, t_ns: int, reason: str) -> None:
        """Write that the port ended."""
        self._write(_InterruptionLine(t_ns, reason))

    def _write(self, line: msgspec.Struct) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return the recorder; its file is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_recording(
    path: Path, on_damage: Callable[[RecordingError], None] | None = None
) -> Iterator[Recorded]:
    """Yield what a recording holds, in order; the first is always a `Session`.

    A damaged line is told to `on_damage` and skipped; without `on_damage` it is raised.

    Raises:
        RecordingError: this is no recording, or a line is damaged.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        number = 0
        in_session = False
        while line := file.readline(MAX_RECORDING_LINE_BYTES):
            number += 1
            try:
                recorded = recorded_line(line, in_session=in_session)
            except (ValueError, msgspec.MsgspecError) as error:
                damage = RecordingError(f"{path}: line {number}: {error}")
                if on_damage is None or number == 1:
                    raise damage from error
                on_damage(damage)
                _skip_rest_of_line(file, line)
                continue
            in_session = True
            yield recorded
        if not in_session:
            raise RecordingError(f"{path}: holds no recording: it is empty")


def recorded_line(line: bytes, *, in_session: bool) -> Recorded:
    """Return what one line, with its LF, of a recording says.

    Raises:
        ValueError: it is damaged, or no session is open and it begins none; also as
            `msgspec.MsgspecError`.
    """
    if not line.endswith(b"\n"):
        what = "too long" if len(line) == MAX_RECORDING_LINE_BYTES else "cut off"
        raise ValueError(f"the line is {what}")
    if line.startswith(START):
        return msgspec.json.decode(line, type=Session)
    if not in_session:
        raise ValueError("this is no recording: it does not begin with a session")
    if b'"interrupted"' in line:
        told = msgspec.json.decode(line, type=_InterruptionLine)
        return Interruption(told.t_ns, told.interrupted)
    chunk = msgspec.json.decode(line, type=_ChunkLine)
    return Chunk(chunk.t_ns, bytes.fromhex(chunk.hex))


def _skip_rest_of_line(file: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = file.readline(MAX_RECORDING_LINE_BYTES)
