"""LoRaWAN tags, as ChirpStack v4 and The Things Stack v3 publish their uplinks over MQTT.

The network server has checked the message integrity code, so each reception is `verified`. One
uplink heard by three gateways is three detections, with the gateway's id as antenna. What the
payload means is the tag maker's affair: a payload codec can be named for each device profile.

JSON of both servers leaves out what is zero, false or empty: a missing `fCnt` is 0, and so is the
SNR of a LoRa reception that names none. No gateway hears at 0 dBm: a missing RSSI stays absent.

Source: chirpstack/api `integration.proto` and `gw.proto`; The Things Stack documentation, "Data
formats" (TheThingsIndustries/lorawan-stack-docs).
"""

import binascii
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self, TypeAlias

import msgspec

from protocols.ctt.readings import measured
from protocols.declared_payloads import DeclaredPayload
from protocols.errors import ProtocolError
from protocols.opencollar import measurements as opencollar_measurements
from protocols.payload_codec import PayloadCodec
from protocols.records import Detection, Ignored, Measurements, Record, Unknown
from protocols.registry import register
from protocols.times import NS_PER_S, iso_ns

PROTOCOL: Final = "lorawan"
DEV_EUI_DIGITS: Final = 16
_FREQUENCY_DIGITS: Final = 10

LorawanCodec: TypeAlias = Callable[[int, bytes], Measurements | None]
"""Reads (fPort, payload); None where it cannot. It must not raise."""

CODECS: Final[Mapping[str, LorawanCodec]] = {"opencollar": opencollar_measurements}
"""Codecs that a configuration may name for a device profile; a profile of such a name is read by
its codec without being told."""

ANY_PROFILE: Final = "*"
"""The key of a codec for every device that no other key names."""


def declared_codec(
    payloads: Mapping[int | None, PayloadCodec], otherwise: LorawanCodec | None = None
) -> LorawanCodec:
    """Return a codec that reads each fPort by the payload an owner declared for it.

    The layout under None is for every port without one of its own, `otherwise` for what is left.
    """

    def read(f_port: int, payload: bytes) -> Measurements | None:
        codec = payloads.get(f_port) or payloads.get(None)
        if codec:
            return codec.measurements(payload)
        return otherwise(f_port, payload) if otherwise else None

    return read


def codecs_of(declared: Sequence[DeclaredPayload]) -> dict[str, LorawanCodec]:
    """Return those of an owner's payload layouts that are of LoRaWAN devices, by profile.

    Raises:
        ProtocolError: a codec is named that there is not.
    """
    ports: dict[str, dict[int | None, PayloadCodec]] = {}
    named: dict[str, LorawanCodec] = {}
    for each in declared:
        if each.protocol != PROTOCOL:
            continue
        profile = each.profile or ANY_PROFILE
        layouts = ports.setdefault(profile, {})
        if each.codec is not None:
            layouts[each.f_port] = each.codec
        elif each.named is None or each.named not in CODECS:
            raise ProtocolError(f"codec: {each.named!r} is none of {', '.join(CODECS)}")
        else:
            named[profile] = CODECS[each.named]
    return {
        profile: declared_codec(layouts, named.get(profile)) for profile, layouts in ports.items()
    }


class _ChirpStackReception(msgspec.Struct, rename="camel"):
    gateway_id: str = ""
    rssi: float | None = None
    snr: float | None = None


class _ChirpStackDevice(msgspec.Struct, rename="camel"):
    dev_eui: str
    device_profile_id: str | None = None
    device_profile_name: str | None = None
    device_name: str | None = None


class _Lora(msgspec.Struct, rename="camel"):
    bandwidth: int | None = None
    spreading_factor: int | None = None


class _ChirpStackModulation(msgspec.Struct):
    lora: _Lora | None = None


class _ChirpStackTransmission(msgspec.Struct):
    frequency: int | None = None
    modulation: _ChirpStackModulation | None = None


class _ChirpStackUplink(msgspec.Struct, rename="camel"):
    device_info: _ChirpStackDevice
    rx_info: list[_ChirpStackReception] = []
    tx_info: _ChirpStackTransmission | None = None
    time: str | None = None
    f_cnt: int = 0
    f_port: int = 0
    data: str = ""


class _TtnGateway(msgspec.Struct):
    gateway_id: str | None = None
    eui: str | None = None


