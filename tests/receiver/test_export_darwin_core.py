"""The Darwin Core Archive: read back by another's reader, every extension row linked."""

import uuid
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from export_season import (
    FIELD_FILES,
    KINGSBURG,
    METADATA,
    Season,
    empty_store,
    export,
    imported,
    make_season,
)

dwca = pytest.importorskip(
    "dwca.read", reason="python-dwca-reader, which reads these archives, is not installed"
)

DWC = "http://rs.tdwg.org/dwc/terms/"
GBIF_REQUIRED = ("occurrenceID", "basisOfRecord", "scientificName", "eventDate")
OBIS_REQUIRED = ("decimalLongitude", "decimalLatitude", "occurrenceStatus")


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    return make_season(tmp_path_factory.mktemp("season"))


class Occurrence:
    """One row of an archive as its reader sees it."""

    def __init__(self, row: Any) -> None:  # noqa: ANN401  The reader is not typed.
        self.id: str = row.id
        self.told = _short(row.data)
        self.measured = [_short(each.data) for each in row.extensions]


def _short(terms: dict[str, str]) -> dict[str, str]:
    """Return what is told by the terms' names, without their name spaces."""
    return {term.rpartition("/")[2]: value for term, value in terms.items()}


def occurrences(folder: Path) -> list[Occurrence]:
    with dwca.DwCAReader(str(folder / "dwca.zip")) as archive:
        assert archive.descriptor.core.type == f"{DWC}Occurrence"
        rows = [Occurrence(row) for row in archive]
        linked = sum(len(row.measured) for row in rows)
        with archive.open_included_file("emof.csv") as file:
            assert linked == sum(1 for _ in file) - 1
    return rows


def test_a_season_is_read_back_with_every_measurement_linked(
    season: Season, tmp_path: Path
) -> None:
    result = export("darwin-core", season.path, tmp_path, "--metadata", season.metadata)
    assert result.exit_code == 0, result.output
    rows = occurrences(tmp_path)
    assert len(rows) == 8
    for row in rows:
        assert row.id == row.told["occurrenceID"]
        assert row.told["basisOfRecord"] == "MachineObservation"
        assert all(row.told[name] for name in GBIF_REQUIRED + OBIS_REQUIRED)
        assert {each["measurementType"] for each in row.measured} > {
            "received signal strength indication"
        }
    assert Counter(row.told["organismID"] for row in rows) == {
        "RUFF-042": 4,
        "KNOT-7": 2,
        "GODWIT-1": 2,
    }


def test_an_occurrence_is_the_first_of_its_hour(season: Season, tmp_path: Path) -> None:
    export("darwin-core", season.path, tmp_path, "--metadata", season.metadata)
    first = next(row for row in occurrences(tmp_path) if row.told["organismID"] == "RUFF-042")
    assert first.told["eventDate"] == "2026-05-01T04:00:01Z"
    assert first.told["dataGeneralizations"] == "subsampled by hour: first of 60 record(s)"
    assert (first.told["decimalLatitude"], first.told["decimalLongitude"]) == ("53.253", "5.221")
    assert first.told["coordinateUncertaintyInMeters"] == "5000"
    assert first.told["eventRemarks"] == "detected by station marsh, antenna south"


def test_ids_are_the_same_in_a_later_export_of_more(season: Season, tmp_path: Path) -> None:
    whole = ("--metadata", season.metadata)
    export("darwin-core", season.path, tmp_path / "part", *whole, "--until", "2026-05-03")
    export("darwin-core", season.path, tmp_path / "all", *whole)
    part, everything = (
        {row.id: row.told["eventDate"] for row in occurrences(tmp_path / name)}
        for name in ("part", "all")
    )
    assert part
    assert part.items() < everything.items()
    assert all(uuid.UUID(each.removeprefix("urn:uuid:")).version == 5 for each in everything)


def test_the_same_store_gives_the_same_tables(season: Season, tmp_path: Path) -> None:
    tables = []
    for name in ("one", "two"):
        export("darwin-core", season.path, tmp_path / name, "--metadata", season.metadata)
        with zipfile.ZipFile(tmp_path / name / "dwca.zip") as archive:
            tables.append([archive.read(each) for each in ("occurrence.csv", "emof.csv")])
    assert tables[0] == tables[1]


def test_the_description_has_what_gbif_asks_for(season: Season, tmp_path: Path) -> None:
    export("darwin-core", season.path, tmp_path, "--metadata", season.metadata)
    with zipfile.ZipFile(tmp_path / "dwca.zip") as archive:
        root = ET.fromstring(archive.read("eml.xml"))  # noqa: S314  Written a moment ago.
    dataset = root.find("dataset")
    assert dataset is not None
    for path, text in (
        ("title", "Waders of the marsh"),
        ("abstract/para", "Radio tags on waders, heard by one station."),
        ("publisher/organizationName", "Marsh Observatory"),
        ("creator/individualName/surName", "Example"),
        ("metadataProvider/electronicMailAddress", "ada@example.org"),
        ("contact/electronicMailAddress", "ada@example.org"),
        ("coverage/temporalCoverage/rangeOfDates/beginDate/calendarDate", "2026-05-01"),
    ):
        assert dataset.findtext(path) == text
    licence = dataset.find("intellectualRights/para/ulink")
    assert licence is not None
    assert licence.get("url") == "http://creativecommons.org/licenses/by/4.0/legalcode"
    assert licence.findtext("citetitle", "").startswith("Creative Commons Attribution")


