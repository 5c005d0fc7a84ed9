"""Places on the earth and how far they are apart."""

import math
from typing import Final

import msgspec

EARTH_RADIUS_M: Final = 6_371_000.0


class Position(msgspec.Struct, frozen=True):
    """A place, WGS 84, degrees north and east."""

    latitude: float
    longitude: float


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
