"""The batch: what travels from a station to a far end, and is acknowledged as one.

A batch is NDJSON, UTF-8, compressed or not. The first line is the header:

    station_id      the owner's name of the station
    store_uuid      the store the rows are from; with it a `seq` is unique for ever
    schema_version  1
    first_seq, last_seq   the `seq` of the first and last detection; both absent where there is none
    rows            how many detections follow, one a line, by `seq`
    beside          what else follows after them: a list of {kind, first, last, rows}, each kind's
                    rows one a line, by its own number

A line of a row is one JSON object. Its keys are those of `stopover detections --format json`, with
`boot` and `mono_ns`; absent is left out. `time_stamped` is the time as it was stamped and never
changes; `time` is there only where the time was corrected, as far as the station knew when it sent
the row. Bytes (`raw`, `payload`) are hexadecimal. Times are ISO 8601, UTC, to the microsecond.

A batch is named by the SHA-256 of its bytes as they are sent: whoever names it in an
acknowledgement has received all of it. Far ends key rows by (station_id, store_uuid, kind, number):
a row that comes twice is the same row.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

SCHEMA_VERSION = 1

Compression: TypeAlias = Literal["gzip", "zstd", "none"]

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_GZIP_LEVEL = 6
_ZSTD_LEVEL = 9

FILE_ENDINGS: Mapping[Compression, str] = {"gzip": ".gz", "zstd": ".zst", "none": ""}


class BatchError(Exception):
    """Bytes that are no batch; the message says why."""


class BesideRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of another kind that travel with the detections."""

    kind: str
    first: int
    last: int
    rows: int


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first line of a batch."""

    station_id: str
    store_uuid: str
    schema_version: int = msgspec.field()
    first_seq: int | None = None
    last_seq: int | None = None
    rows: int = 0
    beside: tuple[BesideRows, ...] = ()


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as it is sent."""

    header: Header
    body: bytes
    compression: Compression
    name: str
    """The SHA-256 of the body."""

    @property
    def rows(self) -> int:
        """How many rows it has, of all kinds."""
        return self.header.rows + sum(beside.rows for beside in self.header.beside)

    @property
    def marks(self) -> dict[str, int]:
        """How far the far end has each kind of row once it has this batch."""
        marks = {beside.kind: beside.last for beside in self.header.beside}
        if self.header.last_seq is not None:
            marks["detections"] = self.header.last_seq
        return marks


def pack(header: Header, lines: Sequence[bytes], compression: Compression) -> Batch:
    """Return the batch of encoded rows; the same rows always give the same bytes.

    Raises:
        BatchError: zstd is wanted and not installed.
    """
    plain = b"\n".join([msgspec.json.encode(header), *lines]) + b"\n"
    body = _compressed(plain, compression)
    return Batch(header=header, body=body, compression=compression, name=name_of(body))


def name_of(body: bytes) -> str:
    """Return the name of a batch from its bytes."""
    return hashlib.sha256(body).hexdigest()


def unpack(body: bytes, most_bytes: int) -> tuple[Header, list[bytes]]:
    """Return the header and the lines of the rows; how it is compressed is seen from the bytes.

    Raises:
        BatchError: it is no batch, is damaged, unpacks to more than `most_bytes`, or its lines are
            not as many as its header says.
    """
    lines = _plain(body, most_bytes).split(b"\n")
    if lines.pop() != b"":
        raise BatchError("the last line is cut")
    if not lines:
        raise BatchError("it is empty")
    try:
        header = _decode_header(lines[0])
    except msgspec.DecodeError as error:
        raise BatchError(f"the header: {error}") from error
    if header.schema_version != SCHEMA_VERSION:
        raise BatchError(
            f"schema_version {header.schema_version} is not {SCHEMA_VERSION}: update the collector"
        )
    wanted = header.rows + sum(beside.rows for beside in header.beside)
    if header.rows < 0 or any(beside.rows < 0 for beside in header.beside):
        raise BatchError("the header counts fewer than no rows")
    if len(lines) - 1 != wanted:
        raise BatchError(f"{len(lines) - 1} rows came, the header says {wanted}")
    return header, lines[1:]


def by_kind(header: Header, lines: Sequence[bytes]) -> Iterator[tuple[str, Sequence[bytes]]]:
    """Yield (kind, lines) in the order of the batch."""
    yield "detections", lines[: header.rows]
    begin = header.rows
    for beside in header.beside:
        yield beside.kind, lines[begin : begin + beside.rows]
        begin += beside.rows


def has_zstd() -> bool:
    """Return whether zstd is installed."""
    try:
        import zstandard  # noqa: F401, PLC0415  Optional: `stopover[zstd]`.
    except ImportError:
        return False
    return True


_decode_header = msgspec.json.Decoder(Header).decode


def _compressed(plain: bytes, compression: Compression) -> bytes:
    if compression == "none":
        return plain
    if compression == "gzip":
        return gzip.compress(plain, _GZIP_LEVEL, mtime=0)
    if not has_zstd():
        raise BatchError("zstd is not installed: pip install 'stopover[zstd]', or take gzip")
    import zstandard  # noqa: PLC0415  Optional.

    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(plain)


def _plain(body: bytes, most_bytes: int) -> bytes:
    if body.startswith(_GZIP_MAGIC):
        return _gunzipped(body, most_bytes)
    if body.startswith(_ZSTD_MAGIC):
        return _unzstd(body, most_bytes)
    if len(body) > most_bytes:
        raise BatchError(f"it is longer than {most_bytes} bytes")
    return body


def _gunzipped(body: bytes, most_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = unpacker.decompress(body, most_bytes)
    except zlib.error as error:
        raise BatchError(f"gzip: {error}") from error
    if unpacker.unconsumed_tail:
        raise BatchError(f"it unpacks to more than {most_bytes} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise BatchError("gzip: it is cut, or more follows it")
    return plain


def _unzstd(body: bytes, most_bytes: int) -> bytes:
    if not has_zstd():
        raise BatchError("zstd is not installed at this far end: pip install 'stopover[zstd]'")
    import zstandard  # noqa: PLC0415  Optional.

    unpacker = zstandard.ZstdDecompressor(max_window_size=8 * 1024 * 1024).decompressobj()
    parts: list[bytes] = []
    unpacked = 0
    try:
        for begin in range(0, len(body), _ZSTD_STEP):
            part = unpacker.decompress(body[begin : begin + _ZSTD_STEP])
            unpacked += len(part)
            if unpacked > most_bytes:
                raise BatchError(f"it unpacks to more than {most_bytes} bytes")
            parts.append(part)
    except zstandard.ZstdError as error:
        raise BatchError(f"zstd: {error}") from error
    if not unpacker.eof or unpacker.unused_data:
        raise BatchError("zstd: it is cut, or more follows it")
    return b"".join(parts)


_ZSTD_STEP = 1024
"""Bytes unpacked before the result is looked at: zstd packs zeros 20,000 to 1, so 20 MB."""
