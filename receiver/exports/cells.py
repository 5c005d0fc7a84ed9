"""Cells of CSV files that people open in spreadsheets.

A text that begins with = + - @, a tab or a carriage return is run as a formula by spreadsheets; tag
ids and labels come from the air. Such a text gets an apostrophe before it, which spreadsheets take
as "this is text". Numbers are written as numbers. Source: OWASP, "CSV Injection".
"""

from collections.abc import Mapping
from typing import Final

import msgspec

_FORMULA_BEGINS: Final = ("=", "+", "-", "@", "\t", "\r")
_CSV_KEPT: Final = "\t\r\n"


def text(value: str) -> str:
    """Return a text that no spreadsheet runs, without control characters but tab and line ends."""
    if not value.isprintable():
        value = "".join(each for each in value if each.isprintable() or each in _CSV_KEPT)
    return f"'{value}" if value.startswith(_FORMULA_BEGINS) else value


def cell(value: object) -> str | float:
    """Return a value as the project's CSV files write it: absent is empty, truth is yes or no."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return msgspec.json.encode(value).decode() if value else ""
    return text(str(value))


def number(value: float | None, decimals: int) -> str:
    """Return a number with at most so many decimals, "" where there is none."""
    if value is None:
        return ""
    shown = f"{value:.{decimals}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown
