"""Cells of CSV files that people open in spreadsheets.

Spreadsheets run a text that begins with = + - @ as a formula, and tag ids and labels come from the
air. Such a text gets an apostrophe before it, which spreadsheets take as "this is text". Line ends
and tabs become a space, other control characters vanish: a row is one line. Numbers are written as
numbers. Source: OWASP, "CSV Injection".
"""

import functools
from collections.abc import Mapping
from typing import Final

import msgspec

_FORMULA_BEGINS: Final = ("=", "+", "-", "@")
_BECOME_SPACES: Final = "\t\r\n"


@functools.lru_cache(maxsize=4096)
def text(value: str) -> str:
    """Return a text that is one line and that no spreadsheet runs."""
    if not value.isprintable():
        value = "".join(
            " " if each in _BECOME_SPACES else each
            for each in value
            if each.isprintable() or each in _BECOME_SPACES
        )
    return f"'{value}" if value.lstrip().startswith(_FORMULA_BEGINS) else value


def cell(value: object) -> str | float:
    """Return a value as the project's CSV files write it: absent is empty, truth is yes or no."""
    if isinstance(value, str):
        return text(value)
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
