"""`movebank`: a Frictionless Data Package of two tables in Movebank's terms.

    datapackage.json     what is in them, for programs
    detections.csv       one row a detection; import it as radio telemetry, or as GPS data where
                         `sensor-type` says gps
    reference-data.csv   one row a deployment; import it first, as reference data

`location-lat` and `-long` are the receiver's (sensor type radio-transmitter) or the tag's own fix
(gps). Movebank has no term for the level of a radio that is not LoRa: it stands in `comments`.
`visible` is false where a detection is not to be believed.

Source: Movebank attribute dictionary (vocab.nerc.ac.uk, collection MVB); bart1/move2, terms and
types; inbo/movepub, keys of the package.
"""

import csv
import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from receiver.exports.cells import number, text
from receiver.exports.metadata import utc_text
from receiver.exports.metadata_tables import Tag
from receiver.exports.places import Place, rounded
from receiver.exports.request import Report, Request
from receiver.exports.sightings import Sighting, lacks, sightings
from receiver.exports.staging import Staging

_VOCABULARY: Final = "http://vocab.nerc.ac.uk/collection/MVB/current/"
_DEGREE_DECIMALS: Final = 6

_DETECTION_FIELDS: Final[tuple[tuple[str, str], ...]] = (
    ("timestamp", "datetime"),
    ("tag-local-identifier", "string"),
    ("individual-local-identifier", "string"),
    ("individual-taxon-canonical-name", "string"),
    ("sensor-type", "string"),
    ("location-lat", "number"),
    ("location-long", "number"),
    ("location-error-numerical", "number"),
    ("location-error-text", "string"),
    ("receiver-id", "string"),
    ("receiver-detector-id", "string"),
    ("receiver-latitude", "number"),
    ("receiver-longitude", "number"),
    ("telemetry-run-id", "integer"),
    ("visible", "boolean"),
    ("transmission-protocol", "string"),
    ("tag-voltage", "number"),
    ("solar-cell-voltage", "number"),
    ("external-temperature", "number"),
    ("lora:rssi", "number"),
    ("lora:snr", "number"),
    ("comments", "string"),
)
_REFERENCE_FIELDS: Final[tuple[tuple[str, str, Callable[[Tag], str]], ...]] = (
    ("tag-id", "string", lambda tag: text(tag.id)),
    ("animal-id", "string", lambda tag: text(tag.animal)),
    ("animal-taxon", "string", lambda tag: text(tag.taxon)),
    ("deploy-on-date", "datetime", lambda tag: _moment(utc_text(tag.deployed_from))),
    ("deploy-off-date", "datetime", lambda tag: _moment(utc_text(tag.deployed_until))),
    ("deploy-on-latitude", "number", lambda tag: _deployed(tag, "latitude")),
    ("deploy-on-longitude", "number", lambda tag: _deployed(tag, "longitude")),
    ("animal-ring-id", "string", lambda tag: text(f"{tag.ring_scheme} {tag.ring_number}".strip())),
    ("animal-sex", "string", lambda tag: tag.sex[:1]),
    ("animal-life-stage", "string", lambda tag: text(tag.life_stage)),
    ("tag-manufacturer-name", "string", lambda tag: text(tag.manufacturer)),
    ("tag-model", "string", lambda tag: text(tag.model)),
    ("tag-beacon-frequency", "number", lambda tag: number(tag.frequency_mhz, 6)),
    ("tag-readout-method", "string", lambda _: "telemetry-network"),
)
_REQUIRED: Final = frozenset(
    (
        "timestamp",
        "tag-local-identifier",
        "individual-local-identifier",
        "sensor-type",
        "location-lat",
        "location-long",
        "tag-id",
        "animal-id",
        "animal-taxon",
    )
)
_TERMS: Final[Mapping[str, str]] = {
    "timestamp": "MVB000200",
    "sensor-type": "MVB000170",
    "visible": "MVB000209",
}
_DATE_FORMAT: Final = "%Y-%m-%d %H:%M:%S.%f"

_LICENCES: Final[Mapping[str, str]] = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
}


def missing(request: Request) -> list[str]:
    """Return what is missing, by name."""
    wanted = [("project.title", request.metadata.project.title)]
    lacking = [name for name, value in wanted if not value] + lacks(request)
    return lacking + [
        f'tags["{tag.id}"].deployed_from' for tag in request.metadata.tags if not tag.deployed_from
    ]


