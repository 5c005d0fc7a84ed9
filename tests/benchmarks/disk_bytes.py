"""What a detection costs on the SD card: bytes written to disk, as the kernel counts them.

Run: .venv/bin/python tests/benchmarks/disk_bytes.py [--folder .] [--commits 2000]

Detections of 40 tags at 30 levels go into a real store at 0.2, 2 and 20 a second, committed as the
daemon does at its default `commit_interval`, but without waiting for the time to pass.
`write_bytes` of /proc/self/io counts what goes to the block device (whole pages of 4 KiB, the
file's checkpoints among them), so the folder must not be on a tmpfs. The floor is one block of
4 KiB for each commit: nothing that is synced by itself can be less. The file system's own journal
comes on top, for the floor as well; the measured floor is a plain file, appended to and synced.
"""

import argparse
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
from report import print_report

from protocols import registry
from protocols.ctt.packet import build_packet, id_from_number
from receiver.arrivals import Arrival, Source, Stamp
from receiver.limits import COMMIT_TIME_PART
from receiver.settings import StoreSettings
from receiver.store.database import Store

COMMIT_INTERVAL_S = StoreSettings().commit_interval
COMMIT_DELAY_S = COMMIT_INTERVAL_S * (1 - COMMIT_TIME_PART)
RATES_PER_S = (0.2, 2.0, 20.0)
BLOCK_BYTES = 4096
START_NS = 1_778_500_000 * 10**9


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one rate cost."""

    detections: int
    commits: int
    written_bytes: int
    file_bytes: int


def batches(rate_per_s: float, commits: int) -> Iterator[list[Arrival]]:
    """Yield what the daemon would commit: the rows of each interval in which one was heard."""
    dice = random.Random(1)
    decode = registry.entry("ctt").make().decode
    tags = [build_packet(id_from_number(dice.getrandbits(20))).hex() for _ in range(40)]
    sources = [
        Source(link=f"ch{number}", decoder="ctt/1", antenna=f"antenna-{number}")
        for number in range(1, 4)
    ]
    at_s = 0.0
    for _ in range(commits):
        # The interval begins with the first row that waits for it.
        at_s += dice.expovariate(rate_per_s)
        ends_s = at_s + COMMIT_DELAY_S
        batch = []
        while at_s < ends_s:
            line = f"{dice.choice(tags)},{dice.randrange(-105, -75)}".encode()
            stamp = Stamp(START_NS + int(at_s * 1e9), "ntp", int(at_s * 1e9), "boot")
            batch += [Arrival(record, dice.choice(sources), stamp) for record in decode(line)]
            at_s += dice.expovariate(rate_per_s)
        yield batch


def written_bytes() -> int:
    """Return what this process caused to be written to block devices so far."""
    lines = Path("/proc/self/io").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def measure(folder: Path, rate_per_s: float, commits: int) -> Cost:
    """Fill a new store."""
    path = folder / f"{rate_per_s}.db"
    detections = 0
    with Store.open(path, station_id="bench") as store:
        # A store has its texts and its first checkpoint behind it after the first rows.
        for batch in batches(rate_per_s, 50):
            store.append(batch)
        begun = written_bytes()
        for batch in batches(rate_per_s, commits):
            store.append(batch)
            detections += len(batch)
    # Closing moved the rest of the log into the file: that is part of the price.
    cost = written_bytes() - begun
    return Cost(
        detections=detections,
        commits=commits,
        written_bytes=cost,
        file_bytes=path.stat().st_size,
    )


def floor_bytes(folder: Path, commits: int) -> float:
    """Return what a commit of 80 bytes costs where they are only appended and synced."""
    with (folder / "floor").open("ab", buffering=0) as file:
        begun = written_bytes()
        for _ in range(commits):
            file.write(b"x" * 80)
            os.fdatasync(file.fileno())
        return (written_bytes() - begun) / commits


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description="Measures bytes written to disk per detection.")
    options.add_argument("--folder", type=Path, default=Path(), help="on the disk to measure")
    options.add_argument("--commits", type=int, default=2000, help="commits at each rate")
    chosen = options.parse_args()
    rows: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="stopover-bench-") as name:
        folder = Path(name)
        plain = floor_bytes(folder, chosen.commits)
        rows.append(("a synced append of 80 bytes", f"{plain:,.0f} B", ""))
        for rate_per_s in RATES_PER_S:
            cost = measure(folder, rate_per_s, chosen.commits)
            each = cost.detections / cost.commits
            per_commit = cost.written_bytes / cost.commits
            per_row = cost.written_bytes / cost.detections
            floor = BLOCK_BYTES / each
            rows += [
                (f"at {rate_per_s:g} detections a second", f"{each:.1f} a commit", ""),
                ("  written a commit", f"{per_commit:,.0f} B", f"floor {BLOCK_BYTES:,} B"),
                (
                    "  written a detection",
                    f"{per_row:,.0f} B",
                    f"floor {floor:,.0f} B",
                ),
                ("  in the file", f"{cost.file_bytes / cost.detections:,.0f} B a detection", ""),
            ]
    print_report(f"disk bytes: commit_interval {COMMIT_INTERVAL_S:g} s", rows)


if __name__ == "__main__":
    main()
