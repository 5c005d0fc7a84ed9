"""Tag list files: every kind is read, what is wrong is told with the file, changes are noticed."""

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from receiver.coded_ids.tag_lists import TagListError, TagListWatch, read_tag_list

CSV = "proj,id,tagFreq,g1,g2,g3,bi\nFundy,1,166.38,22.0,19.6,24.4,20\n"


def sqlite_file(path: Path, *statements: str) -> Path:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return path


def test_a_csv_is_read_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "my tags.txt"
    path.write_text(CSV + "Fundy,2,166.38,?,19.6,24.4,20\n")
    read = read_tag_list(path)
    assert [tag.label for tag in read.tags] == ["Fundy#1@166.38:20"]
    assert read.warnings[0].startswith("line 3: g1 is '?'")


@pytest.mark.parametrize("deviations", ["g1_sd, g2_sd", '"g1.sd", "g2.sd"', "codeset, year"])
def test_a_sensorgnome_database_is_read_in_its_variants(tmp_path: Path, deviations: str) -> None:
    path = sqlite_file(
        tmp_path / "SG_tag_database.sqlite",
        "CREATE TABLE tags(proj TEXT, id REAL, tagFreq, fcdFreq, g1, g2, g3, bi, dfreq, "
        f"{deviations})",
        "INSERT INTO tags VALUES('Test', 1.1, 166.38, 166.376, 22, 19.6, 24.4, 25.098, 4, 0, 0)",
        "INSERT INTO tags VALUES('Test', 2, 166.38, 166.376, NULL, 19.6, 24.4, 25.098, 4, 0, 0)",
    )
    read = read_tag_list(path)
    assert [tag.label for tag in read.tags] == ["Test#1.1@166.38:25.1"]
    assert read.warnings == ("row 2: g1 is None, a number of ms between 1 and 1000 is needed",)


def test_a_motus_database_is_read(tmp_path: Path) -> None:
    path = sqlite_file(
        tmp_path / "motus.sqlite",
        "CREATE TABLE tags(tagID, nomFreq, offsetFreq, param1, param2, param3, period, mfgID, "
        "codeSet)",
        "INSERT INTO tags VALUES(10695, 166.38, 0, 22, 19.6, 24.4, 19.99, '1', 'own')",
        "CREATE TABLE events(ts, tagID, event)",
    )
    assert [tag.tag_id for tag in read_tag_list(path).tags] == ["motus#10695"]


def test_a_database_is_only_read(tmp_path: Path) -> None:
    path = sqlite_file(
        tmp_path / "tags.sqlite",
        "CREATE TABLE tags(proj, id, tagFreq, g1, g2, g3, bi)",
        "INSERT INTO tags VALUES('a', 1, 166.38, 22, 20, 24, 10)",
    )
    before = path.read_bytes()
    path.chmod(0o400)
    assert read_tag_list(path).tags
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["tags.sqlite"]  # noqa: PTH208  Names alone.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "proj, id, tagFreq, g1, g2, g3, bi missing"),
        (b"\x00\xff" * 100, "missing"),
        (b"proj,id,tagFreq,g1,g2,g3,bi\n", "no usable tag"),
        (b"proj,id,tagFreq,g1,g2,g3,bi\na,1,166,1,2,x,9\n", "no usable tag .line 2: g3 is 'x'"),
        (b"SQLite format 3\0" + b"\xaa" * 3000, "tags.csv: "),
    ],
)
def test_what_is_no_list_is_refused_with_its_name(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "tags.csv"
    path.write_bytes(content)
    with pytest.raises(TagListError, match=message) as told:
        read_tag_list(path)
    assert str(path) in str(told.value)


def test_a_database_without_tags_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    other = sqlite_file(tmp_path / "other.sqlite", "CREATE TABLE birds(name)")
    with pytest.raises(TagListError, match="no table `tags`"):
        read_tag_list(other)
    with pytest.raises(TagListError, match=r"nowhere\.csv: No such file"):
        read_tag_list(tmp_path / "nowhere.csv")
    with pytest.raises(TagListError, match="directory"):
        read_tag_list(tmp_path)


def test_a_change_is_noticed_once_and_an_absence_is_none(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_text(CSV)
    watch = TagListWatch(path)
    assert not watch.changed()
    path.write_text(CSV + "Fundy,2,166.38,30,19.6,24.4,20\n")
    assert watch.changed()
    assert not watch.changed()
    path.unlink()
    assert not watch.changed()
    replacement = tmp_path / "new.csv"
    replacement.write_text(CSV)
    replacement.rename(path)
    assert watch.changed()
