"""The disk: room, a file system that keeps what is written, and how fast it wears out."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from receiver.doctor.findings import Finding
from receiver.doctor.site import Site
from receiver.doctor.store import store_reader
from receiver.health.card import Card, read_card
from receiver.store.activity_queries import hours_listened
from receiver.store.queries import DetectionFilter, Reader

_DAY_S: Final = 86_400
_WRITES_OF_A_CELL: Final = 1000
_WRITES_OF_THE_CARD: Final = 4
"""What a card writes to its cells for each byte that it is given."""

_BUSY_CARD_BYTES_PER_DAY: Final = 8e9
"""What is much for a card: one of 32 GB whose cells bear 1000 writes takes some 8 TB with the
card's own share of it, three years at this rate. The station itself writes below 0.5 GB a day."""

_SHORTEST_LOOK_S: Final = 3600.0
"""A computer that started just now wrote more than it will."""

_WORN_PERCENT: Final = 80.0
_WORN_OUT_PERCENT: Final = 110.0
"""What `receiver.health.card` makes of an eMMC that says it is beyond its life."""

_FORGETFUL: Final = ("tmpfs", "ramfs", "overlay")
_WITHOUT_JOURNAL: Final = ("vfat", "exfat", "msdos")


def disk_room(site: Site) -> Iterator[Finding]:
    """Look how much room there is, and for how many days at the rate of the last ones."""
    if site.settings is None:
        return
    folder = _folder(site)
    alarms = site.settings.alarms
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    per_day = site.snapshot.store.bytes_per_day if site.snapshot else _bytes_per_day(site)
    days = free / per_day if per_day else None
    found = f"{free / 1e9:.1f} GB free"
    if days is not None:
        found += f", {days:.0f} days at this rate" if days < 10 * 365 else ", ten years and more"
    if free < alarms.disk_free_mb * 1e6 or (days is not None and days < alarms.disk_days):
        yield Finding(
            check="disk-room",
            severity="fault",
            subject=str(folder),
            found=found,
            do="free the disk (`sudo journalctl --vacuum-size=50M`, old copies), fetch the data and"
            " set store.max_size_mb, or take a larger card",
        )
    else:
        yield Finding(check="disk-room", severity="ok", subject=str(folder), found=found)


def file_system(site: Site) -> Iterator[Finding]:
    """Look whether the store's file system can be written and keeps what is written."""
    if site.store is None:
        return
    folder = _folder(site)
    mount, kind, options = _mount(site, folder)
    if os.statvfs(folder).f_flag & os.ST_RDONLY or "ro" in options:
        yield Finding(
            check="file-system",
            severity="fault",
            subject=str(folder),
            found=f"{mount} can only be read: nothing can be kept",
            do="after errors of the card Linux mounts it so: look at `sudo dmesg`, copy the data,"
            " change the card; on a read-only system put the store on a writable partition",
        )
    elif not site.identity.may(folder, os.W_OK | os.X_OK):
        yield Finding(
            check="file-system",
            severity="fault",
            subject=str(folder),
            found=f"{site.identity.user} may not write to it",
            do=f"`sudo chown {site.identity.user} {folder}`",
        )
    elif kind in _FORGETFUL:
        yield Finding(
            check="file-system",
            severity="warning",
            subject=str(folder),
            found=f"it is in memory ({kind} at {mount}): a power cut takes the store",
            do="put store.path on the card or on a USB disk",
        )
    elif kind in _WITHOUT_JOURNAL:
        yield Finding(
            check="file-system",
            severity="warning",
            subject=str(folder),
            found=f"{kind} at {mount} is easily damaged by a power cut",
            do="put store.path on an ext4 file system",
        )
    else:
        yield Finding(
            check="file-system", severity="ok", subject=str(folder), found=f"{kind} at {mount}"
        )


