"""What an unknown frame looks like: frames of one kind get one shape, so that they can be counted.

Text keeps its punctuation; numbers become 9, words a, long hexadecimal numbers h with their length:

    78664C3304A8,-75      h12,-9
    {"volts":3.71}        {"a":9.9}

Anything else is told by its first two bytes and a class of lengths: `01 0b 16-31 bytes`.
"""

import re
from typing import Final

_LONGEST: Final = 48
_TEXT_PART: Final = 0.9
"""A line with a garbled byte in ten is still a line."""

_PRINTABLE: Final = bytes(range(0x20, 0x7F))
_SHORTEST_HEX: Final = 6
_RUN: Final = re.compile(r"[0-9A-Za-z]+|[^\x20-\x7e]+| +")
_WORD_OR_NUMBER: Final = re.compile(r"[0-9]+|[A-Za-z]+")
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")


def shape(raw: bytes) -> str:
    """Return the shape of a frame; never raises, never longer than 49 characters."""
    if not raw:
        return "empty"
    unprintable = len(raw.translate(None, _PRINTABLE))
    if unprintable > (1 - _TEXT_PART) * len(raw):
        return _shape_of_bytes(raw)
    text = _RUN.sub(_shape_of_run, raw.decode("latin-1"))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _shape_of_bytes(raw: bytes) -> str:
    least = 1 << (len(raw).bit_length() - 1)
    lengths = f"{least}-{2 * least - 1}" if least > 1 else "1"
    return f"{raw[:2].hex(' ')} {lengths} bytes"


def _shape_of_run(match: re.Match[str]) -> str:
    run = match[0]
    if run[0] == " ":
        return " "
    if not run[0].isascii() or not run[0].isalnum():
        return "?"
    if len(run) >= _SHORTEST_HEX and _HEX.fullmatch(run) and re.search("[0-9]", run):
        return f"h{len(run)}"
    return _WORD_OR_NUMBER.sub(lambda part: "9" if part[0].isdigit() else "a", run)
