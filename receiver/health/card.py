"""The disk that the store lies on: what was written to it, and how far it is worn.

    /sys/dev/block/MAJOR:MINOR       leads to the partition's folder; its disk's is above it
        stat                         field 7: sectors of 512 bytes written since the start
        device/life_time             eMMC only: two numbers, 0x01 for 0-10 % of its life used,
                                     0x0a for 90-100 %, 0x0b for more, 0x00 where it does not tell
        device/pre_eol_info          eMMC only: 0x01 normal, 0x02 80 % of the spare blocks used,
                                     0x03 90 %

SD cards tell nothing of their wear; what was written to them is all there is.

Sources: linux/Documentation/block/stat.rst, Documentation/driver-api/mmc/mmc-dev-attrs.rst, JEDEC
JESD84-B51 (DEVICE_LIFE_TIME_EST, PRE_EOL_INFO).
"""

import os
from pathlib import Path
from typing import Final

import msgspec

from receiver.health.sysfs import text, word

_SECTOR_BYTES: Final = 512
_SECTORS_WRITTEN: Final = 6
_LIFE_STEP_PERCENT: Final = 10
_END_OF_LIFE: Final = {1: "normal", 2: "warning", 3: "urgent"}


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a disk; None where nothing tells."""

    written_bytes: int | None = None
    """Since the computer started."""
    wear_percent: float | None = None
    """At most so much of its life is used."""
    end_of_life: str | None = None
    """`normal`, `warning` or `urgent`, by its spare blocks."""


def read_card(root: Path, path: Path) -> Card:
    """Look at the disk that holds `path`, by the kernel's files under `root`."""
    disk = _disk(root, path)
    if disk is None:
        return Card()
    sectors = word(disk / "stat", _SECTORS_WRITTEN)
    lives = _hexadecimals(disk / "device/life_time")
    worst = max(lives, default=0)
    left = _hexadecimals(disk / "device/pre_eol_info")
    return Card(
        written_bytes=None if sectors is None else int(sectors) * _SECTOR_BYTES,
        wear_percent=float(worst * _LIFE_STEP_PERCENT) if worst else None,
        end_of_life=_END_OF_LIFE.get(left[0]) if left else None,
    )


def _disk(root: Path, path: Path) -> Path | None:
    """Return the folder of the whole disk; None for what lies on none: tmpfs, overlays."""
    try:
        device = path.stat().st_dev
        partition = root / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}"
        folder = partition.resolve(strict=True)
    except OSError:
        return None
    return folder.parent if (folder / "partition").exists() else folder


def _hexadecimals(path: Path) -> list[int]:
    try:
        return [int(word, 16) for word in (text(path) or "").split()]
    except ValueError:
        return []
