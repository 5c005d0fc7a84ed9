"""The owner's metadata: read, checked, and the example that explains it.

One TOML file serves all of an owner's stations. Tags may stand in a CSV file beside it, which
`tags_file` names.
"""

import csv
import datetime as dt
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from receiver import toml_tables
from receiver.config import ConfigError
from receiver.exports.metadata_tables import (
    Antenna,
    Metadata,
    RelaySite,
    Station,
    Tag,
)

_MAX_TAG_FILE_BYTES: Final = 50_000_000
"""About 250 bytes a tag: 200,000 of them."""

_HEADER: Final = """\
# What databases want to know beside the detections. Use it with:
#   stopover export FORMAT --db DB --out DIR --metadata FILE
# What is commented out stands at its default. What a format needs and does not find here,
# `stopover export` names before it writes anything.

# A CSV file of tags beside this one, its columns named as the keys of [[tags]].
# tags_file = "tags.csv"
"""

_CTT_ID = re.compile(r"[0-9A-Fa-f]{8}(?:[0-9A-Fa-f]{2})?")
_CTT_DIGITS: Final = 8


class MetadataError(ConfigError):
    """Metadata that cannot be used; the message names file, key and what would be right."""


def example(station_id: str = "my-station") -> str:
    """Return a commented file that `parse` accepts, every key with its help."""
    parts = [_HEADER]
    for section, struct in toml_tables.sections(Metadata):
        parts.append(f"\n[{section}]\n# {toml_tables.summary(struct)}\n")
        parts.append("".join(toml_tables.key_lines(struct, {})))
    parts.append("\n" + _table("stations", Station, {"id": station_id}))
    more: tuple[tuple[str, type[msgspec.Struct], Mapping[str, object]], ...] = (
        ("stations.antennas", Antenna, {"label": "north", "port": 1}),
        ("stations.relays", RelaySite, {"id": "3796F5", "latitude": 53.2, "longitude": 5.2}),
        ("tags", Tag, {"id": "78664C33", "animal": "RUFF-042", "taxon": "Calidris pugnax"}),
    )
    for name, struct, chosen in more:
        parts.append("\n" + _commented(_table(name, struct, chosen)))
    return "".join(parts)


def load(path: Path) -> Metadata:
    """Read and check the metadata at `path`, and the CSV file of tags that it names.

    Raises:
        MetadataError: it cannot be read, or anything in it is wrong; every wrong key is named.
    """
    return parse(_text(path), path)


def parse(text: str, path: Path) -> Metadata:
    """Check the text of metadata; `path` stands in messages and anchors `tags_file`.

    Raises:
        MetadataError: as `load`.
    """
    metadata = toml_tables.checked(text, path, Metadata, MetadataError)
    tags = tuple(_normal(tag) for tag in metadata.tags)
    if metadata.tags_file:
        tags += tuple(_normal(tag) for tag in _read_tags(path.parent / metadata.tags_file))
    metadata = msgspec.structs.replace(metadata, tags=tags)
    for key, said in _contradictions(metadata):
        raise MetadataError(toml_tables.at_line(path, text, key, said))
    return metadata


def utc_text(moment: str) -> str:
    """Return a moment of the metadata as ISO 8601 UTC with microseconds and Z, "" for "".

    Raises:
        ValueError: there is no such day or time.
    """
    if not moment:
        return ""
    told = dt.datetime.fromisoformat(moment)
    told = told.replace(tzinfo=dt.UTC) if told.tzinfo is None else told.astimezone(dt.UTC)
    return f"{told:%Y-%m-%dT%H:%M:%S}.{told.microsecond:06d}Z"


def _table(name: str, struct: type[msgspec.Struct], chosen: Mapping[str, object]) -> str:
    lines = "".join(_without_arrays(toml_tables.key_lines(struct, chosen)))
    return f"[[{name}]]\n# {toml_tables.summary(struct)}\n{lines}"


def _without_arrays(lines: Iterator[str]) -> Iterator[str]:
    """Leave out the keys that have tables of their own."""
    for line in lines:
        key = next(lines)
        if not re.match(r"# (antennas|relays) =", key):
            yield line + key


