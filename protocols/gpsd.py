"""gpsd's reports: one JSON object a line, of which TPV tells time and position.

TPV, as far as it is read (all but `class` may be missing):

field   unit       meaning
class   -          "TPV"
mode    -          0 unknown, 1 no fix, 2 two-dimensional, 3 three-dimensional
time    ISO 8601   the receiver's time of the fix, UTC
lat     degree     latitude, WGS 84, north positive
lon     degree     longitude, WGS 84, east positive
altMSL  m          altitude above mean sea level; gpsd before 3.20 calls it alt
eph     m          estimated error of the position; epx and epy: of its two parts
speed   m/s        over ground

Source: gpsd_json(5).
"""

import math
from typing import Final

import msgspec

from protocols.records import GpsFix, Ignored, Unknown
from protocols.times import iso_ns

DECODER: Final = "gpsd/1"
"""Name and version, as rows carry it."""

WATCH: Final = b'?WATCH={"enable":true,"json":true}\n'
"""Asks gpsd to report from now on."""

_TWO_DIMENSIONAL: Final = 2


class _Report(msgspec.Struct, frozen=True, rename={"kind": "class", "alt_msl": "altMSL"}):
    kind: str
    mode: int = 0
    time: str | None = None
    lat: float | None = None
    lon: float | None = None
    alt_msl: float | None = None
    alt: float | None = None
    eph: float | None = None
    epx: float | None = None
    epy: float | None = None
    speed: float | None = None


_decode = msgspec.json.Decoder(_Report).decode


def fix_of(line: bytes) -> GpsFix | Ignored | Unknown:
    """Return the fix that a line reports; `Ignored` for reports of another class.

    A report without a fix gives a `GpsFix` without a position. Never raises.
    """
    try:
        report = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Unknown(reason="not-a-report", raw=line)
    if report.kind != "TPV":
        return Ignored(reason="other-report")
    position = _position(report) if report.mode >= _TWO_DIMENSIONAL else None
    if position is None:
        return GpsFix(fix_mode=1, gps_unix_s=None)
    latitude, longitude = position
    when_ns = iso_ns(report.time.encode()) if report.time else None
    altitude_m = report.alt_msl if report.alt_msl is not None else report.alt
    return GpsFix(
        latitude=latitude,
        longitude=longitude,
        altitude_m=_finite(altitude_m) if report.mode > _TWO_DIMENSIONAL else None,
        accuracy_m=_accuracy_m(report),
        fix_mode=report.mode,
        gps_unix_s=None if when_ns is None else when_ns / 1e9,
        measurements=None if _finite(report.speed) is None else {"speed_m_s": report.speed or 0.0},
    )


def _position(report: _Report) -> tuple[float, float] | None:
    """Return (latitude, longitude), None where there is none or it is on no globe."""
    latitude, longitude = report.lat, report.lon
    if latitude is None or longitude is None:
        return None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):  # noqa: PLR2004  Degrees.
        return None
    return latitude, longitude


def _accuracy_m(report: _Report) -> float | None:
    if report.eph is None and report.epx is not None and report.epy is not None:
        return _finite(math.hypot(report.epx, report.epy))
    accuracy_m = _finite(report.eph)
    return accuracy_m if accuracy_m is None or accuracy_m >= 0 else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
