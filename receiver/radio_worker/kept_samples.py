"""Samples around packets, kept as files: what a decoder of tomorrow, or a person, looks at again.

Each is `LINK_TIME_FREQUENCY_RATE.cu8` (or .cs16, .cf32), in the form that rtl_433 and others take,
with a `.sigmf-meta` beside it that tells when and where each packet is. They take no more room than
they may: the oldest are removed first, and counted.

Source of the description's form: the SigMF specification 1.0 (a dataset of another form, named by
`core:dataset`).
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from receiver.limits import RADIO_KEPT_FILE_S
from receiver.radio_settings import SampleForm, SoftwareRadioLink

META_SUFFIX: Final = ".sigmf-meta"
DATATYPES: Final[dict[SampleForm, str]] = {"cu8": "cu8", "cs16": "ci16_le", "cf32": "cf32_le"}
"""SigMF's names."""
_NS_PER_S: Final = 1_000_000_000
_MARGIN_S: Final = 0.005
"""Before a packet that begins in a file and ends in the next."""

UtcOf: TypeAlias = Callable[[int], int]
"""Returns when a sample was, in nanoseconds since 1970."""


class Packet(NamedTuple):
    """Something in the samples."""

    first: int
    end: int
    label: str


class _Wanted(NamedTuple):
    """Samples that are to become a file."""

    first: int
    end: int
    packets: tuple[Packet, ...]


