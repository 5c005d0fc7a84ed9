"""A walk with a test tag: what each antenna hears of it, and the marks that are kept."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.records import LogLine
from receiver.live import LiveDetection
from receiver.walk_test import LONGEST_NOTE, Mark, Walk, mark_of, note

TAG = "78664C33"


def detection(
    antenna: str | None,
    rssi_dbm: float | None,
    *,
    snr_db: float | None = None,
    tag_id: str = TAG,
    relay_id: str | None = None,
) -> LiveDetection:
    return LiveDetection(
        number=1,
        time="2026-05-12T12:00:00Z",
        time_quality="ntp",
        link="ch1",
        antenna=antenna,
        protocol="ctt-434",
        tag_id=tag_id,
        tag_name=None,
        is_known=False,
        integrity="verified",
        id_legal=True,
        rssi_dbm=rssi_dbm,
        snr_db=snr_db,
        noise_dbm=None,
        frequency_offset_hz=None,
        relay_id=relay_id,
        interval_s=None,
    )


def test_the_best_of_each_antenna_is_remembered_and_the_newest_shown() -> None:
    walk = Walk(TAG)
    for level in (-80, -60, -75):
        walk.heard(detection("north", level), 0.0)
    walk.heard(detection(None, -90), 1.0)
    walk.heard(detection("south", None), 1.0)
    north, nameless, south = walk.antennas.values()
    assert (north.heard, north.newest_dbm, north.best_dbm) == (3, -75, -60)
    assert (nameless.antenna, nameless.best_dbm) == ("ch1", -90)
    assert (south.heard, south.best_dbm) == (1, None)


def test_a_radio_without_dbm_is_walked_round_by_what_stands_above_its_noise() -> None:
    walk = Walk(TAG)
    walk.heard(detection("stick", None, snr_db=44), 0.0)
    walk.heard(detection("stick", None, snr_db=30), 1.0)
    walk.heard(detection("north", -75, snr_db=20), 1.0)
    stick, north = walk.antennas.values()
    assert (stick.newest_dbm, stick.newest_snr_db, stick.best_snr_db) == (None, 30, 44)
    assert north.newest_snr_db is None
    assert walk.strongest(1.0) is north  # 30 dB over the noise is some -84 dBm.
    mark = walk.mark(now_s=1.0)
    assert (mark.levels_dbm, mark.levels_snr_db, mark.best_snr_db) == (
        {"north": -75},
        {"stick": 30},
        {"stick": 44},
    )
    assert "heard by north -75 dBm, stick 30 dB" in note(mark).message


def test_other_tags_do_not_count_and_relays_count_for_themselves() -> None:
    walk = Walk(TAG)
    assert walk.heard(detection("north", -50, tag_id="61552D4C"), 0.0) is None
    walk.heard(detection("north", -50, relay_id="3796F5"), 0.0)
    assert list(walk.antennas) == ["3796F5"]


def test_a_level_of_half_a_minute_ago_is_not_where_the_tag_is_now() -> None:
    walk = Walk(TAG)
    walk.heard(detection("north", -50), 0.0)
    walk.heard(detection("south", -80), 20.0)
    assert walk.strongest(25.0) is walk.antennas["north"]
    assert walk.strongest(31.0) is walk.antennas["south"]
    assert walk.strongest(60.0) is None
    mark = walk.mark(now_s=31.0)
    assert mark.levels_dbm == {"south": -80}
    assert mark.best_dbm == {"north": -50, "south": -80}


def test_a_mark_says_in_words_where_who_heard_it_and_why() -> None:
    mark = Mark(
        tag_id=TAG,
        latitude=52.1,
        longitude=4.5,
        accuracy_m=6.4,
        position_from="phone",
        levels_dbm={"south": -80.0, "north": -50.0},
        text="by the gate",
    )
    assert note(mark).message == (
        "walk test: 78664C33 at 52.100000,4.500000 within 6 m (phone)"
        " heard by north -50 dBm, south -80 dBm - by the gate"
    )
    assert note(Mark(tag_id=TAG)).message == "walk test: 78664C33 heard by no antenna"


def test_endless_words_are_cut() -> None:
    kept = mark_of(note(Mark(tag_id=TAG, text="x" * 2000)))
    assert kept is not None
    assert len(kept.text) == LONGEST_NOTE


@given(
    st.builds(
        Mark,
        tag_id=st.text(max_size=20),
        latitude=st.none() | st.floats(-90, 90),
        longitude=st.none() | st.floats(-180, 180),
        accuracy_m=st.none() | st.floats(0, 1e6),
        levels_dbm=st.dictionaries(st.text(max_size=5), st.floats(-150, 20), max_size=4),
        text=st.text(max_size=LONGEST_NOTE),
    )
)
@settings(max_examples=100)
def test_a_mark_can_be_read_back_from_its_row(mark: Mark) -> None:
    assert mark_of(note(mark)) == mark


@pytest.mark.parametrize("raw", [b"", b"{}", b"null", b"\xff\x00", b'{"tag_id": 5}'])
def test_a_line_that_holds_no_mark_is_told_so(raw: bytes) -> None:
    assert mark_of(LogLine(message="walk test", raw=raw)) is None
