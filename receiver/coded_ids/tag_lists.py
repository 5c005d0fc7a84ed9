"""The owner's tag list: a file of any known kind, read whole, and noticed when it changes.

Kinds are told by content, not by name: SQLite (SensorGnome's `SG_tag_database.sqlite` in its
variants, Motus's own table) or CSV. What the columns mean is `protocols.coded_id.tag_list`'s.
"""

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from protocols.coded_id.tag_list import WANTED, TagList, parse_csv, parse_rows
from protocols.errors import FileFormatError
from receiver.settings import TagsSettings

MAX_TAG_LIST_BYTES: Final = 50_000_000
"""SensorGnome takes uploads of 10 MB; a row is about 100 bytes, so 500,000 tags."""

MAX_TAG_LIST_ROWS: Final = 100_000
"""About 600 bytes each as values: 60 MB for a moment at the very worst, 3 MB for 5,000 tags."""

_COMMENT: Final = re.compile(r"(?:^|\s)#")
"""At the begin of a line or behind a blank: a coded ID has a # in itself."""

_HEX_ID: Final = re.compile("[0-9A-Fa-f]{8}")
_SQLITE_BEGINS: Final = b"SQLite format 3\0"


class TagListError(Exception):
    """A tag list that cannot be used; the message names the file and what would be right."""


def read_tag_list(path: Path) -> TagList:
    """Return the tags of the list at `path` and a warning for each row that was skipped.

    Raises:
        TagListError: there is no such file, it is no tag list, or it holds no usable tag.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TAG_LIST_BYTES + 1)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise TagListError(f"tag list {path}: {reason}; give a CSV or SQLite file") from problem
    if len(content) > MAX_TAG_LIST_BYTES:
        raise TagListError(
            f"tag list {path}: larger than {MAX_TAG_LIST_BYTES // 1_000_000} MB; "
            "give a list of the tags that may come by"
        )
    try:
        if content.startswith(_SQLITE_BEGINS):
            tags = _read_sqlite(path)
        else:
            tags = parse_csv(content.decode(errors="replace"))
    except (FileFormatError, sqlite3.Error) as problem:
        raise TagListError(f"tag list {path}: {problem}") from problem
    if not tags.tags:
        first = f" ({tags.warnings[0]})" if tags.warnings else ""
        raise TagListError(f"tag list {path}: no usable tag{first}; it needs {WANTED}")
    return tags


def _read_sqlite(path: Path) -> TagList:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.text_factory = lambda text: text.decode(errors="replace")
        tables = connection.execute("SELECT lower(name) FROM sqlite_master").fetchall()
        if ("tags",) not in tables:
            raise FileFormatError(f"no table `tags` in it; it needs one with {WANTED}")
        rows = connection.execute("SELECT * FROM tags LIMIT ?", (MAX_TAG_LIST_ROWS + 1,))
        columns = [column[0] for column in rows.description]
        found = [dict(zip(columns, row, strict=True)) for row in rows]
    if len(found) > MAX_TAG_LIST_ROWS:
        raise FileFormatError(f"more than {MAX_TAG_LIST_ROWS} tags; list those that may come by")
    return parse_rows(columns, found)


def known_tags(told: TagsSettings) -> frozenset[str]:
    """Return the ids of tags that are deployed somewhere: those listed, and those in the file.

    Raises:
        TagListError: the file cannot be read.
    """
    listed = canonical(told.known)
    return listed if told.known_file is None else listed | read_known_tags(Path(told.known_file))


def read_known_tags(path: Path) -> frozenset[str]:
    """Return the ids in a file of tags that are deployed somewhere: one a line, # for comments.

    Raises:
        TagListError: it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise TagListError(f"list of known tags {path}: {reason}") from problem
    return canonical(_COMMENT.split(line, maxsplit=1)[0] for line in lines)


def canonical(tag_ids: Iterable[str]) -> frozenset[str]:
    """Return ids as detections carry them: hexadecimal ones in upper case, empty ones left out."""
    stripped = (tag_id.strip() for tag_id in tag_ids)
    return frozenset(
        tag_id.upper() if _HEX_ID.fullmatch(tag_id) else tag_id for tag_id in stripped if tag_id
    )


class TagListWatch:
    """Tells when the file at `path` is another one than it was: written to or replaced.

    Make it before the file is read, so that no change falls between the two.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._look()

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._path)  # noqa: PTH116  One call for all three.
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def changed(self) -> bool:
        """Say whether the file has changed since it was last asked.

        A file that is gone has not changed: it is being replaced, or its card was pulled; the list
        in use stays in use, and its return is the change.
        """
        seen = self._look()
        if seen is None or seen == self._seen:
            return False
        self._seen = seen
        return True
