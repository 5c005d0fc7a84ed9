"""Byte streams cut into frames: feed(bytes) → frames.

Both framers hold to one statement: however a stream is split into chunks, the same frames come out;
memory stays below `max_frame_bytes` plus one chunk; after garbage the next whole frame is found
again; and every byte that is not part of a frame is counted.
"""

from typing import Literal, Protocol, TypeAlias

Framing: TypeAlias = Literal["lines", "cobs", "message"]
"""How a byte stream is cut: text lines, COBS frames, or (`message`) not at all."""

MAX_LINE_BYTES = 4096
"""The longest line of any known radio is a JSON health record of about 420 bytes; ten times that
leaves room for firmware to come, and bounds what a line that never ends can cost."""

MAX_COBS_FRAME_BYTES = 4096
"""A station-link PULSES frame of 255 pulses is 12 + 6 + 255 * 14 + 2 = 3590 bytes; COBS adds one
byte in 254."""


class Framer(Protocol):
    """Cuts a byte stream into frames."""

    skipped_bytes: int
    """Bytes that belonged to no frame: over-long lines, broken COBS."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes of the stream, return the frames that they complete."""
        ...

    def reset(self) -> None:
        """Forget the unfinished frame (the stream was interrupted), counting its bytes."""
        ...


class LineFramer:
    r"""Text lines that end in LF, CR LF or CR; the terminator is not part of the frame.

    Empty lines give no frame. A line longer than `max_frame_bytes` is skipped up to its end.
    NUL bytes at a line's start (radios print some when powered up) are dropped.
    """

    def __init__(self, max_frame_bytes: int = MAX_LINE_BYTES) -> None:
        self.max_frame_bytes = max_frame_bytes
        self.skipped_bytes = 0
        self._tail = b""
        self._skipping = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes of the stream, return the lines that they complete."""
        *lines, tail = (self._tail + chunk).replace(b"\r", b"\n").split(b"\n")
        tail = self._without_nuls(tail)
        if self._skipping and lines:
            self.skipped_bytes += len(lines.pop(0))
            self._skipping = False
        if len(tail) > self.max_frame_bytes:
            self._skipping = True
        if self._skipping:
            self.skipped_bytes += len(tail)
            tail = b""
        self._tail = tail
        return [line for line in map(self._without_nuls, lines) if self._fits(line)]

    def _without_nuls(self, line: bytes) -> bytes:
        rest = line.lstrip(b"\x00")
        self.skipped_bytes += len(line) - len(rest)
        return rest

    def _fits(self, line: bytes) -> bool:
        if len(line) <= self.max_frame_bytes:
            return line != b""
        self.skipped_bytes += len(line)
        return False

    def reset(self) -> None:
        """Forget the unfinished line, counting its bytes."""
        self.skipped_bytes += len(self._tail)
        self._tail = b""
        self._skipping = False


class CobsFramer:
    """Frames in Consistent Overhead Byte Stuffing, each ended by one zero byte.

    Source: Cheshire and Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on
    Networking 7 (1999). A frame whose code bytes do not fit its length is skipped and counted.
    """

    def __init__(self, max_frame_bytes: int = MAX_COBS_FRAME_BYTES) -> None:
        self.max_frame_bytes = max_frame_bytes
        self.skipped_bytes = 0
        self._tail = b""
        self._skipping = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes of the stream, return the decoded frames that they complete."""
        *blocks, tail = (self._tail + chunk).split(b"\x00")
        if self._skipping and blocks:
            self.skipped_bytes += len(blocks.pop(0))
            self._skipping = False
        if len(tail) > self.max_frame_bytes:
            self._skipping = True
        if self._skipping:
            self.skipped_bytes += len(tail)
            tail = b""
        self._tail = tail
        frames = []
        for block in blocks:
            frame = cobs_decode(block) if len(block) <= self.max_frame_bytes else None
            if frame:
                frames.append(frame)
            else:
                self.skipped_bytes += len(block)
        return frames

    def reset(self) -> None:
        """Forget the unfinished frame, counting its bytes."""
        self.skipped_bytes += len(self._tail)
        self._tail = b""
        self._skipping = False


_COBS_RUN = 0xFF


def cobs_encode(frame: bytes) -> bytes:
    """Return `frame` stuffed so that it holds no zero byte, without the terminating zero."""
    out = bytearray()
    run = rest = b""
    for run in frame.split(b"\x00"):
        rest = run
        while len(rest) >= _COBS_RUN - 1:
            out.append(_COBS_RUN)
            out += rest[: _COBS_RUN - 1]
            rest = rest[_COBS_RUN - 1 :]
        out.append(len(rest) + 1)
        out += rest
    if run and not rest:
        del out[-1]  # A full group at the very end needs no empty group after it.
    return bytes(out)


def cobs_decode(block: bytes) -> bytes | None:
    """Return the frame in one stuffed block (no zeros in it), or None where it is broken."""
    out = bytearray()
    position = 0
    while position < len(block):
        code = block[position]
        run = block[position + 1 : position + code]
        if code == 0 or len(run) != code - 1:
            return None
        out += run
        position += code
        if code != _COBS_RUN and position < len(block):
            out.append(0)
    return bytes(out)


def framer(framing: Framing) -> Framer:
    """Return a new framer of the kind that a decoder asks for.

    Raises:
        ValueError: `message` frames come whole and need no framer.
    """
    if framing == "lines":
        return LineFramer()
    if framing == "cobs":
        return CobsFramer()
    raise ValueError(f"{framing} frames arrive whole: no framer cuts them")
