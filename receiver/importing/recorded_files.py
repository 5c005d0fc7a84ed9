"""Recorded files as blocks of whole lines: plain or gzip, bounded, damage told and survived."""

import contextlib
import hashlib
import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self

import msgspec

from receiver.limits import (
    IMPORT_BLOCK_BYTES,
    IMPORT_LONGEST_LINE_BYTES,
    UNPACKED_ALWAYS_BYTES,
    UNPACKED_RATIO,
)

_GZIP_MAGIC: Final = b"\x1f\x8b"
_PACKED_READ_BYTES: Final = 64 * 1024
_GZIP_WINDOW_BITS: Final = 16 + zlib.MAX_WBITS
_OTHER_MAGICS: Final = {
    b"PK\x03\x04": "a ZIP archive: unpack it first",
    b"BZh": "packed with bzip2: unpack it first",
    b"\xfd7zXZ": "packed with xz: unpack it first",
    b"7z\xbc\xaf": "a 7z archive: unpack it first",
    b"SQLite format 3\0": "an SQLite database, not a recording",
    b"\xff\xd8\xff": "not a text file but a JPEG picture",
    b"\x89PNG": "not a text file but a PNG picture",
    b"\xff\xfe": "text in UTF-16: save it as UTF-8 first",
    b"\xfe\xff": "text in UTF-16: save it as UTF-8 first",
}
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_TEXT_CONTROLS: Final = b"\t\n\r\x0c\x1b"
_NOT_TEXT: Final = bytes(set(range(1, 32)) - set(_TEXT_CONTROLS)) + bytes(range(127, 256))
_MOST_NOT_TEXT: Final = 0.1
_LOOKED_AT_BYTES: Final = 4096


class UnreadableFileError(Exception):
    """A file of which nothing can be read; the message says why, without its name."""


class Block(msgspec.Struct, frozen=True):
    """Whole lines of a file that follow each other."""

    lines: list[bytes]
    """Without LF or CR LF. An unterminated last line of the file is not among them."""
    first_line: int
    """Number of the first of them, counted from 1."""
    end: int
    """Bytes of the (unpacked) file up to the end of the last of them."""
    sha256: str
    """Of those bytes."""
    has_zeros: bool
    """Whether there are NUL bytes in the lines."""
    is_last: bool


