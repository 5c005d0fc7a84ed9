"""What radios and servers publish over MQTT of a packet: topic and payload.

    rtl_433       rtl_433/<station>-<radio>/events                      JSON, flex decoder `CTT`
    ChirpStack 4  application/<application>/device/<dev EUI>/event/up   JSON
    The Things    v3/<application>@<tenant>/devices/<device>/up         JSON
    station link  stopover/<station>/frames                             one frame, without COBS

Sources: `protocols.rtl433`, `protocols.lorawan`, `protocols.station_link`, where each is drawn.
"""

import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from simulator.air import FREQUENCY_HZ
from simulator.tags import LORA_PORT
from simulator.world import Emission

_APPLICATION: Final = "5f1c1a52-1a5e-4d3a-9f63-6a1f3d2b7c10"
_PROFILE: Final = "opencollar"
_FULL_SCALE_DBM: Final = -20.0
"""What level drives a stick to full scale: rtl_433 tells levels below it."""
_STICK_NOISE_DB: Final = -92.0
_MHZ: Final = 1e6


class Message(NamedTuple):
    """One MQTT message."""

    topic: str
    payload: bytes


def rtl433_event(emission: Emission, unix_s: float) -> Message:
    """Return what rtl_433 with the flex decoder publishes of a packet."""
    packet = emission.wire
    digits = packet.hex()
    bits = 8 * len(packet) + 1
    level_db = emission.reception.rssi_dbm - _FULL_SCALE_DBM
    mhz = FREQUENCY_HZ["434"] / _MHZ
    event = {
        "time": f"{unix_s:.6f}",
        "model": "CTT",
        "count": 1,
        "num_rows": 1,
        # One stray bit follows the packet, as it usually does.
        "rows": [{"len": bits, "data": f"{digits}0"}],
        "codes": [f"{{{bits}}}{digits}0"],
        "mod": "FSK",
        "freq1": mhz + 0.025,
        "freq2": mhz - 0.025,
        "rssi": round(level_db, 1),
        "snr": round(level_db - _STICK_NOISE_DB, 1),
        "noise": _STICK_NOISE_DB,
    }
    topic = f"rtl_433/{emission.station.name}-{emission.radio.name}/events"
    return Message(topic, msgspec.json.encode(event))


def chirpstack_uplink(heard: Sequence[Emission], device: str, count: int, unix_s: float) -> Message:
    """Return ChirpStack's message about one uplink and all gateways that heard it."""
    uplink: dict[str, object] = {
        "deduplicationId": f"00000000-0000-4000-8000-{heard[0].reception.transmission:012x}",
        "time": _iso(unix_s),
        "deviceInfo": {
            "tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
            "applicationId": _APPLICATION,
            "applicationName": "birds",
            "deviceProfileId": "b6a31a2c-0c2e-4b52-8d1e-1d2f0f4a5c6d",
            "deviceProfileName": _PROFILE,
            "deviceName": f"tag {device[-4:]}",
            "devEui": device.lower(),
        },
        "dr": 5,
        "fPort": LORA_PORT,
        "data": _base64(heard[0].wire),
        "rxInfo": [
            {
                "gatewayId": gateway_eui(each),
                "uplinkId": each.reception.transmission,
                "rssi": each.reception.rssi_dbm,
                "snr": _snr_db(each),
                "crcStatus": "CRC_OK",
            }
            for each in heard
        ],
        "txInfo": {
            "frequency": FREQUENCY_HZ["lora"],
            "modulation": {"lora": {"bandwidth": 125_000, "spreadingFactor": 7}},
        },
    }
    if count:
        # Zeros are left out.
        uplink["fCnt"] = count
    topic = f"application/{_APPLICATION}/device/{device.lower()}/event/up"
    return Message(topic, msgspec.json.encode(uplink))


def ttn_uplink(heard: Sequence[Emission], device: str, count: int, unix_s: float) -> Message:
    """Return The Things Stack's message about one uplink and all gateways that heard it."""
    name = f"tag-{device[-8:].lower()}"
    message: dict[str, object] = {
        "f_port": LORA_PORT,
        "frm_payload": _base64(heard[0].wire),
        "rx_metadata": [
            {
                "gateway_ids": {"gateway_id": f"gw-{gateway_eui(each)}", "eui": gateway_eui(each)},
                "time": _iso(unix_s),
                "rssi": each.reception.rssi_dbm,
                "channel_rssi": each.reception.rssi_dbm,
                "snr": _snr_db(each),
            }
            for each in heard
        ],
        "settings": {
            "data_rate": {"lora": {"bandwidth": 125_000, "spreading_factor": 7}},
            "frequency": str(FREQUENCY_HZ["lora"]),
        },
        "received_at": _iso(unix_s),
        "version_ids": {"brand_id": "smartparks", "model_id": _PROFILE},
    }
    if count:
        message["f_cnt"] = count
    uplink = {
        "end_device_ids": {
            "device_id": name,
            "application_ids": {"application_id": "birds"},
            "dev_eui": device.upper(),
        },
        "received_at": _iso(unix_s),
        "uplink_message": message,
    }
    return Message(f"v3/birds@ttn/devices/{name}/up", msgspec.json.encode(uplink))


def gateway_eui(emission: Emission) -> str:
    """Return a gateway's EUI, made of its station and name."""
    name = f"{emission.station.name}/{emission.radio.name}".encode()
    return f"{binascii.crc32(name):08x}{binascii.crc32(name[::-1]):08x}"


def _snr_db(emission: Emission) -> float:
    return min(12.0, round(emission.reception.rssi_dbm + 117.0, 1))


def _base64(payload: bytes) -> str:
    return binascii.b2a_base64(payload, newline=False).decode()


def _iso(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
