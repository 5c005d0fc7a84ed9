"""Occupancy as a picture: a panel a band, a bar an hour. SVG, no library."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.sax.saxutils import escape

_HOUR: Final = dt.timedelta(hours=1)
_LEFT_PX: Final = 60
_PLOT_PX: Final = 900
_RIGHT_PX: Final = 60
_HEAD_PX: Final = 64
_PANEL_PX: Final = 120
_GAP_PX: Final = 52
_TITLE_PX: Final = 18
_TICKS: Final = 6
_HEARD: Final = "#2a7f3f"
_LISTENED: Final = "#e4ecf4"
_FINE_PX: Final = 0.5
"""The narrowest bar: of 1800 hours each still has its own; beyond, bars overlap."""


def occupancy_svg(hours: Sequence[Mapping[str, Any]], station: str, advice: str) -> str:
    """Return the picture of what `hourly_occupancy` yields, as the text of an SVG file.

    Green bars are packets and pulses an hour; a pale ground means that somebody listened, so that
    white means nobody did.
    """
    bands: dict[str, list[Mapping[str, Any]]] = {}
    for hour in hours:
        bands.setdefault(hour["band"], []).append(hour)
    times = [_time(hour["hour"]) for hour in hours]
    first, after = (min(times), max(times) + _HOUR) if times else (None, None)
    width = _LEFT_PX + _PLOT_PX + _RIGHT_PX
    height = _HEAD_PX + max(1, len(bands)) * (_PANEL_PX + _GAP_PX)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(10, 22, f"Packets and pulses an hour, by band: station {station}", size=15),
        _text(10, 40, "Pale: listened. White: nobody listened. Times are UTC."),
        f"<desc>{escape(advice)}</desc>",
    ]
    if first is None or after is None:
        parts.append(_text(10, _HEAD_PX + 20, "No hour of listening is in the store."))
    else:
        for number, (band, of_band) in enumerate(bands.items()):
            top = _HEAD_PX + number * (_PANEL_PX + _GAP_PX)
            parts += _panel(band, of_band, top, first, after)
    return "\n".join([*parts, "</svg>\n"])


def _panel(
    band: str, hours: Sequence[Mapping[str, Any]], top: int, first: dt.datetime, after: dt.datetime
) -> list[str]:
    span = after - first
    wide = max(_PLOT_PX * (_HOUR / span), _FINE_PX)
    most = max(_heard(hour) for hour in hours)
    bottom = top + _PANEL_PX
    tall = _PANEL_PX - _TITLE_PX
    allocations = " ".join(hours[0]["allocations"]) or "no allocation known"
    parts = [_text(_LEFT_PX, top + 10, f"{band}: {allocations}")]
    for hour in hours:
        x = _LEFT_PX + _PLOT_PX * ((_time(hour["hour"]) - first) / span)
        if hour["listening_s"] > 0:
            parts.append(_bar(x, bottom, wide, tall, f'fill="{_LISTENED}"/>'))
        if _heard(hour):
            high = tall * _heard(hour) / most
            titled = f'fill="{_HEARD}"><title>{escape(_told(hour))}</title></rect>'
            parts.append(_bar(x, bottom, wide, high, titled))
    parts += [
        (
            f'<path d="M{_LEFT_PX} {bottom - tall}V{bottom}H{_LEFT_PX + _PLOT_PX}"'
            ' fill="none" stroke="#333"/>'
        ),
        _text(_LEFT_PX - 6, bottom - tall + 10, f"{most}", anchor="end"),
        _text(_LEFT_PX - 6, bottom, "0", anchor="end"),
    ]
    for tick in range(_TICKS + 1):
        moment = first + span * tick / _TICKS
        x = _LEFT_PX + _PLOT_PX * tick / _TICKS
        parts.append(_text(x, bottom + 16, f"{moment:%Y-%m-%d %H:%M}", size=10, anchor="middle"))
    return parts


def _heard(hour: Mapping[str, Any]) -> int:
    packets: int = hour["packets"]
    pulses: int = hour["pulses"]
    return packets + pulses


def _told(hour: Mapping[str, Any]) -> str:
    return f"{hour['hour']}: {hour['packets']} packets, {hour['pulses']} pulses"


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _bar(x: float, bottom: float, wide: float, high: float, rest: str) -> str:
    top = bottom - high
    return f'<rect x="{x:.2f}" y="{top:.2f}" width="{wide:.2f}" height="{high:.2f}" {rest}'


def _text(x: float, y: float, text: str, *, size: int = 12, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
