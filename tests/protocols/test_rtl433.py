"""rtl_433's events: the built-in CTT decoder, the flex decoder, everything else."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.ctt.extended import PayloadCodecs, build_extended_packet
from protocols.ctt.packet import build_packet, id_from_number
from protocols.payload_codec import PayloadCodec
from protocols.records import Detection, Ignored, Record, Unknown
from protocols.registry import entry
from protocols.rtl433 import Rtl433Decoder

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "rtl433.json"
TAG_IDS = st.integers(0, (1 << 20) - 1).map(id_from_number)


@pytest.fixture
def vectors() -> list[dict[str, Any]]:
    if not VECTORS.exists():
        pytest.skip(f"no vectors at {VECTORS}")
    events: list[dict[str, Any]] = json.loads(VECTORS.read_text())
    return events


def decode(event: object) -> tuple[Record, ...]:
    return Rtl433Decoder().decode(json.dumps(event).encode())


def detection(event: object) -> Detection:
    (record,) = decode(event)
    assert isinstance(record, Detection)
    return record


def flex(bits: str, **more: object) -> dict[str, object]:
    """Return a flex event for received bits, printed as rtl_433 prints them."""
    digits = "".join(
        f"{int(bits[at : at + 4].ljust(4, '0'), 2):x}" for at in range(0, len(bits), 4)
    )
    rows = [{"len": len(bits), "data": digits}]
    return {"model": "CTT", "count": 1, "num_rows": 1, "rows": rows, **more}


def bits_of(packet: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in packet)


def test_events_of_a_real_rtl_433_are_read(vectors: list[dict[str, Any]]) -> None:
    for vector in vectors:
        (record,) = Rtl433Decoder().decode(vector["payload"].encode())
        if "ignored" in vector:
            assert record == Ignored(reason="other-device")
            continue
        assert isinstance(record, Detection)
        assert (record.tag_id, record.integrity) == (vector["tag_id"], "verified")


def test_the_decoder_is_registered_for_messages() -> None:
    assert entry("rtl433").framing == "message"


def test_levels_that_are_not_dbm_are_not_called_so() -> None:
    heard = detection(
        {
            "time": "2026-05-12T04:32:10.512345Z",
            "model": "CTT-Tag",
            "id": 2018855987,
            "mic": "CRC",
            "freq": 434.0,
            "rssi": -12.1,
            "snr": 18.2,
            "noise": -30.3,
        }
    )
    assert (heard.rssi_dbm, heard.noise_dbm, heard.snr_db) == (None, None, 18.2)
    assert heard.measurements == {
        "rssi_db": -12.1,
        "noise_db": -30.3,
        "frequency_hz": 434_000_000,
        "recorded_at_unix_s": 1778560330.512345,
    }


def test_the_two_frequencies_of_fsk_are_halved() -> None:
    event = {"model": "CTT-Tag", "id": 1, "freq1": 434.024, "freq2": 433.974}
    assert (detection(event).measurements or {})["frequency_hz"] == 433_999_000


def test_an_id_above_31_bits_is_printed_negative_and_read_right() -> None:
    heard = detection({"model": "CTT-Tag", "id": -1437250509, "mic": "CRC"})
    assert (heard.tag_id, heard.id_legal) == ("AA554C33", True)


def test_without_a_mic_nobody_has_verified() -> None:
    assert detection({"model": "CTT-Tag", "id": 2018855987}).integrity == "unverified"


@pytest.mark.parametrize(
    ("time", "unix_s"),
    [
        ("2026-05-12T04:32:10.512345Z", 1778560330.512345),
        ("1778560330.512345", 1778560330.512345),
        (1778560330, 1778560330),
        ("2026-05-12 04:32:10", None),
        ("@0.100004s", None),
        ("", None),
        (-5, None),
        (None, None),
    ],
)
def test_only_a_time_that_says_utc_is_kept(time: object, unix_s: float | None) -> None:
    heard = detection({"model": "CTT-Tag", "id": 1, "time": time})
    assert (heard.measurements or {}).get("recorded_at_unix_s") == unix_s


def test_the_row_that_debians_rtl_433_printed_is_read() -> None:
    message = (
        b'{"time":"@0.100004s","model":"CTT","count":1,"num_rows":1,'
        b'"rows":[{"len":41,"data":"78554c33580"}],"codes":["{41}78554c33580"]}'
    )
    (heard,) = Rtl433Decoder().decode(message)
    assert isinstance(heard, Detection)
    assert (heard.tag_id, heard.integrity, heard.raw) == ("78554C33", "verified", message)


@settings(max_examples=100)
@given(tag_id=TAG_IDS, stray=st.text("01", max_size=2))
def test_stray_bits_behind_a_packet_do_not_matter(tag_id: str, stray: str) -> None:
    heard = detection(flex(bits_of(build_packet(tag_id)) + stray))
    assert (heard.tag_id, heard.integrity) == (tag_id, "verified")


@settings(max_examples=100)
@given(tag_id=TAG_IDS, kept=st.integers(34, 39))
def test_a_cut_crc_that_agrees_proves_nothing(tag_id: str, kept: int) -> None:
    heard = detection(flex(bits_of(build_packet(tag_id))[:kept]))
    assert (heard.tag_id, heard.integrity) == (tag_id, "unverified")


def test_a_cut_crc_that_disagrees_refutes() -> None:
    bits = bits_of(build_packet("78554C33"))[:36]
    flipped = bits[:33] + ("1" if bits[33] == "0" else "0") + bits[34:]
    assert detection(flex(flipped)).integrity == "failed"


def test_the_flex_decoder_checks_no_crc_so_we_do() -> None:
    assert detection(flex(bits_of(bytes.fromhex("78554C335A")))).integrity == "failed"
    one_bit_off = bytearray(build_packet("78554C33"))
    one_bit_off[1] ^= 0x04
    mended = detection(flex(bits_of(bytes(one_bit_off))))
    assert (mended.tag_id, mended.integrity) == ("78554C33", "repaired")


def test_a_row_of_too_few_bits_is_kept() -> None:
    (record,) = decode(flex("1" * 33))
    assert isinstance(record, Unknown)
    assert record.reason == "length"


def test_a_long_row_is_a_data_tag() -> None:
    codec = PayloadCodec.declared([{"name": "temperature_c", "type": "i16be", "scale": 0.01}])
    packet = build_extended_packet("78554C33", form=2, payload=b"\x09\xc4")
    decoder = Rtl433Decoder(PayloadCodecs({(2, None): codec}))
    (heard,) = decoder.decode(json.dumps(flex(bits_of(packet) + "01")).encode())
    assert isinstance(heard, Detection)
    assert (heard.integrity, heard.payload) == ("verified", b"\x09\xc4")
    assert heard.measurements == {"format": 2, "subformat": 0, "temperature_c": 25.0}


def test_each_row_is_a_reception_of_its_own() -> None:
    rows = [{"len": 40, "data": "78554c3358"}, {"len": 40, "data": "78664c3304"}]
    heard = decode({"model": "CTT", "rows": rows})
    assert [r.tag_id for r in heard if isinstance(r, Detection)] == ["78554C33", "78664C33"]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"model": "CTT-Tag"}, "event-fields"),
        ({"model": "CTT-Tag", "id": "x"}, "event-fields"),
        ({"model": "CTT-Tag", "id": 2**40}, "event-fields"),
        ({"model": "CTT-Tag", "id": [1]}, "event-fields"),
        ({"model": "CTT", "rows": []}, "no-rows"),
        ({"model": "CTT", "rows": [{"len": 40, "data": "zz"}]}, "not-hex"),
        ({"model": "CTT", "rows": [{"len": 40, "data": "7855"}]}, "length"),
        ({"model": "CTT", "rows": [{"len": 40, "data": "78554c33"}]}, "length"),
        ({"model": "CTT", "rows": [{"len": 36, "data": "78554c33"}]}, "length"),
        ([1], "not-an-event"),
    ],
)
def test_a_damaged_event_is_kept(event: object, reason: str) -> None:
    assert decode(event) == (Unknown(reason=reason, raw=json.dumps(event).encode()),)


def test_states_and_other_devices_are_counted_only() -> None:
    assert decode({"enabled": 1}) == (Ignored(reason="not-a-device"),)
    assert decode({"model": "Acurite-Tower", "id": "A"}) == (Ignored(reason="other-device"),)


@settings(max_examples=200)
@given(message=st.binary(max_size=200))
def test_any_bytes_give_records_and_no_exception(message: bytes) -> None:
    assert Rtl433Decoder().decode(message)


ANYTHING = st.none() | st.integers() | st.floats() | st.text(max_size=20) | st.booleans()


@settings(max_examples=200)
@given(
    event=st.fixed_dictionaries(
        {"model": st.sampled_from(["CTT-Tag", "CTT"])},
        optional={
            "id": ANYTHING,
            "time": ANYTHING,
            "freq": ANYTHING,
            "freq1": ANYTHING,
            "rssi": ANYTHING,
            "mic": ANYTHING,
            "rows": ANYTHING
            | st.lists(
                st.fixed_dictionaries(
                    {"len": st.integers(-5, 300)},
                    optional={"data": st.text("0123456789abcdefg", max_size=80)},
                )
            ),
        },
    )
)
def test_any_event_gives_records_and_no_exception(event: dict[str, object]) -> None:
    assert decode(event)
