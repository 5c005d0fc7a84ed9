"""The `folder` sink: each batch is a complete file, on the disk before it has its name.

A file is called STATION-STORE-FIRST-LAST-NAME.ndjson.gz: the first 8 letters of the store's uuid,
the first and last `seq` (0 where it has no detections), the first 8 letters of the batch's name. It
stands in a folder of the station's name. Whoever sees a file sees all of it: it is written under
another name, synced, and moved. `stopover collect` reads such files.

Beside them `last-copied.txt` says to whoever pulls the stick what is on it.
"""

import asyncio
import datetime as dt
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from receiver.sink_settings import FolderSink as FolderSettings
from receiver.sinks.batches import FILE_ENDINGS, Batch
from receiver.sinks.far_end import FarEndError

_PARTIAL: Final = ".partial"


class FolderSink:
    """Writes batches into one folder."""

    def __init__(
        self,
        settings: FolderSettings,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._settings = settings
        self._now = now

    async def send(self, batch: Batch) -> None:
        """Write a batch; see `receiver.sinks.far_end.Sink`."""
        try:
            await asyncio.to_thread(self._write, batch)
        except OSError as error:
            raise FarEndError(
                f"{self._settings.folder}: {error.strerror or error}",
                "is it full, write-protected, or was it pulled out?",
            ) from error

    async def close(self) -> None:
        """Nothing is held between batches: a stick may be pulled out."""

    def _write(self, batch: Batch) -> None:
        root = Path(self._settings.folder)
        mark = self._settings.mark_file
        if mark is not None and not (root / mark).exists():
            raise FarEndError(
                f"{root / mark}: is not there",
                "plug the stick in; a new one needs an empty file of that name",
                is_reached=False,
            )
        folder = root / batch.header.station_id
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            _sync(root)
        for left_over in folder.glob(f"*{_PARTIAL}"):
            with suppress(FileNotFoundError):
                left_over.unlink()
        _put(folder, file_name(batch), batch.body)
        header = batch.header
        if header.last_seq is not None:
            _put(
                folder,
                "last-copied.txt",
                f"{self._now():%Y-%m-%dT%H:%M:%SZ}: station {header.station_id}, store"
                f" {header.store_uuid}: copied up to seq {header.last_seq}.\n"
                "Unmount the stick before you pull it out.\n".encode(),
            )


def file_name(batch: Batch) -> str:
    """Return the name of a batch's file."""
    header = batch.header
    return (
        f"{header.station_id}-{header.store_uuid[:8]}-{header.first_seq or 0:010d}"
        f"-{header.last_seq or 0:010d}-{batch.name[:8]}.ndjson{FILE_ENDINGS[batch.compression]}"
    )


def _put(folder: Path, name: str, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever ends the writing."""
    partial = folder / f"{name}{_PARTIAL}"
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / name)
    _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
