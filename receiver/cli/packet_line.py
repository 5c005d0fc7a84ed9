"""One packet as one line for eyes: aligned, its level as a bar, coloured by how good it is."""

import shutil
import sys
from typing import Final

import msgspec
from rich.text import Text

from receiver.live import LiveDetection
from receiver.log import escaped

WEAKEST_DBM: Final = -120.0
STRONGEST_DBM: Final = -30.0
"""The ends of the bar: the noise of a receiver for tags, and a tag that touches the antenna."""

_WIDEST_DB: Final = 99.0
"""What the narrow column holds."""

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """How wide each column is."""

    time: int
    antenna: int
    tag: int
    name: int
    level: int
    bar: int
    integrity: int = 10
    interval: int = 7


NARROW: Final = Columns(time=8, antenna=8, tag=8, name=12, level=5, bar=8)
"""80 columns, with two blanks between them."""

WIDE: Final = Columns(time=10, antenna=14, tag=12, name=16, level=6, bar=12)
_WIDE_FROM: Final = 101

_STRONG_DBM: Final = -70.0
_WEAK_DBM: Final = -95.0
_INTEGRITY_STYLES: Final = {"verified": "green", "repaired": "yellow", "failed": "red"}
_MINUTE_S: Final = 60.0
_HOUR_S: Final = 3600.0


def columns_for(width: int | None = None) -> Columns:
    """Return the columns for a line of so many characters, else for where it is printed."""
    if width is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDE_FROM
    return WIDE if width >= _WIDE_FROM else NARROW


def heading(columns: Columns) -> str:
    """Return the line above the packets."""
    cells = (
        "time UTC".ljust(columns.time),
        "antenna".ljust(columns.antenna),
        "tag".ljust(columns.tag),
        "name".ljust(columns.name),
        "dBm".rjust(columns.level),
        "".ljust(columns.bar),
        "integrity".ljust(columns.integrity),
        "before".rjust(columns.interval),
    )
    return "  ".join(cells)


def line(detection: LiveDetection, columns: Columns) -> Text:
    """Return a packet as a line; what came from the air stays text.

    A radio that knows no dBm, as a software radio that is not calibrated, tells what stands above
    its noise: `44dB`.
    """
    rssi_dbm, level = detection.rssi_dbm, detection.drawn_dbm
    told = "" if rssi_dbm is None else f"{rssi_dbm:.1f}".removesuffix(".0")
    if rssi_dbm is not None and len(told) > columns.level:
        told = f"{rssi_dbm:.0f}"
    if rssi_dbm is None and detection.snr_db is not None:
        told = f"{max(-_WIDEST_DB, min(_WIDEST_DB, detection.snr_db)):.0f}dB"
    style = level_style(level)
    bold = "bold" if detection.is_known else ""
    cells = (
        Text(detection.time[11 : 11 + columns.time].ljust(columns.time), "dim"),
        Text(_cut(_place(detection), columns.antenna)),
        Text(_cut(detection.tag_id, columns.tag), bold),
        Text(_cut(detection.tag_name or "", columns.name), bold),
        Text(told.rjust(columns.level), style),
        Text(bar(level, columns.bar), style),
        Text(
            _cut(detection.integrity, columns.integrity),
            _INTEGRITY_STYLES.get(detection.integrity, ""),
        ),
        Text(interval(detection.interval_s).rjust(columns.interval)),
    )
    return Text("  ").join(cells)


def bar(level_dbm: float | None, width: int) -> str:
    """Return a level as a bar of so many characters, empty where there is none."""
    if level_dbm is None:
        return " " * width
    part = (level_dbm - WEAKEST_DBM) / (STRONGEST_DBM - WEAKEST_DBM)
    filled = round(min(1.0, max(0.0, part)) * width * 8)
    block = full_block()
    if block != "█":
        return (block * round(filled / 8)).ljust(width)
    whole, rest = divmod(filled, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(width)


def level_style(level_dbm: float | None) -> str:
    """Return the colour of a level."""
    if level_dbm is None:
        return ""
    if level_dbm >= _STRONG_DBM:
        return "green"
    return "red" if level_dbm < _WEAK_DBM else "yellow"


def interval(seconds: float | None) -> str:
    """Return the time since the tag was heard before, in seconds, minutes or hours."""
    if seconds is None:
        return "first"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.1f} min"
    return f"{seconds / _HOUR_S:.1f} h"


def _place(detection: LiveDetection) -> str:
    """Return the antenna, or the relay that passed it on."""
    if detection.relay_id is not None:
        return f"~{detection.relay_id}"
    return detection.antenna or detection.link


def _cut(words: str, width: int) -> str:
    shown = escaped(words)
    return (shown if len(shown) <= width else f"{shown[: width - 1]}…").ljust(width)


def full_block() -> str:
    """Return what a full cell is drawn with: a block, where what is printed to knows it."""
    return "█" if "utf" in (sys.stdout.encoding or "").lower() else "#"
