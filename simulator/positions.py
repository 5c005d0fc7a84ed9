"""Places on the earth and how far they are apart."""

import math
from typing import Annotated, Final

import msgspec
from msgspec import Meta

EARTH_RADIUS_M: Final = 6_371_000.0
DEGREE_M: Final = math.pi * EARTH_RADIUS_M / 180
"""Metres in one degree of latitude."""


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place, WGS 84, degrees north and east."""

    latitude: Annotated[float, Meta(ge=-90, le=90, description="Degrees north, WGS 84.")]
    longitude: Annotated[float, Meta(ge=-180, le=180, description="Degrees east, WGS 84.")]

    def moved(self, north_m: float, east_m: float) -> "Position":
        """Return the place so many metres away, as on a flat map of the surroundings."""
        latitude = max(-90.0, min(90.0, self.latitude + north_m / DEGREE_M))
        degrees_east = east_m / (DEGREE_M * max(0.01, math.cos(math.radians(self.latitude))))
        return Position(latitude, wrapped(self.longitude + degrees_east))


def wrapped(longitude: float) -> float:
    """Return a longitude, or a difference of two, as -180 up to 180 degrees."""
    return (longitude + 180.0) % 360.0 - 180.0


def distance_m(here: Position, there: Position) -> float:
    """Return the great-circle distance in metres, by the haversine formula."""
    north = math.radians(there.latitude - here.latitude) / 2
    east = math.radians(there.longitude - here.longitude) / 2
    across = math.cos(math.radians(here.latitude)) * math.cos(math.radians(there.latitude))
    return (
        2
        * EARTH_RADIUS_M
        * math.asin(math.hypot(math.sin(north), math.sqrt(across) * math.sin(east)))
    )
