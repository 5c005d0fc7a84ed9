"""SensorGnome's lines, made of rows that no SensorGnome wrote.

    T<port>,ts,id (8 hex, or 10 with the CRC as received)[,rssi]     ts to the millisecond
    p<port>,ts,offset kHz,signal dB,noise dB[,snr dB]                ts to 0.1 ms, 4 digits
    G,ts of the GPS,latitude,longitude,altitude                      `undefined` where not told
    C,ts,digits,step ms                                              -1: not synchronised

Numbers as JavaScript prints them: no zeros at the end. Source: tve/sensorgnome-control,
cornelltagxcvr.js, gps.js, chrony.js; vamp-plugins, FindPulseFDBatch.cpp.
"""

from collections.abc import Mapping
from typing import Final

from receiver.arrivals import ClockQuality

_NS_PER_S: Final = 10**9

_CLOCK_DIGITS: Final[Mapping[ClockQuality, int]] = {"pps": 6, "gps": 2, "ntp": 2}
"""Decimals of a second that are right: a second pulse is good to microseconds, GPS over a serial
line and NTP over a mobile network to some ten milliseconds."""


def tag_line(port: int, time_ns: int, packet: bytes, rssi_dbm: float | None) -> str:
    """Return the record of a CTT tag."""
    level = "" if rssi_dbm is None else f",{_number(rssi_dbm)}"
    return f"T{port},{_seconds(time_ns, 3)},{packet.hex()}{level}"


def pulse_line(
    port: int,
    time_ns: int,
    *,
    offset_hz: float,
    signal_db: float,
    noise_db: float,
    snr_db: float | None,
) -> str:
    """Return the record of a pulse."""
    seconds, rest_ns = divmod(time_ns, _NS_PER_S)
    snr = "" if snr_db is None else f",{snr_db:.4g}"
    told = f"{offset_hz / 1000:.4g},{signal_db:.4g},{noise_db:.4g}"
    return f"p{port},{seconds}.{rest_ns // 100_000:04d},{told}{snr}"


def fix_line(gps_ns: int, latitude: float, longitude: float, altitude_m: float | None) -> str:
    """Return the record of a fix."""
    altitude = "undefined" if altitude_m is None else _number(round(altitude_m, 1))
    place = f"{_number(round(latitude, 9))},{_number(round(longitude, 9))}"
    return f"G,{_seconds(gps_ns, 3)},{place},{altitude}"


def clock_line(time_ns: int, quality: ClockQuality, step_ns: int) -> str:
    """Return the record of the clock's state; `step_ns` is 0 where it was not stepped."""
    digits = _CLOCK_DIGITS.get(quality, -1)
    return f"C,{_seconds(time_ns, 3)},{digits},{round(step_ns / 1e6)}"


def _seconds(time_ns: int, decimals: int) -> str:
    seconds, rest_ns = divmod(time_ns, _NS_PER_S)
    fraction = f"{rest_ns:09d}"[:decimals].rstrip("0")
    return f"{seconds}.{fraction}" if fraction else str(seconds)


def _number(value: float) -> str:
    whole = int(value)
    return str(whole) if whole == value else repr(float(value))
