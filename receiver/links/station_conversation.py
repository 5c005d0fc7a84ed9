"""The station link on a serial port: TIME every few seconds, ACK once rows are safe, commands.

With `talk = "never"` nothing is written: frames are heard all the same, their times are those of
their arrival until enough have come, and the receiver keeps what it buffers.
"""

from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from protocols.framing import cobs_encode
from protocols.records import Record
from receiver.arrivals import Stamp
from receiver.limits import STATION_LINK_UNANSWERED
from receiver.links.conversation import Step
from receiver.links.intake import FrameNote, LinkStatus
from receiver.links.station_receiver import StationReceiver
from receiver.settings import SerialLink

_REOPEN_AFTER_S = 1.0
_SILENT_REOPEN_S = 60.0
"""A silent receiver's port is opened again at most this often."""


class StationConversation:
    """Implements `Conversation`; its `frame` is the intake's listener."""

    def __init__(
        self,
        settings: SerialLink,
        status: LinkStatus,
        log: FilteringBoundLogger,
        *,
        now: Callable[[], float],
    ) -> None:
        """`now` is the loop's clock."""
        self.due: float | None = None
        self.silent: str | None = None
        self.problem: str | None = None
        self.firmware: str | None = None
        self.wake: Callable[[], None] | None = None
        self._receiver = StationReceiver(status, wake=self._wanted, now=now)
        self._log = log
        self._talks = settings.talk != "never"
        self._interval_s = settings.poll_interval_s
        self._opened_at = 0.0
        self._token_at = 0.0
        self._last_heard_at: float | None = None
        """Of a receiver that fell silent: when its last frame came."""

    def frame(self, encoded: bytes, stamp: Stamp) -> FrameNote:
        """Take a frame; a `FrameListener`."""
        return self._receiver.frame(encoded, stamp)

    def command(self, text: str) -> None:
        """Send a COMMAND; the REPLY is stored as a `CommandReply`."""
        self._receiver.command(text)

    def opened(self, now: float) -> None:
        """Begin: the port was just opened (again)."""
        self._opened_at = self._token_at = now
        self._receiver.unanswered = 0
        self._look()

    def heard(self, records: Sequence[Record], now: float) -> None:
        """Take what the radio said, its answers among them."""
        del records, now  # The frames have been seen already.
        firmware = self._receiver.firmware
        if firmware != self.firmware:
            self._log.info("receiver says hello", firmware=firmware)
            self.firmware = firmware
        if self.silent is not None and self._receiver.heard_at != self._last_heard_at:
            self._log.warning("receiver heard again")
            self.silent = None
        if self.problem is not None and not self._receiver.is_deaf:
            self._log.info("receiver echoes TIME again")
            self.problem = None
        self._look()

    def step(self, now: float) -> Step:
        """Do what is due; does nothing before `due`."""
        if self.due is None or now < self.due:
            return Step()
        frames = []
        reopen_after_s = None
        if now >= self._token_at:
            self._judge()
            # The token first: what goes out before it would delay it.
            frames.append(self._receiver.token())
            self._token_at = now + self._interval_s
            if self.silent is not None and now - self._opened_at >= _SILENT_REOPEN_S:
                reopen_after_s = _REOPEN_AFTER_S
        frames += self._receiver.answers()
        self._look()
        return Step(b"".join(cobs_encode(frame) + b"\0" for frame in frames), reopen_after_s)

    def _judge(self) -> None:
        """Look whether the tokens so far were answered."""
        if not self._receiver.is_deaf:
            return
        silent_for_s = STATION_LINK_UNANSWERED * self._interval_s
        heard_at = self._receiver.heard_at
        if heard_at is None or heard_at <= self._token_at - silent_for_s:
            self._last_heard_at = heard_at
            if self.silent is None:
                self.silent = f"nothing came for {silent_for_s:g} s, not even an echo of TIME"
                self._log.warning(
                    "receiver silent",
                    reason=self.silent,
                    advice="it is asked on and its port opened again; unplug it and plug it in",
                )
        elif self.problem is None:
            self.problem = "it does not echo TIME: its times are as good as USB is"
            self._log.warning("receiver does not echo TIME", advice="see deploy/firmware")

    def _wanted(self) -> None:
        self._look()
        if self.wake is not None:
            self.wake()

    def _look(self) -> None:
        if not self._talks:
            return
        asked_at = self._receiver.due
        self.due = self._token_at if asked_at is None else min(self._token_at, asked_at)