class KeptSamples:
    """Remembers the last seconds of a stream's bytes and writes those around packets to files."""

    def __init__(self, link: SoftwareRadioLink, frame_bytes: int, remembered_s: float) -> None:
        """Remember `remembered_s` more than what is kept before a packet: decoding takes time."""
        self.files = 0
        self.files_removed = 0
        self.packets_not_kept = 0
        """The disk would not take them, or their samples were gone."""
        self._link = link
        self._frame_bytes = frame_bytes
        self._around = round(link.keep_seconds * link.rate_hz)
        self._longest = round(RADIO_KEPT_FILE_S * link.rate_hz)
        self._ring: deque[tuple[int, bytes]] = deque()
        self._most_bytes = (
            round(remembered_s * link.rate_hz) + 2 * self._around + self._longest
        ) * frame_bytes
        self._ring_bytes = 0
        self._end = 0
        self._wanted: _Wanted | None = None
        self._written_end = 0
        self._margin = round(_MARGIN_S * link.rate_hz)
        self._folder = Path(link.keep_folder)

    def heard(self, first: int, chunk: bytes, utc_of: UtcOf) -> None:
        """Take the bytes of the stream from sample `first` on; write what is whole now."""
        self._ring.append((first, chunk))
        self._ring_bytes += len(chunk)
        self._end = first + len(chunk) // self._frame_bytes
        least = self._least_bytes()
        while len(self._ring) > 1 and self._ring_bytes - len(self._ring[0][1]) >= least:
            self._ring_bytes -= len(self._ring.popleft()[1])
        if self._wanted is not None and self._wanted.end <= self._end:
            self.write(utc_of)

    def want(self, packet: Packet, utc_of: UtcOf) -> None:
        """Keep the samples around a packet; no sample is kept twice, but those of a packet."""
        if packet.end <= self._written_end:
            return
        first, end = packet.first - self._around, packet.end + self._around
        if first < self._written_end:
            first = min(self._written_end, packet.first - self._margin)
        wanted = self._wanted
        if wanted is not None:
            if first <= wanted.end and end - wanted.first <= self._longest:
                self._wanted = _Wanted(
                    min(first, wanted.first), max(end, wanted.end), (*wanted.packets, packet)
                )
                return
            self.write(utc_of)
        self._wanted = _Wanted(first, end, (packet,))

    def write(self, utc_of: UtcOf) -> None:
        """Write what is wanted, as far as it was heard."""
        wanted, self._wanted = self._wanted, None
        if wanted is None:
            return
        self._written_end = wanted.end
        first, samples = self._cut_out(wanted)
        if not samples:
            self.packets_not_kept += len(wanted.packets)
            return
        utc_ns = utc_of(first)
        path = self._folder / f"{self._stem(utc_ns)}.{self._link.sample_form}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._make_room(len(samples))
            path.write_bytes(samples)
            described = description(
                self._link,
                path.name,
                utc_ns,
                [
                    each._replace(first=each.first - first, end=each.end - first)
                    for each in wanted.packets
                ],
            )
            path.with_suffix(META_SUFFIX).write_bytes(described)
        except OSError:
            self.packets_not_kept += len(wanted.packets)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return
        self.files += 1

    def _least_bytes(self) -> int:
        """Return how much of the past must stay."""
        if self._wanted is None:
            return self._most_bytes - self._longest * self._frame_bytes
        behind = (self._end - self._wanted.first) * self._frame_bytes
        return min(self._most_bytes, max(behind, 0))

    def _cut_out(self, wanted: _Wanted) -> tuple[int, bytes]:
        """Return the longest run of samples without a gap that ends last in what is wanted."""
        begin = wanted.first
        pieces: list[bytes] = []
        follows: int | None = None
        for first, chunk in self._ring:
            end = first + len(chunk) // self._frame_bytes
            if end <= wanted.first or first >= wanted.end:
                continue
            if first != follows:
                pieces.clear()
                begin = max(first, wanted.first)
            follows = end
            low = max(0, wanted.first - first) * self._frame_bytes
            high = (min(end, wanted.end) - first) * self._frame_bytes
            pieces.append(chunk[low:high])
        return begin, b"".join(pieces)

    def _stem(self, utc_ns: int) -> str:
        seconds, rest = divmod(utc_ns, _NS_PER_S)
        moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%S")
        mhz = f"{self._link.tuned_hz / 1e6:.6f}".rstrip("0").rstrip(".")
        rate_k = f"{self._link.rate_hz / 1e3:g}"
        return f"{self._link.name}_{moment}.{rest // 1_000_000:03d}Z_{mhz}M_{rate_k}k"

    def _make_room(self, more_bytes: int) -> None:
        """Remove the oldest of this link's files until there is room for one more."""
        kept = sorted(
            (file for file in self._folder.glob(f"{self._link.name}_*.{self._link.sample_form}")),
            key=lambda file: file.name,
        )
        sizes = {file: file.stat().st_size for file in kept}
        room = self._link.keep_mb * 1_000_000 - more_bytes - sum(sizes.values())
        for file in kept:
            if room >= 0:
                return
            file.unlink(missing_ok=True)
            file.with_suffix(META_SUFFIX).unlink(missing_ok=True)
            room += sizes[file]
            self.files_removed += 1


def description(
    link: SoftwareRadioLink, file_name: str, utc_ns: int, packets: Iterable[Packet] = ()
) -> bytes:
    """Return the `.sigmf-meta` of a file of samples."""
    moment = datetime.fromtimestamp(utc_ns // _NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    told: dict[str, Any] = {
        "global": {
            "core:datatype": DATATYPES[link.sample_form],
            "core:sample_rate": link.rate_hz,
            "core:version": "1.0.0",
            "core:dataset": file_name,
            "core:recorder": "Stopover",
            "stopover:link": link.name,
            "stopover:antenna": link.antenna,
            "stopover:hears": link.hears,
            "stopover:channel_hz": link.channel_hz,
        },
        "captures": [
            {
                "core:sample_start": 0,
                "core:frequency": link.tuned_hz,
                "core:datetime": f"{moment}.{utc_ns % _NS_PER_S:09d}Z",
            }
        ],
        "annotations": [
            {
                "core:sample_start": packet.first,
                "core:sample_count": packet.end - packet.first,
                "core:label": packet.label,
            }
            for packet in packets
        ],
    }
    return msgspec.json.format(msgspec.json.encode(told)) + b"\n"
