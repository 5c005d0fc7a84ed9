"""Pulses of made-up coded-ID tags, as lines of vamp-alsa-host and as station-link readings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

S: Final = 10**9
HEADER: Final = "proj,id,tagFreq,g1,g2,g3,bi\n"


class MadeUpTag(msgspec.Struct, frozen=True, kw_only=True):
    """One tag: its row of a list, and the times of its pulses."""

    number: int
    gaps_ms: tuple[float, float, float]
    interval_s: float

    @property
    def tag_id(self) -> str:
        """As detections carry it."""
        return f"Marsh#{self.number}"

    @property
    def row(self) -> str:
        """Its line of a CSV list."""
        gaps = ",".join(map(str, self.gaps_ms))
        return f"Marsh,{self.number},166.38,{gaps},{self.interval_s}\n"

    def burst_ns(self, begin_ns: int) -> list[int]:
        """Return when the four pulses are of a burst that begins at `begin_ns`."""
        times = [begin_ns]
        for gap_ms in self.gaps_ms:
            times.append(times[-1] + round(gap_ms * 1e6))
        return times

    def bursts_ns(self, begin_ns: int, count: int) -> Iterator[list[int]]:
        """Yield the pulses' times of bursts that follow each other."""
        for number in range(count):
            yield self.burst_ns(begin_ns + round(number * self.interval_s * S))


WREN: Final = MadeUpTag(number=1, gaps_ms=(22.0, 39.1, 58.6), interval_s=2.0)
KNOT: Final = MadeUpTag(number=2, gaps_ms=(46.4, 24.4, 78.1), interval_s=2.5)


def write_list(path: Path, *tags: MadeUpTag) -> Path:
    """Write a tag list."""
    path.write_text(HEADER + "".join(tag.row for tag in tags), encoding="utf-8")
    return path


def line(time_ns: int, port: int = 3, offset_khz: float = 2.5, signal_db: float = -40) -> bytes:
    """Return what vamp-alsa-host prints of a pulse."""
    tenths_ms = round(time_ns / 1e5)
    seconds, rest = divmod(tenths_ms, 10_000)
    return b"p%d,%d.%04d,%.3f,%.2f,-65.2\n" % (port, seconds, rest, offset_khz, signal_db)
