"""`euring`: the EURING exchange code 2020, one record a ringed bird, station and day.

`euring2020.txt`: 64 fields between `|`, of which the first 33 are always filled. It is for the
ringing scheme, which sends on to the EURING Data Bank; a station never does. Birds without ring are
counted, not invented.

    field                      value
    primary identification     E0 radio-tracking device
    metal ring, other marks    4 present already; EC radio device present already
    manipulated, moved         N, 0
    circumstances              84 identified by radio tracking
    time                       of the day's first detection, UTC
    accuracy of coordinates    a letter: the smallest circle that the assumed range fits

Source: EURING Exchange Code 2020, v202 (13 Nov 2024); its code tables as in the package `euring`.
"""

import re
from typing import Any, Final

from receiver.exports.first_of import FirstOf, Group
from receiver.exports.metadata_tables import Metadata, Station, Tag
from receiver.exports.request import Report, Request
from receiver.exports.sightings import Sighting, lacks, sightings
from receiver.exports.staging import Staging

_DAY: Final = len("2026-05-12")
_RING_WIDTH: Final = 10
_DECIMALS: Final = 4
_FIELDS: Final = 64

_CIRCLES: Final = (
    (1, "A"),
    (5, "B"),
    (10, "C"),
    (50, "D"),
    (100, "E"),
    (500, "F"),
    (1_000, "G"),
    (5_000, "H"),
    (10_000, "I"),
    (50_000, "J"),
    (100_000, "K"),
    (500_000, "L"),
    (1_000_000, "M"),
)
"""Radius in metres and code; Z is anywhere in the region."""

_TEXT_ENDS = re.compile(r"[|\r\n\t\x00-\x1f]")


def missing(request: Request) -> list[str]:
    """Return what is missing, by name; tags of birds without a ring need none."""
    station = request.station
    lacking = lacks(request)
    if station is not None and not station.euring_place_code:
        lacking.append(f'stations["{station.id}"].euring_place_code')
    for tag in request.metadata.tags:
        if not tag.ring_number:
            continue
        for name in ("ring_scheme", "euring_species"):
            if not getattr(tag, name):
                lacking.append(f'tags["{tag.id}"].{name}')
        if len(_ring_digits(tag.ring_number)) > _RING_WIDTH:
            lacking.append(f'tags["{tag.id}"].ring_number of at most {_RING_WIDTH} characters')
    return lacking


def write(request: Request, staging: Staging) -> Report:
    """Write the records in order of day and ring."""
    report = Report()
    station = request.station
    assert station is not None  # noqa: S101  `missing` asks for it.
    tags = {(tag.id, tag.animal): tag for tag in request.metadata.tags}
    ringless: set[str] = set()
    with (
        FirstOf(staging.scratch("days.db")) as days,
        staging.path("euring2020.txt").open("w", newline="", encoding="utf-8") as file,
    ):
        for sighting in sightings(request, report, with_tag_fixes=False):
            tag = sighting.tag
            if not tag.ring_number:
                ringless.add(tag.animal)
                report.left_out["birds without ring data"] += 1
                continue
            key = "\t".join((sighting.time[:_DAY], tag.ring_scheme, tag.ring_number))
            days.add(key, sighting.time, _told(sighting))
            report.rows["detections, of which each bird's first of a day stands"] += 1
        for day in days.groups():
            tag = tags[day.first["tag"], day.first["animal"]]
            file.write(_record(day, tag, station, request.metadata) + "\n")
            report.rows["records"] += 1
    if ringless:
        report.notes.append(f"without ring data: {len(ringless)} birds, left out")
    return report


def _told(sighting: Sighting) -> dict[str, Any]:
    place = sighting.place
    return {
        "animal": sighting.tag.animal,
        "tag": sighting.tag.id,
        "time": sighting.time,
        "station": sighting.row["station"],
        "rssi_dbm": sighting.row["rssi_dbm"],
        "latitude": place.latitude,
        "longitude": place.longitude,
        "uncertainty_m": place.uncertainty_m,
        "rounded_to": place.rounded_to,
    }


def _record(day: Group, tag: Tag, station: Station, metadata: Metadata) -> str:
    first = day.first
    time = first["time"]
    sex = tag.sex[:1].upper() or "U"
    is_withheld = first["rounded_to"] is not None
    decimals = _DECIMALS if first["rounded_to"] is None else min(_DECIMALS, first["rounded_to"])
    level = "" if first["rssi_dbm"] is None else f";rssi={first['rssi_dbm']:g}dBm"
    remarks = f"tag={tag.id};detections={day.rows}{level}"
    if is_withheld:
        remarks += f";coordinates rounded to {10.0**-decimals:g} degree"
    else:
        remarks = f"station={first['station']};{remarks}"
    required = (
        tag.ring_scheme,
        "E0",
        ring_field(tag.ring_number),
        "0",
        "4",
        "EC",
        tag.euring_species,
        tag.euring_species,
        "N",
        "0",
        "-",
        "U",
        sex,
        sex,
        "0",
        "0",
        "U",
        "--",
        "--",
        "-",
        f"{time[8:10]}{time[5:7]}{time[:4]}",
        "0",
        f"{time[11:13]}{time[14:16]}",
        station.euring_place_code,
        "." * 15,
        _accuracy(first["uncertainty_m"]),
        metadata.euring.condition,
        "84",
        "0",
        "6",
        "-----",
        "---",
        "-----",
    )
    ending = (
        "" if is_withheld else _free(station.name),
        _free(remarks),
        "",
        f"{first['latitude']:.{decimals}f}",
        f"{first['longitude']:.{decimals}f}",
        "",
        "",
    )
    between = ("",) * (_FIELDS - len(required) - len(ending))
    return "|".join((*required, *between, *ending))


def ring_field(ring_number: str) -> str:
    """Return a ring's number in ten characters: dots stand before its last digits.

    `AB12345` is `AB...12345`, `123456` is `....123456`.
    """
    text = _ring_digits(ring_number)
    head = text.rstrip("0123456789")
    return head + "." * (_RING_WIDTH - len(text)) + text[len(head) :]


def _ring_digits(ring_number: str) -> str:
    return "".join(each for each in ring_number.upper() if each.isalnum())


def _accuracy(uncertainty_m: float) -> str:
    return next((code for radius_m, code in _CIRCLES if uncertainty_m <= radius_m), "Z")


def _free(text: str) -> str:
    return _TEXT_ENDS.sub(" ", text)
