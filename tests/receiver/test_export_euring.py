"""The EURING export: valid records, one a ringed bird, station and day."""

from collections import Counter
from pathlib import Path

import pytest
from export_season import FIELD_FILES, METADATA, Season, empty_store, export, imported, make_season

from receiver.exports.euring import ring_field

euring = pytest.importorskip("euring", reason="euring, which checks these records, is missing")


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    return make_season(tmp_path_factory.mktemp("season"))


def records(folder: Path) -> list[dict[str, str]]:
    """Return the fields of each record; every one must be valid."""
    told = []
    for line in (folder / "euring2020.txt").read_text(encoding="utf-8").splitlines():
        fields = line.split("|")
        assert len(fields) == 64
        # euring 26.4 takes a capital F in free text for a control character: its pattern has \7F.
        fields[57:59] = [text.replace("F", "f") for text in fields[57:59]]
        record = euring.EuringRecord.decode("|".join(fields))
        assert record.format == euring.FORMAT_EURING2020
        assert record.errors == {"record": [], "fields": []}
        told.append({key: field["value"] for key, field in record.fields.items()})
    return told


def test_a_season_gives_one_valid_record_a_bird_and_day(season: Season, tmp_path: Path) -> None:
    result = export("euring", season.path, tmp_path, "--metadata", season.metadata)
    assert result.exit_code == 0, result.output
    told = records(tmp_path)
    days = Counter((each["identification_number"], each["date"]) for each in told)
    assert set(days.values()) == {1}
    assert Counter(ring for ring, _ in days) == {"....123456": 4, "AB...12345": 2}


def test_a_record_says_how_the_bird_was_known_and_where(season: Season, tmp_path: Path) -> None:
    export("euring", season.path, tmp_path, "--metadata", season.metadata)
    first = records(tmp_path)[0]
    wanted = {
        "ringing_scheme": "NLA",
        "primary_identification_method": "E0",
        "species_concluded": "05170",
        "sex_concluded": "F",
        "date": "01052026",
        "time": "0400",
        "place_code": "NL--",
        "accuracy_of_coordinates": "H",
        "circumstances": "84",
        "euring_code_identifier": "6",
        "latitude": "53.2530",
        "longitude": "5.2210",
    }
    assert {key: first[key] for key in wanted} == wanted
    assert "detections=60" in first["remarks"]


def test_birds_without_ring_data_are_counted_not_invented(season: Season, tmp_path: Path) -> None:
    said = export("euring", season.path, tmp_path, "--metadata", season.metadata).output
    assert "without ring data: 1 birds" in said
    assert "120 left out: birds without ring data" in said


def test_a_pipe_in_a_name_does_not_break_the_record(season: Season, tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA.replace("The marsh", "a|b\\nc"))
    export("euring", season.path, tmp_path / "out", "--metadata", metadata)
    assert records(tmp_path / "out")[0]["place_name"] == "a b c"


def test_a_sensitive_species_is_rounded(season: Season, tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(
        METADATA.replace('animal = "RUFF-042"', 'animal = "RUFF-042"\ncoordinate_decimals = 1')
    )
    export("euring", season.path, tmp_path / "out", "--metadata", metadata)
    first = records(tmp_path / "out")[0]
    assert (first["latitude"], first["longitude"]) == ("53.3", "5.2")
    assert first["accuracy_of_coordinates"] == "J"
    assert "rounded to 0.1 degree" in first["remarks"]
    assert first["place_name"] == ""
    assert "marsh" not in first["remarks"]


def test_what_is_missing_is_listed_by_name(season: Season, tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(
        METADATA.replace('euring_species = "05320"', "").replace('euring_place_code = "NL--"', "")
    )
    result = export("euring", season.path, tmp_path / "out", "--metadata", metadata)
    assert result.exit_code == 2
    assert 'tags["78554C33"].euring_species' in result.output
    assert 'stations["marsh"].euring_place_code' in result.output


@pytest.mark.parametrize(
    ("told", "want"),
    [("123456", "....123456"), ("AB12345", "AB...12345"), ("1.234-567", "...1234567")],
)
def test_dots_stand_before_the_last_digits_of_a_ring(told: str, want: str) -> None:
    assert ring_field(told) == want
    assert euring.euring_identification_export_format(told) == want


def test_field_files_give_valid_records(tmp_path: Path) -> None:
    files = sorted((FIELD_FILES / "sensorgnome-2021").glob("*.gz"))
    if not files:
        pytest.skip("the field recordings sensorgnome-2021 are not here")
    db = imported(tmp_path / "field.db", *files)
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA.replace('"marsh"', '"7F5ERPI46977"').replace("2026-0", "2021-0"))
    assert export("euring", db, tmp_path / "out", "--metadata", metadata).exit_code == 0
    assert [each["date"] for each in records(tmp_path / "out")] == ["16122021"]


def test_an_empty_store_gives_no_record(tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.toml"
    metadata.write_text(METADATA)
    assert (
        export("euring", empty_store(tmp_path), tmp_path / "out", "--metadata", metadata).exit_code
        == 0
    )
    assert records(tmp_path / "out") == []
