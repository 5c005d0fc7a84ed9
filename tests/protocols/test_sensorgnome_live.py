"""Live lines in SensorGnome's manner: pulses carry their own time, nothing raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.records import Detection, GpsFix, Ignored, LogLine, Pulse, Setting, Unknown
from protocols.registry import entry
from protocols.sensorgnome_live import SensorGnomeDecoder


def test_it_is_found_by_its_name_and_takes_lines() -> None:
    found = entry("sensorgnome")
    assert (found.identity, found.framing) == ("sensorgnome/1", "lines")


def test_a_pulse_carries_its_line_and_its_own_time() -> None:
    line = b"p6,1681004979.0929,3.785,-29.66,-54.81,25.6"
    assert SensorGnomeDecoder().decode(line) == (
        Pulse(
            frequency_offset_hz=3785,
            signal_db=-29.66,
            noise_db=-54.81,
            snr_db=25.6,
            antenna="6",
            device_time_ns=1_681_004_979_092_900_000,
            raw=line,
        ),
    )


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"T1,1639614305.186,78664c3304,-75", Detection),
        (b"G,1458001712,44.34021,-66.1187,21.6", GpsFix),
        (b"S,1366227448.192,5,-m,166.376,0,", Setting),
        (b'{"async":true,"event":"devStalled","devLabel":"3"}', LogLine),
        (b"garbage", Unknown),
    ],
)
def test_other_lines_keep_their_bytes(line: bytes, kind: type) -> None:
    (record,) = SensorGnomeDecoder().decode(line)
    assert isinstance(record, kind)
    assert isinstance(record, Detection | GpsFix | Setting | LogLine | Unknown)
    assert record.raw == line


def test_a_tag_line_that_repeats_keeps_its_own_bytes() -> None:
    decoder = SensorGnomeDecoder()
    for line in (b"T1,1639614305.186,78664c3304,-75", b"T1,1639614399.2,78664c3304,-75"):
        (record,) = decoder.decode(line)
        assert isinstance(record, Detection)
        assert record.raw == line


def test_an_empty_line_is_ignored() -> None:
    assert SensorGnomeDecoder().decode(b"") == (Ignored(reason="empty-line"),)


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda rest: b"p3,1639614325.5," + rest))
def test_any_line_gives_one_record(line: bytes) -> None:
    assert len(SensorGnomeDecoder().decode(line)) == 1
