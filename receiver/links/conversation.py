"""What a link may say to its radio: a conversation knows the protocol, not the port or the clock.

Times are seconds of one steady clock, handed in by the link. After `opened` and after each `heard`
the link looks at `due`; when that moment has come it calls `step` and does what it returns.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from protocols.records import Record


class Step(msgspec.Struct, frozen=True):
    """What the link is to do now."""

    write: bytes = b""
    reopen_after_s: float | None = None
    """Close the port and open it again after so many seconds; None leaves it open."""


class Conversation(Protocol):
    """Talks with the radio of one link."""

    due: float | None
    """When `step` wants to be called; None waits for something to be heard."""
    silent: str | None
    """Why the radio counts as silent, for a technician; None while it does not."""
    problem: str | None
    """What else is wrong with the radio; None while nothing is."""
    firmware: str | None
    """Name and firmware as the radio told them."""
    wake: Callable[[], None] | None
    """Set by the link while its port is open: to be called when `due` changed in between."""

    def opened(self, now: float) -> None:
        """Begin: the port was just opened (again)."""
        ...

    def heard(self, records: Sequence[Record], now: float) -> None:
        """Take what the radio said, its answers among them."""
        ...

    def step(self, now: float) -> Step:
        """Do what is due; does nothing before `due`."""
        ...
