"""Frames lost on the way, seen by the gaps in `seq`."""

from collections import deque
from typing import Final, Literal, TypeAlias

SEQ_MODULUS: Final = 1 << 16
_BEHIND: Final = SEQ_MODULUS // 2
"""A step of half the circle or more is a step back, as with TCP's sequence numbers (RFC 1982)."""

_REMEMBERED_FRAMES: Final = 1024
"""More than a receiver's buffer holds unacknowledged; two numbers each, under 100 kB."""

REORDER_US: Final = 1_000_000
"""A frame may tell of something up to a second older than the frame before it. A boot whose HELLO
was lost is known by an uptime that went back further."""

Arrival: TypeAlias = Literal["first", "next", "gap", "late", "repeated", "boot"]
"""What a frame's number tells: the first of the link, in order, after lost ones, one that was
missing until now, one that was heard already (sent again for want of an ACK), or the first of a
new boot."""


class SequenceCounter:
    """Counts the frames of one receiver, and those that never came.

    A receiver numbers its frames 0, 1, 2… from its boot, and 0 again after 65535. A frame sent
    again has its old number and its old uptime, by which it is known, so it is no boot; where it
    had been lost, it is no longer.
    """

    def __init__(self) -> None:
        self.frames = 0
        """Frames that came, those sent again not counted."""
        self.lost = 0
        """Frames that never came, or not yet."""
        self.repeated = 0
        self.boots = 0
        """Boots seen after the first frame."""
        self._last_seq: int | None = None
        self._newest_uptime_us = 0
        self._heard: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED_FRAMES)

    def observe(self, seq: int, uptime_us: int) -> Arrival:
        """Take a frame's number and uptime, tell what they mean."""
        if self._last_seq is None:
            return self._follow(seq, uptime_us, "first")
        ahead = (seq - self._last_seq) % SEQ_MODULUS
        went_back = uptime_us + REORDER_US < self._newest_uptime_us
        if not 0 < ahead < _BEHIND or went_back:
            if (seq, uptime_us) in self._heard:
                self.repeated += 1
                return "repeated"
            if self._fills_a_gap(seq, uptime_us):
                self.frames += 1
                self.lost -= 1
                self._heard.append((seq, uptime_us))
                return "late"
            return self.begin_boot(seq, uptime_us)
        self.lost += ahead - 1
        return self._follow(seq, uptime_us, "next" if ahead == 1 else "gap")

    def _fills_a_gap(self, seq: int, uptime_us: int) -> bool:
        """Tell whether a frame stands, by seq and uptime, between two that were heard."""
        had_earlier = False
        for heard_seq, heard_us in self._heard:
            behind = (seq - heard_seq) % SEQ_MODULUS
            if behind == 0:
                return False
            if behind < _BEHIND:
                had_earlier = True
                if heard_us > uptime_us + REORDER_US:
                    return False
            elif heard_us < uptime_us - REORDER_US:
                return False
        return had_earlier

    def begin_boot(self, seq: int, uptime_us: int) -> Arrival:
        """Take the first frame that was heard of a new boot (a HELLO's boot count tells it).

        The frames of the new boot before it are lost.
        """
        self.boots += 1
        self.lost += seq
        self._heard.clear()
        self._newest_uptime_us = 0
        return self._follow(seq, uptime_us, "boot")

    def _follow(self, seq: int, uptime_us: int, arrival: Arrival) -> Arrival:
        self.frames += 1
        self._last_seq = seq
        self._newest_uptime_us = max(self._newest_uptime_us, uptime_us)
        self._heard.append((seq, uptime_us))
        return arrival
