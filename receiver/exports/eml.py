"""The description of a data set as GBIF asks for it: Ecological Metadata Language 2.1.1.

Title, abstract, publisher, licence, creator, metadata provider, contact, what was observed, where,
when and how. Source: rs.gbif.org, GBIF metadata profile 1.1; eml.ecoinformatics.org.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree as ET

import msgspec

from receiver.exports.metadata_tables import Metadata, Station

LICENCE_URLS: Final[Mapping[str, str]] = {
    "CC0-1.0": "http://creativecommons.org/publicdomain/zero/1.0/legalcode",
    "CC-BY-4.0": "http://creativecommons.org/licenses/by/4.0/legalcode",
    "CC-BY-NC-4.0": "http://creativecommons.org/licenses/by-nc/4.0/legalcode",
}
_LICENCE_NAMES: Final[Mapping[str, str]] = {
    "CC0-1.0": "Public Domain (CC0 1.0)",
    "CC-BY-4.0": "Creative Commons Attribution (CC-BY) 4.0 License",
    "CC-BY-NC-4.0": "Creative Commons Attribution Non Commercial (CC-BY-NC) 4.0 License",
}
_EML: Final = "eml://ecoinformatics.org/eml-2.1.1"
_MOST_TAXA: Final = 1000

_METHOD: Final = (
    "Receivers of an automated radio telemetry station listened continuously for the tags of the "
    "animals named here. An occurrence is the first detection of an animal by the station in an "
    "hour; its coordinates are those of the receiver (or of the tag's own GPS fix, where its event "
    "type says so) and its uncertainty is the assumed range of detection."
)


class Coverage(msgspec.Struct):
    """What the occurrences cover, gathered as they are written."""

    west: float = 180.0
    east: float = -180.0
    north: float = -90.0
    south: float = 90.0
    first: str = "9999"
    last: str = ""
    taxa: dict[str, None] = msgspec.field(default_factory=dict)

    def add(self, latitude: float, longitude: float, date: object, taxon: str) -> None:
        """Count an occurrence in."""
        self.west, self.east = min(self.west, longitude), max(self.east, longitude)
        self.south, self.north = min(self.south, latitude), max(self.north, latitude)
        self.first, self.last = min(self.first, str(date)), max(self.last, str(date))
        if len(self.taxa) < _MOST_TAXA:
            self.taxa[taxon] = None


def eml(metadata: Metadata, station: Station, coverage: Coverage, now_ns: int) -> bytes:
    """Return the document."""
    project = metadata.project
    ET.register_namespace("eml", _EML)
    root = ET.Element(
        f"{{{_EML}}}eml",
        {
            "packageId": clean(project.id),
            "system": "http://gbif.org",
            "scope": "system",
            "{http://www.w3.org/XML/1998/namespace}lang": "eng",
        },
    )
    dataset = ET.SubElement(root, "dataset")
    _text(dataset, "alternateIdentifier", project.id)
    _text(dataset, "title", project.title)
    for role in ("creator", "metadataProvider"):
        _person(ET.SubElement(dataset, role), metadata)
    published = dt.datetime.fromtimestamp(now_ns // 10**9, dt.UTC)
    _text(dataset, "pubDate", f"{published:%Y-%m-%d}")
    _text(dataset, "language", "eng")
    _text(ET.SubElement(dataset, "abstract"), "para", project.description)
    keywords = ET.SubElement(dataset, "keywordSet")
    _text(keywords, "keyword", "Occurrence")
    _text(keywords, "keywordThesaurus", "GBIF Dataset Type Vocabulary")
    rights = ET.SubElement(ET.SubElement(dataset, "intellectualRights"), "para")
    if coverage.last:
        is_withheld = any(tag.coordinate_decimals is not None for tag in metadata.tags)
        where = "Around a station of automated radio telemetry"
        if not is_withheld:
            where += f": {station.name or station.id}"
        _covered(ET.SubElement(dataset, "coverage"), coverage, where)
    _person(ET.SubElement(dataset, "contact"), metadata)
    _text(ET.SubElement(dataset, "publisher"), "organizationName", project.publisher)
    step = ET.SubElement(ET.SubElement(dataset, "methods"), "methodStep")
    _text(ET.SubElement(step, "description"), "para", _METHOD)
    gbif = ET.SubElement(
        ET.SubElement(ET.SubElement(root, "additionalMetadata"), "metadata"), "gbif"
    )
    _text(gbif, "dateStamp", f"{published:%Y-%m-%dT%H:%M:%SZ}")
    _text(gbif, "hierarchyLevel", "dataset")
    ET.indent(root)
    _licence(rights, project.licence)
    content: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return content


def clean(text: str) -> str:
    """Return text without the characters that no XML document may hold, escaped or not."""
    return "".join(each for each in text if each.isprintable() or each in "\t\n")


def _text(parent: ET.Element, name: str, text: str) -> ET.Element:
    element = ET.SubElement(parent, name)
    element.text = clean(text)
    return element


def _person(element: ET.Element, metadata: Metadata) -> None:
    contact = metadata.contact
    name = ET.SubElement(element, "individualName")
    if contact.given_name:
        _text(name, "givenName", contact.given_name)
    _text(name, "surName", contact.family_name)
    _text(element, "organizationName", metadata.project.publisher)
    _text(element, "electronicMailAddress", contact.email)


def _licence(para: ET.Element, licence: str) -> None:
    """Say the licence in the one form that GBIF reads by program: no white space more."""
    para.text = "This work is licensed under a "
    link = ET.SubElement(para, "ulink", {"url": LICENCE_URLS[licence]})
    _text(link, "citetitle", _LICENCE_NAMES[licence])
    link.tail = "."


def _covered(element: ET.Element, coverage: Coverage, where: str) -> None:
    place = ET.SubElement(element, "geographicCoverage")
    _text(place, "geographicDescription", where)
    bounds = ET.SubElement(place, "boundingCoordinates")
    for name, degrees in (
        ("westBoundingCoordinate", coverage.west),
        ("eastBoundingCoordinate", coverage.east),
        ("northBoundingCoordinate", coverage.north),
        ("southBoundingCoordinate", coverage.south),
    ):
        _text(bounds, name, f"{degrees:.6f}")
    dates = ET.SubElement(ET.SubElement(element, "temporalCoverage"), "rangeOfDates")
    for name, date in (("beginDate", coverage.first), ("endDate", coverage.last)):
        _text(ET.SubElement(dates, name), "calendarDate", date[:10])
    taxa = ET.SubElement(element, "taxonomicCoverage")
    for taxon in coverage.taxa:
        _text(ET.SubElement(taxa, "taxonomicClassification"), "taxonRankValue", taxon)