def _commented(text: str) -> str:
    return "".join(f"# {line}" for line in text.splitlines(keepends=True))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_TAG_FILE_BYTES + 1)
        if len(content) > _MAX_TAG_FILE_BYTES:
            raise MetadataError(f"{path}: larger than {_MAX_TAG_FILE_BYTES // 1_000_000} MB")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise MetadataError(
            f"{path}: there is no such file; `stopover export --example-metadata {path}` writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise MetadataError(f"{path}: cannot be read: {error}") from error


def _read_tags(path: Path) -> Iterator[Tag]:
    lines = csv.reader(_text(path).splitlines())
    names = [name.strip() for name in next(lines, [])]
    known = [field.name for field in msgspec.structs.fields(Tag)]
    for name in names:
        if name not in known:
            hint = toml_tables.nearest(name, known)
            raise MetadataError(f"{path}:1: {name or 'a column without a name'}: {hint}")
    for cells in lines:
        told = {
            name: cell.strip() for name, cell in zip(names, cells, strict=False) if cell.strip()
        }
        if not told:
            continue
        try:
            yield msgspec.convert(told, Tag, strict=False)
        except msgspec.ValidationError as error:
            said = str(error).replace(" - at `$.", ": `")
            raise MetadataError(f"{path}:{lines.line_num}: {said}") from error


def _normal(tag: Tag) -> Tag:
    """Return the tag with its id as rows write it: CTT's without CRC digits, upper case."""
    if _CTT_ID.fullmatch(tag.id):
        return msgspec.structs.replace(tag, id=tag.id[:_CTT_DIGITS].upper())
    return tag


def _contradictions(metadata: Metadata) -> Iterator[tuple[str, str]]:
    """Yield (key, complaint) for what types cannot say."""
    seen: set[str] = set()
    for number, station in enumerate(metadata.stations):
        at = f"stations[{number}]"
        if station.id in seen:
            yield f"{at}.id", f"two stations are called {station.id!r}"
        seen.add(station.id)
        if (station.latitude is None) != (station.longitude is None):
            yield f"{at}.latitude", "a position needs both latitude and longitude"
        yield from _doubled_antennas(station, at)
    yield from _wrong_deployments(metadata.tags)


def _doubled_antennas(station: Station, at: str) -> Iterator[tuple[str, str]]:
    labels: set[str] = set()
    ports: dict[int, str] = {}
    for antenna in station.antennas:
        if antenna.label in labels:
            yield f"{at}.antennas", f"two antennas are called {antenna.label!r}"
        labels.add(antenna.label)
        if antenna.port is not None:
            if antenna.port in ports:
                other = ports[antenna.port]
                yield f"{at}.antennas", f"{other!r} and {antenna.label!r} share port {antenna.port}"
            ports[antenna.port] = antenna.label


def _wrong_deployments(tags: tuple[Tag, ...]) -> Iterator[tuple[str, str]]:
    worn: dict[str, list[tuple[str, str, str]]] = {}
    for tag in tags:
        at = f'tags["{tag.id}"]'
        if (tag.deployed_latitude is None) != (tag.deployed_longitude is None):
            yield f"{at}.deployed_latitude", "a position needs both latitude and longitude"
        try:
            since, until = utc_text(tag.deployed_from), utc_text(tag.deployed_until) or "9999"
        except ValueError as error:
            yield f"{at}.deployed_from", f"there is no such time: {error}"
            continue
        if since >= until:
            yield f"{at}.deployed_until", "the tag was taken off before it was attached"
        for animal, other_since, other_until in worn.get(tag.id, []):
            if animal == tag.animal:
                yield f"{at}.animal", f"{animal!r} wears it twice: make it one entry"
            if since < other_until and other_since < until:
                both = f"{animal!r} and {tag.animal!r} wear it at the same time"
                yield f"{at}.deployed_from", f"{both}: say when with deployed_from, deployed_until"
        worn.setdefault(tag.id, []).append((tag.animal, since, until))
