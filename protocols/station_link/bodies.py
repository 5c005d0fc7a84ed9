"""What each type of station-link frame says: a value, its layout drawn, and its schema.

Little-endian. A number that was not measured is None here and a word of all ones (but for the
sign) on the wire. What follows the known fields of a body is kept in `rest`.
"""

import enum
from typing import Any, Final, TypeAlias

import msgspec
from construct import (
    Bytes,
    GreedyBytes,
    Int8ul,
    Int16sl,
    Int16ul,
    Int32sl,
    Int32ul,
    Int64sl,
    Int64ul,
    Prefixed,
)

from protocols.layouts import UTF8, counted, optional, valued

NOT_MEASURED_I16: Final = 0x7FFF
NOT_MEASURED_U16: Final = 0xFFFF
NOT_MEASURED_I32: Final = 0x7FFFFFFF
NOT_MEASURED_U32: Final = 0xFFFFFFFF


class FrameType(enum.IntEnum):
    """What a frame tells; a type that is not here is kept and counted."""

    HELLO = 0x01
    PACKET = 0x02
    PULSES = 0x03
    STATUS = 0x04
    TIME = 0x05
    GPS = 0x06
    LOG = 0x07
    ACK = 0x08
    COMMAND = 0x09
    REPLY = 0x0A


class Modulation(enum.IntEnum):
    """How a packet was sent over the air."""

    CTT_FSK = 1
    """CTT 2-FSK at 25 kbit/s: the bytes are what follows the sync word."""
    LORA = 2
    BLE_ADVERTISEMENT = 3
    OTHER_FSK = 4
    OTHER_OOK = 5


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver is; sent at boot and whenever the host opens the link.

    offset  size  field
    0       8     uid, the chip's own number
    8       3     firmware major, minor, patch
    11      1     reset cause, as the chip numbers it
    12      4     boot count
    16      1     radios
    17      1+n   name: length, UTF-8
    """

    uid: bytes
    firmware_major: int
    firmware_minor: int
    firmware_patch: int
    reset_cause: int
    boot_count: int
    radios: int
    name: str
    rest: bytes = b""


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    """One packet as it came over the air; the frame's uptime is that of the packet's last bit.

    offset  size  field
    0       1     radio
    1       1     modulation
    2       4     frequency, Hz
    6       2     RSSI, 0.1 dBm, 7FFF not measured
    8       2     SNR, 0.1 dB, 7FFF not measured
    10      4     frequency error, Hz, 7FFFFFFF not measured
    14      1+n   length, bytes
    """

    radio: int
    modulation: int
    frequency_hz: int
    rssi_ddbm: int | None = None
    snr_ddb: int | None = None
    frequency_error_hz: int | None = None
    packet: bytes
    rest: bytes = b""


class PulseReading(msgspec.Struct, frozen=True, kw_only=True):
    """One VHF pulse.

    offset  size  field
    0       4     age, us before the frame's uptime
    4       4     offset from the tuned frequency, Hz
    8       2     signal, 0.1 dB
    10      2     noise, 0.1 dB, 7FFF not measured
    12      2     width, us, FFFF not measured
    """

    age_us: int
    offset_hz: int
    signal_ddb: int
    noise_ddb: int | None = None
    width_us: int | None = None


class Pulses(msgspec.Struct, frozen=True, kw_only=True):
    """VHF pulses that one radio heard, oldest first.

    offset  size  field
    0       1     radio
    1       4     tuned frequency, Hz
    5       1     count
    6       14·n  pulses
    """

    radio: int
    frequency_hz: int
    pulses: tuple[PulseReading, ...]
    rest: bytes = b""


class RadioReading(msgspec.Struct, frozen=True, kw_only=True):
    """How one radio is.

    offset  size  field
    0       2     noise, 0.1 dBm, 7FFF not measured
    2       4     packets heard since boot
    """

    noise_ddbm: int | None = None
    packets: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the receiver is.

    offset  size  field
    0       2     battery, mV, FFFF not measured
    2       2     solar, mV, FFFF not measured
    4       2     solar, mA, 7FFF not measured
    6       2     temperature, 0.01 °C, 7FFF not measured
    8       4     frames dropped since boot
    12      2     frames queued
    14      1     radios
    15      6·n   radio readings
    """

    battery_mv: int | None = None
    solar_mv: int | None = None
    solar_ma: int | None = None
    temperature_cdeg: int | None = None
    dropped: int
    queued: int
    radios: tuple[RadioReading, ...]
    rest: bytes = b""


class Time(msgspec.Struct, frozen=True, kw_only=True):
    """A token from the host, which the receiver echoes at once.

    offset  size  field
    0       8     token
    """

    token: int
    rest: bytes = b""


