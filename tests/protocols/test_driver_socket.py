"""CTT's driver sockets: the serial line inside, and the lines that the driver threw away."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.ctt.blu import Beacon, RequestType, detection_fields, reply
from protocols.ctt.driver_socket import (
    BluDriverDecoder,
    RadioDriverDecoder,
    command,
    data_message,
)
from protocols.records import Detection, Ignored, LogLine, RadioInfo, Unknown
from protocols.registry import entry


def beep(seq: int) -> bytes:
    return data_message("0178664C3304A8", seq=seq)


def test_both_kinds_are_registered_for_lines() -> None:
    assert entry("ctt-driver").framing == "lines"
    assert entry("ctt-blu-driver").framing == "lines"


def test_the_serial_line_inside_is_decoded_and_the_whole_line_kept() -> None:
    (heard,) = RadioDriverDecoder().decode(beep(7))
    assert isinstance(heard, Detection)
    assert (heard.tag_id, heard.integrity, heard.rssi_dbm) == ("78664C33", "verified", -88)
    assert heard.raw == beep(7)


def test_a_line_ending_inside_the_json_is_no_garbage() -> None:
    (heard,) = RadioDriverDecoder().decode(data_message("0178664C3304A8\r\n", seq=1))
    assert isinstance(heard, Detection)


def test_a_blu_reply_inside_is_decoded() -> None:
    beacon = Beacon(tag_id=b"\xbb\xaa\x22\x11", sync=1, family=1, revision=0, payload=b"")
    fields = detection_fields(beacon, rssi_dbm=-70, current_tick_ms=10, detect_tick_ms=4)
    inner = reply(RequestType.DETECTIONS, 3, fields).decode()
    (heard,) = BluDriverDecoder().decode(data_message(inner, seq=1))
    assert isinstance(heard, Detection)
    assert (heard.tag_id, heard.antenna, heard.age_us) == ("BBAA2211", "3", 6000)


def test_gaps_in_seq_count_the_lines_that_were_thrown_away() -> None:
    decoder = RadioDriverDecoder()
    for seq in (5, 6, 9, 10, 20):
        decoder.decode(beep(seq))
    assert decoder.lost_lines == 2 + 9


def test_a_driver_that_began_again_lost_nothing() -> None:
    decoder = RadioDriverDecoder()
    decoder.decode(beep(500))
    decoder.decode(b'{"t":"hello","device":{}}')
    decoder.decode(beep(900))
    decoder.decode(beep(1))
    assert decoder.lost_lines == 0


def test_hello_tells_the_device_and_bye_the_reason() -> None:
    decoder = RadioDriverDecoder()
    hello = b'{"t":"hello","device":{"name":"ch3","firmware":"4.0.0","usb":{"port":1}}}'
    (told,) = decoder.decode(hello)
    assert isinstance(told, RadioInfo)
    assert (told.name, told.firmware) == ("ch3", "4.0.0")
    (left,) = decoder.decode(b'{"t":"bye","reason":"unplugged"}')
    assert isinstance(left, LogLine)
    assert left.message == "driver left: unplugged"


def test_an_unreadable_serial_line_is_kept_whole() -> None:
    frame = data_message("no beep", seq=1)
    (unknown,) = RadioDriverDecoder().decode(frame)
    assert isinstance(unknown, Unknown)
    assert unknown.raw == frame


def test_an_empty_serial_line_says_nothing() -> None:
    (nothing,) = RadioDriverDecoder().decode(data_message("", seq=1))
    assert isinstance(nothing, Ignored)


def test_what_is_no_driver_message_is_kept() -> None:
    assert RadioDriverDecoder().decode(b"{") == (Unknown(reason="not-a-driver-message", raw=b"{"),)
    strange = b'{"t":"new"}'
    assert RadioDriverDecoder().decode(strange) == (Unknown(reason="unknown-message", raw=strange),)


def test_commands_are_the_lines_that_drivers_take() -> None:
    sent = command("preset", "fsktag")
    assert sent.endswith(b"\n")
    assert json.loads(sent) == {"t": "cmd", "op": "preset", "arg": "fsktag"}


@settings(max_examples=200)
@given(frame=st.binary(max_size=200))
def test_any_bytes_give_records_and_no_exception(frame: bytes) -> None:
    assert RadioDriverDecoder().decode(frame)
    assert BluDriverDecoder().decode(frame)


@settings(max_examples=100)
@given(inner=st.text(max_size=100), seq=st.integers())
def test_any_line_inside_gives_records_and_no_exception(inner: str, seq: int) -> None:
    frame = json.dumps({"t": "data", "line": inner, "seq": seq}).encode()
    assert RadioDriverDecoder().decode(frame)
    assert BluDriverDecoder().decode(frame)
