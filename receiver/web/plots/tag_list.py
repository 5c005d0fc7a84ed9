"""Every tag the station ever heard, as the page lists them: the answer of /api/tags."""

from collections.abc import Mapping
from itertools import starmap
from typing import Final, Literal, TypeAlias

import msgspec

from receiver.confidence import CONFIDENCES, Confidence
from receiver.utc_text import iso_utc
from receiver.web.plots.sidecar import Plots

Sorting: TypeAlias = Literal["last", "detections", "tag"]

LONGEST_SEARCH: Final = 64


class ListedTag(msgspec.Struct, frozen=True, kw_only=True):
    """One tag."""

    tag_id: str
    tag_name: str | None
    protocol: str
    detections: int
    first: str
    last: str
    antennas: list[str]
    """Or links, where they have no name."""
    best_rssi_dbm: float | None
    is_known: bool
    """Whether it is on one of the station's lists."""
    confidence: Confidence | None
    """The best of its runs; null while it is in none."""


class TagList(msgspec.Struct, frozen=True, kw_only=True):
    """Some of them."""

    total: int
    """How many were found."""
    tags: list[ListedTag]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which tags are wanted."""

    search: str = ""
    """Part of the id or of the owner's name, in either case."""
    offset: int = 0
    limit: int = 100
    sort: Sorting = "last"


class _Tag(msgspec.Struct, frozen=True):
    number: int
    tag_id: str
    protocol: str
    detections: int
    first_ns: int
    last_ns: int
    best_rssi_dbm: float | None


_EVERY_TAG: Final = (
    "SELECT tags.id, tags.tag_id, tags.protocol, sum(n), min(first_ns), max(last_ns),"
    " max(best_rssi_dbm) FROM heard JOIN tags ON tags.id = heard.tag GROUP BY tags.id"
)


def tag_list(
    plots: Plots,
    asked: Asked,
    now_s: float,
    names: Mapping[str, str],
    known: frozenset[str],
) -> TagList:
    """Return the tags that are asked for.

    Raises:
        PlotsError, PlotsStopped, sqlite3.Error: as `Plots.up_to_date`.
    """
    connection = plots.up_to_date(now_s)
    search = asked.search[:LONGEST_SEARCH].casefold()
    found = [
        tag
        for tag in starmap(_Tag, connection.execute(_EVERY_TAG))
        if search in tag.tag_id.casefold() or search in names.get(tag.tag_id, "").casefold()
    ]
    found.sort(key=lambda tag: (tag.tag_id, tag.protocol))
    if asked.sort == "last":
        found.sort(key=lambda tag: -tag.last_ns)
    elif asked.sort == "detections":
        found.sort(key=lambda tag: -tag.detections)
    page = found[asked.offset : asked.offset + asked.limit]
    antennas: dict[int, list[str]] = {tag.number: [] for tag in page}
    numbers = ", ".join(map(str, antennas))
    for number, place in connection.execute(
        "SELECT DISTINCT heard.tag, places.name FROM heard JOIN places ON places.id = heard.place"
        f" WHERE heard.tag IN ({numbers}) ORDER BY places.name"
    ):
        antennas[number].append(place)
    confidence: dict[tuple[str, str], int] = {
        (tag_id, protocol): best
        for tag_id, protocol, best in connection.execute(
            "SELECT texts.text, protocol, min(confidence) FROM store.runs"
            " JOIN store.texts ON texts.id = runs.tag WHERE runs.tag IN (SELECT id FROM store.texts"
            f" WHERE text IN (SELECT tag_id FROM tags WHERE id IN ({numbers}))) GROUP BY 1, 2"
        )
    }
    tags = []
    for tag in page:
        best = confidence.get((tag.tag_id, tag.protocol))
        tags.append(
            ListedTag(
                tag_id=tag.tag_id,
                tag_name=names.get(tag.tag_id),
                protocol=tag.protocol,
                detections=tag.detections,
                first=iso_utc(tag.first_ns),
                last=iso_utc(tag.last_ns),
                antennas=antennas[tag.number],
                best_rssi_dbm=tag.best_rssi_dbm,
                is_known=tag.tag_id in known or tag.tag_id in names,
                confidence=None if best is None else CONFIDENCES[best],
            )
        )
    return TagList(total=len(found), tags=tags)
