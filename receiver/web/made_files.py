"""Files that are made for one download: a copy of the store, an export in a ZIP.

They are written beside the store, where there is room if anywhere, and have no name any more when
they are handed out: whatever happens then, nothing is left behind.
"""

import contextlib
import errno
import os
import shutil
import sqlite3
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from receiver.config import ConfigError
from receiver.limits import PLOTS_LEAVE_FREE_BYTES
from receiver.store.errors import StoreError, StoreMissingError
from receiver.store.queries import DetectionFilter, Reader

METADATA_FILE: Final = "metadata.toml"
_PREFIX: Final = ".download-"
_COPY_PAGES: Final = 4_096
"""2 MB between two looks whether it is still wanted."""


class MakingError(Exception):
    """A file that could not be made: the status of the answer, why, and what would help."""

    def __init__(self, status: int, message: str, do: str) -> None:
        super().__init__(message)
        self.status = status
        self.do = do


class Stopped(threading.Event):
    """Set when nobody needs what is being made any more."""

    def heed(self, *_: object) -> None:
        """Give up where it is set.

        Raises:
            MakingError: it is.
        """
        if self.is_set():
            raise MakingError(503, "the station stops", "ask again when it runs")


def store_copy(store: Path, stopped: Stopped) -> int:
    """Return the descriptor of a whole copy of the store as it is at this moment.

    Raises:
        MakingError: there is no room, or the store cannot be read.
    """
    with explained(store), _folder(store) as folder, Reader(store) as reader:
        connection = reader.connection
        pages, page_bytes = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "page_size")
        )
        _need_room(store, pages * page_bytes)
        copy = folder / "copy"
        with contextlib.closing(sqlite3.connect(copy)) as target:
            target.execute("PRAGMA synchronous = OFF")
            # While this is open the writer's commits do not make the copy begin again.
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM station").fetchone()
            connection.backup(target, pages=_COPY_PAGES, progress=stopped.heed, sleep=0)
        return os.open(copy, os.O_RDONLY | os.O_CLOEXEC)


def made_export(
    store: Path, name: str, wanted: DetectionFilter, metadata_folder: Path, stopped: Stopped
) -> int:
    """Return the descriptor of a ZIP with an export's files.

    Raises:
        MakingError: there is no such format, the metadata lack something, there is no room.
    """
    # Rarely asked for, and a tenth of what the page takes to load.
    from receiver.exports.formats import FORMATS, export  # noqa: PLC0415
    from receiver.exports.metadata import load  # noqa: PLC0415
    from receiver.exports.metadata_tables import Metadata  # noqa: PLC0415
    from receiver.exports.request import (  # noqa: PLC0415
        ExportError,
        MissingMetadataError,
        Request,
    )

    if name not in FORMATS:
        raise MakingError(404, f"there is no format {name!r}", f"formats are {', '.join(FORMATS)}")
    metadata_path = metadata_folder / METADATA_FILE
    with explained(store), _folder(store) as folder, Reader(store) as reader:
        _need_room(store, 0)
        try:
            metadata = load(metadata_path) if metadata_path.exists() else Metadata()
            request = Request(
                reader=reader,
                metadata=metadata,
                wanted=wanted,
                now_ns=time.time_ns(),
                on_progress=stopped.heed,
            )
            report = export(name, request, folder / "files")
        except MissingMetadataError as error:
            raise MakingError(
                409,
                str(error),
                f"fill in {metadata_path} (`stopover export --example-metadata {metadata_path}`"
                " writes one), then try again",
            ) from error
        except (ConfigError, ExportError) as error:
            raise MakingError(409, str(error), f"see {metadata_path}") from error
        packed = folder / "packed"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in report.files:
                stopped.heed()
                archive.write(path, path.relative_to(folder / "files"))
                path.unlink()
        return os.open(packed, os.O_RDONLY | os.O_CLOEXEC)


@contextlib.contextmanager
def _folder(store: Path) -> Iterator[Path]:
    """Make a folder beside the store, which vanishes with what is in it."""
    prefix = f"{store.name}{_PREFIX}"
    for left_over in store.parent.glob(f"{prefix}*"):
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=store.parent) as folder:
        yield Path(folder)


def _need_room(store: Path, wanted_bytes: int) -> None:
    free = shutil.disk_usage(store.parent).free
    if free < wanted_bytes + PLOTS_LEAVE_FREE_BYTES:
        raise MakingError(
            507,
            f"the disk has no room for it: {free // 10**6} MB are free",
            "take the card out and copy the store at a desk, or free space",
        )


@contextlib.contextmanager
def explained(store: Path) -> Iterator[None]:
    """Turn what goes wrong with the store into what the page tells of it.

    Raises:
        MakingError: something did.
    """
    try:
        yield
    except StoreMissingError as error:
        raise MakingError(
            503,
            f"{store}: the store is gone",
            "put the same file back with `mv`, or restart the station: it begins a new one",
        ) from error
    except StoreError as error:
        raise MakingError(503, str(error), "see the station's log") from error
    except OSError as error:
        is_full = error.errno == errno.ENOSPC
        raise MakingError(
            507 if is_full else 503,
            f"{store.parent}: {error.strerror or error}",
            "free space on the store's disk" if is_full else "see the station's log",
        ) from error
    except sqlite3.Error as error:
        raise MakingError(503, f"{store}: {error}", "see the station's log") from error
