"""What a filter of `stopover listen` names that this station does not have: told, and waited for.

Nothing here is an error: an antenna of a message, or a tag, may be heard for the first time soon.
"""

import difflib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from receiver.log import escaped
from receiver.store.errors import StoreError
from receiver.store.queries import Reader
from receiver.web.local_client import LocalStation, LocalStationError


def hints(
    station: LocalStation,
    store: Path,
    *,
    tag_id: str | None = None,
    antenna: str | None = None,
    link: str | None = None,
) -> Iterator[str]:
    """Yield a line for each name that the station does not know; none where it cannot tell."""
    try:
        if antenna is not None or link is not None:
            antennas, links = _places(station)
            if antenna is not None and antenna not in antennas:
                yield _no_such("antenna", antenna, antennas)
            if link is not None and link not in links:
                yield _no_such("link", link, links)
    except LocalStationError:
        return
    if tag_id is not None and _is_new(store, tag_id):
        yield f"{escaped(tag_id)} was never heard by this station; it is waited for"


def _places(station: LocalStation) -> tuple[set[str], set[str]]:
    """Return the antennas and links by name; a link without antennas is one itself."""
    now = station.status()
    return {each.antenna or each.link for each in now.antennas}, {each.name for each in now.links}


def _no_such(what: str, told: str, names: Iterable[str]) -> str:
    ordered = sorted(names)
    near = difflib.get_close_matches(told, ordered, n=1)
    meant = f" Did you mean {escaped(near[0])}?" if near else ""
    listed = ", ".join(map(escaped, ordered)) or "none yet"
    return f"no {what} {escaped(told)} here so far. There are: {listed}.{meant}"


def _is_new(store: Path, tag_id: str) -> bool:
    """Tell whether a tag has no row; every text of a row is kept once, with an index."""
    try:
        with Reader(store) as reader:
            found = reader.connection.execute("SELECT 1 FROM texts WHERE text = ?", (tag_id,))
            return found.fetchone() is None
    except (StoreError, sqlite3.Error):
        return False