def test_a_sensitive_species_is_rounded_and_the_archive_says_so(
    season: Season, tmp_path: Path
) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(
        METADATA.replace('animal = "KNOT-7"', 'animal = "KNOT-7"\ncoordinate_decimals = 1')
    )
    export("darwin-core", season.path, tmp_path / "out", "--metadata", metadata)
    told = [
        row.told
        for row in occurrences(tmp_path / "out")
        if row.told["scientificName"] == "Calidris canutus"
    ]
    assert len(told) == 2
    for each in told:
        assert (each["decimalLatitude"], each["decimalLongitude"]) == ("53.3", "5.2")
        assert 5000 + 7800 < int(each["coordinateUncertaintyInMeters"]) < 5000 + 7900
        assert each["dataGeneralizations"].endswith("coordinates rounded to 0.1 degree")
        assert each["informationWithheld"]
        assert each["locationID"] + each["locality"] + each["eventRemarks"] == ""
    with zipfile.ZipFile(tmp_path / "out" / "dwca.zip") as archive:
        assert b"The marsh" not in archive.read("eml.xml")


def test_hostile_texts_stay_inside_their_cells_and_elements(season: Season, tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(
        METADATA.replace('"KNOT-7"', '"=1+1\\n\\"<x>"')
        .replace("Waders of the marsh", "</title>&<x>\\u0001]]>")
        .replace("The marsh", "@SUM(A1),\\r\\n|")
    )
    result = export("darwin-core", season.path, tmp_path / "out", "--metadata", metadata)
    assert result.exit_code == 0, result.output
    rows = occurrences(tmp_path / "out")
    assert len(rows) == 8
    assert {row.told["organismID"] for row in rows} >= {"RUFF-042", "GODWIT-1"}
    with zipfile.ZipFile(tmp_path / "out" / "dwca.zip") as archive:
        root = ET.fromstring(archive.read("eml.xml"))  # noqa: S314  Written a moment ago.
        table = archive.read("occurrence.csv").decode()
    assert root.findtext("dataset/title") == "</title>&<x>]]>"
    assert "'@SUM(A1)" in table
    assert "'=1+1" in table


def test_an_empty_store_makes_an_archive_without_occurrences(tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA)
    result = export("darwin-core", empty_store(tmp_path), tmp_path / "out", "--metadata", metadata)
    assert result.exit_code == 0, result.output
    assert occurrences(tmp_path / "out") == []


def test_field_files_are_read_back(tmp_path: Path) -> None:
    files = sorted((FIELD_FILES / "sensorgnome-2021").glob("*.gz"))
    if not files:
        pytest.skip("the field recordings sensorgnome-2021 are not here")
    db = imported(tmp_path / "field.db", *files)
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA.replace('"marsh"', '"7F5ERPI46977"').replace("2026-0", "2021-0"))
    assert export("darwin-core", db, tmp_path / "out", "--metadata", metadata).exit_code == 0
    rows = occurrences(tmp_path / "out")
    # Five files of an hour each, four of which reach into the next hour of the clock.
    assert sum(int(row.measured[0]["measurementValue"]) for row in rows) == 2807
    assert len({row.told["eventDate"][:13] for row in rows}) == len(rows)


def test_tags_found_in_pulses_are_read_back(tmp_path: Path) -> None:
    folder = FIELD_FILES / "kingsburg-2017"
    files = sorted(folder.glob("*.gz"))
    if not files:
        pytest.skip("the field recordings kingsburg-2017 are not here")
    db = imported(tmp_path / "field.db", *files, "--tags", folder / "tags.csv")
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(KINGSBURG)
    assert export("darwin-core", db, tmp_path / "out", "--metadata", metadata).exit_code == 0
    told = [row.told for row in occurrences(tmp_path / "out")]
    assert [each["eventDate"][:13] for each in told] == ["2017-09-01T20", "2017-09-01T21"]
    assert {each["samplingProtocol"] for each in told} == {
        "automated radio telemetry (VHF coded ID)"
    }


def test_everything_that_gbif_needs_is_asked_for_by_name(season: Season, tmp_path: Path) -> None:
    result = export("darwin-core", season.path, tmp_path / "out")
    assert result.exit_code == 2
    for name in ("title", "description", "id", "licence", "publisher"):
        assert f"project.{name}" in result.output
    assert "contact.email" in result.output
    assert not (tmp_path / "out").exists()
