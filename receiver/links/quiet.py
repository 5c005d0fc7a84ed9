"""Noticing that a link has become quiet, without waking up for links that are."""

import asyncio
import time

from protocols.records import CommandReply, Ignored, LogLine, RadioError, RadioInfo, Unknown
from receiver.links.intake import LinkState, LinkStatus

NOTHING_HEARD = (RadioInfo, RadioError, CommandReply, LogLine, Unknown, Ignored)
"""Records that tell of the radio or of noise, not of anything that it heard."""


class QuietWatch:
    """Turns `hearing` into `quiet` when nothing was heard for `quiet_after_s`."""

    def __init__(self, status: LinkStatus, quiet_after_s: float) -> None:
        self._status = status
        self._quiet_after_s = quiet_after_s
        self._timer: asyncio.TimerHandle | None = None

    def heard(self) -> None:
        """Tell that something was heard now."""
        self._status.heard(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        self.look()

    def look(self) -> None:
        """Begin to wait if the link is hearing and nobody waits yet."""
        if self._timer is None and self._status.state is LinkState.HEARING:
            self._wait()

    def stop(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = None
        if self._status.state is not LinkState.HEARING:
            return
        heard_ns = self._status.last_heard_mono_ns or 0
        heard_s_ago = (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - heard_ns) / 1e9
        left_s = self._quiet_after_s - heard_s_ago
        if left_s > 0:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._wait)
        else:
            self._status.state = LinkState.QUIET
