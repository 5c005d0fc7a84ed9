"""A score as a picture: for each antenna what became of all that it could hear. SVG, no library."""

from typing import Final
from xml.sax.saxutils import escape

from receiver.scoring.score import Score, Tally

_COLOURS: Final = {
    "in-store": "#2a7f3f",
    "too-weak": "#c9c9c9",
    "disturbed": "#e6a23c",
    "collided": "#d9534f",
    "busy": "#b07cc6",
    "off": "#333333",
    "gated": "#7fa7d1",
    "wrong-id": "#8c564b",
    "damaged": "#f4c7a1",
    "not-delivered": "#17a2b8",
    "not-in-store": "#ff00a8",
}
_OTHER: Final = "#999966"

_ROW_PX: Final = 18
_NAME_PX: Final = 210
_BAR_PX: Final = 560
_HEAD_PX: Final = 96
_LEGEND_PX: Final = 128


def score_svg(score: Score) -> str:
    """Return the picture as the text of an SVG file."""
    rows = [score.total, *(each for each in score.antennas if each.could_be_heard)]
    causes = [name for name in _COLOURS if name == "in-store" or name in score.total.losses]
    causes += [name for name in score.total.losses if name not in _COLOURS]
    height = _HEAD_PX + _ROW_PX * (len(rows) + 1)
    width = _NAME_PX + _BAR_PX + 90
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(10, 22, "What became of every transmission that an antenna could hear", size=15),
        *_legend(causes),
    ]
    for number, row in enumerate(rows):
        parts += _bar(row, _HEAD_PX + number * _ROW_PX, causes)
    return "\n".join([*parts, "</svg>\n"])


def _legend(causes: list[str]) -> list[str]:
    parts = []
    for number, cause in enumerate(causes):
        across, down = number % 6, number // 6
        x, y = 10 + across * _LEGEND_PX, 36 + down * 20
        parts += [
            f'<rect x="{x}" y="{y}" width="12" height="12" fill="{_colour(cause)}"/>',
            _text(x + 17, y + 11, cause),
        ]
    return parts


def _bar(row: Tally, y: int, causes: list[str]) -> list[str]:
    parts = [_text(10, y + 12, row.name)]
    shares = {"in-store": row.in_store, **row.losses}
    x = float(_NAME_PX)
    for cause in causes:
        count = shares.get(cause, 0)
        if count and row.could_be_heard:
            wide = _BAR_PX * count / row.could_be_heard
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{_ROW_PX - 4}"'
                f' fill="{_colour(cause)}"><title>{escape(row.name)}: {count} {escape(cause)}'
                "</title></rect>"
            )
            x += wide
    told = "-" if row.efficiency is None else f"{100 * row.efficiency:.1f} %"
    return [*parts, _text(_NAME_PX + _BAR_PX + 8, y + 12, told)]


def _colour(cause: str) -> str:
    return _COLOURS.get(cause, _OTHER)


def _text(x: float, y: float, text: str, *, size: int = 12) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}">{escape(text)}</text>'