def disk_wear(site: Site) -> Iterator[Finding]:
    """Look how much is written to the card, and what it says of its own life."""
    if site.store is None:
        return
    folder = _folder(site)
    card = read_card(site.root, folder)
    worn = card.wear_percent
    if card.end_of_life in ("warning", "urgent") or (worn is not None and worn >= _WORN_PERCENT):
        is_over = card.end_of_life == "urgent" or (worn or 0) >= _WORN_OUT_PERCENT
        told = "" if worn is None else f"up to {min(worn, 100):.0f} % of its life is used"
        blocks = "" if card.end_of_life is None else f"spare blocks: {card.end_of_life}"
        yield Finding(
            check="disk-wear",
            severity="fault" if is_over else "warning",
            subject="card",
            found="; ".join(filter(None, (told, blocks))),
            do="change it at the next visit, and fetch the data before",
        )
    yield from _written_ever(card)
    uptime_s = float((site.text("/proc/uptime") or "0").split()[0])
    if card.written_bytes is None or uptime_s <= 0:
        return
    per_day = card.written_bytes / uptime_s * _DAY_S
    found = f"{card.written_bytes / 1e9:.1f} GB written since the start,"
    found += f" {per_day / 1e9:.2f} GB a day"
    if per_day > _BUSY_CARD_BYTES_PER_DAY and uptime_s > _SHORTEST_LOOK_S:
        yield Finding(
            check="disk-wear",
            severity="warning",
            subject="card",
            found=f"{found}: much for a card",
            do="see what writes with `sudo iotop -ao`; the station itself writes 0.5 GB a day at"
            " most",
        )
    else:
        yield Finding(check="disk-wear", severity="ok", subject="card", found=found)


def _written_ever(card: Card) -> Iterator[Finding]:
    """Tell what the card's file system has taken so far, and how much of its life that may be."""
    if card.ever_written_bytes is None or not card.size_bytes:
        return
    found = f"{card.ever_written_bytes / 1e9:.0f} GB written since its file system was made"
    if not card.is_sd_card:
        yield Finding(check="written-so-far", severity="ok", subject="disk", found=found)
        return
    bears_bytes = _WRITES_OF_A_CELL * card.size_bytes / _WRITES_OF_THE_CARD
    percent = 100 * card.ever_written_bytes / bears_bytes
    found += f", perhaps {percent:.0f} % of what such a card bears"
    is_much = percent >= _WORN_PERCENT
    yield Finding(
        check="written-so-far",
        severity="warning" if is_much else "ok",
        subject="card",
        found=found,
        do="change it at the next visit, and fetch the data before" if is_much else "",
    )


def reserve(site: Site) -> Iterator[Finding]:
    """Look whether the space is kept that a full disk needs to be cleared."""
    if site.snapshot is not None and site.snapshot.store.reserve_bytes == 0:
        yield Finding(
            check="reserve",
            severity="warning",
            subject=site.snapshot.store.path,
            found="the disk has no room for the reserve: the store does not grow any more",
            do="free the disk; the station takes the reserve by itself then",
        )


def _folder(site: Site) -> Path:
    """Return the folder of the store, or the nearest one above it that is there."""
    store = site.store or Path.cwd() / "store"
    return next(each for each in store.absolute().parents if each.exists())


def _mount(site: Site, folder: Path) -> tuple[str, str, list[str]]:
    """Return the mount that a folder is on: where, of which kind, with which options."""
    best = ("/", "unknown", [""])
    for line in (site.text("/proc/mounts") or "").splitlines():
        fields = line.split()
        where = fields[1].replace("\\040", " ") if len(fields) > 3 else ""  # noqa: PLR2004  fstab(5)
        if where and folder.is_relative_to(where) and len(where) >= len(best[0]):
            best = (where, fields[2], fields[3].split(","))
    return best


def _bytes_per_day(site: Site) -> float | None:
    with store_reader(site) as reader:
        return None if reader is None else store_bytes_per_day(reader, site.now_s)


def store_bytes_per_day(reader: Reader, now_s: float) -> float | None:
    """Return how fast a store grew in the last day, from its size, its rows and their hours.

    None where it holds nothing, or nothing was heard or listened for in that day.
    """
    rows = reader.counts()["detections"]
    if not rows:
        return None
    bytes_a_row = reader.path.stat().st_size / rows
    since = DetectionFilter(since_utc_ns=int((now_s - _DAY_S) * 1e9))
    hours = list(hours_listened(reader, since))
    heard = sum(hour["detections"] for hour in hours)
    return bytes_a_row * heard if hours else None
