"""SensorGnome data files: their names and their lines.

    <label>-<serial>-<boot>-<YYYY-MM-DDTHH-MM-SS.ssss><code>-<source>.txt[.gz]

    field   meaning
    label   the owner's name for the station; `changeMe`, `sgv2`…
    serial  7F5ERPI46977, 4001BBBK2600; `CTT-<id>` on a CTT SensorStation
    boot    count of the station's starts, 1 to 6 digits (newer files: the last three)
    time    when the file was begun, UTC
    code    how good the clock was then: P not synchronised, Z 1 s, Y 0.1 s, X 0.01 s, W 1 ms,
            V 0.1 ms, U 10 us, T 1 us
    source  all (pulses, GPS, settings), ctt (434 MHz tags); `lifetag` in the first CTT years

Lines, comma separated, LF, no header, no quoting; `ts` is Unix seconds, <port> a USB port number:

    p<port>,ts,offset kHz,signal dB,noise dB[,snr dB]          a pulse
    n<port>,…                                                  a pulse outside every burst
    T<port>,ts,id (8 hex, or 10 with CRC)[,rssi dBm[,version]] a CTT tag
    G,ts of the GPS,latitude,longitude[,altitude m]            `undefined` where there is no fix
    S,ts,port,name,value[,error code,error]                    a setting made
    C,ts,digits,step ms (an integer)                           the clock, since 2021
    C,ts,digits,residual s (with a point or exponent)          the clock, before
    F<port>,ts,seconds,pulses,used,bursts                      pulses of an hour, counted
    F<port>,ts,end ts,dropped                                  a flood of pulses not recorded
    B<port>,ts,code,mean kHz,sd,mean signal,sd,noise,snr       a burst of a coded-ID tag
    b<port>,ts,tag,kHz,sd,…                                    the same from a GNU Radio host

Lines are not sorted by time: radios interleave, and pulses are written seconds late.

Source: tve/sensorgnome-control, datasaver.js, vah.js, cornelltagxcvr.js, pulsefilter.js, chrony.js;
docs.motus.org, "SensorGnome data formats"; leberrigan/sensorgnome-gnuradio for `b` and the flood.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from protocols.ctt.packet import identify
from protocols.recorded import TAG_LINES_REMEMBERED, Reading, number
from protocols.records import (
    ClockEvent,
    Detection,
    GpsFix,
    Ignored,
    Pulse,
    RadioInfo,
    Record,
    Setting,
    Unknown,
)
from protocols.times import NS_PER_S, unix_ns

DECODER: Final = "sensorgnome/1"
"""Name and version of this decoder, as a stored row carries them."""

ClockCode: TypeAlias = Literal["P", "Z", "Y", "X", "W", "V", "U", "T"]


class FileName(msgspec.Struct, frozen=True, kw_only=True):
    """What the name of a SensorGnome file tells."""

    label: str
    serial: str
    """As the name has it: `7F5ERPI46977`, `CTT-V30300000001`."""
    boot: int
    started_ns: int
    """When the file was begun, nanoseconds since 1970 by the station's clock."""
    clock_code: ClockCode
    source: Literal["all", "ctt", "lifetag"]

    @property
    def is_synchronised(self) -> bool:
        """Whether the station says that its clock was set."""
        return self.clock_code != "P"

    @property
    def station_id(self) -> str:
        """The serial without the maker's prefix, which CTT's own files do not write."""
        return self.serial.removeprefix("CTT-")


_NAME = re.compile(
    r"(?P<label>.+?)-(?P<serial>(?:CTT-V?[0-9A-F]+)|(?:SG-)?[0-9A-Z]{8,16}(?:_[0-9])?"
    r"|SEI_[A-Z]_[A-Z0-9]+)-(?P<boot>[0-9]{1,9})"
    r"-(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})T(?P<hour>[0-9]{2})-(?P<minute>[0-9]{2})"
    r"-(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,6}))?(?P<code>[PT-Z])"
    r"-(?P<source>all|ctt|lifetag)\.txt(?:\.gz)?",
    re.IGNORECASE | re.ASCII,
)


