"""Files of CTT stations and node cards: names, headers, rows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.ctt.file_rows import CttFileReader
from protocols.ctt.files import (
    columns_of_header,
    columns_of_headerless,
    is_card_name,
    parse_station_name,
)
from protocols.recorded import Reading
from protocols.records import (
    Detection,
    GpsFix,
    Ignored,
    Integrity,
    LogLine,
    Record,
    Relay,
    RelayHealth,
    Unknown,
)

RAW = b"Time,RadioId,TagId,TagRSSI,NodeId,Validated"
HEALTH = (
    b"Time,RadioId,NodeId,NodeRSSI,Battery,Celsius,RecordedAt,Firmware,SolarVolts,SolarCurrent,"
    b"CumulativeSolarCurrent,Latitude,Longitude"
)
HEALTH_V3 = HEALTH + b",UpTime,AverageChargerCurrentMa,EnergyUsed,SdFree,Detections,Errors"
CARD_GPS = b"Time,Latitude,Longitude,Altitude,Hdop,Vdop,Pdop,NavigationMode,Satellites,OnTime"
CARD_HEALTH = (
    b"time,up_time(ms),power_ok,batt_mv,temp_battery_c,charge_mv,charge_ma,charge_temp_c,"
    b"node_temp_c,energy_used_mah,sd_free(%),sub_ghz_det,ble_det,errors"
)


def reader(header: bytes, node_id: str | None = None) -> CttFileReader:
    columns = columns_of_header(header)
    assert columns is not None
    return CttFileReader(columns, node_id)


def reading(header: bytes, row: bytes, node_id: str | None = None) -> Reading:
    return reader(header, node_id).read(row)


def record(header: bytes, row: bytes, node_id: str | None = None) -> Record:
    return reading(header, row, node_id).record


def test_names_tell_the_station_the_kind_and_whether_the_file_is_live() -> None:
    rotated = parse_station_name("CTT-V3033D413FBC-raw-data.2025-06-01_000000.csv.gz")
    assert rotated is not None
    assert (rotated.station_id, rotated.suffix) == ("V3033D413FBC", "raw-data")
    assert rotated.rotated == "2025-06-01_000000"
    live = parse_station_name("CTT-867459049219777-node-health.csv")
    assert live is not None
    assert (live.suffix, live.rotated) == ("node-health", None)
    assert parse_station_name("beep_0.csv") is None


@pytest.mark.parametrize(
    "name", ["beep_0.csv", "434_mhz_beep_12.csv", "2p4_ghz_beep_0.csv", "gps_1.csv", "HEALTH_3.CSV"]
)
def test_names_of_node_cards_name_no_node(name: str) -> None:
    assert is_card_name(name)
    assert not is_card_name("CTT-V3033D413FBC-gps.csv")


@pytest.mark.parametrize(
    ("row", "integrity"),
    [
        (b"2021-10-26 18:29:52,1,78664C33,-91,,1", "verified"),
        (b"2021-10-26 18:29:52,1,78664C33,-91,,0", "unverified"),
        (b"2021-10-26 18:29:52,1,78664C33,-91,,", "unverified"),
        (b"2021-10-26 18:29:52,1,78664C33,-91", "unverified"),
        (b"2021-10-26 18:29:52,1,78664C3304,-91,,1", "verified"),
        (b"2021-10-26 18:29:52,1,78664C3305,-91,,1", "failed"),
    ],
)
def test_a_beep_is_verified_by_its_crc_or_by_what_the_radio_said(
    row: bytes, integrity: Integrity
) -> None:
    beep = record(RAW, row)
    assert beep == Detection(
        protocol="ctt-434",
        tag_id="78664C33",
        integrity=integrity,
        id_legal=True,
        antenna="1",
        rssi_dbm=-91,
    )


def test_a_first_generation_file_without_validated_is_read() -> None:
    header = b"Time,RadioId,TagId,TagRSSI,NodeId"
    beep = record(header, b"2019-07-16 20:18:39.845,3,6161527F,-96,")
    assert isinstance(beep, Detection)
    assert (beep.tag_id, beep.antenna, beep.integrity) == ("6161527F", "3", "unverified")
    assert reading(header, b"2019-07-16T20:18:39.845Z,3,6161527F,-96,").utc_ns == (
        1_563_308_319_845_000_000
    )


def test_a_relayed_beep_names_its_node_and_the_nodes_clock() -> None:
    told = reading(RAW, b"2021-10-26 18:29:52,2,1E4C3433,-98,3796f5,1")
    assert told.is_relay_clock
    assert isinstance(told.record, Detection)
    assert told.record.relay == Relay(relay_id="3796F5", recorded_at_unix_s=1_635_272_992.0)


def test_rows_of_node_health_may_be_shorter_or_longer_than_their_header() -> None:
    v1 = b"2021-10-26 18:29:52,2,377,-70,3.98,21"
    v2 = (
        b"2021-10-26 18:29:52,2,3796F5,-70,3.98,21,2021-10-26 18:29:40,1.2.3,5.1,12,3400,"
        b"39.000973,-74.913818"
    )
    v3 = v2 + b",86400,5,120,97,1234,0"
    for header in (HEALTH, HEALTH_V3):
        short = record(header, v1)
        assert short == RelayHealth(
            relay_id="377",
            relay_rssi_dbm=-70,
            antenna="2",
            battery_v=3.98,
            temperature_c=21,
        )
        middle = record(header, v2)
        assert isinstance(middle, RelayHealth)
        assert (middle.latitude, middle.longitude) == (39.000973, -74.913818)
        assert (middle.firmware, middle.sent_at_unix_s) == ("1.2.3", 1_635_272_980.0)
        assert middle.measurements == {"solar_ma_total": 3400}
        long = record(header, v3)
        assert isinstance(long, RelayHealth)
        assert long.measurements == {
            "solar_ma_total": 3400,
            "uptime_s": 86400,
            "charge_ma": 5,
            "energy_used_mah": 120,
            "sd_free_percent": 97,
            "detections": 1234,
            "errors": 0,
        }


def test_a_station_without_a_fix_has_no_position() -> None:
    header = b"recorded at,gps at,latitude,longitude,altitude,quality,mean lat,mean lng,n fixes"
    assert record(header, b"2022-12-23 00:01:34,,,,,") == GpsFix()
    fix = record(
        header,
        b"2022-12-23 00:01:34,2022-12-23 00:01:33,38.2409,-75.1360,2.7,3,38.2410,-75.1361,50",
    )
    assert fix == GpsFix(
        latitude=38.2409,
        longitude=-75.1360,
        altitude_m=2.7,
        fix_mode=3,
        gps_unix_s=1_671_753_693.0,
        measurements={"mean_latitude": 38.2410, "mean_longitude": -75.1361, "fixes": 50},
    )


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (b"time,id,rssi", b"2022-02-08T14:24:35Z,1E4C3433EB,-98"),
        (b"time,tag_id,rssi", b"2022-02-08T14:24:35Z,1E4C3433EB,-98"),
        (b"Time,TagId,RSSI", b"2022-02-08 14:24:35,1e4c3433eb,-98"),
    ],
)
def test_beeps_of_a_nodes_card_are_relayed_by_that_node(header: bytes, row: bytes) -> None:
    told = reading(header, row, "377A13")
    assert told.is_relay_clock
    assert told.record == Detection(
        protocol="ctt-434",
        tag_id="1E4C3433",
        integrity="verified",
        id_legal=True,
        rssi_dbm=-98,
        relay=Relay(relay_id="377A13", recorded_at_unix_s=1_644_330_275.0),
    )


def test_2p4_ghz_beeps_keep_their_payload() -> None:
    header = b"time,tag_id,sync,family,payload_version,payload,rssi"
    beep = record(header, b"2024-05-01T00:00:00Z,0badc0de,51966,0,0,8C08D009,-71", "378AAAA1")
    assert isinstance(beep, Detection)
    assert (beep.protocol, beep.tag_id, beep.rssi_dbm) == ("ctt-2g4", "0BADC0DE", -71)
    assert beep.payload == bytes.fromhex("8C08D009")
    assert beep.measurements == {
        "sync": 51966,
        "family": 0,
        "revision": 0,
        "battery_v": 2.188,
        "temperature_c": 25.12,
    }


def test_what_a_radio_measured_beside_a_beep_is_read() -> None:
    header = b"Time,RadioId,TagId,TagRSSI,NoiseFloor,SNR,FEI_Hz,LNA,RSSISrc,CrcOk"
    beep = record(header, b"2026-09-01 18:29:52,1,52345578,-88.5,-92,3.5,-1200,1,sync,1")
    assert isinstance(beep, Detection)
    assert (beep.rssi_dbm, beep.noise_dbm, beep.snr_db) == (-88.5, -92, 3.5)
    assert (beep.frequency_offset_hz, beep.integrity) == (-1200, "verified")
    weak = record(header, b"2026-09-01 18:29:52,1,52345578,-88.5,,,,,,0")
    assert isinstance(weak, Detection)
    assert (weak.noise_dbm, weak.snr_db, weak.integrity) == (None, None, "unverified")


def test_positions_and_health_of_a_nodes_card_name_the_node() -> None:
    fix = record(
        CARD_GPS, b"2020-10-13T18:02:43Z,39.000973,-74.913818,17,1.01,1.6,1.9,3,11,118", "A"
    )
    assert isinstance(fix, GpsFix)
    assert (fix.relay_id, fix.fix_mode, fix.satellites) == ("A", 3, 11)
    assert fix.measurements == {"hdop": 1.01, "vdop": 1.6, "pdop": 1.9, "on_time_s": 118}
    health = record(
        CARD_HEALTH, b"2024-05-01T00:00:00Z,60000,1,4100,20,5000,30,25,22,12,97,1234,17,0", "B"
    )
    assert isinstance(health, RelayHealth)
    assert (health.relay_id, health.battery_v, health.temperature_c) == ("B", 4.1, 22)
    assert health.measurements is not None
    assert health.measurements["uptime_s"] == 60
    assert health.measurements["detections_2g4"] == 17
    older = CARD_HEALTH.replace(b"sub_ghz_det,ble_det", b"434_det,blu_det")
    assert record(
        older, b"2024-05-01T00:00:00Z,60000,1,4100,20,5000,30,25,22,12,97,1234,17,0", "B"
    ) == (health)


def test_telemetry_of_a_gps_tag_is_a_detection_with_a_position() -> None:
    header = (
        b"ReceivedAt,RecordedAt,Id,RadioId,Rssi,Latitude,Longitude,Activity,Hdop,Speed,Altitude,"
        b"Battery,SolarMa,Celsius,TTFF"
    )
    row = b"2023-01-01 00:00:05,2023-01-01 00:00:00,1A2B,2,-80,51.5,-0.1,7,12,0,30,4010,3,18,40"
    tag = record(header, row)
    assert isinstance(tag, Detection)
    assert (tag.protocol, tag.tag_id, tag.antenna) == ("ctt-es200", "00001A2B", "2")
    assert tag.measurements is not None
    assert (tag.measurements["latitude"], tag.measurements["battery_v"]) == (51.5, 4.01)


def test_a_log_message_may_hold_commas() -> None:
    line = record(b"msg at,msg", b"2023-01-01 00:00:05,radio 1, 2 and 3, restarted")
    assert line == LogLine(message="radio 1, 2 and 3, restarted")


def test_a_table_of_detections_with_positions_is_no_gps_log_of_a_node() -> None:
    assert columns_of_header(b"seq,time,link,antenna,tag_id,rssi_dbm,latitude,longitude") is None


def test_columns_are_found_by_name_in_any_order() -> None:
    beep = record(b"TagRSSI,TagId,Time,RadioId", b"-91,78664C33,2021-10-26 18:29:52,4")
    assert isinstance(beep, Detection)
    assert (beep.tag_id, beep.rssi_dbm, beep.antenna) == ("78664C33", -91, "4")


def test_a_header_among_the_rows_gives_the_columns_of_what_follows() -> None:
    rows = reader(RAW)
    rows.read(b"2021-10-26 18:29:52,1,78664C33,-91,,1")
    assert rows.read(b"Time,TagId,TagRSSI,RadioId").record == Ignored(reason="header")
    beep = rows.read(b"2021-10-26 18:29:52,78664C33,-91,1").record
    assert isinstance(beep, Detection)
    assert beep.antenna == "1"


@pytest.mark.parametrize(
    ("name", "row", "kind"),
    [
        ("CTT-V3033D413FBC-raw-data.csv", b"2021-10-26 18:29:52,1,52345578,-91,,1", "beeps"),
        ("x.csv", b"2021-10-26 18:29:52,1,52345578,-91,,1", "beeps"),
        ("x.csv", b"2019-07-16 20:18:39.845,3,6161527F,-96,", "beeps"),
        ("x.csv", b"2021-10-26 18:29:52,2,377,-70,3.98,21", "node-health"),
        ("x.csv", b"2022-12-23 00:01:34,,,,,", "gps"),
        ("beep_0.csv", b"2022-02-08T14:24:35Z,1E4C3433EB,-98", "card-beeps"),
        (
            "gps_0.csv",
            b"2020-10-13T18:02:43Z,39.000973,-74.913818,17,1.01,1.60,1.90,3,11,118",
            "card-gps",
        ),
        ("CTT-V3033D413FBC-log.csv", b"2023-01-01 00:00:05,a,b,c,d", "log"),
    ],
)
def test_a_file_without_a_header_is_known_by_the_shape_of_its_rows(
    name: str, row: bytes, kind: str
) -> None:
    columns = columns_of_headerless(row, name)
    assert columns is not None
    assert columns.kind == kind
    assert not isinstance(CttFileReader(columns, "A").read(row).record, Unknown)


@pytest.mark.parametrize("line", [b"port,first_pulse_unix_s", b"2021-10-26,1", b"", b"\xff\xd8"])
def test_other_text_is_not_taken_for_a_ctt_file(line: bytes) -> None:
    assert columns_of_header(line) is None
    assert columns_of_headerless(line, "x.csv") is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"2021-10-26 18:29:52,1,5234557,-91,,1", "broken-cell"),
        (b"2021-10-26 18:29:52,1,52345578,-9100,,1", "broken-cell"),
        (b"2021-10-26 18:29:52,1", "broken-cell"),
        (b"21-10-26 18:29:52,1,52345578,-91,,1", "broken-time"),
        (b"2021-10-26 18:29:52,1,5234\x005578,-91,,1", "nul-bytes"),
    ],
)
def test_a_row_that_cannot_be_read_is_kept_with_its_reason(row: bytes, reason: str) -> None:
    assert record(RAW, row) == Unknown(reason=reason, raw=row)


_CELL = st.one_of(
    st.binary(max_size=10),
    st.sampled_from(
        [
            b"2021-10-26 18:29:52",
            b"78664C3304",
            b"-91",
            b"1e300",
            b"999999999999999999",
            b"nan",
            b"",
        ]
    ),
)


@settings(max_examples=200)
@given(
    st.sampled_from([RAW, HEALTH_V3, CARD_GPS, CARD_HEALTH, b"msg at,msg", b"time,id,rssi"]),
    st.lists(st.lists(_CELL, max_size=20).map(b",".join), max_size=4),
    st.sampled_from([None, "377A13"]),
)
def test_no_rows_make_the_reader_raise(
    header: bytes, rows: list[bytes], node_id: str | None
) -> None:
    rows_of = reader(header, node_id)
    for row in rows:
        rows_of.read(b"2021-10-26 18:29:52," + row)
        rows_of.read(row)


@settings(max_examples=200)
@given(st.binary(max_size=80), st.sampled_from(["x.csv", "CTT-1A-gps.csv", "CTT-1A-blu.csv"]))
def test_no_bytes_make_the_recognition_raise(line: bytes, name: str) -> None:
    columns_of_header(line)
    columns_of_headerless(line, name)
    columns_of_headerless(b"2021-10-26 18:29:52," + line, name)
