"""The owner's names for tags: read, read again when they change, told once when they cannot be."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from receiver.coded_ids.tag_lists import TagListError
from receiver.health.tag_names import TagNames, read_names
from receiver.limits import TAG_NAMES
from receiver.settings import TagsSettings


def names_in(path: Path, text: str) -> TagNames:
    path.write_text(text, encoding="utf-8")
    return TagNames(TagsSettings(names_file=str(path)))


@pytest.mark.parametrize(
    "text",
    [
        "tag_id,name\n61552d4c,Sanderling 7\nproject#12,knot\n",
        "\ufeffName; Tag_ID ;n\r\nSanderling  7;61552D4C;x\r\nknot;project#12;\r\n;AAAAAAAA;\r\n",
        'tag_id, name\n61552D4C, "Sanderling\n7"\nproject#12,knot,more,columns\n',
    ],
)
def test_names_are_read_by_their_columns(tmp_path: Path, text: str) -> None:
    names = names_in(tmp_path / "names.csv", text)
    assert names.names == {"61552D4C": "Sanderling 7", "project#12": "knot"}


def test_names_are_printable_and_short(tmp_path: Path) -> None:
    text = f"tag_id,name\nAAAAAAAA,\x1b[31mred\nBBBBBBBB,{'x' * 500}\n"
    names = names_in(tmp_path / "names.csv", text).names
    assert names["AAAAAAAA"] == r"\x1b[31mred"
    assert names["BBBBBBBB"] == "x" * 64 + "…"


def test_a_file_that_changes_is_read_again_and_only_then(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    names = names_in(path, "tag_id,name\nAAAAAAAA,one\n")
    first = names.names
    names.look()
    assert names.names is first
    path.write_text("tag_id,name\nAAAAAAAA,another\n")
    names.look()
    assert names.names == {"AAAAAAAA": "another"}


@pytest.mark.parametrize(
    "text", ["id,label\nAAAAAAAA,one\n", "", "tag_id\nAAAAAAAA\n", "x" * 10_000_000]
)
def test_a_bad_file_is_told_once_and_the_names_before_it_stay(tmp_path: Path, text: str) -> None:
    path = tmp_path / "names.csv"
    names = names_in(path, "tag_id,name\nAAAAAAAA,one\n")
    path.write_text(text)
    with capture_logs() as log:
        for _ in range(3):
            names.look()
    assert [line["event"] for line in log] == ["tag names cannot be used"]
    assert "do" in log[0]
    assert names.names == {"AAAAAAAA": "one"}


def test_a_file_that_comes_later_is_read_then(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    with capture_logs() as log:
        names = TagNames(TagsSettings(names_file=str(path)))
        names.look()
        assert names.names == {}
        path.write_text("tag_id,name\nAAAAAAAA,one\n")
        names.look()
    assert names.names == {"AAAAAAAA": "one"}
    assert [line["event"] for line in log] == ["tag names cannot be used", "tag names read"]


def test_too_many_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text("tag_id,name\n" + "".join(f"t{n},n\n" for n in range(TAG_NAMES + 1)))
    with pytest.raises(TagListError, match="more than 20000 tags"):
        read_names(path)


def test_a_list_of_known_tags_has_comments_and_ids_in_either_case(tmp_path: Path) -> None:
    path = tmp_path / "known.txt"
    path.write_text("# deployed in May\n344c2a55\n78664C33  # the old one\n\nMarsh#1\n")
    names = TagNames(TagsSettings(known=("0000aa00",), known_file=str(path)))
    assert names.known == {"0000AA00", "344C2A55", "78664C33", "Marsh#1"}


def test_without_their_file_the_known_tags_of_the_settings_are_known(tmp_path: Path) -> None:
    missing = TagsSettings(known=("0000aa00",), known_file=str(tmp_path / "none.txt"))
    with capture_logs() as log:
        names = TagNames(missing)
    assert names.known == {"0000AA00"}
    assert [line["event"] for line in log] == ["known tags cannot be read"]


def test_known_tags_are_those_of_the_settings_and_of_the_file(tmp_path: Path) -> None:
    listed = tmp_path / "known.txt"
    listed.write_text("bbbbbbbb  # two\n")
    names = TagNames(TagsSettings(known=("aaaaaaaa",), known_file=str(listed)))
    assert names.known == {"AAAAAAAA", "BBBBBBBB"}
    listed.write_text("CCCCCCCC\n")
    os.utime(listed, (1, 1))
    names.look()
    assert names.known == {"AAAAAAAA", "CCCCCCCC"}
    with capture_logs() as log:
        listed.unlink()
        names.look()
    assert names.known == {"AAAAAAAA", "CCCCCCCC"}
    assert log == []


def test_new_settings_are_taken_over(tmp_path: Path) -> None:
    names = names_in(tmp_path / "names.csv", "tag_id,name\nAAAAAAAA,one\n")
    (tmp_path / "others.csv").write_text("tag_id,name\nBBBBBBBB,two\n")
    names.change(TagsSettings(names_file=str(tmp_path / "others.csv"), known=("x",)))
    names.look()
    assert names.names == {"BBBBBBBB": "two"}
    assert names.known == {"x"}
    names.change(TagsSettings())
    names.look()
    assert not names.names
    assert not names.known
