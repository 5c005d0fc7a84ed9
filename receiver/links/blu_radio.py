"""The conversation with a BluSeries receiver: its radios are asked in turn, for ever.

What to ask, and what a reply that does not come means, is `protocols.ctt.blu_poller`; this gives it
the port and the clock.
"""

from collections.abc import Callable, Sequence
from typing import Final

from structlog.typing import FilteringBoundLogger

from protocols.ctt.blu import BluReply, parse_reply
from protocols.ctt.blu_poller import BluPoller
from protocols.records import RadioInfo, Record
from receiver.arrivals import Stamp
from receiver.links.conversation import Step
from receiver.links.intake import FrameNote, LinkStatus
from receiver.settings import SerialLink

_NS_PER_S: Final = 1e9
_REOPEN_AFTER_S: Final = 2.0
_SILENT_REOPEN_S: Final = 60.0
"""A silent receiver is switched off and on (by DTR, with its port) at most this often."""

TIMEOUTS: Final = "reply_timeouts"
"""Counter: replies that did not come in time."""


class BluConversation:
    """Implements `Conversation`; its `frame` is the intake's listener."""

    def __init__(self, settings: SerialLink, status: LinkStatus, log: FilteringBoundLogger) -> None:
        self.due: float | None = None
        self.silent: str | None = None
        self.problem: str | None = None
        self.firmware: str | None = None
        self.wake: Callable[[], None] | None = None
        self._status = status
        self._log = log
        self._talks = settings.talk != "never"
        self._poll_interval_ns = _ns(settings.poll_interval_s)
        self._poller = self._new_poller(0.0)
        self._opened_at = 0.0
        self._replies: list[BluReply] = []
        self._timeouts_told = 0
        self._versions: dict[str, str] = {}

    def frame(self, line: bytes, stamp: Stamp) -> FrameNote:
        """Take a reply line; a `FrameListener`."""
        reply = parse_reply(line)
        if reply is not None:
            self._replies.append(reply)
        return FrameNote(stamp)

    def opened(self, now: float) -> None:
        """Begin: the port was just opened (again), which switched the receiver on."""
        self._opened_at = now
        self._poller = self._new_poller(now)
        self._timeouts_told = 0
        self._replies.clear()
        if self._talks:
            self.due = self._poller.step(_ns(now)).deadline_ns / _NS_PER_S

    def heard(self, records: Sequence[Record], now: float) -> None:
        """Take what the receiver said: the next request goes out as soon as it may."""
        for record in records:
            if isinstance(record, RadioInfo):
                self._version(record)
        if self._talks and self._replies:
            self.due = now

    def step(self, now: float) -> Step:
        """Do what is due; does nothing before `due`."""
        if self.due is None or now < self.due:
            return Step()
        replies, self._replies = self._replies, []
        asked = self._poller.step(_ns(now), replies)
        self.due = asked.deadline_ns / _NS_PER_S
        self._count_timeouts()
        self._judge()
        if self.silent is not None and now - self._opened_at >= _SILENT_REOPEN_S:
            return Step(reopen_after_s=_REOPEN_AFTER_S)
        return Step(asked.write)

    def _new_poller(self, now: float) -> BluPoller:
        return BluPoller(opened_ns=_ns(now), poll_interval_ns=self._poll_interval_ns)

    def _version(self, told: RadioInfo) -> None:
        radio, version = told.antenna or "", told.firmware or "unnamed"
        if self._versions.get(radio) != version:
            self._versions[radio] = version
            self._log.info("radio answers", radio=radio, firmware=version)
            versions = ", ".join(f"{radio}: {self._versions[radio]}" for radio in self._versions)
            self.firmware = f"BluSeries {versions}"

    def _count_timeouts(self) -> None:
        timeouts = self._poller.timeouts.total()
        if timeouts > self._timeouts_told:
            self._status.turned_away[TIMEOUTS] += timeouts - self._timeouts_told
            self._timeouts_told = timeouts

    def _judge(self) -> None:
        """Tell a receiver that does not answer at all from one whose radio fell silent."""
        silent = self._poller.silent_channels
        if len(silent) == len(self._poller.channels):
            if self.silent is None:
                self.silent = "none of its radios answers"
                self._log.warning(
                    "receiver silent",
                    reason=self.silent,
                    advice="it is asked on and switched off and on; check its power and cable",
                )
        elif self.silent is not None:
            self._log.warning("receiver answers again")
            self.silent = None
        # A place without a radio never answered; only one that did can have fallen silent.
        lost = sorted(str(each) for each in silent if str(each) in self._versions)
        problem = f"radio {', '.join(lost)} does not answer" if lost and not self.silent else None
        if problem != self.problem:
            self._log.warning(problem or "every radio answers again")
            self.problem = problem


def _ns(seconds: float) -> int:
    return round(seconds * _NS_PER_S)