def parse_name(name: str) -> FileName | None:
    """Return what a file's base name tells, None where it is no SensorGnome file's name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    told = match.groupdict()
    text = f"{told['date']}T{told['hour']}:{told['minute']}:{told['second']}+00:00"
    try:
        started = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    fraction_ns = int((told["fraction"] or "0").ljust(9, "0"))
    return msgspec.convert(
        {
            "label": told["label"],
            "serial": told["serial"].upper().removeprefix("SG-"),
            "boot": int(told["boot"]),
            "started_ns": round(started.timestamp()) * NS_PER_S + fraction_ns,
            "clock_code": told["code"].upper(),
            "source": told["source"].lower(),
        },
        FileName,
    )


class SensorGnomeReader:
    """Reads the lines of SensorGnome files; never raises, whatever the bytes.

    Remembers tag lines that differ in time only: tags repeat the same packet for months.
    """

    decoder = DECODER
    time_from = 3
    time_to = (17, 16)
    """`T1,1639614305.186,…`: ports have one digit, times 10 and 3, or 2 where the last is a 0."""
    time_ns = staticmethod(unix_ns)

    def __init__(self) -> None:
        self._tags: dict[tuple[bytes, bytes], Detection] = {}

    def read(self, line: bytes) -> Reading:
        """Read one line, without its terminator."""
        if line[:1] == b"T":
            reading = self._tag(line)
            if reading is not None:
                return reading
        return _other(line)

    def _tag(self, line: bytes) -> Reading | None:
        kind, _, rest = line.partition(b",")
        time, _, told = rest.partition(b",")
        detection = self._tags.get((kind, told))
        if detection is None:
            made = _detection(kind[1:], told.split(b","))
            if made is None:
                return None
            if len(self._tags) >= TAG_LINES_REMEMBERED:
                self._tags.clear()
            detection = self._tags[kind, told] = made
        utc_ns = unix_ns(time)
        return None if utc_ns is None else Reading(detection, utc_ns)


def _detection(port: bytes, cells: list[bytes]) -> Detection | None:
    if not _PORT.fullmatch(port) or not 1 <= len(cells) <= _TAG_CELLS:
        return None
    if not _TAG_ID.fullmatch(cells[0]):
        return None
    rssi_dbm = None
    if len(cells) > 1 and cells[1]:
        rssi_dbm = number(cells[1])
        if rssi_dbm is None:
            return None
    packet = bytes.fromhex(cells[0].decode())
    verdict = identify(packet[:4], packet[4] if len(packet) > _ID_BYTES else None)
    return Detection(
        protocol="ctt-434",
        tag_id=verdict.tag_id,
        integrity=verdict.integrity,
        id_legal=verdict.id_legal,
        antenna=port.decode(),
        rssi_dbm=rssi_dbm,
    )


_ID_BYTES: Final = 4
_TAG_CELLS: Final = 3
_PORT = re.compile(rb"[0-9]{1,4}")
_TAG_ID = re.compile(rb"(?:[0-9A-Fa-f]{8}|[0-9A-Fa-f]{10})")
_ABSENT: Final = (b"", b"undefined", b"null", b"NaN")


def _other(line: bytes) -> Reading:
    kind, _, rest = line.partition(b",")
    time, *cells = rest.split(b",")
    read = _READERS.get(kind[:1])
    if read is None:
        return _unreadable(line)
    port = kind[1:]
    is_port_right = not port if kind[:1] in _WITHOUT_PORT else _PORT.fullmatch(port) is not None
    record = read(port.decode(), cells) if is_port_right else None
    if record is None:
        return Reading(Unknown(reason="broken-line", raw=line), None)
    utc_ns = unix_ns(time)
    if isinstance(record, GpsFix) and (utc_ns is not None or time in _ABSENT):
        gps_unix_s = None if utc_ns is None else utc_ns / NS_PER_S
        return Reading(msgspec.structs.replace(record, gps_unix_s=gps_unix_s), utc_ns)
    if utc_ns is None:
        return Reading(Unknown(reason="broken-time", raw=line), None)
    return Reading(record, utc_ns)


def _unreadable(line: bytes) -> Reading:
    if not line:
        return Reading(Ignored(reason="empty-line"), None)
    if b"\0" in line:
        return Reading(Unknown(reason="nul-bytes", raw=line), None)
    is_tag = line.startswith(b"T")
    reason = "broken-line" if is_tag else "not-a-sensorgnome-line"
    return Reading(Unknown(reason=reason, raw=line), None)


_WITHOUT_PORT: Final = (b"G", b"S", b"C")


def _pulse(port: str, cells: list[bytes]) -> Record | None:
    if not _PULSE_CELLS[0] <= len(cells) <= _PULSE_CELLS[1]:
        return None
    values = [number(cell) for cell in cells]
    offset_khz, signal_db, noise_db = values[:3]
    if offset_khz is None or signal_db is None or noise_db is None or None in values:
        return None
    return Pulse(
        frequency_offset_hz=hertz(offset_khz),
        signal_db=signal_db,
        noise_db=noise_db,
        snr_db=values[3] if len(values) > _PULSE_CELLS[0] else None,
        antenna=port,
    )


_PULSE_CELLS: Final = (3, 4)


def hertz(kilohertz: float) -> float:
    """Return kilohertz as hertz, to the thousandth, without the dust of binary fractions."""
    return round(kilohertz * 1000, 3)


def _gps_fix(_: str, cells: list[bytes]) -> Record | None:
    if len(cells) not in _GPS_CELLS:
        return None
    told = [number(cell) for cell in cells]
    if any(value is None and cell not in _ABSENT for value, cell in zip(told, cells, strict=True)):
        return None
    latitude, longitude = told[:2]
    if latitude is None or longitude is None:
        return GpsFix()
    if abs(latitude) > _RIGHT_ANGLE_DEG or abs(longitude) > 2 * _RIGHT_ANGLE_DEG:
        return None
    altitude_m = told[2] if len(told) > _GPS_CELLS[0] else None
    return GpsFix(latitude=latitude, longitude=longitude, altitude_m=altitude_m)


_GPS_CELLS: Final = (2, 3)
_RIGHT_ANGLE_DEG: Final = 90


def _clock_event(_: str, cells: list[bytes]) -> Record | None:
    if len(cells) != _CLOCK_CELLS:
        return None
    digits, change = number(cells[0]), number(cells[1])
    if not isinstance(digits, int) or change is None:
        return None
    if isinstance(change, int):
        return ClockEvent(precision_digits=digits, step_s=change / 1000)
    return ClockEvent(precision_digits=digits, residual_s=change)


_CLOCK_CELLS: Final = 2


def _setting(_: str, cells: list[bytes]) -> Record | None:
    if not _SETTING_CELLS[0] <= len(cells) or not cells[1]:
        return None
    port, name, value, *rest = (cell.decode("utf-8", "backslashreplace") for cell in cells)
    return Setting(
        name=name, value=value, antenna=port or None, error_code=(rest or [""])[0] or None
    )


_SETTING_CELLS: Final = (3,)


def _pulse_count(port: str, cells: list[bytes]) -> Record | None:
    names = _COUNT_NAMES.get(len(cells))
    values = [number(cell) for cell in cells]
    if names is None or None in values:
        return None
    counts = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return RadioInfo(antenna=port, measurements=counts)


_COUNT_NAMES: Final[Mapping[int, tuple[str, ...]]] = {
    4: ("counted_s", "pulses", "pulses_in_bursts", "bursts"),
    2: ("flood_end_unix_s", "pulses_dropped"),
}


def _burst(port: str, cells: list[bytes]) -> Record | None:
    if len(cells) != len(_BURST_NAMES) + 1 or not _CODE.fullmatch(cells[0]):
        return None
    values = [number(cell) for cell in cells[1:]]
    if None in values:
        return None
    told = {
        name: value for name, value in zip(_BURST_NAMES, values, strict=True) if value is not None
    }
    return Detection(
        protocol="coded-id",
        tag_id=_lotek_id(cells[0]),
        integrity="unverified",
        antenna=port,
        snr_db=told.pop("snr_db"),
        frequency_offset_hz=hertz(told.pop("frequency_offset_khz")),
        measurements=told,
    )


_CODE = re.compile(rb"[0-9]{1,5}")
_BURST_NAMES: Final = (
    "frequency_offset_khz",
    "frequency_sd_khz",
    "signal_db",
    "signal_sd_db",
    "noise_db",
    "snr_db",
)


def _lotek_id(code: bytes) -> str:
    """Return the id of a tag of which only the maker's code number is told, not the project."""
    return f"lotek#{int(code)}"


def _gnu_radio_burst(port: str, cells: list[bytes]) -> Record | None:
    if len(cells) < _GNU_RADIO_CELLS or not _TAG_NAME.fullmatch(cells[0]):
        return None
    offset_khz = number(cells[1])
    if offset_khz is None:
        return None
    is_code = _CODE.fullmatch(cells[0])
    return Detection(
        protocol="coded-id",
        tag_id=_lotek_id(cells[0]) if is_code else cells[0].decode(),
        integrity="unverified",
        antenna=port,
        frequency_offset_hz=hertz(offset_khz),
    )


_GNU_RADIO_CELLS: Final = 3
_TAG_NAME = re.compile(rb"[0-9A-Za-z#.@:_+-]{1,64}")

_READERS: Final[Mapping[bytes, Callable[[str, list[bytes]], Record | None]]] = {
    b"p": _pulse,
    b"n": _pulse,
    b"G": _gps_fix,
    b"S": _setting,
    b"C": _clock_event,
    b"F": _pulse_count,
    b"B": _burst,
    b"b": _gnu_radio_burst,
}
"""What follows the time, by kind of line; T lines are read by `SensorGnomeReader`."""
