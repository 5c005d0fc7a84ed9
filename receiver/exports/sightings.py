"""Detections of animals: rows whose tag the metadata hang on one, at a time and place that count.

What is no sighting is counted by reason, never guessed at.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from receiver.exports.metadata import utc_text
from receiver.exports.metadata_tables import Tag
from receiver.exports.places import Place, Places, rounded, tag_fix
from receiver.exports.request import Report, Request, station_lacks

_WRONG_CLOCKS: Final = frozenset(("unsynchronised", "implausible"))
_FIRST_FIX: Final = "2018"
_FIX_TIMES: Final = ("fix_at_unix_s", "recorded_at_unix_s")
_LATEST_UNIX_S: Final = 4_102_444_800  # 2100-01-01


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One detection of one animal."""

    row: Mapping[str, Any]
    tag: Tag
    time: str
    """ISO 8601 UTC with microseconds: by the node that heard it or by the tag's own fix, where
    those can be believed; else by the station."""
    place: Place


def lacks(request: Request) -> list[str]:
    """Return what is missing of station and tags, by name."""
    missing = station_lacks(request)
    if not request.metadata.tags:
        missing.append("tags: no tag is told of, so no detection is one of an animal")
    missing += [f'tags["{tag.id}"].taxon' for tag in request.metadata.tags if not tag.taxon]
    return missing


class Deployments:
    """Which animal wore a tag at a time."""

    def __init__(self, tags: tuple[Tag, ...]) -> None:
        self._by_id: dict[str, list[tuple[str, str, Tag]]] = {}
        for tag in tags:
            until = utc_text(tag.deployed_until) or "9999"
            self._by_id.setdefault(tag.id, []).append((utc_text(tag.deployed_from), until, tag))

    def __contains__(self, tag_id: str) -> bool:
        """Tell whether anybody ever wore the tag."""
        return tag_id in self._by_id

    def at(self, tag_id: str, time: str) -> Tag | None:
        """Return who wore the tag then."""
        for since, until, tag in self._by_id[tag_id]:
            if since <= time < until:
                return tag
        return None


def sightings(
    request: Request, report: Report, *, with_noise: bool = False, with_tag_fixes: bool = True
) -> Iterator[Sighting]:
    """Yield the sightings among the wanted detections, by `seq`.

    `with_noise` takes detections of confidence `false` too; `with_tag_fixes` puts an animal where
    its own GPS says, not where the receiver stands.
    """
    station = request.station
    assert station is not None  # noqa: S101  `lacks` asks for it.
    deployments = Deployments(request.metadata.tags)
    places = Places(request.reader, station)
    left_out = report.left_out
    for row in request.detections(report):
        if row["tag_id"] not in deployments:
            left_out["tag that the metadata do not name"] += 1
            continue
        if row["time_quality"] in _WRONG_CLOCKS:
            left_out["clock not set"] += 1
            continue
        if row["confidence"] == "false" and not with_noise:
            left_out["taken for noise (confidence false)"] += 1
            continue
        fix = tag_fix(row["measurements"]) if with_tag_fixes else None
        time = _time(row, is_fix=fix is not None)
        tag = deployments.at(row["tag_id"], time)
        if tag is None:
            left_out["before the tag was attached or after it was taken off"] += 1
            continue
        place = fix or places.of(row)
        if place is None:
            left_out["place of the node or station is not known"] += 1
            continue
        yield Sighting(row=row, tag=tag, time=time, place=rounded(place, tag.coordinate_decimals))


def _time(row: Mapping[str, Any], *, is_fix: bool) -> str:
    time: str = row["time"]
    if is_fix:
        told = next((row["measurements"].get(key) for key in _FIX_TIMES), None)
        if isinstance(told, int | float) and 0 < told < _LATEST_UNIX_S:
            fixed = dt.datetime.fromtimestamp(told, dt.UTC)
            shown = f"{fixed:%Y-%m-%dT%H:%M:%S}.{fixed.microsecond:06d}Z"
            # A fix of tomorrow, or of before there were such tags, is a clock's default.
            return shown if _FIRST_FIX <= shown <= time else time
    if row["relay_id"] is not None and row["recorded_at_quality"] == "relay":
        recorded: str = row["recorded_at"]
        return recorded
    return time
