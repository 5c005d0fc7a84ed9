"""Port numbers of antennas, for formats that know no labels.

A numeric label is its own number; the metadata give numbers to others; what is left gets the lowest
free ones, in the order in which the store first heard of the antennas, so that a number stays while
the store grows.
"""

from collections.abc import Iterable
from typing import Final

from receiver.exports.metadata_tables import Station
from receiver.store.queries import Reader
from receiver.whereabouts import GPSD_LINK, STATION_LINK

_LONGEST_NUMBER: Final = 4


class Ports:
    """The numbers of one store's antennas."""

    def __init__(self, reader: Reader, station: Station | None) -> None:
        mapped = {
            antenna.label: antenna.port
            for antenna in (station.antennas if station else ())
            if antenna.port is not None
        }
        labels = dict.fromkeys(_labels(reader))
        self._numbers = mapped | {label: int(label) for label in labels if _is_number(label)}
        taken = set(self._numbers.values())
        free = (number for number in range(1, 10_000) if number not in taken)
        self._assigned: dict[str, int] = {}
        self._used: set[str] = set()
        for label in labels:
            if label not in self._numbers:
                self._assigned[label] = next(free)
        self._numbers |= self._assigned

    def number(self, link: str, antenna: str | None) -> int:
        """Return the port of an antenna, or of a link that has only one."""
        label = antenna or link
        self._used.add(label)
        return self._numbers[label]

    def note(self) -> list[str]:
        """Return what the person who sends the files should know of numbers that nobody gave."""
        told = ", ".join(
            f"{label} is {number}"
            for label, number in self._assigned.items()
            if label in self._used
        )
        return [f"ports that the metadata do not tell: {told}"] if told else []


def _labels(reader: Reader) -> Iterable[str]:
    rows = reader.connection.execute(
        "SELECT coalesce(nullif(antenna, ''), link) FROM sources WHERE link NOT IN (?, ?)"
        " ORDER BY id",
        (STATION_LINK, GPSD_LINK),
    )
    return (row[0] for row in rows)


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdigit() and len(label) <= _LONGEST_NUMBER
