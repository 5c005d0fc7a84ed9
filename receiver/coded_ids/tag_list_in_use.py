"""The station's tag list while it runs: read off the loop, read again when it changes.

A list that cannot be used is refused with the reason, and the one in use stays in use.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import structlog

from receiver.coded_ids.code_books import CodeBooks
from receiver.coded_ids.tag_lists import TagListError, TagListWatch, read_tag_list

log = structlog.get_logger()

_ROWS_SHOWN: Final = 3


class TagListInUse:
    """One tag list, by its path."""

    def __init__(self) -> None:
        self.books: CodeBooks | None = None
        """What antennas look for; None while there is no list that could be used."""
        self._path: Path | None = None
        self._watch: TagListWatch | None = None

    async def change(self, path: str | None, tunings: Iterable[float | None]) -> bool:
        """Use the list at `path` from now on, None: no list; return whether that changed `books`.

        `tunings` are the frequencies whose books are made ready, for they take a while.
        """
        wanted = Path(path) if path else None
        if wanted == self._path:
            return False
        self._path = wanted
        if wanted is None:
            self.books = self._watch = None
            log.info("no tag list any more; pulses are kept whole")
            return True
        # Made before the file is read, so that no change falls between the two.
        self._watch = TagListWatch(wanted)
        return await self._read(wanted, tunings)

    async def look(self, tunings: Iterable[float | None]) -> bool:
        """Read the list again if its file has changed; return whether that changed `books`."""
        if self._path is None or self._watch is None or not self._watch.changed():
            return False
        return await self._read(self._path, tunings)

    async def _read(self, path: Path, tunings: Iterable[float | None]) -> bool:
        try:
            self.books = await asyncio.to_thread(_read_books, path, tuple(tunings))
        except TagListError as error:
            told = log.bind(reason=str(error))
            if self.books is None:
                told.error("tag list refused; pulses are kept whole")
            else:
                told.error("tag list refused; the old one goes on")
            return False
        tag_list = self.books.tag_list
        for row in tag_list.warnings[:_ROWS_SHOWN]:
            log.warning("row of the tag list skipped", path=str(path), row=row)
        log.info(
            "tag list read",
            path=str(path),
            tags=len(tag_list.tags),
            rows_skipped=len(tag_list.warnings),
        )
        return True


def _read_books(path: Path, tunings: Iterable[float | None]) -> CodeBooks:
    books = CodeBooks(read_tag_list(path))
    for tuned_mhz in tunings:
        books.of(tuned_mhz)
    return books
