"""`darwin-core`: a Darwin Core Archive, Occurrence core with measurements, `dwca.zip`.

    meta.xml         which column is which term
    eml.xml          what the data set is (`eml`)
    occurrence.csv   the first detection of each tag at the station in each hour
    emof.csv         its level, and how many detections the hour had

An occurrence's id comes from station, animal, tag and hour, so that a later export gives the same
one. Of sensitive species the coordinates are rounded, the receiver is withheld, and both is said.

Source: rs.gbif.org, Occurrence core and Extended Measurement Or Fact; inbo/etn and inbo/movepub for
the mapping; dwc.tdwg.org/text for meta.xml.
"""

import csv
import math
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from receiver.exports.cells import number, text
from receiver.exports.eml import LICENCE_URLS, Coverage, eml
from receiver.exports.first_of import FirstOf, Group
from receiver.exports.metadata_tables import Metadata, Station, Tag
from receiver.exports.request import Report, Request
from receiver.exports.sightings import Sighting, lacks, sightings
from receiver.exports.staging import Staging

_OCCURRENCE_IDS: Final = uuid.UUID("5c1cb0ef-5a0b-5d2b-9c6e-0a8a1f2f7a53")
"""Name space of occurrence ids; changing it would make every published occurrence a new one."""

_HOUR: Final = len("2026-05-12T04")
_TYPICAL_DECIMALS: Final = 6

_DWC: Final = "http://rs.tdwg.org/dwc/terms/"
_DCTERMS: Final = "http://purl.org/dc/terms/"
_OBIS: Final = "http://rs.iobis.org/obis/terms/"

_TERMS: Final = {
    "occurrenceID": _DWC,
    "type": _DCTERMS,
    "license": _DCTERMS,
    "rightsHolder": _DCTERMS,
    "datasetID": _DWC,
    "institutionCode": _DWC,
    "datasetName": _DWC,
    "basisOfRecord": _DWC,
    "informationWithheld": _DWC,
    "dataGeneralizations": _DWC,
    "sex": _DWC,
    "lifeStage": _DWC,
    "occurrenceStatus": _DWC,
    "organismID": _DWC,
    "eventID": _DWC,
    "parentEventID": _DWC,
    "eventType": _DWC,
    "eventDate": _DWC,
    "samplingProtocol": _DWC,
    "eventRemarks": _DWC,
    "locationID": _DWC,
    "locality": _DWC,
    "countryCode": _DWC,
    "minimumElevationInMeters": _DWC,
    "maximumElevationInMeters": _DWC,
    "decimalLatitude": _DWC,
    "decimalLongitude": _DWC,
    "geodeticDatum": _DWC,
    "coordinateUncertaintyInMeters": _DWC,
    "scientificNameID": _DWC,
    "scientificName": _DWC,
    "kingdom": _DWC,
}
"""Columns of the core in order; the first is the id that extension rows point to."""

_MEASUREMENT_TERMS: Final = {
    "occurrenceID": _DWC,
    "measurementType": _DWC,
    "measurementTypeID": _OBIS,
    "measurementValue": _DWC,
    "measurementValueID": _OBIS,
    "measurementUnit": _DWC,
    "measurementUnitID": _OBIS,
}

_PROTOCOLS: Final[Mapping[str, str]] = {
    "ctt-434": "automated radio telemetry (434 MHz FSK)",
    "ctt-2g4": "automated radio telemetry (2.4 GHz)",
    "coded-id": "automated radio telemetry (VHF coded ID)",
    "lorawan": "automated radio telemetry (LoRaWAN)",
}

_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)
"""The same rows give the same bytes."""


def missing(request: Request) -> list[str]:
    """Return what is missing, by name."""
    project, contact = request.metadata.project, request.metadata.contact
    wanted = (
        ("project.title", project.title),
        ("project.description", project.description),
        ("project.id", project.id),
        ("project.licence", project.licence),
        ("project.publisher", project.publisher),
        ("contact.family_name", contact.family_name),
        ("contact.email", contact.email),
    )
    return [name for name, value in wanted if not value] + lacks(request)


