"""Tag lists: every format that owners have, bad rows skipped and told."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.coded_id import CodeBook, CodedTag, for_antenna, parse_csv, parse_rows
from protocols.errors import FileFormatError

FIND_TAGS_HEADER = (
    '"proj","id","tagFreq","fcdFreq","g1","g2","g3","bi","dfreq",'
    '"g1.sd","g2.sd","g3.sd","bi.sd","dfreq.sd","filename"'
)
FIND_TAGS_ROW = '"Fundy",1,166.38,166.376,22.040,19.647,24.436,19.9942,0.35,0,0,0,0,0,"field"'


def tag(number: int, gaps: tuple[float, float, float], interval_s: float = 10.0) -> CodedTag:
    return CodedTag(
        project="p",
        id=str(number),
        frequency_mhz=166.38,
        gaps_ms=gaps,
        burst_interval_s=interval_s,
    )


def test_the_find_tags_csv_is_read() -> None:
    read = parse_csv(f"{FIND_TAGS_HEADER}\n{FIND_TAGS_ROW}\n")
    assert read.warnings == ()
    (only,) = read.tags
    assert only == CodedTag(
        project="Fundy",
        id="1",
        frequency_mhz=166.38,
        gaps_ms=(22.040, 19.647, 24.436),
        burst_interval_s=19.9942,
        offset_khz=0.35,
    )
    assert only.tag_id == "Fundy#1"
    assert only.label == "Fundy#1@166.38:20"


def test_columns_are_found_by_name_in_any_order_and_case_with_extra_ones() -> None:
    read = parse_csv(
        "\ufeffBI,ID,g3,G2,g1,species,TAGFREQ,Proj\r\n25.0978,1.1,24,19,21,x,150.1,T\r\n"
    )
    (only,) = read.tags
    assert only.gaps_ms == (21.0, 19.0, 24.0)
    assert only.label == "T#1.1@150.1:25.1"


def test_bad_lines_are_skipped_and_told_with_their_number() -> None:
    read = parse_csv(
        "proj,id,tagFreq,g1,g2,g3,bi\n"
        "a,1,166.38,22,x,24,10\n"
        "a,2,166.38,22,20\n"
        "\n"
        "a,3,166.38,22,20,24,0.01\n"
        'a,"4,166.38,22,20,24,10\n'
        ",5,166.38,22,20,24,10\n"
        "a,6,166.38,22,20,24,10\n"
        "a,6,166.38,22,20,24,10\n"
        "a,7,166.38,400,400,24,0.6\n"
    )
    assert [tag.id for tag in read.tags] == ["6"]
    assert len(read.warnings) == 7
    told = "\n".join(read.warnings)
    assert "line 2: g2 is 'x', a number of ms between 1 and 1000 is needed" in told
    assert "line 3: 5 fields, the header has 7" in told
    assert "line 5: bi is '0.01'" in told
    assert "line 6:" in told
    assert "line 7: proj is empty" in told
    assert "line 9: a#6@166.38:10 is listed twice" in told
    assert "line 10: bi is 0.6 s, shorter than the burst itself" in told


def test_sensorgnome_rows_are_read_whatever_their_column_names() -> None:
    row = {"proj": "Beacon", "id": 732.0, "tagFreq": 166.38, "fcdFreq": 166.376, "g1": 159}
    row |= {"g2": 156, "g3": 34, "bi": 40, "dfreq": 0, "g1_sd": 0.0, "codeset": "own"}
    (only,) = parse_rows(row, [row]).tags
    assert only.label == "Beacon#732@166.38:40"


def test_motus_rows_are_read() -> None:
    row: dict[str, object] = {"tagID": 10695, "nomFreq": 166.38, "offsetFreq": 0.35, "param1": 22.0}
    row |= {"param2": 19.6, "param3": 24.4, "period": 19.99, "mfgID": "1", "codeSet": "own"}
    (only,) = parse_rows(row, [row]).tags
    assert only.label == "motus#10695@166.38:20"
    assert only.offset_khz == 0.35
    (of_project,) = parse_rows([*row, "projectID"], [row | {"projectID": 47}]).tags
    assert of_project.tag_id == "47#10695"


@pytest.mark.parametrize("text", ["", "\n", "a,b\n1,2\n", "proj,id,tagFreq,g1,g2,bi\n"])
def test_what_is_no_tag_list_is_refused_with_what_is_missing(text: str) -> None:
    with pytest.raises(FileFormatError, match="missing; it needs columns proj, id"):
        parse_csv(text)


@given(st.text(max_size=200))
def test_no_text_after_a_good_header_raises(text: str) -> None:
    parse_csv(f"proj,id,tagFreq,g1,g2,g3,bi\n{text}")


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["proj", "id", "tagFreq", "g1", "g2", "g3", "bi", "dfreq"]),
            st.none() | st.floats() | st.integers() | st.text(max_size=5) | st.binary(max_size=5),
        ),
        max_size=5,
    )
)
def test_no_row_raises(rows: list[dict[str, object]]) -> None:
    read = parse_rows(["proj", "id", "tagFreq", "g1", "g2", "g3", "bi"], rows)
    assert len(read.tags) <= len(rows)
    CodeBook(read.tags)


def test_an_antenna_looks_for_the_tags_of_its_own_frequency() -> None:
    near, far = tag(1, (22, 20, 24)), tag(2, (30, 20, 24))
    european = CodedTag(
        project="p", id="3", frequency_mhz=150.1, gaps_ms=(22, 20, 24), burst_interval_s=5
    )
    tags = (near, far, european)
    assert for_antenna(tags, 166.376) == (near, far)
    assert for_antenna(tags, 150.096) == (european,)
    assert for_antenna(tags, None) == tags
    assert for_antenna(tags, math.nan) == tags
    assert for_antenna((), 166.376) == ()


def test_tags_that_share_a_code_share_its_entry_and_intervals_keep_them_apart() -> None:
    book = CodeBook(
        [
            tag(1, (22.0, 20.0, 24.0), 10.0),
            tag(2, (22.2, 19.8, 24.4), 10.002),
            tag(3, (22.1, 20.0, 24.0), 12.0),
            tag(4, (27.0, 20.0, 24.0), 10.0),
        ]
    )
    shared, other = sorted(book.codes, key=lambda code: code.gaps_ns)
    assert shared.gaps_ns == (22_100_000, 19_900_000, 24_200_000)
    assert [interval.tag_ids for interval in shared.intervals] == [("p#1", "p#2"), ("p#3",)]
    assert other.tag_ids == ("p#4",)