def write(request: Request, staging: Staging) -> Report:
    """Write the package."""
    report = Report()
    _write_reference(request, staging, report)
    with staging.path("detections.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([name for name, _ in _DETECTION_FIELDS])
        for sighting in sightings(request, report, with_noise=True):
            writer.writerow(_cells(sighting))
            report.rows["detections"] += 1
    package = msgspec.json.format(msgspec.json.encode(_package(request)))
    staging.path("datapackage.json").write_bytes(package + b"\n")
    return report


def _write_reference(request: Request, staging: Staging, report: Report) -> None:
    with staging.path("reference-data.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([name for name, _, _ in _REFERENCE_FIELDS])
        for tag in request.metadata.tags:
            writer.writerow([make(tag) for _, _, make in _REFERENCE_FIELDS])
            report.rows["deployments"] += 1


def _cells(sighting: Sighting) -> Sequence[object]:
    row, tag, place = sighting.row, sighting.tag, sighting.place
    told = row["measurements"]
    is_lora = row["protocol"] == "lorawan"
    is_withheld = place.rounded_to is not None
    receiver = row["relay_id"] or row["station"]
    detector = row["antenna"] or row["link"]
    at_receiver = not is_withheld and not place.is_tag_fix
    latitude, longitude = (
        number(place.latitude, _DEGREE_DECIMALS),
        number(place.longitude, _DEGREE_DECIMALS),
    )
    return (
        _moment(sighting.time),
        text(tag.id),
        text(tag.animal),
        text(tag.taxon),
        "gps" if place.is_tag_fix else "radio-transmitter",
        latitude,
        longitude,
        number(place.uncertainty_m, 0),
        _error_text(place),
        "" if is_withheld else text(receiver),
        "" if is_withheld else text(detector),
        latitude if at_receiver else "",
        longitude if at_receiver else "",
        "" if row["run"] is None else row["run"],
        "false" if row["confidence"] == "false" else "true",
        text(row["protocol"]),
        number(_scaled(told.get("battery_v"), 1000), 0),
        number(_scaled(told.get("solar_v"), 1000), 0),
        number(_scaled(told.get("temperature_c"), 1), 2),
        number(row["rssi_dbm"], 1) if is_lora else "",
        number(row["snr_db"], 1) if is_lora else "",
        _comments(row),
    )


def _error_text(place: Place) -> str:
    error = "fix of the tag's GPS" if place.is_tag_fix else "receiver position; assumed range"
    if place.rounded_to is not None:
        error += f"; coordinates rounded to {place.rounded_to} decimals of a degree"
    return error


def _comments(row: Mapping[str, Any]) -> str:
    levels = [f"{key}={row[key]:g}" for key in ("rssi_dbm", "snr_db") if row[key] is not None]
    return ";".join([*levels, f"integrity={row['integrity']}", f"confidence={row['confidence']}"])


def _deployed(tag: Tag, name: str) -> str:
    if tag.deployed_latitude is None or tag.deployed_longitude is None:
        return ""
    place = Place(latitude=tag.deployed_latitude, longitude=tag.deployed_longitude, uncertainty_m=0)
    return number(getattr(rounded(place, tag.coordinate_decimals), name), _DEGREE_DECIMALS)


def _moment(time: str) -> str:
    """Return ISO 8601 as Movebank writes times: yyyy-MM-dd HH:mm:ss.SSS, UTC."""
    return f"{time[:10]} {time[11:23]}" if time else ""


def _scaled(value: object, factor: float) -> float | None:
    return value * factor if isinstance(value, int | float) else None


def _package(request: Request) -> dict[str, object]:
    project, contact = request.metadata.project, request.metadata.contact
    name = re.sub(r"[^a-z0-9._-]+", "-", project.title.lower()).strip("-") or "detections"
    created = dt.datetime.fromtimestamp(request.now_ns // 10**9, dt.UTC)
    package: dict[str, object] = {
        "profile": "tabular-data-package",
        "name": name,
        "title": project.title,
        "created": f"{created:%Y-%m-%dT%H:%M:%SZ}",
    }
    if project.description:
        package["description"] = project.description
    if project.id:
        package["id"] = project.id
    if project.licence:
        package["licenses"] = [{"name": project.licence, "path": _LICENCES[project.licence]}]
    person = f"{contact.given_name} {contact.family_name}".strip() or project.publisher
    if person:
        package["contributors"] = [
            {"title": person, "role": "contact"}
            | ({"email": contact.email} if contact.email else {})
        ]
    package["resources"] = [
        _resource("reference-data", [(name, kind) for name, kind, _ in _REFERENCE_FIELDS])
        | {"title": "Deployments of tags on animals"},
        _resource("detections", _DETECTION_FIELDS) | {"title": "Detections"},
    ]
    return package


def _resource(name: str, fields: Sequence[tuple[str, str]]) -> dict[str, object]:
    schema: dict[str, object] = {"fields": [_field(*field) for field in fields]}
    if name == "reference-data":
        schema["primaryKey"] = ["tag-id", "animal-id"]
    else:
        schema["foreignKeys"] = [
            {
                "fields": ["tag-local-identifier", "individual-local-identifier"],
                "reference": {"resource": "reference-data", "fields": ["tag-id", "animal-id"]},
            }
        ]
    return {
        "profile": "tabular-data-resource",
        "name": name,
        "path": f"{name}.csv",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": schema,
    }


def _field(name: str, kind: str) -> dict[str, object]:
    field: dict[str, object] = {"name": name, "type": kind}
    if kind == "datetime":
        field["format"] = _DATE_FORMAT
    if kind == "boolean":
        field |= {"trueValues": ["true"], "falseValues": ["false"]}
    if name in _REQUIRED:
        field["constraints"] = {"required": True}
    if name in _TERMS:
        field["rdfType"] = f"{_VOCABULARY}{_TERMS[name]}/"
    return field
