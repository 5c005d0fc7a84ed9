"""Where the sun stands, by `astral`; remembered by place and time, since many tags share both."""

import datetime as dt
import functools
from typing import Final

from astral import Observer
from astral.sun import elevation

_PLACES_PER_DEGREE: Final = 4
"""A quarter of a degree is 28 km and one minute of sun."""
_REMEMBERED: Final = 65_536
"""Elevations of 100 bytes: a day in quarters of an hour at 680 places."""


def sun_elevation_deg(latitude: float, longitude: float, unix_s: float) -> float:
    """Return the sun's elevation with refraction, for the next quarter of a degree and minute."""
    return _elevation(
        round(latitude * _PLACES_PER_DEGREE), round(longitude * _PLACES_PER_DEGREE), unix_s // 60
    )


@functools.lru_cache(maxsize=_REMEMBERED)
def _elevation(latitude_steps: int, longitude_steps: int, minute: float) -> float:
    place = Observer(
        min(89.99, max(-89.99, latitude_steps / _PLACES_PER_DEGREE)),
        longitude_steps / _PLACES_PER_DEGREE,
    )
    return elevation(place, dt.datetime.fromtimestamp(minute * 60, dt.UTC))