class _TtnReception(msgspec.Struct):
    gateway_ids: _TtnGateway = msgspec.field(default_factory=_TtnGateway)
    rssi: float | None = None
    channel_rssi: float | None = None
    snr: float | None = None


class _TtnLora(msgspec.Struct):
    bandwidth: int | None = None
    spreading_factor: int | None = None


class _TtnDataRate(msgspec.Struct):
    lora: _TtnLora | None = None


class _TtnSettings(msgspec.Struct):
    frequency: str | int | None = None
    data_rate: _TtnDataRate | None = None


class _TtnVersion(msgspec.Struct):
    brand_id: str | None = None
    model_id: str | None = None


class _TtnMessage(msgspec.Struct):
    f_port: int = 0
    f_cnt: int = 0
    frm_payload: str = ""
    rx_metadata: list[_TtnReception] = []
    settings: _TtnSettings | None = None
    received_at: str | None = None
    version_ids: _TtnVersion | None = None


class _TtnApplication(msgspec.Struct):
    application_id: str | None = None


class _TtnDevice(msgspec.Struct):
    dev_eui: str
    device_id: str | None = None
    application_ids: _TtnApplication | None = None


class _TtnUplink(msgspec.Struct):
    end_device_ids: _TtnDevice
    uplink_message: _TtnMessage | None = None
    received_at: str | None = None
    simulated: bool = False


class _Reception(msgspec.Struct, frozen=True, kw_only=True):
    gateway_id: str | None
    rssi_dbm: float | None
    snr_db: float | None


class _Uplink(msgspec.Struct, frozen=True, kw_only=True):
    """What both servers tell of one uplink."""

    dev_eui: str
    device_name: str | None
    profiles: tuple[str | None, ...]
    f_port: int
    f_cnt: int
    payload_base64: str
    receptions: tuple[_Reception, ...]
    frequency_hz: int | None
    lora: _Lora | _TtnLora | None
    received_at: str | None


class _LorawanDecoder:
    """What the decoders of both servers share: an uplink becomes a detection for each gateway."""

    def __init__(self, codecs: Mapping[str, LorawanCodec] | None = None) -> None:
        self._codecs = {**CODECS, **(codecs or {})}

    @classmethod
    def with_payloads(cls, declared: Sequence[DeclaredPayload]) -> Self:
        """Return a decoder that reads the payloads which an owner declared.

        Raises:
            ProtocolError: a codec is named that there is not.
        """
        return cls(codecs_of(declared))

    def _detections(self, uplink: _Uplink, raw: bytes) -> tuple[Record, ...]:
        dev_eui = uplink.dev_eui.upper()
        if len(dev_eui) != DEV_EUI_DIGITS or not set(string.hexdigits).issuperset(dev_eui):
            return (Unknown(reason="dev-eui", raw=raw),)
        try:
            payload = binascii.a2b_base64(uplink.payload_base64, strict_mode=True)
        except ValueError:  # binascii.Error and text that is not ASCII.
            return (Unknown(reason="not-base64", raw=raw),)
        told: Measurements = {
            **measured(
                device_name=uplink.device_name,
                frequency_hz=uplink.frequency_hz,
                bandwidth_hz=uplink.lora.bandwidth if uplink.lora else None,
                spreading_factor=uplink.lora.spreading_factor if uplink.lora else None,
                recorded_at_unix_s=_unix_s(uplink.received_at),
            ),
            "f_port": uplink.f_port,
            "f_cnt": uplink.f_cnt,
            **self._payload(uplink, payload),
        }
        return tuple(
            Detection(
                protocol=PROTOCOL,
                tag_id=dev_eui,
                integrity="verified",
                antenna=reception.gateway_id,
                rssi_dbm=reception.rssi_dbm,
                snr_db=0.0 if uplink.lora and reception.snr_db is None else reception.snr_db,
                measurements=told,
                payload=payload or None,
                raw=raw,
            )
            for reception in uplink.receptions
        ) or (Unknown(reason="no-gateway", raw=raw),)

    def _payload(self, uplink: _Uplink, payload: bytes) -> Measurements:
        for profile in (*uplink.profiles, ANY_PROFILE):
            codec = self._codecs.get(profile) if profile else None
            if codec:
                return codec(uplink.f_port, payload) or {}
        return {}


