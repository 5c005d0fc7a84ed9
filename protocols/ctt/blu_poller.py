"""What to ask a BluSeries receiver next, and what a reply that never came means. No I/O, no clock.

One request is out at a time. A radio that stops in the middle of a batch is asked again for the
rest: each detection is a reply of its own, so those that came are never lost with those that did
not. A radio that keeps silent costs its time-out and holds up nobody else.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from protocols.ctt.blu import START_DELAY_S, BluReply, RequestType, request

_NS_PER_S: Final = 1_000_000_000
POLL_INTERVAL_NS: Final = 10 * _NS_PER_S
STATS_INTERVAL_NS: Final = 600 * _NS_PER_S
REPLY_TIMEOUT_NS: Final = 3 * _NS_PER_S // 2
"""Intervals and time-out are those of CTT's station software."""

ATTEMPTS: Final = 3
"""How often a batch is asked for before the next round; a silent radio is asked once."""

SILENT_AFTER: Final = 3
"""Time-outs in a row that make a radio a silent one: half a minute at the usual interval."""


class PollStep(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now, and when to ask again if nothing comes before."""

    write: bytes
    """May be empty."""
    deadline_ns: int


class _Request(msgspec.Struct, frozen=True):
    type: RequestType
    channel: int
    attempt: int = 1


class BluPoller:
    """Asks each radio for its version at the start, its detections in each round, and its stats.

    Call `step` when replies came and when the last step's deadline is reached; write what it says.
    """

    def __init__(
        self,
        *,
        opened_ns: int,
        channels: Sequence[int] = (1, 2, 3, 4),
        poll_interval_ns: int = POLL_INTERVAL_NS,
    ) -> None:
        """Begin `START_DELAY_S` after the port was opened (and DTR set low) at `opened_ns`."""
        self.channels = tuple(channels)
        self.timeouts: Counter[int] = Counter()
        """Replies that did not come in time, by channel."""
        self.late_replies = 0
        """Replies that came after their time-out; their records count all the same."""
        self._poll_interval_ns = poll_interval_ns
        self._next_round_ns = opened_ns + round(START_DELAY_S * _NS_PER_S)
        self._next_stats_ns = self._next_round_ns + STATS_INTERVAL_NS
        self._unknown_versions = set(self.channels)
        self._timeouts_in_a_row: Counter[int] = Counter()
        self._waiting: deque[_Request] = deque()
        self._asked: _Request | None = None
        self._reply_due_ns = 0

    @property
    def silent_channels(self) -> tuple[int, ...]:
        """Radios whose last `SILENT_AFTER` requests went unanswered."""
        return tuple(
            channel for channel in self.channels if self._timeouts_in_a_row[channel] >= SILENT_AFTER
        )

    def step(self, now_ns: int, replies: Iterable[BluReply] = ()) -> PollStep:
        """Take the replies that came by `now_ns`; return what to write and when to call again."""
        for reply in replies:
            self._take(reply, now_ns)
        if self._asked and now_ns >= self._reply_due_ns:
            self._give_up(self._asked)
        if now_ns >= self._next_round_ns:
            self._begin_round(now_ns)
        write = b""
        if self._asked is None and self._waiting:
            self._asked = self._waiting.popleft()
            self._reply_due_ns = now_ns + REPLY_TIMEOUT_NS
            write = request(self._asked.type, self._asked.channel)
        due = self._reply_due_ns if self._asked else self._next_round_ns
        return PollStep(write=write, deadline_ns=min(due, self._next_round_ns))

    def _take(self, reply: BluReply, now_ns: int) -> None:
        self._timeouts_in_a_row.pop(reply.channel, None)
        if reply.type == RequestType.VERSION:
            self._unknown_versions.discard(reply.channel)
        asked = self._asked
        if asked is None or (asked.type, asked.channel) != (reply.type, reply.channel):
            self.late_replies += 1
        elif reply.type == RequestType.DETECTIONS and not reply.ends_batch:
            self._reply_due_ns = now_ns + REPLY_TIMEOUT_NS
        else:
            self._asked = None

    def _give_up(self, asked: _Request) -> None:
        self._asked = None
        self.timeouts[asked.channel] += 1
        self._timeouts_in_a_row[asked.channel] += 1
        is_worth_asking = asked.channel not in self.silent_channels and asked.attempt < ATTEMPTS
        if asked.type == RequestType.DETECTIONS and is_worth_asking:
            self._waiting.appendleft(_Request(asked.type, asked.channel, asked.attempt + 1))

    def _begin_round(self, now_ns: int) -> None:
        """Queue a round, unless the last one still has radios to ask."""
        rounds = (now_ns - self._next_round_ns) // self._poll_interval_ns + 1
        self._next_round_ns += rounds * self._poll_interval_ns
        if self._waiting:
            return
        for channel in self.channels:
            if channel in self._unknown_versions:
                self._waiting.append(_Request(RequestType.VERSION, channel))
            self._waiting.append(_Request(RequestType.DETECTIONS, channel))
        if now_ns >= self._next_stats_ns:
            self._next_stats_ns = now_ns + STATS_INTERVAL_NS
            self._waiting.extend(_Request(RequestType.STATS, channel) for channel in self.channels)
