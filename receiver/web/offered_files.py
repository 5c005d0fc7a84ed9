"""Which files the page offers for download."""

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from receiver.limits import PAGE_FILES_LISTED
from receiver.settings import Settings
from receiver.sink_settings import FolderSink
from receiver.store.errors import StoreError
from receiver.store.queries import Reader
from receiver.utc_text import iso_utc

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
    files = [
        msgspec.structs.replace(offer, bytes=_copied_bytes(offer))
        for offer in _files([store], "the store as it is now: an SQLite file")
    ]
    aside = (path for end in _SET_ASIDE for path in store.parent.glob(f"{store.name}{end}*"))
    files += _files(aside, "a store that could not be used and was set aside")
    for sink in settings.sinks:
        if isinstance(sink, FolderSink):
            folder = Path(sink.folder) / settings.station.id
            files += _files(_within(folder), f"written by the sink {sink.name}")
    # Names are what files are asked for by: the first of several is meant.
    return list({offer.name: offer for offer in reversed(files)}.values())[::-1]


def _copied_bytes(store: Offer) -> int:
    """Return how long a copy will be: much of the store may be in its log yet."""
    try:
        with Reader(store.path) as reader:
            (pages,) = reader.connection.execute("PRAGMA page_count").fetchone()
            (page_bytes,) = reader.connection.execute("PRAGMA page_size").fetchone()
    except (StoreError, sqlite3.Error):
        return store.bytes
    return int(pages * page_bytes)


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