@register(
    "chirpstack",
    version="1",
    framing="message",
    takes="uplinks of ChirpStack v4, MQTT topic application/+/device/+/event/up",
)
class ChirpStackDecoder(_LorawanDecoder):
    """Uplinks of ChirpStack v4, JSON.

    {"time":…, "deviceInfo":{"deviceProfileName":…, "devEui":…}, "fCnt":…, "fPort":…,
     "data":"<base64>", "rxInfo":[{"gatewayId":…, "rssi":…, "snr":…}], "txInfo":{"frequency":…}}

    `codecs` are found by device profile name, device profile id, then `*`. Events other than
    uplinks are `Ignored`.
    """

    def decode(self, frame: bytes) -> tuple[Record, ...]:
        """Return a detection for each gateway; never raises, never returns an empty tuple."""
        try:
            shape = msgspec.json.decode(frame, type=dict[str, msgspec.Raw])
            if "rxInfo" not in shape:
                return (Ignored(reason="not-an-uplink"),)
            up = msgspec.json.decode(frame, type=_ChirpStackUplink)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return (Unknown(reason="not-an-uplink", raw=frame),)
        device = up.device_info
        modulation = up.tx_info.modulation if up.tx_info else None
        return self._detections(
            _Uplink(
                dev_eui=device.dev_eui,
                device_name=device.device_name,
                profiles=(device.device_profile_name, device.device_profile_id),
                f_port=up.f_port,
                f_cnt=up.f_cnt,
                payload_base64=up.data,
                receptions=tuple(
                    _Reception(
                        gateway_id=reception.gateway_id or None,
                        rssi_dbm=reception.rssi,
                        snr_db=reception.snr,
                    )
                    for reception in up.rx_info
                ),
                frequency_hz=up.tx_info.frequency if up.tx_info else None,
                lora=modulation.lora if modulation else None,
                received_at=up.time,
            ),
            frame,
        )


@register(
    "ttn",
    version="1",
    framing="message",
    takes="uplinks of The Things Stack v3, MQTT topic v3/+/devices/+/up",
)
class TheThingsStackDecoder(_LorawanDecoder):
    """Uplinks of The Things Stack v3 (The Things Network), JSON.

    {"end_device_ids":{"device_id":…, "dev_eui":…}, "uplink_message":{"f_port":…, "f_cnt":…,
     "frm_payload":"<base64>", "rx_metadata":[{"gateway_ids":{"eui":…}, "rssi":…, "snr":…}],
     "settings":{"frequency":"868100000"}}}

    There are no device profiles; `codecs` are found by `version_ids.model_id`, application id, then
    `*`. Simulated uplinks and other messages are `Ignored`.
    """

    def decode(self, frame: bytes) -> tuple[Record, ...]:
        """Return a detection for each gateway; never raises, never returns an empty tuple."""
        try:
            up = msgspec.json.decode(frame, type=_TtnUplink)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return (Unknown(reason="not-an-uplink", raw=frame),)
        message = up.uplink_message
        if message is None:
            return (Ignored(reason="not-an-uplink"),)
        if up.simulated:
            return (Ignored(reason="simulated"),)
        device, settings = up.end_device_ids, message.settings
        model = message.version_ids.model_id if message.version_ids else None
        application = device.application_ids.application_id if device.application_ids else None
        return self._detections(
            _Uplink(
                dev_eui=device.dev_eui,
                device_name=device.device_id,
                profiles=(model, application),
                f_port=message.f_port,
                f_cnt=message.f_cnt,
                payload_base64=message.frm_payload,
                receptions=tuple(map(_ttn_reception, message.rx_metadata)),
                frequency_hz=_whole(settings.frequency) if settings else None,
                lora=settings.data_rate.lora if settings and settings.data_rate else None,
                received_at=message.received_at or up.received_at,
            ),
            frame,
        )


def _ttn_reception(reception: _TtnReception) -> _Reception:
    gateway = reception.gateway_ids
    return _Reception(
        gateway_id=gateway.gateway_id or gateway.eui,
        rssi_dbm=reception.channel_rssi if reception.rssi is None else reception.rssi,
        snr_db=reception.snr,
    )


def _whole(number: str | int | None) -> int | None:
    if isinstance(number, str):
        is_frequency = number.isascii() and number.isdigit() and len(number) <= _FREQUENCY_DIGITS
        return int(number) if is_frequency else None
    return number


def _unix_s(time: str | None) -> float | None:
    if time is None or not time.endswith(("Z", "+00:00")):
        return None
    ns = iso_ns(time.encode("utf-8", "replace"))
    return None if ns is None else ns / NS_PER_S