class RecordedFile:
    """One file, read once from start to end in blocks of whole lines.

    Promises: memory of about three blocks, however long the file or a line of it is. Damage ends
    the reading or skips a line; it is told in `damage`, never raised.
    """

    def __init__(self, path: Path, packed: BinaryIO, size_bytes: int) -> None:
        self.path = path
        self.size_bytes = size_bytes
        """As it lies on the disk."""
        self.damage: list[str] = []
        """What is wrong and where, for people."""
        self.tail: bytes | None = None
        """After the last block: a last line without terminator, of a file that ended well."""
        self._file = packed
        start = packed.read(len(_GZIP_MAGIC))
        packed.seek(0)
        self._is_gzip = start == _GZIP_MAGIC

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a regular file.

        Raises:
            UnreadableFileError: there is none, it is no regular file, it may not be read.
        """
        try:
            # Opening a named pipe would wait for its writer.
            if not stat.S_ISREG(path.stat().st_mode):
                raise UnreadableFileError("not a regular file")
            packed = path.open("rb")
        except (OSError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise UnreadableFileError(f"cannot be opened: {reason or error}") from error
        try:
            return cls(path, packed, os.fstat(packed.fileno()).st_size)
        except OSError as error:
            packed.close()
            raise UnreadableFileError(f"cannot be read: {error.strerror}") from error

    def __enter__(self) -> Self:
        """Return the file; it is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def read_bytes(self) -> int:
        """How much of `size_bytes` has been read."""
        return self._file.tell()

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """Yield the lines after byte `start` of the (unpacked) file, at least one block.

        Raises:
            UnreadableFileError: the file is no text.
        """
        digest = hashlib.sha256()
        end, line_number = 0, 1
        waiting: tuple[list[bytes], int, int, str, bool] | None = None
        for text, is_skipped in self._whole_lines():
            digest.update(text)
            # `start` is the end of a line, so the wanted lines may begin inside this text.
            passed = text[: max(0, start - end)]
            first = line_number + passed.count(b"\n")
            end += len(text)
            line_number += text.count(b"\n")
            lines = [] if is_skipped or end <= start else _split(text[len(passed) :])
            if not lines:
                continue
            if first == 1:
                # Editors put it before the first line.
                lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
            if waiting is not None:
                yield Block(*waiting, is_last=False)
            waiting = (lines, first, end, digest.hexdigest(), b"\0" in text)
        lines, first, has_zeros = [], line_number, False
        if waiting is not None:
            lines, first, _, _, has_zeros = waiting
        # What was skipped at the end counts as read.
        yield Block(lines, first, end, digest.hexdigest(), has_zeros, is_last=True)

    def prefixes(self, sizes_bytes: Iterable[int]) -> dict[int, str]:
        """Return the SHA-256 of the first bytes of the (unpacked) file, by their number.

        Sizes beyond the file's end are absent; the size of the whole is there too.
        """
        digest, end = hashlib.sha256(), 0
        found: dict[int, str] = {}
        sizes = sorted(sizes_bytes)
        for piece in self._unpacked():
            rest = piece
            while sizes and sizes[0] <= end + len(rest):
                size = sizes.pop(0)
                digest.update(rest[: size - end])
                rest, end = rest[size - end :], size
                found[size] = digest.hexdigest()
            digest.update(rest)
            end += len(rest)
        found[end] = digest.hexdigest()
        return found

    def _whole_lines(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the file in pieces that end with LF, each with whether it is to be skipped."""
        rest, offset, line_number = b"", 0, 1
        is_skipping, is_first, told_line = False, True, 0
        for piece in self._unpacked():
            if is_first:
                _refuse_what_is_no_text(piece)
                is_first = False
            text = rest + piece
            cut = text.rfind(b"\n") + 1
            whole, rest = text[:cut], text[cut:]
            if is_skipping and whole:
                line_end = whole.index(b"\n") + 1
                # What follows NUL bytes may be a whole line.
                skip = whole.rfind(b"\0", 0, line_end) + 1 or line_end
                yield whole[:skip], True
                line_number += whole.count(b"\n", 0, skip)
                offset += skip
                whole, is_skipping = whole[skip:], False
            if whole:
                yield whole, False
                line_number += whole.count(b"\n")
                offset += len(whole)
            if len(rest) > IMPORT_LONGEST_LINE_BYTES:
                if line_number != told_line:
                    what = "NUL bytes" if b"\0" in rest else "too long"
                    self.damage.append(
                        f"line {line_number} (byte {offset}): {what}, "
                        f"more than {IMPORT_LONGEST_LINE_BYTES} bytes skipped"
                    )
                    told_line = line_number
                skip = rest.rfind(b"\0") + 1 or len(rest)
                is_skipping = skip == len(rest) and not rest.endswith(b"\0")
                yield rest[:skip], True
                offset += skip
                rest = rest[skip:]
        self._end(rest, line_number, offset)

    def _end(self, rest: bytes, line_number: int, offset: int) -> None:
        if rest and self.damage:
            self.damage.append(
                f"line {line_number} (byte {offset}): incomplete last line, left out"
            )
        elif rest:
            self.tail = rest.removesuffix(b"\r")

    def _unpacked(self) -> Iterator[bytes]:
        """Yield the content; where it cannot be read on, say so in `damage` and end."""
        offset = 0
        try:
            for piece in self._gunzipped() if self._is_gzip else self._plain():
                yield piece
                offset += len(piece)
        except OSError as error:
            self.damage.append(f"byte {offset}: cannot be read: {error.strerror}")
        except zlib.error:
            self.damage.append(f"byte {offset} (unpacked): the gzip is damaged there or before")

    def _plain(self) -> Iterator[bytes]:
        while piece := self._file.read(IMPORT_BLOCK_BYTES):
            yield piece

    def _gunzipped(self) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(_GZIP_WINDOW_BITS)
        unpacked_bytes, limit = 0, max(UNPACKED_ALWAYS_BYTES, UNPACKED_RATIO * self.size_bytes)
        while packed := unpacker.unconsumed_tail or self._file.read(_PACKED_READ_BYTES):
            before = unpacker.copy()
            try:
                piece = unpacker.decompress(packed, IMPORT_BLOCK_BYTES)
            except zlib.error:
                yield from _before_damage(before, packed)
                raise
            unpacked_bytes += len(piece)
            if piece:
                yield piece
            if unpacked_bytes > limit:
                self.damage.append(
                    f"byte {unpacked_bytes} (unpacked): unpacks to more than {limit} bytes, "
                    "which no recording does; the rest was not read"
                )
                return
            if unpacker.eof:
                follows = unpacker.unused_data or self._file.read(_PACKED_READ_BYTES)
                if not follows.strip(b"\0"):
                    return
                # Another member, as `cat a.gz b.gz` makes; or garbage, which zlib will tell.
                self._file.seek(-len(follows), os.SEEK_CUR)
                unpacker = zlib.decompressobj(_GZIP_WINDOW_BITS)
        yield unpacker.flush()
        if not unpacker.eof:
            self.damage.append(f"byte {unpacked_bytes} (unpacked): the gzip is cut off there")


def _refuse_what_is_no_text(start: bytes) -> None:
    for magic, what in _OTHER_MAGICS.items():
        if start.startswith(magic):
            raise UnreadableFileError(f"byte 0: {what}")
    looked_at = start[:_LOOKED_AT_BYTES].replace(b"\0", b"")
    not_text = len(looked_at) - len(looked_at.translate(None, _NOT_TEXT))
    if not_text > _MOST_NOT_TEXT * len(looked_at):
        raise UnreadableFileError("byte 0: not a text file")


def _before_damage(unpacker: "zlib._Decompress", packed: bytes) -> Iterator[bytes]:
    """Yield what `packed` holds before its damage: zlib keeps nothing of what it cannot end."""
    whole = bytearray()
    with contextlib.suppress(zlib.error):
        for byte in packed:
            whole += unpacker.decompress(bytes((byte,)))
    if whole:
        yield bytes(whole)


def _split(text: bytes) -> list[bytes]:
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    lines.pop()
    return lines