def write(request: Request, staging: Staging) -> Report:
    """Write the archive."""
    report = Report()
    station = request.station
    assert station is not None  # noqa: S101  `missing` asks for it.
    tags = {(tag.id, tag.animal): tag for tag in request.metadata.tags}
    coverage = Coverage()
    occurrence_file, emof_file = staging.scratch("occurrence.csv"), staging.scratch("emof.csv")
    with (
        FirstOf(staging.scratch("hours.db")) as hours,
        occurrence_file.open("w", newline="", encoding="utf-8") as occurrences,
        emof_file.open("w", newline="", encoding="utf-8") as measurements,
    ):
        for sighting in sightings(request, report):
            told = _told(sighting)
            hours.add(
                "\t".join((sighting.time[:_HOUR], told["animal"], told["tag"])), sighting.time, told
            )
            report.rows["detections, of which the first of each hour stands"] += 1
        core = csv.DictWriter(occurrences, list(_TERMS), lineterminator="\n")
        core.writeheader()
        emof = csv.DictWriter(measurements, list(_MEASUREMENT_TERMS), lineterminator="\n")
        emof.writeheader()
        for hour in hours.groups():
            tag = tags[hour.first["tag"], hour.first["animal"]]
            row = _occurrence(hour, tag, station, request.metadata)
            core.writerow(row)
            coverage.add(
                hour.first["latitude"], hour.first["longitude"], row["eventDate"], tag.taxon
            )
            report.rows["occurrences"] += 1
            for measurement in _measurements(hour):
                emof.writerow({"occurrenceID": row["occurrenceID"]} | measurement)
                report.rows["measurements"] += 1
    description = eml(request.metadata, station, coverage, request.now_ns)
    _zip(
        staging.path("dwca.zip"),
        {"meta.xml": _meta(), "eml.xml": description},
        {"occurrence.csv": occurrence_file, "emof.csv": emof_file},
    )
    return report


def _told(sighting: Sighting) -> dict[str, Any]:
    """Return what is kept of a sighting until its hour is known."""
    row, place = sighting.row, sighting.place
    return {
        "animal": sighting.tag.animal,
        "tag": sighting.tag.id,
        "time": sighting.time,
        "station": row["station"],
        "receiver": row["antenna"] or row["link"],
        "relay": row["relay_id"],
        "protocol": row["protocol"],
        "rssi_dbm": row["rssi_dbm"],
        "snr_db": row["snr_db"],
        "temperature_c": row["measurements"].get("temperature_c"),
        "latitude": place.latitude,
        "longitude": place.longitude,
        "uncertainty_m": place.uncertainty_m,
        "is_tag_fix": place.is_tag_fix,
        "rounded_to": place.rounded_to,
    }


def _occurrence(hour: Group, tag: Tag, station: Station, metadata: Metadata) -> dict[str, object]:
    first, project = hour.first, metadata.project
    is_withheld = first["rounded_to"] is not None
    identity = "\t".join((first["station"], tag.animal, tag.id, first["time"][:_HOUR]))
    occurrence_id = f"urn:uuid:{uuid.uuid5(_OCCURRENCE_IDS, identity)}"
    decimals = first["rounded_to"] if is_withheld else _TYPICAL_DECIMALS
    elevation = "" if is_withheld else number(station.elevation_m, 1)
    return {
        "occurrenceID": occurrence_id,
        "type": "Event",
        "license": LICENCE_URLS[project.licence],
        "rightsHolder": text(project.rights_holder or project.publisher),
        "datasetID": text(project.id),
        "institutionCode": text(project.institution_code),
        "datasetName": text(project.title),
        "basisOfRecord": "MachineObservation",
        "informationWithheld": "name and exact place of the receiver" if is_withheld else "",
        "dataGeneralizations": _generalisations(hour),
        "sex": tag.sex,
        "lifeStage": text(tag.life_stage),
        "occurrenceStatus": "present",
        "organismID": text(tag.animal),
        "eventID": occurrence_id,
        "parentEventID": text(f"{tag.animal}_{tag.id}"),
        "eventType": "gps fix" if first["is_tag_fix"] else "radio detection",
        "eventDate": f"{first['time'][:19]}Z",
        "samplingProtocol": _PROTOCOLS.get(first["protocol"], "automated radio telemetry"),
        "eventRemarks": "" if is_withheld else text(_remarks(first)),
        "locationID": "" if is_withheld else text(first["station"]),
        "locality": "" if is_withheld else text(station.name),
        "countryCode": station.country_code,
        "minimumElevationInMeters": elevation,
        "maximumElevationInMeters": elevation,
        "decimalLatitude": number(first["latitude"], decimals),
        "decimalLongitude": number(first["longitude"], decimals),
        "geodeticDatum": "EPSG:4326",
        "coordinateUncertaintyInMeters": math.ceil(first["uncertainty_m"]),
        "scientificNameID": text(tag.taxon_id),
        "scientificName": text(tag.taxon),
        "kingdom": text(tag.kingdom),
    }


