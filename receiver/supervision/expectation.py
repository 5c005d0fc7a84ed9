"""A radio of which something is expected: one that is not heard for too long counts as silent.

For radios that answer no poll: old dongles that must not be written to, and whatever publishes over
a network. How long is too long is the owner's to say; a quiet site hears nothing for months.
"""

from collections.abc import Callable

import structlog

from receiver.limits import SILENT_REOPEN_S
from receiver.links.intake import LinkState, LinkStatus

log = structlog.get_logger()


class Expectation:
    """Watches one link; `look` is called every minute or so, with a steady clock's seconds."""

    def __init__(self, status: LinkStatus, within_s: float, reopen: Callable[[], None]) -> None:
        """Something must be heard `within_s`, 0 expects nothing; `reopen` opens the link again."""
        self._status = status
        self._within_s = within_s
        self._reopen = reopen
        self._last_heard: int | None = None
        self._since_s: float | None = None
        self._reopened_s = 0.0
        self._is_missed = False

    def look(self, now_s: float) -> None:
        """Do what is due."""
        if not self._within_s:
            return
        status = self._status
        is_open = status.state not in (LinkState.STARTING, LinkState.FAILED)
        if status.last_heard_mono_ns != self._last_heard:
            self._last_heard = status.last_heard_mono_ns
            self._since_s = now_s
            if self._is_missed:
                self._found()
        elif self._since_s is None or not (is_open or self._is_missed):
            self._since_s = now_s
        elif is_open and now_s - self._since_s >= self._within_s:
            self._missed(now_s)

    def _missed(self, now_s: float) -> None:
        status = self._status
        status.reason = f"nothing heard for {self._within_s:g} s"
        if not self._is_missed:
            self._is_missed = True
            self._reopened_s = now_s - SILENT_REOPEN_S
            log.warning(
                "radio silent",
                link=status.name,
                reason=status.reason,
                advice="it is opened again; unplug it and plug it in",
            )
        status.state = LinkState.SILENT
        status.listening(now=False)
        if now_s - self._reopened_s >= SILENT_REOPEN_S:
            self._reopened_s = now_s
            self._reopen()

    def _found(self) -> None:
        status = self._status
        self._is_missed = False
        log.warning("radio heard again", link=status.name)
        if status.state is not LinkState.FAILED:
            status.state = LinkState.HEARING
            status.reason = None
            status.listening(now=True)
