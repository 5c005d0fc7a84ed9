"""Which kind of recording a file is, by its name and by its first lines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from protocols.ctt.file_rows import CttFileReader
from protocols.ctt.files import (
    CARD_KINDS,
    Columns,
    columns_of_header,
    columns_of_headerless,
    parse_station_name,
)
from protocols.recorded import LineReader
from protocols.records import Ignored, Unknown
from protocols.sensorgnome import SensorGnomeReader, parse_name

_LINES_LOOKED_AT: Final = 50
_HEX_DIGITS: Final = frozenset("0123456789ABCDEF")


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file before its lines are read."""

    kind: str
    """For people: `SensorGnome ctt`, `CTT beeps`, `CTT card-gps`."""
    reader: LineReader
    link: str
    """Whose recording it is: all files of one station or node share it."""
    is_synchronised: bool = True
    """Whether the file claims a good clock."""
    started_ns: int = 0
    """When it was begun; 0 where its name does not tell."""
    note: str | None = None
    """What a reader of the import's messages should know."""


def station_of(path: Path) -> str | None:
    """Return the id of the station that a file's name tells."""
    sensorgnome = parse_name(path.name)
    if sensorgnome is not None:
        return sensorgnome.station_id
    ctt = parse_station_name(path.name)
    return None if ctt is None else ctt.station_id


def recognise(path: Path, lines: Sequence[bytes]) -> Recording | None:
    """Return what the file at a resolved path is; None where it is none of the kinds we read.

    The name decides for SensorGnome files, which have no header; else a header among the first
    lines; else what the lines look like.
    """
    named = parse_name(path.name)
    if named is not None:
        return Recording(
            kind=f"SensorGnome {named.source}",
            reader=SensorGnomeReader(),
            link=named.station_id,
            is_synchronised=named.is_synchronised,
            started_ns=named.started_ns,
        )
    first_lines = [line.rpartition(b"\0")[2] for line in lines[:_LINES_LOOKED_AT]]
    for line in first_lines:
        columns = columns_of_header(line)
        if columns is not None:
            return _ctt(path, columns, None)
    reader = SensorGnomeReader()
    for line in first_lines:
        if not isinstance(reader.read(line).record, Unknown | Ignored):
            return Recording(kind="SensorGnome", reader=reader, link=path.stem)
    for line in first_lines:
        columns = columns_of_headerless(line, path.name)
        if columns is not None:
            return _ctt(path, columns, f"has no header; read as {columns.kind} by its shape")
    return None


def _ctt(path: Path, columns: Columns, note: str | None) -> Recording:
    station = parse_station_name(path.name)
    is_card = columns.kind in CARD_KINDS
    node_id = _node_of(path) if is_card else None
    if is_card:
        link = f"node {node_id}" if node_id else path.stem
    else:
        link = station.station_id if station else path.stem
    return Recording(
        kind=f"CTT {columns.kind}", reader=CttFileReader(columns, node_id), link=link, note=note
    )


def _node_of(path: Path) -> str | None:
    """Return the node whose card the file is from: its folder's name."""
    folder = path.parent.name
    return folder.upper() if _HEX_DIGITS.issuperset(folder.upper()) else folder or None