def _generalisations(hour: Group) -> str:
    said = f"subsampled by hour: first of {hour.rows} record(s)"
    decimals = hour.first["rounded_to"]
    if decimals is None:
        return said
    return f"{said}; coordinates rounded to {10.0**-decimals:g} degree"


def _remarks(first: Mapping[str, Any]) -> str:
    if first["relay"]:
        return f"detected by node {first['relay']}, received by station {first['station']}"
    return f"detected by station {first['station']}, antenna {first['receiver']}"


def _measurements(hour: Group) -> list[dict[str, str]]:
    first = hour.first
    told = (
        ("number of detections in the hour", number(hour.rows, 0), ""),
        ("received signal strength indication", number(first["rssi_dbm"], 1), "dBm"),
        ("signal to noise ratio", number(first["snr_db"], 1), "dB"),
        ("temperature of the tag", _temperature(first["temperature_c"]), "degrees Celsius"),
    )
    return [
        {"measurementType": name, "measurementValue": value, "measurementUnit": unit}
        for name, value, unit in told
        if value
    ]


def _temperature(told: object) -> str:
    return number(told, 2) if isinstance(told, int | float) else ""


def _meta() -> bytes:
    archive = ET.Element(
        "archive", {"xmlns": "http://rs.tdwg.org/dwc/text/", "metadata": "eml.xml"}
    )
    _table(archive, "core", f"{_DWC}Occurrence", "occurrence.csv", _TERMS)
    _table(
        archive,
        "extension",
        f"{_OBIS}ExtendedMeasurementOrFact",
        "emof.csv",
        _MEASUREMENT_TERMS,
    )
    ET.indent(archive)
    content: bytes = ET.tostring(archive, encoding="UTF-8", xml_declaration=True)
    return content


def _table(
    archive: ET.Element, kind: str, row_type: str, name: str, terms: Mapping[str, str]
) -> None:
    form = {
        "encoding": "UTF-8",
        "fieldsTerminatedBy": ",",
        "linesTerminatedBy": "\\n",
        "fieldsEnclosedBy": '"',
        "ignoreHeaderLines": "1",
        "rowType": row_type,
    }
    table = ET.SubElement(archive, kind, form)
    ET.SubElement(ET.SubElement(table, "files"), "location").text = name
    ET.SubElement(table, "id" if kind == "core" else "coreid", {"index": "0"})
    for place, (term, space) in enumerate(terms.items()):
        ET.SubElement(table, "field", {"index": str(place), "term": f"{space}{term}"})


def _zip(path: Path, documents: Mapping[str, bytes], tables: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in documents.items():
            archive.writestr(_entry(name), content)
        for name, table in tables.items():
            with (
                table.open("rb") as source,
                archive.open(_entry(name), "w", force_zip64=True) as to,
            ):
                while block := source.read(1 << 20):
                    to.write(block)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _ZIP_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry
