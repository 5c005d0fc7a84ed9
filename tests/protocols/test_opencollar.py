"""OpenCollar payloads: as the maker's own decoder reads them, and back."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import EncodeError, PacketError
from protocols.opencollar import MESSAGES, build_payload, measurements, parse_payload

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "opencollar.json"

FIXED_SIZES = {2: 30, 4: 14, 12: 6, 13: 14, 14: 5, 16: 14, 18: 4, 19: 5, 20: 5, 31: 16}


@pytest.fixture
def vectors() -> dict[int, tuple[bytes, dict[str, Any]]]:
    if not VECTORS.exists():
        pytest.skip(f"no vectors at {VECTORS}")
    return {
        vector["port"]: (bytes.fromhex(vector["hex"]), vector["decoded"])
        for vector in json.loads(VECTORS.read_text())
    }


def told(f_port: int, payload: bytes) -> dict[str, Any]:
    read = measurements(f_port, payload)
    assert read is not None
    return dict(read)


def plain(fields: Any) -> Any:  # noqa: ANN401  construct is untyped.
    """Return what construct read without its own bookkeeping."""
    if isinstance(fields, dict):
        return {name: plain(value) for name, value in fields.items() if name != "_io"}
    return [plain(value) for value in fields] if isinstance(fields, list | tuple) else fields


def test_fixes_read_as_the_makers_decoder_reads_them(
    vectors: dict[int, tuple[bytes, dict[str, Any]]],
) -> None:
    for f_port in (2, 13):
        payload, expected = vectors[f_port]
        read = told(f_port, payload)
        assert read["latitude"] == pytest.approx(expected["latitude"], abs=1e-9)
        assert read["longitude"] == pytest.approx(expected["longitude"], abs=1e-9)
        assert read["accuracy_m"] == expected["horizontal_accuracy"]
    assert told(13, vectors[13][0])["fix_at_unix_s"] == vectors[13][1]["time_unix"]
    long = told(2, vectors[2][0])
    assert (long["altitude_m"], long["fix_type"], long["satellites"]) == (3.5, 3, 9)


def test_status_reads_as_the_makers_decoder_reads_it(
    vectors: dict[int, tuple[bytes, dict[str, Any]]],
) -> None:
    payload, expected = vectors[4]
    read = told(4, payload)
    assert read["battery_v"] * 1000 == pytest.approx(expected["battery_mv"])
    assert read["temperature_c"] == expected["temperature_c"]
    assert read["firmware"] == expected["firmware"]
    assert "charger_v" not in read


def test_seen_devices_read_as_the_makers_decoder_reads_them(
    vectors: dict[int, tuple[bytes, dict[str, Any]]],
) -> None:
    payload, expected = vectors[11]
    seen = [[device.mac, device.rssi_dbm] for device in parse_payload(11, payload).devices]
    assert seen == expected["seen"]
    assert told(11, payload)["devices"] == "cc:bb:aa -88; 33:22:11 -68"


def test_the_vectors_build_back(vectors: dict[int, tuple[bytes, dict[str, Any]]]) -> None:
    for f_port, (payload, _) in vectors.items():
        assert build_payload(f_port, plain(parse_payload(f_port, payload))) == payload


@settings(max_examples=200)
@given(f_port=st.sampled_from(sorted(FIXED_SIZES)), data=st.data())
def test_every_fixed_payload_reads_and_builds_back(f_port: int, data: st.DataObject) -> None:
    size = FIXED_SIZES[f_port]
    body = data.draw(st.binary(min_size=size, max_size=size + 3))
    payload = bytes((MESSAGES[f_port].message_id, len(body))) + body
    assert build_payload(f_port, plain(parse_payload(f_port, payload))) == payload
    assert measurements(f_port, payload) is not None


@settings(max_examples=100)
@given(
    f_port=st.sampled_from([6, 7, 10]),
    devices=st.lists(
        st.fixed_dictionaries(
            {
                "mac": st.binary(min_size=3, max_size=3).map(lambda mac: mac.hex(":")),
                "rssi_dbm": st.integers(-128, 127),
                "count": st.integers(0, 255),
                "seen_at_unix_s": st.integers(0, 2**32 - 1),
            }
        ),
        max_size=20,
    ),
)
def test_aggregated_devices_read_as_they_were_built(
    f_port: int, devices: list[dict[str, object]]
) -> None:
    payload = build_payload(f_port, {"devices": devices})
    assert plain(parse_payload(f_port, payload).devices) == devices
    assert told(f_port, payload)["devices_seen"] == len(devices)


def test_satellites_tell_the_strongest() -> None:
    ublox = {"id": 5, "cnr_db": 41, "elevation_deg": 30, "azimuth_deg": 300, "constellation": 4}
    payload = build_payload(9, {"visible": 7, "satellites": [ublox, {**ublox, "cnr_db": 20}]})
    assert payload[:2] == bytes((0xF6, 13))
    assert told(9, payload) == {"satellites_visible": 7, "strongest_cnr_db": 41}
    assert told(5, build_payload(5, {"visible": 3, "satellites": []})) == {"satellites_visible": 3}


def test_course_and_speed_are_told_while_tracking() -> None:
    fields = {
        "success": 1,
        "hot_retry": 0,
        "cold_retry": 0,
        "time_to_fix_s": 1,
        "latitude_1e7": 10_000_000,
        "longitude_1e7": -20_000_000,
        "altitude_mm": -1500,
        "fix_type": 3,
        "satellites": 5,
        "accuracy_m": 9,
        "pdop": 2,
        "fix_at_unix_s": 1_778_560_330,
        "active_tracking": 1,
        "course_cdeg": 18_000 + 9_050,
        "speed_m_s": 4,
    }
    payload = build_payload(2, fields)
    assert payload[29:31] == (27_050).to_bytes(2, "big")
    read = told(2, payload)
    assert (read["course_deg"], read["speed_m_s"], read["altitude_m"]) == (90.5, 4, -1.5)
    assert "course_deg" not in told(2, build_payload(2, {**fields, "active_tracking": 0}))


def test_a_position_of_zeros_is_none() -> None:
    payload = build_payload(
        13, {"fix_at_unix_s": 1, "latitude_1e7": 0, "longitude_1e7": 0, "accuracy_m": 0}
    )
    assert told(13, payload) == {"accuracy_m": 0, "fix_at_unix_s": 1}


def test_switch_counts_are_impulses_or_activities() -> None:
    assert told(20, build_payload(20, {"state": 2, "count": 7})) == {"switch_impulses": 7}
    assert told(20, build_payload(20, {"state": 1, "count": 7})) == {
        "switch_active": 1,
        "switch_activities": 7,
    }


def test_what_cannot_be_read_is_none_or_says_why() -> None:
    assert measurements(3, b"\x01\x02") is None
    assert measurements(13, b"\x93\x0e\x00") is None
    with pytest.raises(PacketError, match="fPort 3"):
        parse_payload(3, b"\x01\x02")
    with pytest.raises(PacketError, match="message id F2"):
        parse_payload(13, bytes.fromhex("F200"))
    with pytest.raises(EncodeError, match="fPort 3"):
        build_payload(3, {})
    with pytest.raises(EncodeError, match="unix_s"):
        build_payload(18, {})
    with pytest.raises(EncodeError, match="unix_s"):
        build_payload(18, {"unix_s": 2**32})


@settings(max_examples=200)
@given(f_port=st.integers(0, 40), payload=st.binary(max_size=60))
def test_any_bytes_read_or_are_none(f_port: int, payload: bytes) -> None:
    measurements(f_port, payload)


@settings(max_examples=200)
@given(f_port=st.sampled_from(sorted(MESSAGES)), body=st.binary(max_size=60))
def test_any_body_under_the_right_id_reads_or_is_none(f_port: int, body: bytes) -> None:
    measurements(f_port, bytes((MESSAGES[f_port].message_id, len(body))) + body)
