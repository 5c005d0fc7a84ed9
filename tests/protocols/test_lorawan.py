"""Uplinks of ChirpStack and The Things Stack: every gateway's reception is a detection."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.lorawan import (
    ANY_PROFILE,
    ChirpStackDecoder,
    LorawanCodec,
    TheThingsStackDecoder,
    declared_codec,
)
from protocols.opencollar import build_payload
from protocols.opencollar import measurements as opencollar
from protocols.payload_codec import PayloadCodec
from protocols.records import Detection, Ignored, Record, Unknown
from protocols.registry import entry

POSITION = build_payload(
    13,
    {
        "fix_at_unix_s": 1778560330,
        "latitude_1e7": 532_530_000,
        "longitude_1e7": 52_210_000,
        "accuracy_m": 12,
    },
)


def base64_of(payload: bytes) -> str:
    return base64.b64encode(payload).decode()


def chirpstack_up(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  Any part of the message.
    """Return an uplink as ChirpStack v4 publishes it, by the fields of its integration.proto."""
    return {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
        "time": "2026-05-12T04:32:10.512345+00:00",
        "deviceInfo": {
            "tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
            "tenantName": "Reserve",
            "applicationId": "17c82e96-be03-4f38-aef3-f83d48582d97",
            "applicationName": "Rhinos",
            "deviceProfileId": "14855bf7-d10d-4aee-b618-ebfcb64dc7ad",
            "deviceProfileName": "collar",
            "deviceName": "rhino-7",
            "devEui": "0101010101abcdef",
        },
        "devAddr": "00189440",
        "dr": 1,
        "fCnt": 4,
        "fPort": 13,
        "data": base64_of(POSITION),
        "rxInfo": [
            {"gatewayId": "0016c001f153a14c", "uplinkId": 4217106255, "rssi": -36, "snr": 10.5},
            {"gatewayId": "0016c001f153a14d", "uplinkId": 4217106256, "rssi": -117},
        ],
        "txInfo": {
            "frequency": 867100000,
            "modulation": {"lora": {"bandwidth": 125000, "spreadingFactor": 11}},
        },
        "regionConfigId": "eu868",
        **changes,
    }


def ttn_up(*, simulated: bool | None = None, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  Any part of the message.
    """Return an uplink as The Things Stack v3 publishes it, by its documentation."""
    up: dict[str, Any] = {
        "end_device_ids": {
            "device_id": "rhino-7",
            "application_ids": {"application_id": "rhinos"},
            "dev_eui": "0004A30B001C0530",
            "join_eui": "800000000000000C",
            "dev_addr": "00BCB929",
        },
        "correlation_ids": ["as:up:01E0WZGT6Y7657CPFPE5WEYDSQ"],
        "received_at": "2026-05-12T04:32:11.512345678Z",
        "uplink_message": {
            "session_key_id": "AXBSH1Pk6Z0G166...",
            "f_port": 13,
            "f_cnt": 9,
            "frm_payload": base64_of(POSITION),
            "rx_metadata": [
                {
                    "gateway_ids": {"gateway_id": "hill", "eui": "9C5C8E00001A05C4"},
                    "time": "2026-05-12T04:32:10.500Z",
                    "timestamp": 2463457000,
                    "rssi": -35,
                    "channel_rssi": -35,
                    "snr": 5.2,
                },
                {"gateway_ids": {"eui": "9C5C8E00001A05C5"}, "channel_rssi": -101},
            ],
            "settings": {
                "data_rate": {"lora": {"bandwidth": 125000, "spreading_factor": 7}},
                "coding_rate": "4/6",
                "frequency": "868300000",
            },
            "received_at": "2026-05-12T04:32:10.512345Z",
            "version_ids": {"brand_id": "smart-parks", "model_id": "collar"},
            **changes,
        },
    }
    return up if simulated is None else {**up, "simulated": simulated}


def chirpstack(up: object, codecs: Mapping[str, LorawanCodec] | None = None) -> list[Record]:
    return list(ChirpStackDecoder(codecs).decode(json.dumps(up).encode()))


def ttn(up: object, codecs: Mapping[str, LorawanCodec] | None = None) -> list[Record]:
    return list(TheThingsStackDecoder(codecs).decode(json.dumps(up).encode()))


def detections(records: list[Record]) -> list[Detection]:
    assert all(isinstance(record, Detection) for record in records)
    return [record for record in records if isinstance(record, Detection)]


def test_both_servers_are_registered_for_messages() -> None:
    assert entry("chirpstack").framing == "message"
    assert entry("ttn").framing == "message"


def test_each_gateway_of_chirpstack_is_a_detection() -> None:
    near, far = detections(chirpstack(chirpstack_up()))
    assert (near.protocol, near.tag_id, near.integrity) == (
        "lorawan",
        "0101010101ABCDEF",
        "verified",
    )
    assert (near.antenna, near.rssi_dbm, near.snr_db) == ("0016c001f153a14c", -36, 10.5)
    assert (far.antenna, far.rssi_dbm) == ("0016c001f153a14d", -117)
    assert near.payload == POSITION
    assert near.measurements == {
        "device_name": "rhino-7",
        "frequency_hz": 867_100_000,
        "bandwidth_hz": 125_000,
        "spreading_factor": 11,
        "recorded_at_unix_s": 1778560330.512345,
        "f_port": 13,
        "f_cnt": 4,
    }


def test_each_gateway_of_the_things_stack_is_a_detection() -> None:
    hill, nameless = detections(ttn(ttn_up()))
    assert (hill.tag_id, hill.antenna, hill.rssi_dbm, hill.snr_db) == (
        "0004A30B001C0530",
        "hill",
        -35,
        5.2,
    )
    assert (nameless.antenna, nameless.rssi_dbm) == ("9C5C8E00001A05C5", -101)
    assert hill.payload == POSITION
    assert hill.measurements == {
        "device_name": "rhino-7",
        "frequency_hz": 868_300_000,
        "bandwidth_hz": 125_000,
        "spreading_factor": 7,
        "recorded_at_unix_s": 1778560330.512345,
        "f_port": 13,
        "f_cnt": 9,
    }


def test_a_missing_count_port_and_snr_are_zero() -> None:
    up = chirpstack_up()
    del up["fCnt"], up["fPort"], up["data"]
    _, far = detections(chirpstack(up))
    assert far.snr_db == 0.0
    assert (far.measurements or {})["f_cnt"] == 0
    assert (far.measurements or {})["f_port"] == 0
    assert far.payload is None
    _, nameless = detections(ttn(ttn_up()))
    assert nameless.snr_db == 0.0


def test_a_reception_that_was_not_lora_has_no_snr() -> None:
    up = chirpstack_up(txInfo={"frequency": 868_800_000, "modulation": {"fsk": {}}})
    assert detections(chirpstack(up))[1].snr_db is None


def test_a_simulated_uplink_is_counted_only() -> None:
    assert ttn(ttn_up(simulated=True)) == [Ignored(reason="simulated")]
    assert len(detections(ttn(ttn_up(simulated=False)))) == 2


def test_other_events_are_counted_only() -> None:
    join = {"deviceInfo": {"devEui": "0101010101abcdef"}, "devAddr": "00189440"}
    assert chirpstack(join) == [Ignored(reason="not-an-uplink")]
    accept = {"end_device_ids": {"dev_eui": "0004A30B001C0530"}, "join_accept": {}}
    assert ttn(accept) == [Ignored(reason="not-an-uplink")]


@pytest.mark.parametrize("named", ["collar", "14855bf7-d10d-4aee-b618-ebfcb64dc7ad", ANY_PROFILE])
def test_a_codec_named_for_the_profile_reads_the_payload(named: str) -> None:
    (near, _) = detections(chirpstack(chirpstack_up(), {named: opencollar}))
    told = near.measurements or {}
    assert (told["latitude"], told["longitude"], told["accuracy_m"]) == (53.253, 5.221, 12)
    assert near.payload == POSITION


@pytest.mark.parametrize("named", ["collar", "rhinos", ANY_PROFILE])
def test_the_things_stack_finds_codecs_by_model_or_application(named: str) -> None:
    (hill, _) = detections(ttn(ttn_up(), {named: opencollar}))
    assert (hill.measurements or {})["latitude"] == 53.253


def test_a_profile_called_like_a_codec_needs_no_configuration() -> None:
    up = chirpstack_up()
    up["deviceInfo"]["deviceProfileName"] = "opencollar"
    assert (detections(chirpstack(up))[0].measurements or {})["latitude"] == 53.253


def test_an_owner_can_declare_a_payload_for_a_port() -> None:
    codec = PayloadCodec.declared([{"name": "temperature_c", "type": "i16be", "scale": 0.1}])
    codecs = {"collar": declared_codec({13: codec})}
    up = chirpstack_up(data=base64_of(b"\x00\xcd"))
    assert (detections(chirpstack(up, codecs))[0].measurements or {})["temperature_c"] == 20.5
    other = chirpstack_up(fPort=2, data=base64_of(b"\x00\xcd"))
    assert "temperature_c" not in (detections(chirpstack(other, codecs))[0].measurements or {})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": "!"}, "not-base64"),
        ({"data": "é"}, "not-base64"),
        ({"deviceInfo": {"devEui": "xyz"}}, "dev-eui"),
        ({"rxInfo": []}, "no-gateway"),
        ({"rxInfo": 5}, "not-an-uplink"),
        ({"deviceInfo": {}}, "not-an-uplink"),
    ],
)
def test_a_damaged_chirpstack_uplink_is_kept(changes: dict[str, Any], reason: str) -> None:
    frame = json.dumps(chirpstack_up(**changes)).encode()
    assert ChirpStackDecoder().decode(frame) == (Unknown(reason=reason, raw=frame),)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"frm_payload": "!"}, "not-base64"),
        ({"rx_metadata": []}, "no-gateway"),
        ({"f_port": "x"}, "not-an-uplink"),
    ],
)
def test_a_damaged_things_stack_uplink_is_kept(changes: dict[str, Any], reason: str) -> None:
    frame = json.dumps(ttn_up(**changes)).encode()
    assert TheThingsStackDecoder().decode(frame) == (Unknown(reason=reason, raw=frame),)


@settings(max_examples=200)
@given(frame=st.binary(max_size=200))
def test_any_bytes_give_records_and_no_exception(frame: bytes) -> None:
    assert ChirpStackDecoder().decode(frame)
    assert TheThingsStackDecoder().decode(frame)


ANYTHING: st.SearchStrategy[Any] = (
    st.none()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.just([{}])
    | st.just({"devEui": "0101010101abcdef"})
)


@settings(max_examples=200)
@given(
    name=st.sampled_from(["time", "deviceInfo", "fCnt", "fPort", "data", "rxInfo", "txInfo"]),
    value=ANYTHING,
)
def test_any_chirpstack_field_gives_records_and_no_exception(
    name: str,
    value: Any,  # noqa: ANN401  Any part of the message.
) -> None:
    assert chirpstack(chirpstack_up(**{name: value}), {ANY_PROFILE: opencollar})


@settings(max_examples=200)
@given(
    name=st.sampled_from(["f_port", "f_cnt", "frm_payload", "rx_metadata", "settings"]),
    value=ANYTHING,
)
def test_any_things_stack_field_gives_records_and_no_exception(
    name: str,
    value: Any,  # noqa: ANN401  Any part of the message.
) -> None:
    assert ttn(ttn_up(**{name: value}), {ANY_PROFILE: opencollar})
