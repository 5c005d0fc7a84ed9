"""The disk that the store lies on: what was written to it, and how far it is worn.

    /sys/dev/block/MAJOR:MINOR       leads to the partition's folder; its disk's is above it
        stat                         field 7: sectors of 512 bytes written since the start
        device/life_time             eMMC only: two numbers, 0x01 for 0-10 % of its life used,
                                     0x0a for 90-100 %, 0x0b for more, 0x00 where it does not tell
        device/pre_eol_info          eMMC only: 0x01 normal, 0x02 80 % of the spare blocks used,
                                     0x03 90 %
    /sys/fs/ext4/PARTITION
        lifetime_write_kbytes        written to the file system since it was made

The size of a disk is in its folder, `size`: sectors of 512 bytes.

SD cards tell nothing of their wear; what was written to them is all there is.

Sources: linux/Documentation/block/stat.rst, Documentation/driver-api/mmc/mmc-dev-attrs.rst,
Documentation/ABI/testing/sysfs-fs-ext4, JEDEC JESD84-B51 (DEVICE_LIFE_TIME_EST, PRE_EOL_INFO).
"""

import os
from pathlib import Path
from typing import Final

import msgspec

from receiver.health.sysfs import number, text, word

_SECTOR_BYTES: Final = 512
_SECTORS_WRITTEN: Final = 6
_LIFE_STEP_PERCENT: Final = 10
_END_OF_LIFE: Final = {1: "normal", 2: "warning", 3: "urgent"}


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a disk; None where nothing tells."""

    written_bytes: int | None = None
    """Since the computer started."""
    ever_written_bytes: int | None = None
    """Since the file system was made, where it is ext4."""
    size_bytes: int | None = None
    is_sd_card: bool = False
    """An SD card or an eMMC, as computers of this kind boot from."""
    wear_percent: float | None = None
    """At most so much of its life is used."""
    end_of_life: str | None = None
    """`normal`, `warning` or `urgent`, by its spare blocks."""


def read_card(root: Path, path: Path) -> Card:
    """Look at the disk that holds `path`, by the kernel's files under `root`."""
    partition = _partition(root, path)
    if partition is None:
        return Card()
    disk = partition.parent if (partition / "partition").exists() else partition
    kilobytes = number(root / "sys/fs/ext4" / partition.name / "lifetime_write_kbytes")
    size = number(disk / "size")
    sectors = word(disk / "stat", _SECTORS_WRITTEN)
    lives = _hexadecimals(disk / "device/life_time")
    worst = max(lives, default=0)
    left = _hexadecimals(disk / "device/pre_eol_info")
    return Card(
        written_bytes=None if sectors is None else int(sectors) * _SECTOR_BYTES,
        ever_written_bytes=None if kilobytes is None else kilobytes * 1024,
        size_bytes=None if size is None else size * _SECTOR_BYTES,
        is_sd_card=disk.name.startswith("mmcblk"),
        wear_percent=float(worst * _LIFE_STEP_PERCENT) if worst else None,
        end_of_life=_END_OF_LIFE.get(left[0]) if left else None,
    )


def _partition(root: Path, path: Path) -> Path | None:
    """Return the folder of the partition; None for what lies on no disk: tmpfs, overlays."""
    try:
        device = path.stat().st_dev
        partition = root / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}"
        return partition.resolve(strict=True)
    except OSError:
        return None


def _hexadecimals(path: Path) -> list[int]:
    try:
        return [int(word, 16) for word in (text(path) or "").split()]
    except ValueError:
        return []
