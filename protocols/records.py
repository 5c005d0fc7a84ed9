"""The values that everything speaks: what a decoder makes of a frame.

Names are the same here, in the store's views, in JSON and in CSV. SI units, the unit in the name.
Absent is None, never 0 or "". Records carry no time: the receiver stamps them (or the recorded
file tells). Values are frozen, so one decoded packet can serve all its repetitions.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

Integrity: TypeAlias = Literal["verified", "repaired", "unverified", "failed"]
"""`verified` checksum right; `repaired` one bit mended and the checksum then right; `unverified`
carries no checksum; `failed` checksum wrong."""

Measurements: TypeAlias = Mapping[str, float | int | str | bool]
"""What the tag told, unit in each name: `battery_v`, `temperature_c`, `latitude`…"""


class Relay(msgspec.Struct, frozen=True, kw_only=True):
    """A node (or other repeater) that heard the tag and passed it on."""

    relay_id: str
    """As its maker prints it, upper case: CTT nodes 3 to 8 hex digits."""
    relay_rssi_dbm: float | None = None
    """Level of the relay's own transmission at the station."""
    recorded_at_unix_s: float | None = None
    """When the relay says it heard the tag, by its own clock: kept, checked, not believed."""
    collection: tuple[int, int, int] | None = None
    """(collection id, count, index): the relay's bookkeeping of one burst of its transmissions."""


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """One reception of one tag transmission by one radio."""

    protocol: str
    """`ctt-434`, `ctt-2g4`, `coded-id`, `lorawan`…"""
    tag_id: str
    """Canonical text: CTT 8 upper-case hex digits; coded ID `project#id`."""
    integrity: Integrity
    id_legal: bool | None = None
    """Every byte of the id is a word of the maker's dictionary; None where there is none."""
    antenna: str | None = None
    """Which radio of the link heard it, as the frame says; None where the link has only one."""
    rssi_dbm: float | None = None
    snr_db: float | None = None
    noise_dbm: float | None = None
    frequency_offset_hz: float | None = None
    age_us: int | None = None
    """How long before its frame's last byte the tag was heard, by the radio's own ticks."""
    relay: Relay | None = None
    measurements: Measurements | None = None
    payload: bytes | None = None
    """The undecoded rest of the packet."""
    raw: bytes = b""
    """The frame it was decoded from, without its terminator."""


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """One VHF pulse of a coded-ID tag, or of noise."""

    frequency_offset_hz: float
    """From the frequency that the receiver is tuned to."""
    tuned_frequency_hz: float | None = None
    """Where the receiver says in the same frame what it is tuned to."""
    signal_db: float
    """Relative to full scale, as SensorGnome reports it, or dBm where the radio is calibrated."""
    noise_db: float | None = None
    snr_db: float | None = None
    width_us: int | None = None
    antenna: str | None = None
    age_us: int | None = None
    device_time_ns: int | None = None
    """When it was by the clock of what detected it, from that clock's own zero: gaps between pulses
    are exact in it, whatever the way to the station takes. It may be stepped or begin again."""
    raw: bytes = b""


class UnlistedInterval(msgspec.Struct, frozen=True, kw_only=True):
    """A listed coded-ID tag's code, heard at an interval that the list does not have."""

    tag_id: str
    """`project#id`; several that share the code are joined by `|`."""
    labels: tuple[str, ...]
    """`project#id@MHz:interval` of the same tags."""
    measured_interval_s: float
    listed_intervals_s: tuple[float, ...]
    burst_count: int
    """Bursts at that interval so far."""
    antenna: str | None = None
    raw: bytes = b""


class RelayHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself."""

    relay_id: str
    relay_rssi_dbm: float | None = None
    antenna: str | None = None
    sent_at_unix_s: float | None = None
    fix_at_unix_s: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    firmware: str | None = None
    battery_v: float | None = None
    solar_v: float | None = None
    solar_ma: float | None = None
    temperature_c: float | None = None
    measurements: Measurements | None = None
    """The rest: `uptime_s`, `charge_ma`, `solar_ma_total`, `energy_used_mah`, `sd_free_percent`,
    `detections`, `errors`…"""
    raw: bytes = b""


class StationHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Voltages and temperatures of the station or of a radio's board."""

    measurements: Measurements
    antenna: str | None = None
    raw: bytes = b""


class GpsFix(msgspec.Struct, frozen=True, kw_only=True):
    """Where the station, a link or a relay was."""

    latitude: float | None = None
    """Degrees, WGS 84; None where the receiver reported that it has no fix."""
    longitude: float | None = None
    altitude_m: float | None = None
    accuracy_m: float | None = None
    fix_mode: int | None = None
    """1 none, 2 two-dimensional, 3 three-dimensional, as gpsd counts."""
    satellites: int | None = None
    gps_unix_s: float | None = None
    """The receiver's own time of the fix."""
    relay_id: str | None = None
    """The node whose position this is; None for the station's own."""
    measurements: Measurements | None = None
    raw: bytes = b""


class RadioInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a radio says it is."""

    name: str | None = None
    firmware: str | None = None
    antenna: str | None = None
    measurements: Measurements | None = None
    raw: bytes = b""


class RadioError(msgspec.Struct, frozen=True, kw_only=True):
    """A failure that a radio reports of itself."""

    message: str
    antenna: str | None = None
    raw: bytes = b""


class CommandReply(msgspec.Struct, frozen=True, kw_only=True):
    """A radio's answer to a command."""

    command: str
    ok: bool
    message: str | None = None
    raw: bytes = b""


class ClockEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording says of its clock."""

    precision_digits: int | None = None
    """Decimal digits of the second that are right; negative means not synchronised."""
    step_s: float | None = None
    """By how much the clock was stepped; 0 or None for a periodic report."""
    residual_s: float | None = None
    raw: bytes = b""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that was made, as a recording tells it."""

    name: str
    value: str
    antenna: str | None = None
    error_code: str | None = None
    raw: bytes = b""


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a radio's or a recording's own log."""

    message: str
    level: str | None = None
    raw: bytes = b""


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """A frame that no decoder could read: kept, bounded, counted by reason."""

    reason: str
    """A short name in kebab case (`crc`, `length`, `not-hex`, `unknown-data-type`): a counter's
    label, never text from the air."""
    raw: bytes


class Ignored(msgspec.Struct, frozen=True, kw_only=True):
    """A frame that says nothing worth keeping, counted by reason and not stored."""

    reason: str


Record: TypeAlias = (
    Detection
    | Pulse
    | UnlistedInterval
    | RelayHealth
    | StationHealth
    | GpsFix
    | RadioInfo
    | RadioError
    | CommandReply
    | ClockEvent
    | Setting
    | LogLine
    | Unknown
    | Ignored
)
"""Whatever a decoder may return."""
