"""What a bad cable or a radio just powered up does to a line on its way."""

import random
from typing import Final

from simulator.truth import LineFault

_LONGEST_GARBAGE: Final = 24
_END: Final = b"\r\n"


def spoiled(line: bytes, rate: float, dice: random.Random) -> tuple[bytes, LineFault | None]:
    """Return a line as it comes out of the port, with chance `rate` of one fault, and the fault.

    Garbage holds no line end of its own, and a cut line keeps its end, so one fault touches one
    line.
    """
    if not rate or dice.random() >= rate:
        return line, None
    fault: LineFault = dice.choice(("garbage-line", "garbage-before", "cut"))
    if fault == "cut":
        text = line.removesuffix(_END)
        return text[: dice.randrange(len(text))] + _END, fault
    garbage = dice.randbytes(dice.randint(1, _LONGEST_GARBAGE)).translate(None, _END) or b"\xff"
    return garbage + (_END if fault == "garbage-line" else b"") + line, fault
