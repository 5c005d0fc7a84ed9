"""The Movebank export: a package that frictionless finds valid, rows that can be traced."""

import csv
import json
from pathlib import Path
from typing import Any

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

frictionless = pytest.importorskip(
    "frictionless", reason="frictionless, which checks data packages, is not installed"
)


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    return make_season(tmp_path_factory.mktemp("season"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def complaints(folder: Path) -> list[Any]:
    report = frictionless.validate(str(folder / "datapackage.json"))
    assert report.valid or report.errors or report.tasks
    found: list[Any] = report.flatten(["type", "message"])
    return found


def test_a_season_is_a_valid_data_package(season: Season, tmp_path: Path) -> None:
    result = export("movebank", season.path, tmp_path, "--metadata", season.metadata)
    assert result.exit_code == 0, result.output
    assert complaints(tmp_path) == []
    rows = rows_of(tmp_path / "detections.csv")
    assert len(rows) == season.heard["direct"] + season.heard["relayed"] + 1 - 2
    assert {row["individual-local-identifier"] for row in rows} == {
        "RUFF-042",
        "KNOT-7",
        "GODWIT-1",
    }


def test_the_validator_would_find_a_detection_of_nobody(season: Season, tmp_path: Path) -> None:
    export("movebank", season.path, tmp_path, "--metadata", season.metadata)
    path = tmp_path / "detections.csv"
    path.write_text(path.read_text().replace("KNOT-7", "KNOT-8"))
    assert complaints(tmp_path)[0][0] == "foreign-key"


def test_a_row_says_where_when_and_how_strong(season: Season, tmp_path: Path) -> None:
    export("movebank", season.path, tmp_path, "--metadata", season.metadata)
    rows = rows_of(tmp_path / "detections.csv")
    direct = next(row for row in rows if row["receiver-detector-id"] == "north")
    assert direct["timestamp"] == "2026-05-01 04:00:21.234"
    assert direct["sensor-type"] == "radio-transmitter"
    assert (direct["location-lat"], direct["receiver-longitude"]) == ("53.253", "5.221")
    assert direct["location-error-numerical"] == "5000"
    assert direct["comments"].startswith("rssi_dbm=-71;integrity=verified")
    assert direct["lora:rssi"] == ""


def test_what_a_node_heard_stands_at_the_nodes_place_and_time(
    season: Season, tmp_path: Path
) -> None:
    export("movebank", season.path, tmp_path, "--metadata", season.metadata)
    relayed = [
        row for row in rows_of(tmp_path / "detections.csv") if row["receiver-id"] == "3796F5"
    ]
    assert len(relayed) == season.heard["relayed"]
    assert relayed[0]["timestamp"] == "2026-05-01 04:02:56.234"
    assert {(row["location-lat"], row["location-error-numerical"]) for row in relayed} == {
        ("53.26", "500")
    }


def test_a_fix_that_the_tag_sent_is_a_gps_location(season: Season, tmp_path: Path) -> None:
    export("movebank", season.path, tmp_path, "--metadata", season.metadata)
    (fix,) = [row for row in rows_of(tmp_path / "detections.csv") if row["sensor-type"] == "gps"]
    assert (fix["location-lat"], fix["location-long"]) == ("53.5", "5.75")
    assert (fix["lora:rssi"], fix["lora:snr"], fix["tag-voltage"]) == ("-110.5", "-3.2", "3800")
    assert fix["receiver-latitude"] == ""


def test_a_sensitive_species_is_rounded_and_its_receiver_withheld(
    season: Season, tmp_path: Path
) -> None:
    metadata = tmp_path / "metadata.toml"
    place = "deployed_latitude = 53.123456\ndeployed_longitude = 5.123456\n"
    metadata.write_text(
        METADATA.replace(
            'animal = "KNOT-7"', f'animal = "KNOT-7"\ncoordinate_decimals = 1\n{place}'
        )
    )
    export("movebank", season.path, tmp_path / "out", "--metadata", metadata)
    assert complaints(tmp_path / "out") == []
    for row in rows_of(tmp_path / "out" / "detections.csv"):
        if row["individual-local-identifier"] != "KNOT-7":
            continue
        assert (row["location-lat"], row["location-long"]) == ("53.3", "5.2")
        assert float(row["location-error-numerical"]) > 5000 + 7000 or row["transmission-protocol"]
        assert "rounded to 1 decimals" in row["location-error-text"]
        assert row["receiver-id"] + row["receiver-detector-id"] + row["receiver-latitude"] == ""
    knot = rows_of(tmp_path / "out" / "reference-data.csv")[1]
    assert (knot["deploy-on-latitude"], knot["deploy-on-longitude"]) == ("53.1", "5.1")


def test_texts_that_spreadsheets_would_run_are_texts(season: Season, tmp_path: Path) -> None:
    hostile = '=HYPERLINK(\\"http://evil\\";\\"x\\")'
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(
        METADATA.replace('"KNOT-7"', f'"{hostile}"').replace('"RUFF-042"', '"a,\\"b\\n@c"')
    )
    export("movebank", season.path, tmp_path / "out", "--metadata", metadata)
    assert complaints(tmp_path / "out") == []
    names = {row["animal-id"] for row in rows_of(tmp_path / "out" / "reference-data.csv")}
    assert names == {'\'=HYPERLINK("http://evil";"x")', 'a,"b @c', "GODWIT-1"}


def test_field_files_make_a_valid_package(tmp_path: Path) -> None:
    files = sorted((FIELD_FILES / "sensorgnome-2021").glob("*.gz"))
    if not files:
        pytest.skip("the field recordings sensorgnome-2021 are not here")
    db = imported(tmp_path / "field.db", *files)
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA.replace('"marsh"', '"7F5ERPI46977"').replace("2026-0", "2021-0"))
    result = export("movebank", db, tmp_path / "out", "--metadata", metadata)
    assert result.exit_code == 0, result.output
    assert complaints(tmp_path / "out") == []
    assert len(rows_of(tmp_path / "out" / "detections.csv")) == 2807


def test_tags_found_in_pulses_stand_where_the_recordings_own_gps_was(tmp_path: Path) -> None:
    folder = FIELD_FILES / "kingsburg-2017"
    files = sorted(folder.glob("*.gz"))
    if not files:
        pytest.skip("the field recordings kingsburg-2017 are not here")
    db = imported(tmp_path / "field.db", *files, "--tags", folder / "tags.csv")
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(KINGSBURG)
    result = export("movebank", db, tmp_path / "out", "--metadata", metadata)
    assert result.exit_code == 0, result.output
    assert complaints(tmp_path / "out") == []
    rows = rows_of(tmp_path / "out" / "detections.csv")
    assert len(rows) == 127
    assert {row["location-lat"][:5] for row in rows} == {"44.26"}
    assert {row["location-error-numerical"] for row in rows} == {"5020"}
    assert len({row["telemetry-run-id"] for row in rows}) == 2


def test_an_empty_store_makes_a_valid_package_of_deployments(tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA)
    assert (
        export(
            "movebank", empty_store(tmp_path), tmp_path / "out", "--metadata", metadata
        ).exit_code
        == 0
    )
    assert complaints(tmp_path / "out") == []
    package = json.loads((tmp_path / "out" / "datapackage.json").read_text())
    assert package["licenses"][0]["name"] == "CC-BY-4.0"


def test_what_is_missing_is_listed_by_name(season: Season, tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text('[[stations]]\nid = "dune"\n[[tags]]\nid = "78664C33"\nanimal = "R"\n')
    result = export("movebank", season.path, tmp_path / "out", "--metadata", metadata)
    assert result.exit_code == 2
    for name in ("project.title", '"marsh"', "dune", 'tags["78664C33"].taxon', "deployed_from"):
        assert name in result.output
    assert not (tmp_path / "out").exists()
