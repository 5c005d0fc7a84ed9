"""The owner's metadata: the example is good, a wrong key is named with what would be right."""

from pathlib import Path

import msgspec
import pytest

from receiver.exports import metadata
from receiver.exports.metadata_tables import Metadata, Tag

HERE = Path("/home/owner/metadata.toml")


def complaint(text: str) -> str:
    with pytest.raises(metadata.MetadataError) as caught:
        metadata.parse(text, HERE)
    return str(caught.value)


def test_the_example_passes_its_own_check() -> None:
    told = metadata.parse(metadata.example("marsh"), HERE)
    assert [station.id for station in told.stations] == ["marsh"]
    assert told.tags == ()
    assert told.project == Metadata().project


def test_the_example_explains_every_key() -> None:
    text = metadata.example()
    for table in (Metadata, Tag):
        for field in msgspec.structs.fields(table):
            assert field.name in text


def test_the_commented_tables_of_the_example_are_good_once_they_are_uncommented() -> None:
    text = metadata.example("marsh")
    begin = text.index("# [[stations.antennas]]")
    uncommented = "\n".join(line.removeprefix("# ") for line in text[begin:].splitlines())
    told = metadata.parse(text[:begin] + uncommented, HERE)
    assert told.stations[0].antennas[0].label == "north"
    assert told.stations[0].relays[0].id == "3796F5"
    assert told.tags[0].animal == "RUFF-042"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[projct]\ntitle = 'x'\n", [":1:", "projct", "did you mean `project`"]),
        ("[project]\ntitel = 'x'\n", [":2:", "project.titel", "`title`"]),
        ("[project]\nlicence = 'MIT'\n", ["project.licence", "CC-BY-4.0"]),
        ("[motus]\nserial = '1'\n", ["motus.serial", "SG-1234RPI45678"]),
        ("[motus]\nlabel = 'a-b'\n", ["motus.label", "letters, digits"]),
        (
            "[[stations]]\nid = 'a'\n[[stations]]\nid = 'b'\nlatitud = 3\n",
            [":5:", "stations[1].latitud", "`latitude`"],
        ),
        ("[[stations]]\nid = 'a'\nlatitude = 3\n", ["both latitude and longitude"]),
        ("[[stations]]\nid = 'a'\n[[stations]]\nid = 'a'\n", [":4:", "two stations"]),
        (
            (
                "[[stations]]\nid = 'a'\n[[stations.antennas]]\nlabel = 'n'\nport = 1\n"
                "[[stations.antennas]]\nlabel = 's'\nport = 1\n"
            ),
            ["'n' and 's' share port 1"],
        ),
        ("[[tags]]\nid = 'a'\n", ["tags[0]", "animal"]),
        ("[[tags]]\nid = 'a'\nanimal = 'x'\ndeployed_from = 2026-01-01\n", ["in quotes"]),
        ("[[tags]]\nid = 'a'\nanimal = 'x'\ndeployed_from = '2026-02-30'\n", ["no such time"]),
        (
            (
                "[[tags]]\nid = 'a'\nanimal = 'x'\ndeployed_until = '2026-02-03'\n"
                "[[tags]]\nid = 'a'\nanimal = 'y'\ndeployed_from = '2026-02-02'\n"
            ),
            ["'x' and 'y' wear it at the same time"],
        ),
        (
            (
                "[[tags]]\nid = '78664c33'\nanimal = 'x'\ndeployed_until = '2026-02-03'\n"
                "[[tags]]\nid = '78664C3304'\nanimal = 'x'\ndeployed_from = '2026-03-02'\n"
            ),
            ["'x' wears it twice"],
        ),
        ("x = [", ["not TOML"]),
    ],
)
def test_a_wrong_key_is_named_with_what_would_be_right(text: str, words: list[str]) -> None:
    said = complaint(text)
    assert said.startswith(str(HERE))
    for word in words:
        assert word in said


def test_tags_may_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "metadata.toml"
    path.write_text("tags_file = 'tags.csv'\n[[tags]]\nid = 'Marsh#1.1'\nanimal = 'x'\n")
    (tmp_path / "tags.csv").write_bytes(
        b"\xef\xbb\xbfid, animal,taxon,frequency_mhz,deployed_from,coordinate_decimals\r\n"
        b'78664c3304,RUFF-1,"Calidris pugnax",434.0,2026-04-28 09:15,1\r\n'
        b",,,,,\r\n"
        b"61337F34,KNOT-7,Calidris canutus,,,\r\n"
    )
    tags = metadata.load(path).tags
    assert [tag.id for tag in tags] == ["Marsh#1.1", "78664C33", "61337F34"]
    assert (tags[1].frequency_mhz, tags[1].coordinate_decimals) == (434.0, 1)
    assert metadata.utc_text(tags[1].deployed_from) == "2026-04-28T09:15:00.000000Z"
    assert tags[2].frequency_mhz is None


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("id,animl\na,b\n", ["tags.csv:1:", "animl", "did you mean `animal`"]),
        ("id,animal,frequency_mhz\na,b,\na,c,high\n", ["tags.csv:3:", "frequency_mhz"]),
        ("id,animal\na\n", ["tags.csv:2:", "animal"]),
    ],
)
def test_a_wrong_cell_of_the_tag_table_is_named(
    tmp_path: Path, table: str, words: list[str]
) -> None:
    path = tmp_path / "metadata.toml"
    path.write_text("tags_file = 'tags.csv'\n")
    (tmp_path / "tags.csv").write_text(table)
    with pytest.raises(metadata.MetadataError) as caught:
        metadata.load(path)
    for word in words:
        assert word in str(caught.value)


def test_times_are_utc_unless_they_name_a_zone() -> None:
    assert metadata.utc_text("2026-04-28") == "2026-04-28T00:00:00.000000Z"
    assert metadata.utc_text("2026-04-28T09:15+02:00") == "2026-04-28T07:15:00.000000Z"
    assert metadata.utc_text("") == ""


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(metadata.MetadataError, match="--example-metadata"):
        metadata.load(tmp_path / "none.toml")
