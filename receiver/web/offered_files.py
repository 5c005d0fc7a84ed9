"""Which files the page offers for download."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from receiver.limits import PAGE_FILES_LISTED
from receiver.settings import Settings
from receiver.sink_settings import FolderSink
from receiver.store.queries import iso_utc

_SET_ASIDE = (".damaged-", ".newer-")


class Offer(msgspec.Struct, frozen=True):
    """One file."""

    path: Path
    name: str
    bytes: int
    modified_ns: int
    what: str

    @property
    def told(self) -> dict[str, Any]:
        """Return it as the page reads it."""
        return {
            "name": self.name,
            "bytes": self.bytes,
            "modified": iso_utc(self.modified_ns),
            "what": self.what,
        }


def offered(store: Path, settings: Settings) -> list[Offer]:
    """Return the store itself, stores that were set aside, and what folder sinks wrote."""
    files = list(_files([store], "the store as it is now: an SQLite file"))
    aside = (path for end in _SET_ASIDE for path in store.parent.glob(f"{store.name}{end}*"))
    files += _files(aside, "a store that could not be used and was set aside")
    for sink in settings.sinks:
        if isinstance(sink, FolderSink):
            folder = Path(sink.folder) / settings.station.id
            files += _files(_within(folder), f"written by the sink {sink.name}")
    # Names are what files are asked for by: the first of several is meant.
    return list({offer.name: offer for offer in reversed(files)}.values())[::-1]


def _within(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except OSError:
        return  # A stick that is not plugged in.


def _files(paths: Iterator[Path] | list[Path], what: str) -> list[Offer]:
    """Return what is a file, no link to one; the newest ones."""
    found = []
    for path in paths:
        try:
            status = path.lstat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and path.name.isprintable():
            found.append(Offer(path, path.name, status.st_size, status.st_mtime_ns, what))
    found.sort(key=lambda offer: -offer.modified_ns)
    return found[:PAGE_FILES_LISTED]