class Gps(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when the receiver is, by its GPS; the frame's uptime is that of the fix.

    offset  size  field
    0       8     Unix time, us, 0 unknown
    8       4     latitude, 1e-7 degree
    12      4     longitude, 1e-7 degree
    16      4     altitude, mm, 7FFFFFFF not measured
    20      1     fix: 0 or 1 none, 2 two-dimensional, 3 three-dimensional
    21      1     satellites
    22      4     accuracy, mm, FFFFFFFF not measured
    26      8     uptime of the last pulse-per-second edge, us, 0 none
    """

    unix_us: int
    latitude_1e7: int
    longitude_1e7: int
    altitude_mm: int | None = None
    fix: int
    satellites: int
    accuracy_mm: int | None = None
    pps_uptime_us: int
    rest: bytes = b""


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the firmware's log.

    offset  size  field
    0       1     level, as syslog (RFC 5424) numbers severities: 3 error, 4 warning, 6 info
    1       n     UTF-8
    """

    level: int
    text: str


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """Host to receiver: every frame up to this seq is in the store and may be forgotten.

    offset  size  field
    0       2     seq
    """

    seq: int
    rest: bytes = b""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Host to receiver: UTF-8, the first word names the command."""

    text: str


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to a command: UTF-8, the command's first word, `ok` or `error`, then a message."""

    text: str


Body: TypeAlias = Hello | Packet | Pulses | Status | Time | Gps | Log | Ack | Command | Reply

_REST = "rest" / GreedyBytes

LAYOUTS: dict[int, Any] = {
    FrameType.HELLO: valued(
        Hello,
        "uid" / Bytes(8),
        "firmware_major" / Int8ul,
        "firmware_minor" / Int8ul,
        "firmware_patch" / Int8ul,
        "reset_cause" / Int8ul,
        "boot_count" / Int32ul,
        "radios" / Int8ul,
        "name" / Prefixed(Int8ul, UTF8),
        _REST,
    ),
    FrameType.PACKET: valued(
        Packet,
        "radio" / Int8ul,
        "modulation" / Int8ul,
        "frequency_hz" / Int32ul,
        "rssi_ddbm" / optional(Int16sl, NOT_MEASURED_I16),
        "snr_ddb" / optional(Int16sl, NOT_MEASURED_I16),
        "frequency_error_hz" / optional(Int32sl, NOT_MEASURED_I32),
        "packet" / Prefixed(Int8ul, GreedyBytes),
        _REST,
    ),
    FrameType.PULSES: valued(
        Pulses,
        "radio" / Int8ul,
        "frequency_hz" / Int32ul,
        "pulses"
        / counted(
            Int8ul,
            valued(
                PulseReading,
                "age_us" / Int32ul,
                "offset_hz" / Int32sl,
                "signal_ddb" / Int16sl,
                "noise_ddb" / optional(Int16sl, NOT_MEASURED_I16),
                "width_us" / optional(Int16ul, NOT_MEASURED_U16),
            ),
        ),
        _REST,
    ),
    FrameType.STATUS: valued(
        Status,
        "battery_mv" / optional(Int16ul, NOT_MEASURED_U16),
        "solar_mv" / optional(Int16ul, NOT_MEASURED_U16),
        "solar_ma" / optional(Int16sl, NOT_MEASURED_I16),
        "temperature_cdeg" / optional(Int16sl, NOT_MEASURED_I16),
        "dropped" / Int32ul,
        "queued" / Int16ul,
        "radios"
        / counted(
            Int8ul,
            valued(
                RadioReading,
                "noise_ddbm" / optional(Int16sl, NOT_MEASURED_I16),
                "packets" / Int32ul,
            ),
        ),
        _REST,
    ),
    FrameType.TIME: valued(Time, "token" / Int64ul, _REST),
    FrameType.GPS: valued(
        Gps,
        "unix_us" / Int64sl,
        "latitude_1e7" / Int32sl,
        "longitude_1e7" / Int32sl,
        "altitude_mm" / optional(Int32sl, NOT_MEASURED_I32),
        "fix" / Int8ul,
        "satellites" / Int8ul,
        "accuracy_mm" / optional(Int32ul, NOT_MEASURED_U32),
        "pps_uptime_us" / Int64ul,
        _REST,
    ),
    FrameType.LOG: valued(Log, "level" / Int8ul, "text" / UTF8),
    FrameType.ACK: valued(Ack, "seq" / Int16ul, _REST),
    FrameType.COMMAND: valued(Command, "text" / UTF8),
    FrameType.REPLY: valued(Reply, "text" / UTF8),
}

TYPE_OF: dict[type[msgspec.Struct], FrameType] = {
    Hello: FrameType.HELLO,
    Packet: FrameType.PACKET,
    Pulses: FrameType.PULSES,
    Status: FrameType.STATUS,
    Time: FrameType.TIME,
    Gps: FrameType.GPS,
    Log: FrameType.LOG,
    Ack: FrameType.ACK,
    Command: FrameType.COMMAND,
    Reply: FrameType.REPLY,
}
