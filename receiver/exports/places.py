"""Where a detection was made, how far the animal may have been from there, and what is published.

The place is the receiver's: the station's from the metadata, else where the store knows it to have
been; a node's from the metadata, else where it last said it was. Coordinates of sensitive species
are rounded, and the uncertainty grows by half the diagonal of what they were rounded to.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from receiver.exports.metadata_tables import Station
from receiver.store.queries import Reader

_DEGREE_M: Final = 111_320.0
"""Metres in a degree of longitude at the equator, which no other degree exceeds by more than 0.4 %.
Source: WGS 84."""

_TAG_FIX_M: Final = 100.0
"""How far a tag's own GPS fix is taken to be off where it does not say."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an animal was."""

    latitude: float
    longitude: float
    uncertainty_m: float
    is_tag_fix: bool = False
    """By the tag's own GPS, not by the receiver's place."""
    is_relay: bool = False
    rounded_to: int | None = None
    """Decimals of a degree that were left; None where nothing was rounded."""


class Places:
    """The places of one store's receivers."""

    def __init__(self, reader: Reader, station: Station) -> None:
        self._station = station
        self._antenna_ranges = {
            antenna.label: antenna.range_m
            for antenna in station.antennas
            if antenna.range_m is not None
        }
        self._relays = _reported_relays(reader) | {
            relay.id.upper(): (relay.latitude, relay.longitude) for relay in station.relays
        }

    def of(self, row: Mapping[str, Any]) -> Place | None:
        """Return where the detection was made; None where nothing tells."""
        if row["relay_id"] is not None:
            position = self._relays.get(row["relay_id"].upper())
            if position is None:
                return None
            return Place(
                latitude=position[0],
                longitude=position[1],
                uncertainty_m=self._station.relay_range_m,
                is_relay=True,
            )
        range_m = self._antenna_ranges.get(row["antenna"] or row["link"], self._station.range_m)
        station = self._station
        if station.latitude is not None and station.longitude is not None:
            return Place(
                latitude=station.latitude, longitude=station.longitude, uncertainty_m=range_m
            )
        if row["latitude"] is None:
            return None
        return Place(
            latitude=row["latitude"],
            longitude=row["longitude"],
            uncertainty_m=range_m + row["position_error_m"],
        )


def tag_fix(measurements: Mapping[str, Any]) -> Place | None:
    """Return where the tag's own GPS said it was, where it said so in this packet."""
    latitude, longitude = measurements.get("latitude"), measurements.get("longitude")
    if not isinstance(latitude, int | float) or not isinstance(longitude, int | float):
        return None
    if not abs(latitude) <= 90 or not abs(longitude) <= 180:  # noqa: PLR2004  Degrees of a globe.
        return None
    accuracy_m = measurements.get("accuracy_m")
    told = accuracy_m if isinstance(accuracy_m, int | float) and accuracy_m > 0 else _TAG_FIX_M
    return Place(latitude=latitude, longitude=longitude, uncertainty_m=told, is_tag_fix=True)


def rounded(place: Place, decimals: int | None) -> Place:
    """Return the place with its coordinates rounded to so many decimals of a degree."""
    if decimals is None:
        return place
    half_m = 0.5 * 10**-decimals * _DEGREE_M
    return msgspec.structs.replace(
        place,
        latitude=round(place.latitude, decimals),
        longitude=round(place.longitude, decimals),
        uncertainty_m=place.uncertainty_m + math.hypot(half_m, half_m),
        rounded_to=decimals,
    )


def _reported_relays(reader: Reader) -> dict[str, tuple[float, float]]:
    """Return where each node last said it was."""
    positions: dict[str, tuple[float, float]] = {}
    for table in ("relay_health", "gps_fixes"):
        for row in reader.connection.execute(
            f"SELECT relay_id, latitude, longitude FROM readable_{table} WHERE id IN"  # noqa: S608  Our own names.
            f" (SELECT max(id) FROM {table} WHERE relay IS NOT NULL AND latitude IS NOT NULL"
            " GROUP BY relay)"
        ):
            positions.setdefault(row["relay_id"].upper(), (row["latitude"], row["longitude"]))
    return positions
