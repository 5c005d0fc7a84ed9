"""A number large enough to be read at arm's length, made of blocks."""

from typing import Final

_DIGITS: Final = {
    "0": ("███", "█ █", "█ █", "█ █", "███"),
    "1": ("  █", "  █", "  █", "  █", "  █"),
    "2": ("███", "  █", "███", "█  ", "███"),
    "3": ("███", "  █", "███", "  █", "███"),
    "4": ("█ █", "█ █", "███", "  █", "  █"),
    "5": ("███", "█  ", "███", "  █", "███"),
    "6": ("███", "█  ", "███", "█ █", "███"),
    "7": ("███", "  █", "  █", "  █", "  █"),
    "8": ("███", "█ █", "███", "█ █", "███"),
    "9": ("███", "█ █", "███", "  █", "███"),
    "-": ("   ", "   ", "███", "   ", "   "),
}


def large(number: float, block: str = "█") -> str:
    """Return a whole number as five lines, each of its dots two characters wide."""
    digits = [_DIGITS[each] for each in f"{number:.0f}"]
    lines = [
        "  ".join("".join(2 * dot for dot in each[row]) for each in digits) for row in range(5)
    ]
    return "\n".join(line.rstrip().replace("█", block) for line in lines)
