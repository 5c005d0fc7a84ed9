"""LoRaWAN uplinks through a real broker, as ChirpStack and The Things Stack publish them."""

import base64
import json
from typing import Any

import pytest
from brokers import Broker
from conftest import Until
from live_station import LiveStation

from protocols.declared_payloads import DeclaredPayload
from protocols.opencollar import build_payload
from protocols.payload_codec import PayloadCodec, PayloadField
from receiver.settings import MqttLink, MqttTopic

CHIRPSTACK_TOPIC = "application/17c82e96/device/0101010101abcdef/event/up"
TTN_TOPIC = "v3/rhinos@ttn/devices/rhino-7/up"
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


def chirpstack(*gateways: dict[str, Any], **changes: Any) -> bytes:  # noqa: ANN401
    """Return an uplink as ChirpStack v4 publishes it; what is zero or empty is left out."""
    uplink = {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
        "time": "2026-05-12T04:32:10.512345+00:00",
        "deviceInfo": {
            "deviceProfileName": "opencollar",
            "deviceName": "rhino-7",
            "devEui": "0101010101abcdef",
        },
        "fCnt": 4,
        "fPort": 13,
        "data": base64_of(POSITION),
        "rxInfo": list(gateways),
        "txInfo": {
            "frequency": 868_100_000,
            "modulation": {"lora": {"bandwidth": 125_000, "spreadingFactor": 11}},
        },
    }
    return json.dumps(uplink | changes).encode()


def ttn(*gateways: dict[str, Any], **changes: Any) -> bytes:  # noqa: ANN401
    """Return an uplink as The Things Stack v3 publishes it."""
    uplink = {
        "end_device_ids": {
            "device_id": "rhino-7",
            "application_ids": {"application_id": "rhinos"},
            "dev_eui": "0004A30B001C0530",
        },
        "received_at": "2026-05-12T04:32:10.6Z",
        "uplink_message": {
            "f_port": 2,
            "f_cnt": 9,
            "frm_payload": base64_of(bytes.fromhex("0CFE")),
            "rx_metadata": list(gateways),
            "settings": {"frequency": "868300000"},
        },
    }
    return json.dumps(uplink | changes).encode()


@pytest.fixture
async def servers(live: LiveStation, broker: Broker, until: Until) -> LiveStation:
    layout = PayloadCodec([PayloadField(name="temperature_c", type="i16le", scale=0.01)])
    live.pipeline.payloads = [
        DeclaredPayload(protocol="lorawan", profile="rhinos", f_port=2, codec=layout)
    ]
    topics = (
        MqttTopic("application/+/device/+/event/up", "chirpstack"),
        MqttTopic("v3/+/devices/+/up", "ttn"),
    )
    live.hear(MqttLink(name="lora", broker=broker.url, topics=topics))
    await until(lambda: live.statuses["lora"].opened)
    return live


async def test_every_gateways_reception_of_an_uplink_is_a_detection(
    servers: LiveStation, broker: Broker, until: Until
) -> None:
    near = {"gatewayId": "0016c001f153a14c", "rssi": -48, "snr": 9.0}
    far = {"gatewayId": "0016c001f153a14d", "rssi": -119}  # An SNR of 0 is left out.
    await broker.publish(CHIRPSTACK_TOPIC, chirpstack(near, far))
    await until(lambda: len(servers.detections()) == 2)
    await servers.end()
    rows = servers.detections()
    assert [(row["antenna"], row["rssi_dbm"], row["snr_db"]) for row in rows] == [
        ("0016c001f153a14c", -48, 9),
        ("0016c001f153a14d", -119, 0),
    ]
    for row in rows:
        assert (row["tag_id"], row["protocol"]) == ("0101010101ABCDEF", "lorawan")
        assert (row["integrity"], row["decoder"]) == ("verified", "chirpstack/1")
        told = row["measurements"]
        assert (told["latitude"], told["longitude"]) == (53.253, 5.221)
        assert (told["f_port"], told["f_cnt"]) == (13, 4)
        assert row["payload"] == POSITION.hex()


async def test_a_devices_payload_is_read_by_the_layout_that_its_owner_declared(
    servers: LiveStation, broker: Broker, until: Until
) -> None:
    gateways = [
        {"gateway_ids": {"gateway_id": "dune"}, "rssi": -101, "snr": -3.2},
        {"gateway_ids": {"gateway_id": "mast"}, "channel_rssi": -90},
        {"gateway_ids": {"eui": "00800000A00009EF"}, "rssi": -77, "snr": 4},
    ]
    await broker.publish(TTN_TOPIC, ttn(*gateways))
    await until(lambda: len(servers.detections()) == 3)
    rows = servers.detections()
    assert [row["antenna"] for row in rows] == ["dune", "mast", "00800000A00009EF"]
    assert [row["rssi_dbm"] for row in rows] == [-101, -90, -77]
    assert {row["measurements"]["temperature_c"] for row in rows} == {-5.0}


async def test_simulated_uplinks_are_counted_and_not_kept(
    servers: LiveStation, broker: Broker, until: Until
) -> None:
    gateway = {"gateway_ids": {"gateway_id": "dune"}, "rssi": -101}
    await broker.publish(TTN_TOPIC, ttn(gateway, simulated=True), ttn(gateway))
    await until(servers.detections)
    await servers.end()
    assert len(servers.detections()) == 1
    assert servers.rejects() == {"simulated": 1}


async def test_a_payload_that_nobody_knows_is_kept_as_it_is(
    servers: LiveStation, broker: Broker, until: Until
) -> None:
    device = {"deviceProfileName": "mystery", "devEui": "0101010101abcdef"}
    message = chirpstack(
        {"gatewayId": "a"}, deviceInfo=device, data=base64_of(b"\x01\x02"), fPort=99
    )
    await broker.publish(CHIRPSTACK_TOPIC, message)
    await until(servers.detections)
    (row,) = servers.detections()
    assert (row["payload"], row["rssi_dbm"]) == ("0102", None)
    assert bytes.fromhex(row["raw"]) == message
