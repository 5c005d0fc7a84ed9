"""The radio allocations that ship with Stopover, and which of them apply at a place.

No legal advice: every row says how far it can be trusted and where it is from. A place is in every
region one of whose boxes holds it; the boxes are coarse and generous, so near a border the rows of
all neighbours apply. A frequency fits a row when it lies in its limits, or on one of its channels
where it has channels. What may not be used for tags on animals, and what is known without limits,
is shown and fits nothing.
"""

import datetime as dt
import functools
import tomllib
from collections.abc import Iterable
from importlib import resources
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

Status: TypeAlias = Literal["licence-free", "licensed", "convention", "not-for-wildlife", "unknown"]
Confidence: TypeAlias = Literal["verified", "code", "secondary", "memory", "unsure"]

WORLD: Final = "WORLD"
"""The region that every place is in."""

CHANNEL_TOLERANCE_HZ: Final = 5_000
"""How far from a channel a radio may be tuned to hear it: FunCube dongles are set 4 kHz below a
VHF tag's frequency (SensorGnome)."""


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A country, or a group of them, where rules are alike."""

    code: str
    """ISO 3166 for a country; CEPT, AMERICAS, WORLD."""
    name: str
    boxes: tuple[tuple[float, float, float, float], ...]
    """South, west, north, east, degrees."""
    within: tuple[str, ...] = ()

    def holds(self, latitude: float, longitude: float) -> bool:
        """Say whether a place is in one of the boxes."""
        return any(
            south <= latitude <= north and west <= longitude <= east
            for south, west, north, east in self.boxes
        )


class Allocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One band or set of channels, where it applies, and how far that can be trusted."""

    id: str
    low_hz: int | None = None
    """None where the limits are not known."""
    high_hz: int | None = None
    channels_hz: tuple[int, ...] = ()
    about: str | None = None
    """What is told of a band without known limits."""
    regions: Annotated[tuple[str, ...], Meta(min_length=1)]
    limit: str | None = None
    duty: str | None = None
    status: Status
    confidence: Confidence
    basis: str
    source: str
    checked_on: dt.date | None = None
    """None where nobody checked."""
    notes: str | None = None

    def fits(self, low_hz: float, high_hz: float) -> bool:
        """Say whether all from `low_hz` to `high_hz` may be used for tags, as far as is known."""
        if self.status == "not-for-wildlife":
            return False
        return self.covers(low_hz, high_hz)

    def covers(self, low_hz: float, high_hz: float) -> bool:
        """Say whether all from `low_hz` to `high_hz` lies in the limits or on one channel."""
        if self.channels_hz:
            return any(
                channel - CHANNEL_TOLERANCE_HZ <= low_hz
                and high_hz <= channel + CHANNEL_TOLERANCE_HZ
                for channel in self.channels_hz
            )
        if self.low_hz is None or self.high_hz is None:
            return False
        return self.low_hz <= low_hz and high_hz <= self.high_hz


class Allocations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that ships."""

    advice: str
    """What every answer must be read with."""
    regions: tuple[Region, ...]
    allocations: tuple[Allocation, ...]

    def regions_at(self, latitude: float, longitude: float) -> tuple[Region, ...]:
        """Return the regions whose boxes hold a place, the world first, and those around them."""
        return self._widened(
            region.code for region in self.regions if region.holds(latitude, longitude)
        )

    def region(self, code: str) -> tuple[Region, ...]:
        """Return the region of a code in either case, with those around it and the world.

        Raises:
            KeyError: there is no such region.
        """
        if code.upper() not in {region.code for region in self.regions}:
            raise KeyError(code)
        return self._widened((WORLD, code.upper()))

    def applying(self, regions: Iterable[Region]) -> tuple[Allocation, ...]:
        """Return the rows of any of the regions, by frequency; those without limits at the end."""
        codes = {region.code for region in regions}
        rows = (row for row in self.allocations if codes.intersection(row.regions))
        return tuple(sorted(rows, key=lambda row: (row.low_hz is None, row.low_hz or 0, row.id)))

    def _widened(self, codes: Iterable[str]) -> tuple[Region, ...]:
        wanted = set(codes)
        wanted |= {
            around for region in self.regions if region.code in wanted for around in region.within
        }
        return tuple(region for region in self.regions if region.code in wanted)


def names(regions: Iterable[Region]) -> str:
    """Return regions as people read them, and say where no country is known."""
    regions = tuple(regions)
    told = ", ".join(region.name for region in regions)
    if all(region.code == WORLD for region in regions):
        return f"{told} (the list has no rows of a country here)"
    return told


@functools.cache
def shipped() -> Allocations:
    """Return what ships beside this module; read once."""
    text = resources.files(__package__).joinpath("allocations.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Allocations)
