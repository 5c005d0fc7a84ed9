"""Lines of CTT radios: every generation, both ways, and nothing that anyone can send raises."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.checksums import crc8_smbus
from protocols.ctt import commands, lines
from protocols.ctt.lines import CttLineDecoder, decode_ctt_line
from protocols.ctt.packet import id_bytes_of, id_from_number, identify
from protocols.ctt.printed_lines import (
    Generation,
    NodeVersion,
    beep_line,
    blu_node_beep_line,
    command_reply_line,
    node_beep_line,
    radio_error_line,
    version_reply_line,
)
from protocols.ctt.printed_reports import gps_tag_line, node_health_line
from protocols.errors import EncodeError, PacketError
from protocols.framing import LineFramer
from protocols.records import (
    CommandReply,
    Detection,
    Ignored,
    RadioError,
    RadioInfo,
    Record,
    Relay,
    RelayHealth,
    StationHealth,
    Unknown,
)

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "ctt-lines.json"

tag_ids = st.integers(0, 2**20 - 1).map(id_from_number)
any_ids = st.binary(min_size=4, max_size=4).map(lambda id_bytes: id_bytes.hex().upper())
crcs = st.integers(0, 255)
levels = st.integers(-128, 20)
node_ids = st.integers(0x100, 2**32 - 1).map("{:X}".format)
seconds = st.integers(1, 2**32 - 1)

CODED_ID = (
    b'{"protocol":"1.0.0","meta":{"data_type":"coded_id","rssi":0},"data":{"id":"78664C3304"}}'
)


def decoded(line: bytes) -> Record:
    """Return the one record of a line as the framer hands it over."""
    frames = LineFramer().feed(line)
    assert len(frames) == 1
    (record,) = CttLineDecoder().decode(frames[0])
    return record


def detected(line: bytes) -> Detection:
    record = decoded(line)
    assert isinstance(record, Detection)
    assert record.raw == line.rstrip(b"\r\n")
    return record


def unknown(line: bytes) -> str:
    record = decode_ctt_line(line)
    assert isinstance(record, Unknown)
    assert record.raw == line
    return record.reason


def published() -> list[dict[str, Any]]:
    if not VECTORS.exists():
        return []
    every: list[dict[str, Any]] = json.loads(VECTORS.read_text())["lines"]
    return every


@pytest.fixture(scope="module")
def vectors() -> list[dict[str, Any]]:
    every = published()
    if not every:
        pytest.skip(f"no vectors at {VECTORS}")
    return every


def expect_detection(record: Detection, vector: dict[str, Any]) -> None:
    told = record.measurements or {}
    tag_id = vector.get("tag_id") or vector.get("blu_tag_id_as_wire")
    assert record.tag_id == (tag_id or vector["gps_tag_id_u32"].zfill(8))
    assert record.rssi_dbm == vector["rssi_dbm"]
    if "crc" in vector:
        integrity = {None: "unverified", "ok": "verified", "bad": "failed"}[vector["crc"]]
        assert record.integrity == integrity
        assert record.protocol == "ctt-434"
        assert record.id_legal is True
    if "node_id" in vector:
        assert record.relay is not None
        assert record.relay.relay_id == vector["node_id"]
        assert record.relay.relay_rssi_dbm == vector["node_rssi_dbm"]
        assert record.relay.recorded_at_unix_s == vector.get("recorded_at_unix")
    if "collection" in vector:
        assert record.relay is not None
        assert record.relay.collection == tuple(vector["collection"])
    if "age_ms" in vector:
        assert record.age_us == vector["age_ms"] * 1000
    if "sync" in vector:
        assert record.protocol == "ctt-2g4"
        assert told["sync"] == vector["sync"]
    if "gps_tag_id_u32" in vector:
        same = ("latitude", "longitude", "activity", "hdop", "speed", "solar_ma", "temperature_c")
        assert {name: told[name] for name in same} == {name: vector[name] for name in same}
        assert told["altitude_m"] == vector["altitude"]
        assert told["battery_v"] == vector["battery"] / 1000
        assert told["ttff_s"] == vector["ttff_s"]
        assert told["recorded_at_unix_s"] == vector["time_unix"]


HEALTH_FIELDS = {
    "battery_v": "battery_v",
    "solar_v": "solar_v",
    "solar_ma": "solar_ma",
    "temperature_c": "temperature_c",
    "latitude": "latitude",
    "longitude": "longitude",
    "sent_at_unix": "sent_at_unix_s",
    "fix_at_unix": "fix_at_unix_s",
    "firmware": "firmware",
    "rssi_dbm": "relay_rssi_dbm",
}
HEALTH_MEASUREMENTS = {
    "solar_ma_total": "solar_ma_total",
    "uptime": "uptime_s",
    "charge_ma_avg": "charge_ma",
    "energy_used_mah": "energy_used_mah",
    "sd_free_percent": "sd_free_percent",
    "detections": "detections",
    "errors": "errors",
}


def expect_health(record: RelayHealth, vector: dict[str, Any]) -> None:
    told = record.measurements or {}
    assert record.relay_id == vector["node_id"]
    for key, name in HEALTH_FIELDS.items():
        if key in vector:
            assert getattr(record, name) == vector[key], key
    for key, name in HEALTH_MEASUREMENTS.items():
        if key in vector:
            assert told[name] == vector[key], key


def test_published_lines_of_every_generation_mean_what_they_say(
    vectors: list[dict[str, Any]],
) -> None:
    generations = set()
    for vector in vectors:
        if vector["generation"] == "bad":
            continue
        generations.add(vector["generation"])
        record = decoded(vector["line"].encode())
        if isinstance(record, Detection):
            expect_detection(record, vector)
        elif isinstance(record, RelayHealth):
            expect_health(record, vector)
        elif isinstance(record, RadioInfo):
            assert record.firmware == vector["firmware"]
        elif isinstance(record, CommandReply):
            assert (record.command, record.ok) == (vector["command_reply"], vector["ok"])
        else:
            assert isinstance(record, RadioError)
            assert record.message == vector["radio_error"]
    assert generations == {"G0", "G1", "G2", "G3", "G4", "G5"}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_published_bad_lines_are_never_detections(
    vectors: list[dict[str, Any]], encoding: str
) -> None:
    bad = [vector["line"].encode(encoding) for vector in vectors if vector["generation"] == "bad"]
    assert bad
    for line in bad:
        record = decode_ctt_line(line.rstrip(b"\r\n"))
        assert isinstance(record, Unknown | Ignored), line


@pytest.mark.parametrize(
    ("line", "tag_id", "rssi_dbm", "integrity"),
    [
        (b"78664C33", "78664C33", None, "unverified"),
        (b"78664c33,-75", "78664C33", -75, "unverified"),
        (b"78664c3304,-75", "78664C33", -75, "verified"),
        (b"78664c3305,-75", "78664C33", -75, "failed"),
        (b"f8664c3304,-75", "78664C33", -75, "repaired"),
        (b'{"rssi":-88,"data":{"tag":{"id":"6161527F"}}}', "6161527F", -88, "unverified"),
        (b'{"meta":{"rssi":-75},"data":{"id":"78664c33"}}', "78664C33", -75, "unverified"),
        (CODED_ID, "78664C33", 0, "verified"),
        (b"0078664C33A8", "78664C33", -88, "unverified"),
        (b"0178664C3304A8", "78664C33", -88, "verified"),
        (b"01F8664C3304A8", "78664C33", -88, "repaired"),
        (b"0178664C3305A8", "78664C33", -88, "failed"),
        (b"\0\0 78664c3304,-75 \r", "78664C33", -75, "verified"),
    ],
)
def test_a_beep_is_heard_in_every_generation(
    line: bytes, tag_id: str, rssi_dbm: float | None, integrity: str
) -> None:
    record = decode_ctt_line(line)
    assert isinstance(record, Detection)
    assert (record.protocol, record.tag_id) == ("ctt-434", tag_id)
    assert (record.rssi_dbm, record.integrity) == (rssi_dbm, integrity)
    assert record.relay is None
    assert record.raw == line


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"garbage78664c3304,-75", "not-hex"),
        (b"~~78664c3304,-75", "not-hex"),
        (b"~~78664c33", "unknown-opcode"),
        (b"78664C3", "length"),
        (b"78664C3304", "unknown-opcode"),
        (b"78664c3304,-75,extra,fields", "not-hex"),
        (b"78664c3304,", "not-hex"),
        (b"78664c3304,-7.5", "not-hex"),
        (b"78664c3304,-999", "field"),
        (b"78664c3304,+75", "not-hex"),
        (b"78664c330,-75", "not-hex"),
        (b"7866zc33", "not-hex"),
        (b"0178664C3304", "length"),
        (b"0178664C3304A", "length"),
        (b"0178664C3304A800", "length"),
        (b"0278664C33A8", "unsupported-opcode"),
        (b"0978664C33A8", "unknown-opcode"),
        (b"05F596370000001100000003000000237D02621E4C3433EB039E0000C3", "field"),
        (b"\xff\xfe\x00\x01", "not-hex"),
        (b'{"protocol":"1.0.0","meta":{"data_type":"coded_id"', "json"),
        (b'{"rssi":-88,"data":{"tag":{"id":"6161527F"}}}}', "json"),
        (b'{"rssi":NaN,"data":{"tag":{"id":"6161527F"}}}', "json"),
        (b'{"rssi":-88,"data":{"tag":{"id":"\xff\xff\xff\xff"}}}', "json"),
        (b'{"meta":{"data_type":"new_thing","rssi":-1},"data":{"id":"x"}}', "unknown-data-type"),
        (b"{}", "unknown-message"),
        (b'{"data":{}}', "unknown-message"),
        (b'{"data":{"node_beep":{"id":"377"}}}', "unknown-message"),
        (b'{"data":[]}', "field"),
        (b'{"data":null}', "field"),
        (b'{"meta":{"data_type":"coded_id"}}', "field"),
        (b'{"key":"preset"}', "field"),
        (b'{"key":"preset","res":1}', "field"),
        (b'{"error":{}}', "field"),
        (b'{"firmware":4}', "field"),
    ],
)
def test_what_cannot_be_read_is_unknown_with_its_reason(line: bytes, reason: str) -> None:
    assert unknown(line) == reason


@pytest.mark.parametrize("line", [b"", b"\r", b"\0\0", b"   "])
def test_an_empty_line_is_ignored(line: bytes) -> None:
    assert decode_ctt_line(line) == Ignored(reason="empty")


@pytest.mark.parametrize(
    "wrong",
    ["true", '"-75"', "[-75]", '{"a":1}', "1e999", "-1e9", "123456789012345678901234567890"],
)
def test_a_level_of_the_wrong_kind_is_unknown(wrong: str) -> None:
    assert unknown(b'{"rssi":%s,"data":{"tag":{"id":"6161527F"}}}' % wrong.encode()) == "field"
    header = (
        b'{"protocol":"1.0.0","meta":{"data_type":"coded_id","rssi":%s},"data":{"id":"78664C33"}}'
    )
    assert unknown(header % wrong.encode()) == "field"


@pytest.mark.parametrize(
    "wrong", ["", "x", "78664C3", "78664C330", "78664C33045", "7 664C33", "78664C33\\n", "\\ud800"]
)
def test_an_id_that_is_not_short_hex_is_unknown(wrong: str) -> None:
    for line in (
        '{"rssi":-88,"data":{"tag":{"id":"%s"}}}',
        '{"meta":{"data_type":"coded_id","rssi":-75},"data":{"id":"%s"}}',
        '{"data":{"node_beep":{"id":"377"},"node_tag":{"tag_id":"%s"}}}',
    ):
        assert unknown((line % wrong).encode()) in ("field", "json")


@pytest.mark.parametrize("wrong", ["", "node", "123456789", "3796F5\\n", "<b>"])
def test_a_node_whose_name_is_not_short_hex_is_unknown(wrong: str) -> None:
    for line in (
        '{"data":{"node_alive":{"id":"%s"}}}',
        '{"data":{"node_beep":{"id":"%s"},"node_tag":{"tag_id":"6161527F"}}}',
        '{"meta":{"data_type":"node_health","source":{"type":"node","id":"%s"}},"data":{}}',
    ):
        assert unknown((line % wrong).encode()) == "field"


@pytest.mark.parametrize(
    "data_type",
    ["node_coded_id", "node_blue", "node_health", "node_blu_health", "telemetry"],
)
def test_what_a_node_or_tracker_says_without_its_name_is_unknown(data_type: str) -> None:
    line = f'{{"meta":{{"data_type":"{data_type}","rssi":-61}},"data":{{"id":"1E4C3433"}}}}'
    assert unknown(line.encode()) == "field"


@pytest.mark.parametrize(
    "line",
    [
        b"{" * 4000,
        b'{"data":' + b"[" * 4000,
        b'{"x":' + b'{"a":' * 2000,
        b'{"data":{"tag":' * 500,
        b'{"meta":{"data_type":"coded_id"},"data":' + b'{"a":' * 2000,
        b'{"protocol":' + b"[" * 3000 + b"]" * 3000 + b"}",
    ],
)
def test_deep_json_is_unknown(line: bytes) -> None:
    assert unknown(line) in ("json", "field")


@pytest.mark.parametrize("garbage", [b"\0", b"\xff\xfe", b"~ !\0", b"\x80" * 50, b"ghijk:"])
@pytest.mark.parametrize("line", [b"0178664C3304A8", CODED_ID])
def test_a_record_after_garbage_without_hex_digits_is_recovered(
    garbage: bytes, line: bytes
) -> None:
    record = decode_ctt_line(garbage + line)
    assert isinstance(record, Detection)
    assert (record.tag_id, record.integrity) == ("78664C33", "verified")
    assert record.raw == garbage + line


@pytest.mark.parametrize("garbage", [b"0", b"garbage", b"{", b"78664C33"])
def test_garbage_that_could_be_part_of_the_record_spoils_it(garbage: bytes) -> None:
    assert not isinstance(decode_ctt_line(garbage + b"0178664C3304A8"), Detection)


def test_a_wrong_claim_of_the_radio_is_not_believed() -> None:
    for line in (b"0178664C3305A8", CODED_ID.replace(b"3304", b"3305")):
        record = decode_ctt_line(line)
        assert isinstance(record, Detection)
        assert record.integrity == "failed"


def test_a_tag_that_the_radio_calls_damaged_is_kept_as_failed() -> None:
    record = decode_ctt_line(b'{"data":{"tag":{"id":"78664c33","error_bits":2},"rssi":-75}}')
    assert isinstance(record, Detection)
    assert (record.integrity, record.measurements) == ("failed", {"error_bits": 2})


def test_a_blu_tag_of_a_node_is_named_in_wire_order_by_hex_and_by_json() -> None:
    in_hex = decode_ctt_line(b"08F596370A0000090402E41BE967BBAA22116712B00000BA")
    in_json = decode_ctt_line(
        b'{"protocol":"1.0.0","meta":{"data_type":"node_blue","rssi":-70,'
        b'"source":{"type":"node","id":"A3796F5"},"collection":{"id":9,"count":4,"idx":2}},'
        b'"data":{"id":"1122AABB","sync":4711,"rssi":-80,"rec_at":1743330276}}'
    )
    assert isinstance(in_hex, Detection)
    assert isinstance(in_json, Detection)
    assert (in_hex.protocol, in_hex.tag_id, in_hex.id_legal) == ("ctt-2g4", "BBAA2211", None)
    assert in_hex.measurements == {"sync": 4711}
    assert (in_json.tag_id, in_json.relay, in_json.rssi_dbm, in_json.measurements) == (
        in_hex.tag_id,
        in_hex.relay,
        in_hex.rssi_dbm,
        in_hex.measurements,
    )


def test_a_gps_tag_says_the_same_in_json_as_in_hex() -> None:
    in_hex = decode_ctt_line(
        b"03EFCDAB000000E51BE96700001D42000095C24D0000000C0003FCFF3C0F0516090000BE"
    )
    in_json = decode_ctt_line(
        b'{"protocol":"1.0.0","meta":{"data_type":"telemetry","rssi":-66,'
        b'"source":{"type":"tracker","id":"abcdef"}},"data":{"time":1743330277,"lat":39.25,'
        b'"lon":-74.5,"act":77,"hdop":12,"speed":3,"altitude":-4,"battery":3900,"solar_ma":5,'
        b'"temp_c":22,"ttff":9}}'
    )
    assert isinstance(in_hex, Detection)
    assert isinstance(in_json, Detection)
    assert (in_hex.protocol, in_hex.tag_id, in_hex.rssi_dbm) == ("ctt-es200", "00ABCDEF", -66)
    assert (in_json.tag_id, in_json.rssi_dbm) == (in_hex.tag_id, in_hex.rssi_dbm)
    assert in_json.measurements == in_hex.measurements


@pytest.mark.parametrize(
    "position",
    ["0000000000000000", "0000C07F000095C2", "0000803F0000807F", "00000743000095C2"],
    ids=["no fix", "latitude NaN", "longitude infinite", "latitude 135"],
)
def test_a_gps_tag_without_a_position_that_can_be_has_none(position: str) -> None:
    line = f"03EFCDAB000000E51BE967{position}4D0000000C0003FCFF3C0F0516090000BE"
    record = decode_ctt_line(line.encode())
    assert isinstance(record, Detection)
    assert record.measurements is not None
    assert record.measurements.keys().isdisjoint({"latitude", "longitude"})
    assert record.measurements["activity"] == 77


def test_a_node_without_a_fix_has_no_position() -> None:
    for line in (
        b'{"meta":{"data_type":"node_health","source":{"id":"3796F5","type":""}},"data":{"lat":0}}',
        b"04F596370000003C7D0262020100FB9C01FE012600FA270000000000000000000000000000" + b"0000C3",
    ):
        record = decode_ctt_line(line)
        assert isinstance(record, RelayHealth)
        assert (record.latitude, record.longitude, record.fix_at_unix_s) == (None, None, None)


def test_a_v3_node_reports_its_health_in_json_too() -> None:
    record = decode_ctt_line(
        b'{"meta":{"data_type":"node_blu_health","rssi":-70,"source":{"type":"node",'
        b'"id":"a3796f5"}},"data":{"sent_at":1743330300,"up_time":86400,"batt_mv":4100,'
        b'"charge_ma_avg":1230,"temp_batt":-7,"energy_used":456,"sd_free":88,"detections":1200,'
        b'"errors":2,"fix_at":1743330000,"lat":39000973,"lon":-74913818}}'
    )
    twin = decode_ctt_line(
        b"06F596370A0000FC1BE96780510100297B00F9C80158B00402D01AE9678D1B5302E6E788FB0000BA"
    )
    assert isinstance(record, RelayHealth)
    assert isinstance(twin, RelayHealth)
    assert record.relay_id == "A3796F5"
    assert record.measurements == twin.measurements
    assert (record.battery_v, record.latitude) == (twin.battery_v, twin.latitude)


def test_the_bench_firmwares_measurements_are_no_second_detection() -> None:
    record = decode_ctt_line(
        b'{"key":"terra_uhf","meta":{"data_type":"terra_uhf","rssi":-88.5,"rssi_src":"sync",'
        b'"noise":-92.0,"snr":3.5,"fei_raw":12,"fei_hz":-730,"lna":1,"isr_us":40,"crc":4,'
        b'"crcok":1},"data":{"id":"78664C33"}}'
    )
    assert isinstance(record, StationHealth)
    assert record.measurements == {
        "tag_id": "78664C33",
        "rssi_dbm": -88.5,
        "rssi_source": "sync",
        "noise_dbm": -92.0,
        "snr_db": 3.5,
        "frequency_offset_hz": -730,
        "lna": 1,
    }


@given(frame=st.binary(max_size=120))
def test_any_bytes_give_one_record_and_never_raise(frame: bytes) -> None:
    records = CttLineDecoder().decode(frame)
    assert len(records) == 1
    if isinstance(records[0], Detection | Unknown):
        assert records[0].raw == frame


NAMES = (
    *("meta", "data", "rssi", "id", "tag", "node_alive", "node_beep", "node_tag", "tag_id"),
    *("source", "type", "data_type", "key", "res", "firmware", "error", "collection", "rec_at"),
)
VALUES = ("78664C33", "78664C3304", "3796F5", "coded_id", "node_health", "node", '\0"\\<b>')
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(VALUES),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(message=st.dictionaries(st.sampled_from(["meta", "data", "rssi", "key"]), json_values))
def test_any_json_object_gives_one_record_and_never_raises(message: dict[str, object]) -> None:
    assert len(CttLineDecoder().decode(json.dumps(message).encode())) == 1


@given(digits=st.text("0123456789ABCDEFabcdef", max_size=84))
@example(digits="00" * 40)
def test_any_hex_digits_give_one_record_and_never_raise(digits: str) -> None:
    assert len(CttLineDecoder().decode(digits.encode())) == 1


@given(where=st.integers(0, len(CODED_ID) - 1), bit=st.integers(0, 7))
def test_one_flipped_bit_of_a_line_never_raises(where: int, bit: int) -> None:
    line = bytearray(CODED_ID)
    line[where] ^= 1 << bit
    assert len(CttLineDecoder().decode(bytes(line))) == 1


@pytest.mark.parametrize("generation", ["G0", "G1", "G2", "G3", "G4", "G5"])
@given(tag_id=any_ids, rssi_dbm=levels, crc=crcs)
def test_a_printed_beep_is_read_back(
    generation: Generation, tag_id: str, rssi_dbm: int, crc: int
) -> None:
    record = detected(beep_line(generation, tag_id, rssi_dbm, crc=crc))
    kept_crc = crc if generation in ("G2", "G4", "G5") else None
    assert (record.tag_id, record.integrity, record.id_legal) == identify(
        id_bytes_of(tag_id), kept_crc
    )
    assert record.rssi_dbm == (None if generation == "G0" else rssi_dbm)


@pytest.mark.parametrize("generation", ["G2", "G4", "G5"])
@given(tag_id=tag_ids, bit=st.integers(0, 31))
def test_one_flipped_bit_of_a_beep_is_mended_in_every_generation_with_a_checksum(
    generation: Generation, tag_id: str, bit: int
) -> None:
    crc = crc8_smbus(id_bytes_of(tag_id))
    received = f"{int(tag_id, 16) ^ 1 << bit:08X}"
    record = detected(beep_line(generation, received, -90, crc=crc))
    assert (record.tag_id, record.integrity, record.id_legal) == (tag_id, "repaired", True)


@pytest.mark.parametrize("generation", ["G1", "G3", "G4", "G5"])
@given(tag_id=any_ids, rssi_dbm=levels)
def test_a_beep_without_checksum_is_read_back_unverified(
    generation: Generation, tag_id: str, rssi_dbm: int
) -> None:
    record = detected(beep_line(generation, tag_id, rssi_dbm))
    assert (record.tag_id, record.integrity) == (tag_id, "unverified")
    assert record.rssi_dbm == rssi_dbm


def test_printed_lines_are_those_that_radios_print() -> None:
    assert beep_line("G0", "78664C33", -75) == b"78664C33\r\n"
    assert beep_line("G1", "78664C33", -75, crc=4) == b"78664c33,-75\r\n"
    assert beep_line("G2", "78664C33", -75, crc=4) == b"78664c3304,-75\r\n"
    assert beep_line("G3", "6161527F", -88) == b'{"rssi":-88,"data":{"tag":{"id":"6161527F"}}}\r\n'
    assert beep_line("G4", "78664C33", 0, crc=4) == CODED_ID + b"\r\n"
    assert beep_line("G5", "78664C33", -88) == b"0078664C33A8\r\n"
    assert beep_line("G5", "78664C33", -88, crc=4) == b"0178664C3304A8\r\n"
    assert version_reply_line("4.0.0") == b'{"name":"SensorStationRadio","firmware":"4.0.0"}\r\n'
    assert command_reply_line("preset", ok=True) == b'{"key":"preset","res":true}\r\n'
    assert (
        command_reply_line("rxbw", ok=False, message="bad arg")
        == b'{"key":"rxbw","res":false,"err":"bad arg"}\r\n'
    )
    assert radio_error_line("Radio Init Failed") == b'{"error":"Radio Init Failed"}\r\n'


@given(tag_id=tag_ids, rssi_dbm=levels, relay_id=node_ids, age_ms=st.integers(0, 10**6))
def test_a_beep_of_a_v1_node_is_read_back_with_its_age(
    tag_id: str, rssi_dbm: int, relay_id: str, age_ms: int
) -> None:
    relay = Relay(relay_id=relay_id, relay_rssi_dbm=-71)
    record = detected(node_beep_line("G3", tag_id, rssi_dbm, relay, age_us=age_ms * 1000))
    assert (record.tag_id, record.rssi_dbm, record.age_us) == (tag_id, rssi_dbm, age_ms * 1000)
    assert record.relay == relay


relays = st.builds(
    Relay,
    relay_id=node_ids,
    relay_rssi_dbm=levels,
    recorded_at_unix_s=seconds,
    collection=st.tuples(crcs, crcs, crcs),
)


@pytest.mark.parametrize(("generation", "node_version"), [("G4", 2), ("G5", 2), ("G5", 3)])
@given(packet=st.tuples(any_ids, crcs | st.none()), rssi_dbm=levels, relay=relays)
def test_a_beep_of_a_node_is_read_back(
    generation: Generation,
    node_version: NodeVersion,
    packet: tuple[str, int | None],
    rssi_dbm: int,
    relay: Relay,
) -> None:
    tag_id, crc = packet
    line = node_beep_line(generation, tag_id, rssi_dbm, relay, crc=crc, node_version=node_version)
    record = detected(line)
    assert (record.tag_id, record.integrity, record.id_legal) == identify(id_bytes_of(tag_id), crc)
    assert (record.rssi_dbm, record.relay) == (rssi_dbm, relay)


@pytest.mark.parametrize("generation", ["G4", "G5"])
@given(tag_id=any_ids, rssi_dbm=levels, relay=relays, sync=st.integers(0, 2**16 - 1))
def test_a_blu_beep_of_a_node_is_read_back(
    generation: Generation, tag_id: str, rssi_dbm: int, relay: Relay, sync: int
) -> None:
    record = detected(blu_node_beep_line(generation, tag_id, rssi_dbm, relay, sync=sync))
    assert (record.protocol, record.tag_id) == ("ctt-2g4", tag_id)
    assert (record.rssi_dbm, record.relay) == (rssi_dbm, relay)
    assert record.measurements == {"sync": sync}


tenths_of_volts = st.integers(0, 250).map(lambda tenths: tenths / 10)
health_of_any_node: dict[str, st.SearchStrategy[Any]] = {
    "relay_id": node_ids,
    "relay_rssi_dbm": levels,
    "battery_v": tenths_of_volts,
    "temperature_c": st.integers(-40, 60),
}
health_with_gps = health_of_any_node | {
    "sent_at_unix_s": seconds,
    "fix_at_unix_s": seconds,
    "latitude": st.integers(-90_000_000, 90_000_000).map(lambda e6: e6 / 1e6),
    "longitude": st.integers(1, 180_000_000).map(lambda e6: e6 / 1e6),
}
v1_health = st.builds(RelayHealth, firmware=st.just("1.2"), **health_of_any_node)
v2_health = st.builds(
    RelayHealth,
    firmware=st.sampled_from(["2.1.0", "0.0.255"]),
    solar_v=tenths_of_volts,
    solar_ma=st.integers(0, 2**16 - 1),
    measurements=st.fixed_dictionaries({"solar_ma_total": seconds}),
    **health_with_gps,
)
v3_health = st.builds(
    RelayHealth,
    measurements=st.fixed_dictionaries(
        {
            "uptime_s": seconds,
            "charge_ma": st.integers(0, 2**16 - 1).map(lambda tens: tens * 10),
            "energy_used_mah": st.integers(0, 2**16 - 1),
            "sd_free_percent": st.integers(0, 100),
            "detections": st.integers(0, 2**16 - 1),
            "errors": crcs,
        }
    ),
    **health_with_gps,
)


@given(v1=v1_health, v2=v2_health, v3=v3_health)
def test_the_health_of_every_node_is_read_back(
    v1: RelayHealth, v2: RelayHealth, v3: RelayHealth
) -> None:
    ways: list[tuple[Generation, NodeVersion, RelayHealth]] = [
        ("G3", 2, v1),
        ("G4", 2, v2),
        ("G5", 2, v2),
        ("G4", 3, v3),
        ("G5", 3, v3),
    ]
    for generation, node_version, health in ways:
        record = decoded(node_health_line(generation, health, node_version=node_version))
        assert isinstance(record, RelayHealth)
        assert msgspec.structs.replace(record, raw=b"") == health, generation


@pytest.mark.parametrize("generation", ["G4", "G5"])
@given(
    tag_id=any_ids,
    latitude=st.floats(-90, 90, width=32),
    longitude=st.floats(0.5, 180, width=32),
    count=st.integers(0, 100),
)
def test_a_report_of_a_gps_tag_is_read_back(
    generation: Generation, tag_id: str, latitude: float, longitude: float, count: int
) -> None:
    told: dict[str, float | int | str | bool] = {
        "recorded_at_unix_s": 1743330277,
        "latitude": latitude,
        "longitude": longitude,
        "altitude_m": -count,
        "activity": count,
        "hdop": count,
        "speed": count,
        "battery_v": count / 10,
        "solar_ma": count,
        "temperature_c": -count,
        "ttff_s": count,
    }
    record = detected(gps_tag_line(generation, tag_id, -66, told))
    assert (record.tag_id, record.rssi_dbm) == (tag_id, -66)
    assert record.measurements == told


NODE = Relay(relay_id="3796F5", relay_rssi_dbm=-61)
HEALTH = RelayHealth(relay_id="3796F5")


@pytest.mark.parametrize(
    "write",
    [
        lambda: beep_line("G2", "78664C33", -75),
        lambda: beep_line("G2", "78664C33", -75, crc=256),
        lambda: beep_line("G5", "78664C33", -129),
        lambda: beep_line("G4", "78664C33", float("nan")),
        lambda: beep_line("G4", "78664C3304", -75),
        lambda: node_beep_line("G2", "78664C33", -75, NODE),
        lambda: node_beep_line("G3", "78664C33", -75, Relay(relay_id="node")),
        lambda: node_beep_line("G5", "78664C33", -75, Relay(relay_id="0x12")),
        lambda: node_beep_line(
            "G5",
            "78664C33",
            -75,
            Relay(relay_id="3796F5", collection=(256, 0, 0)),
            node_version=3,
        ),
        lambda: blu_node_beep_line("G3", "BBAA2211", -80, NODE, sync=1),
        lambda: blu_node_beep_line("G5", "BBAA2211", -80, NODE, sync=2**16),
        lambda: node_health_line("G2", HEALTH),
        lambda: node_health_line("G5", RelayHealth(relay_id="3796F5", firmware="new")),
        lambda: node_health_line("G5", RelayHealth(relay_id="3796F5", battery_v=float("inf"))),
        lambda: gps_tag_line("G3", "00ABCDEF", -66, {}),
        lambda: gps_tag_line("G5", "00ABCDEF", -66, {"speed": 256}),
        lambda: gps_tag_line("G5", "00ABCDEF", -66, {"speed": "fast"}),
        lambda: radio_error_line("x" * 300),
    ],
)
def test_what_a_line_cannot_carry_is_refused(write: Any) -> None:  # noqa: ANN401  A lambda.
    with pytest.raises(EncodeError):
        write()


def test_replies_and_errors_are_read_back() -> None:
    info = decoded(version_reply_line("5.0.1"))
    assert isinstance(info, RadioInfo)
    assert (info.name, info.firmware) == ("SensorStationRadio", "5.0.1")
    reply = decoded(command_reply_line("preset", ok=False, message="unknown key"))
    assert isinstance(reply, CommandReply)
    assert (reply.command, reply.ok, reply.message) == ("preset", False, "unknown key")
    error = decoded(radio_error_line("Radio Init Failed"))
    assert isinstance(error, RadioError)
    assert error.message == "Radio Init Failed"


def test_commands_are_what_radios_take_and_their_answers_are_known() -> None:
    assert commands.VERSION == b"version\r\n"
    assert [commands.preset(name) for name in commands.PRESETS] == [
        b"preset:fsktag\r\n",
        b"preset:node3\r\n",
        b"preset:ooktag\r\n",
    ]
    assert commands.read_command(commands.preset("node3")) == ("preset", "node3")
    assert commands.read_command(commands.VERSION) == ("version", "")
    info, preset = (
        decoded(version_reply_line("4.0.0")),
        decoded(command_reply_line("preset", ok=False)),
    )
    other = decoded(command_reply_line("rxbw", ok=True))
    assert commands.answers(info, commands.VERSION)
    assert not commands.answers(preset, commands.VERSION)
    assert commands.answers(preset, commands.preset("fsktag"))
    assert not commands.answers(other, commands.preset("fsktag"))
    assert not commands.answers(info, commands.preset("fsktag"))
    with pytest.raises(EncodeError, match="preset"):
        commands.preset("fsktags")
    with pytest.raises(PacketError, match="ASCII"):
        commands.read_command(b"\xff")


def test_a_beep_heard_again_is_the_same_record_at_every_radio() -> None:
    line = b"78664c3304,-75"
    assert CttLineDecoder().decode(line) is CttLineDecoder().decode(line)


def test_only_so_many_beeps_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "REMEMBERED_LINES", 10)
    monkeypatch.setattr(CttLineDecoder, "_remembered", {})
    decoder = CttLineDecoder()
    for level in range(100):
        (record,) = decoder.decode(b"78664c3304,-%d" % level)
        assert isinstance(record, Detection)
        assert record.rssi_dbm == -level
        assert len(decoder._remembered) <= 10


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"05F596370000001100000003000000237D02621E4C3433EB059E0000C3",
        b"03EFCDAB000000E51BE96700001D42000095C24D0000000C0003FCFF3C0F0516090000BE",
        b'{"rssi":-88,"padding":"' + b"x" * 200 + b'","data":{"tag":{"id":"6161527F"}}}',
    ],
)
def test_lines_that_do_not_come_again_are_not_remembered(
    monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    monkeypatch.setattr(CttLineDecoder, "_remembered", {})
    CttLineDecoder().decode(line)
    assert CttLineDecoder._remembered == {}
