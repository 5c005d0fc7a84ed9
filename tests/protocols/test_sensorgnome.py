"""SensorGnome files: names and lines."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocols.records import (
    ClockEvent,
    Detection,
    GpsFix,
    Ignored,
    Pulse,
    RadioInfo,
    Record,
    Setting,
    Unknown,
)
from protocols.sensorgnome import SensorGnomeReader, parse_name
from protocols.times import is_plausible, iso_ns, unix_ns


def read(line: bytes) -> Record:
    return SensorGnomeReader().read(line).record


@pytest.mark.parametrize(
    ("name", "serial", "station_id", "boot_code_source"),
    [
        (
            "changeMe-7F5ERPI46977-3-2021-12-16T00-25-01.6590Z-all.txt.gz",
            "7F5ERPI46977",
            "7F5ERPI46977",
            (3, "Z", "all"),
        ),
        (
            "csgs-7F5ERPI46977-000001-2021-11-26T20-26-38.4030V-ctt.txt",
            "7F5ERPI46977",
            "7F5ERPI46977",
            (1, "V", "ctt"),
        ),
        (
            "kingsburg-4001BBBK2600-000176-2017-09-01T17-08-55.2620T-all.txt.gz",
            "4001BBBK2600",
            "4001BBBK2600",
            (176, "T", "all"),
        ),
        (
            "my-long-label-CTT-V30300000001-000012-2024-05-01T00-00-00.0000P-lifetag.txt",
            "CTT-V30300000001",
            "V30300000001",
            (12, "P", "lifetag"),
        ),
    ],
)
def test_a_file_name_tells_station_boot_and_clock(
    name: str, serial: str, station_id: str, boot_code_source: tuple[int, str, str]
) -> None:
    told = parse_name(name)
    assert told is not None
    assert (told.serial, told.station_id) == (serial, station_id)
    assert (told.boot, told.clock_code, told.source) == boot_code_source
    assert told.is_synchronised == (told.clock_code != "P")


def test_a_file_name_tells_when_it_was_begun() -> None:
    told = parse_name("changeMe-7F5ERPI46977-3-2021-12-16T00-25-01.6590Z-all.txt")
    assert told is not None
    assert told.started_ns == 1_639_614_301_659_000_000


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "changeMe-7F5ERPI46977-3-2021-13-16T00-25-01.6590Z-all.txt",
        "changeMe-7F5ERPI46977-3-2021-12-16T00-25-01.6590A-all.txt",
        "changeMe-7F5ERPI46977-3-2021-12-16T00-25-01.6590Z-all.csv",
        "",
    ],
)
def test_other_names_are_not_taken_for_sensorgnome_files(name: str) -> None:
    assert parse_name(name) is None


def test_a_tag_line_with_a_right_crc_is_verified() -> None:
    reading = SensorGnomeReader().read(b"T1,1639614305.186,78664c3304,-75")
    assert reading.utc_ns == 1_639_614_305_186_000_000
    assert reading.record == Detection(
        protocol="ctt-434",
        tag_id="78664C33",
        integrity="verified",
        id_legal=True,
        antenna="1",
        rssi_dbm=-75,
    )


@pytest.mark.parametrize(
    ("line", "tag_id", "integrity", "rssi_dbm"),
    [
        (b"T4,1557450282.889,04452182", "04452182", "unverified", None),
        (b"T4,1557450282.889,78664C33,-90", "78664C33", "unverified", -90),
        (b"T4,1557450282,78664C3305,-90", "78664C33", "failed", -90),
        (b"T4,1557450282.88,F8664C3304,-90", "78664C33", "repaired", -90),
        (b"T12,1557450282.88,78664C3304,-90,2", "78664C33", "verified", -90),
    ],
)
def test_every_form_of_tag_line_is_judged_by_its_crc(
    line: bytes, tag_id: str, integrity: str, rssi_dbm: int | None
) -> None:
    record = read(line)
    assert isinstance(record, Detection)
    assert (record.tag_id, record.integrity, record.rssi_dbm) == (tag_id, integrity, rssi_dbm)


def test_tag_lines_that_differ_in_time_only_share_one_record() -> None:
    reader = SensorGnomeReader()
    first = reader.read(b"T1,1639614305.186,78664c3304,-75")
    second = reader.read(b"T1,1639614310.308,78664c3304,-75")
    assert first.record is second.record
    assert first.utc_ns != second.utc_ns


def test_pulses_of_both_generations_and_both_kinds_are_read() -> None:
    assert read(b"p3,1639614325.5266,2.637,-38.87,-53.61") == Pulse(
        frequency_offset_hz=2637.0, signal_db=-38.87, noise_db=-53.61, antenna="3"
    )
    for kind in (b"p", b"n"):
        assert read(kind + b"6,1681004979.0929,3.8,-30,-55,25.6") == Pulse(
            frequency_offset_hz=3800.0, signal_db=-30, noise_db=-55, snr_db=25.6, antenna="6"
        )


def test_a_fix_carries_the_time_of_the_gps() -> None:
    reading = SensorGnomeReader().read(b"G,1504285946,44.26736,-64.259496667,11.7")
    assert reading.utc_ns == 1_504_285_946_000_000_000
    assert reading.record == GpsFix(
        latitude=44.26736,
        longitude=-64.259496667,
        altitude_m=11.7,
        gps_unix_s=1_504_285_946.0,
    )


def test_undefined_is_absent_and_not_zero() -> None:
    reading = SensorGnomeReader().read(b"G,undefined,undefined,undefined,undefined")
    assert reading.record == GpsFix()
    assert reading.utc_ns is None
    without_altitude = read(b"G,1639614305,1.5,2.5,undefined")
    assert without_altitude == GpsFix(latitude=1.5, longitude=2.5, gps_unix_s=1_639_614_305.0)


def test_the_clock_record_means_a_step_in_new_files_and_a_residual_in_old_ones() -> None:
    assert read(b"C,1639705841.496,3,-250") == ClockEvent(precision_digits=3, step_s=-0.25)
    assert read(b"C,1639614323.301,-1,0") == ClockEvent(precision_digits=-1, step_s=0.0)
    assert read(b"C,1561257097.681,6,8.6e-7") == ClockEvent(precision_digits=6, residual_s=8.6e-7)
    assert read(b"C,1528750333.246,1,0.399892479") == ClockEvent(
        precision_digits=1, residual_s=0.399892479
    )


@pytest.mark.parametrize(
    ("line", "setting"),
    [
        (
            b"S,1366227448.192,5,-m,166.376,0,",
            Setting(name="-m", value="166.376", antenna="5", error_code="0"),
        ),
        (
            b"S,1639705841.496,3,frequency,166.376,0,",
            Setting(name="frequency", value="166.376", antenna="3", error_code="0"),
        ),
        (
            b"S,1639705841.496,0,freq_slop,0.1",
            Setting(name="freq_slop", value="0.1", antenna="0"),
        ),
    ],
)
def test_every_form_of_setting_is_read(line: bytes, setting: Setting) -> None:
    assert read(line) == setting


def test_pulse_counts_and_floods_are_kept_as_what_the_radio_says() -> None:
    counts = read(b"F3,1681004979.0929,3600,100,20,5")
    assert isinstance(counts, RadioInfo)
    assert counts.measurements == {
        "counted_s": 3600,
        "pulses": 100,
        "pulses_in_bursts": 20,
        "bursts": 5,
    }
    flood = read(b"F3,1681004979.0929,1681004989.5,1200")
    assert isinstance(flood, RadioInfo)
    assert flood.measurements == {"flood_end_unix_s": 1681004989.5, "pulses_dropped": 1200}


@pytest.mark.parametrize(
    "line", [b"B6,1681004979.0929,732,3.81,0.01,-25.5,1.2,-54,25", b"b6,1681004979.0929,732,3.81,0"]
)
def test_bursts_name_the_code_and_not_a_project(line: bytes) -> None:
    record = read(line)
    assert isinstance(record, Detection)
    assert (record.protocol, record.tag_id) == ("coded-id", "lotek#732")
    assert record.frequency_offset_hz == 3810.0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"garbage", "not-a-sensorgnome-line"),
        (b"T1,1639614305.186,garbage78664c3304,-75", "broken-line"),
        (b"T1,1639614305.186,78664c3304,loud", "broken-line"),
        (b"T1,99999999999.9,78664c3304,-75", "broken-line"),
        (b"T,1639614305.186,78664c3304,-75", "broken-line"),
        (b"p3,1639614325.5266,2.637", "broken-line"),
        (b"p3,1639614325.5266,2.637,nan,-53.61", "broken-line"),
        (b"p3,yesterday,2.637,-38.87,-53.61", "broken-time"),
        (b"G,1504285946,144.26,-64.2,11.7", "broken-line"),
        (b"\0\0\0\0", "nul-bytes"),
    ],
)
def test_a_line_that_cannot_be_read_is_kept_with_its_reason(line: bytes, reason: str) -> None:
    assert read(line) == Unknown(reason=reason, raw=line)


def test_an_empty_line_says_nothing() -> None:
    assert read(b"") == Ignored(reason="empty-line")


_LIKE_LINES = st.builds(
    lambda kind, cells: kind + b"," + b",".join(cells),
    st.sampled_from([b"p1", b"n2", b"T1", b"G", b"S", b"C", b"F1", b"B1", b"b1", b"T99999"]),
    st.lists(
        st.one_of(
            st.binary(max_size=12),
            st.from_regex(rb"[-+]?[0-9]{0,20}\.?[0-9]{0,12}(e[0-9]{1,4})?", fullmatch=True),
            st.sampled_from([b"undefined", b"78664c3304", b"nan", b"inf", b"1639614305.186"]),
        ),
        max_size=9,
    ),
)


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=60), _LIKE_LINES))
@example(b"C,1639614305.186,1,1e999")
@example(b"T1,9999999999.999,78664c3304,-75")
def test_no_bytes_make_the_reader_raise(line: bytes) -> None:
    reading = SensorGnomeReader().read(line)
    assert reading.utc_ns is None or 0 <= reading.utc_ns < 2**63


@settings(max_examples=200)
@given(st.integers(0, 2**63 // 10**9 - 1), st.integers(0, 999_999_999), st.integers(1, 9))
def test_decimal_seconds_become_nanoseconds_exactly(
    seconds: int, nanoseconds: int, digits: int
) -> None:
    fraction = f"{nanoseconds:09d}"[:digits]
    expected = seconds * 10**9 + int(fraction.ljust(9, "0"))
    told = unix_ns(f"{seconds}.{fraction}".encode())
    assert told == (expected if seconds < (2**63 - 1) // 10**9 else None)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        (b"1970-01-01T00:00:01Z", 1_000_000_000),
        (b"2021-10-26 18:29:52", 1_635_272_992_000_000_000),
        (b"2019-07-16 20:18:39.845", 1_563_308_319_845_000_000),
        (b"2021-02-29T00:00:00Z", None),
        (b"2021-10-26 24:00:00", None),
        (b"2021-10-26T18:29:52+02:00", None),
        (b"1969-12-31 23:59:59", None),
    ],
)
def test_iso_times_are_utc_and_real_dates(text: bytes, ns: int | None) -> None:
    assert iso_ns(text) == ns


def test_default_clocks_and_the_future_cannot_be() -> None:
    now_ns = unix_ns(b"1700000000")
    assert now_ns is not None
    for text, holds in (
        (b"2000-01-01 00:10:00", False),
        (b"1999-08-22 00:00:00", False),
        (b"2017-09-01 17:08:55", True),
        (b"2080-01-06 00:00:00", False),
    ):
        ns = iso_ns(text)
        assert ns is not None
        assert is_plausible(ns, now_ns=now_ns) == holds
