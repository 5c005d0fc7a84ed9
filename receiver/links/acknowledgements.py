"""Up to which frame a receiver may forget what it keeps: what an ACK of the station link says.

An ACK covers every frame before it, so it must not pass over one that may still come. A frame that
was lost holds it back until it is sent again, or for `gap_s`; and so long it waits at first where a
receiver was running before we heard of it: it may keep frames that are older than the first we
heard.
"""

from protocols.station_link.sequence import SEQ_MODULUS
from receiver.limits import STATION_LINK_GAP_S

_HALF = SEQ_MODULUS // 2


class Acknowledgements:
    """Frames become durable in any order; `take` tells what may be acknowledged.

    Times are seconds of one steady clock.
    """

    def __init__(self, gap_s: float = STATION_LINK_GAP_S) -> None:
        self.boot = 0
        """Number of the receiver's boot that is acknowledged: to be handed to `durable`."""
        self._gap_s = gap_s
        self._next: int | None = None
        self._durable: set[int] = set()
        self._gap_since: float | None = None
        self._held_until = 0.0
        self._has_news = False

    @property
    def due(self) -> float | None:
        """When `take` has something to say or to decide; a moment in the past means at once."""
        if self._has_news:
            return self._held_until
        return None if self._gap_since is None else self._gap_since + self._gap_s

    def begin(self, seq: int, now: float) -> None:
        """Tell the number of the first frame that was heard of a boot."""
        self.boot += 1
        self._next = seq
        self._durable.clear()
        self._gap_since = None
        self._held_until = now if seq == 0 else now + self._gap_s
        self._has_news = False

    def durable(self, boot: int, seq: int, now: float) -> None:
        """Tell that all that came of a frame is in the store."""
        if boot != self.boot or self._next is None:
            return
        if (seq - self._next) % SEQ_MODULUS >= _HALF:
            self._has_news = True  # It was sent again: its receiver missed our last ACK.
            return
        self._durable.add(seq)
        self._advance(now)

    def take(self, now: float) -> int | None:
        """Return the number to acknowledge now, None where there is nothing new to tell."""
        if self._gap_since is not None and now - self._gap_since >= self._gap_s:
            self._pass_over_gap(now)
        if not self._has_news or now < self._held_until or self._next is None:
            return None
        self._has_news = False
        return (self._next - 1) % SEQ_MODULUS

    def _pass_over_gap(self, now: float) -> None:
        missing = self._next or 0
        self._next = min(self._durable, key=lambda seq: (seq - missing) % SEQ_MODULUS)
        self._gap_since = None
        self._advance(now)

    def _advance(self, now: float) -> None:
        while self._next in self._durable:
            self._durable.discard(self._next)
            self._next = (self._next + 1) % SEQ_MODULUS
            self._gap_since = None
            self._has_news = True
        if self._durable and self._gap_since is None:
            self._gap_since = now
