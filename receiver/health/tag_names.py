"""The owner's names for tags, and which tags the station's lists have.

The names file is CSV with a heading: `tag_id` and `name` among its columns, in any order, commas or
semicolons. Ids are written as detections carry them, hexadecimal ones in either case.
"""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from receiver.coded_ids.tag_lists import (
    TagListError,
    TagListWatch,
    canonical,
    known_tags,
)
from receiver.limits import TAG_NAMES
from receiver.log import escaped
from receiver.settings import TagsSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

log = structlog.get_logger()

_LONGEST_NAME: Final = 64
_MOST_BYTES: Final = TAG_NAMES * 200


class TagNames:
    """Names and known tags; `look` reads a file again that has changed.

    A file that cannot be used is told once, and what was read before stays in use.
    """

    def __init__(self, settings: TagsSettings) -> None:
        self.names: Mapping[str, str] = {}
        """By id: printable, 64 characters at most."""
        self.known: frozenset[str] = frozenset()
        """Ids of `tags.known` and `tags.known_file`."""
        self._settings = settings
        self._names_file = _Watched(settings.names_file)
        self._known_file = _Watched(settings.known_file)
        self.look()

    def change(self, settings: TagsSettings) -> None:
        """Use these settings from the next `look` on."""
        if settings.names_file != self._settings.names_file:
            self._names_file = _Watched(settings.names_file)
        if settings.known_file != self._settings.known_file:
            self._known_file = _Watched(settings.known_file)
        self._settings = settings

    def look(self) -> None:
        """Read what has changed since the last look; call it in a thread."""
        names_file, known_file = self._names_file, self._known_file
        if names_file.path is None:
            self.names = {}
        elif names_file.is_to_be_read():
            self._read_names(names_file.path)
        if known_file.path is None or known_file.is_to_be_read():
            try:
                self.known = known_tags(self._settings)
            except TagListError as error:
                self.known |= canonical(self._settings.known)
                log.warning("known tags cannot be read", reason=str(error), do="mend the file")

    def _read_names(self, path: Path) -> None:
        try:
            self.names = read_names(path)
        except TagListError as error:
            log.warning(
                "tag names cannot be used",
                reason=str(error),
                do="mend the file; it is read again when it changes",
            )
        else:
            log.info("tag names read", path=str(path), tags=len(self.names))


def read_names(path: Path) -> dict[str, str]:
    """Return the names in a file by tag id.

    Raises:
        TagListError: it cannot be read, has other columns, or is too long.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            written = file.read(_MOST_BYTES + 1)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise TagListError(f"tag names {path}: {reason}") from problem
    if len(written) > _MOST_BYTES:
        raise TagListError(f"tag names {path}: longer than {_MOST_BYTES // 1_000_000} MB")
    heading = written.partition("\n")[0]
    separator = ";" if heading.count(";") > heading.count(",") else ","
    names: dict[str, str] = {}
    try:
        rows = csv.DictReader(io.StringIO(written), delimiter=separator, skipinitialspace=True)
        rows.fieldnames = [column.strip().lower() for column in rows.fieldnames or ()]
        if not {"tag_id", "name"} <= set(rows.fieldnames):
            raise TagListError(f"tag names {path}: its first line must be `tag_id,name`")
        for row in rows:
            name = " ".join((row["name"] or "").split())
            for tag_id in canonical([row["tag_id"] or ""]):
                if name:
                    names[tag_id] = escaped(name, _LONGEST_NAME)
            if len(names) > TAG_NAMES:
                raise TagListError(f"tag names {path}: more than {TAG_NAMES} tags")
    except csv.Error as problem:
        raise TagListError(f"tag names {path}: {problem}") from problem
    return names


class _Watched:
    """One file that the owner named, or none."""

    def __init__(self, path: str | None) -> None:
        self.path = Path(path) if path else None
        self._watch = TagListWatch(self.path) if self.path else None
        self._is_new = True

    def is_to_be_read(self) -> bool:
        """Say whether it was not read yet, or has changed."""
        is_new, self._is_new = self._is_new, False
        return is_new or (self._watch is not None and self._watch.changed())
