"""What an export is asked for, and what it reports."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from receiver.confidence import at_least
from receiver.config import ConfigError
from receiver.exports.metadata_tables import Metadata, Station
from receiver.store.queries import DetectionFilter, Reader

_ROWS_BETWEEN_TELLING: Final = 1000


class ExportError(Exception):
    """An export that cannot be made; the message says what to do."""


class MissingMetadataError(ConfigError):
    """The metadata lack what the format cannot do without; every lack is named."""


class Report(msgspec.Struct, kw_only=True):
    """What was written and what was not."""

    files: list[Path] = msgspec.field(default_factory=list)
    """Where they stand now."""
    rows: Counter[str] = msgspec.field(default_factory=Counter)
    """By what they are."""
    left_out: Counter[str] = msgspec.field(default_factory=Counter)
    """Rows of the store that are not in the files, by reason."""
    notes: list[str] = msgspec.field(default_factory=list)
    """What the person who sends the files should know."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be exported."""

    reader: Reader
    metadata: Metadata = Metadata()
    wanted: DetectionFilter = DetectionFilter()
    now_ns: int
    """The time of the export: a file's hour or day that is not over yet is not whole."""
    on_progress: Callable[[int], None] = lambda _: None
    """Told how many more rows have been read."""

    @property
    def station(self) -> Station | None:
        """The store's station in the metadata."""
        told = (each for each in self.metadata.stations if each.id == self.reader.station_id)
        return next(told, None)

    @property
    def chooses_rows(self) -> bool:
        """Whether only some of a time's detections are wanted."""
        wanted = self.wanted
        return (
            wanted.tag_id is not None
            or wanted.antenna is not None
            or wanted.min_confidence != "false"
        )

    def is_whole(self, since_ns: int, until_ns: int) -> bool:
        """Tell whether a file of this span holds all that there is to be had of it."""
        wanted = self.wanted
        return (
            not self.chooses_rows
            and until_ns <= self.now_ns
            and (wanted.since_utc_ns is None or wanted.since_utc_ns <= since_ns)
            and (wanted.until_utc_ns is None or until_ns <= wanted.until_utc_ns)
        )

    def counting(self, rows: Iterator[Any]) -> Iterator[Any]:
        """Pass rows on and tell of progress."""
        number = 0
        for number, row in enumerate(rows, 1):
            if number % _ROWS_BETWEEN_TELLING == 0:
                self.on_progress(_ROWS_BETWEEN_TELLING)
            yield row
        self.on_progress(number % _ROWS_BETWEEN_TELLING)

    def detections(self, report: Report) -> Iterator[dict[str, Any]]:
        """Yield the wanted detections by `seq`; those not trusted enough are counted."""
        least = self.wanted.min_confidence
        everything = msgspec.structs.replace(self.wanted, min_confidence="false")
        trusted = at_least(least)
        for row in self.counting(self.reader.detections(everything)):
            if row["confidence"] in trusted:
                yield row
            else:
                report.left_out[f"confidence below {least}"] += 1


def station_lacks(request: Request) -> list[str]:
    """Return what is missing of the station: its entry, or a position that nothing tells."""
    station = request.station
    name = request.reader.station_id
    if station is None:
        told = ", ".join(each.id for each in request.metadata.stations) or "none"
        return [f'stations: an entry with id = "{name}" (there is: {told})']
    if station.latitude is None and not _store_tells_position(request.reader):
        return [f'stations["{name}"].latitude and longitude (the store knows no position either)']
    return []


def _store_tells_position(reader: Reader) -> bool:
    found = reader.connection.execute(
        "SELECT 1 FROM gps_fixes WHERE latitude IS NOT NULL AND relay IS NULL LIMIT 1"
    )
    return found.fetchone() is not None
