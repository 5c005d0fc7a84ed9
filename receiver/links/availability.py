"""Whether a link is there, told once when it goes and once, at the same level, when it returns."""

import time
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from receiver.links.intake import LinkState, LinkStatus

_REASONS_TOLD_AN_OUTAGE = 8
"""Different reasons are told within one outage (a port that vanished may come back locked); one
that changes with every try is not."""


class Availability:
    """Writes a link's `LinkStatus` and logs each change of it once."""

    def __init__(
        self,
        status: LinkStatus,
        log: FilteringBoundLogger,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._status = status
        self._log = log
        self._clock = clock
        self._lost_at: float | None = None
        self._told: set[str] = set()

    def lost(self, reason: str, advice: str) -> None:
        """Tell that the link cannot hear, why, and what to do."""
        self._status.listening(now=False)
        self._status.state = LinkState.FAILED
        self._status.reason = f"{reason}: {advice}"
        if self._lost_at is None:
            self._lost_at = self._clock()
        if reason in self._told or len(self._told) >= _REASONS_TOLD_AN_OUTAGE:
            self._log.debug("link still lost", reason=reason)
            return
        self._told.add(reason)
        self._log.warning("link lost", reason=reason, advice=advice)

    def found(self, **facts: object) -> None:
        """Tell that the link is open and can hear."""
        self._status.opened += 1
        self._status.state = LinkState.QUIET
        self._status.reason = None
        self._status.listening(now=True)
        if self._lost_at is not None:
            away_s = round(self._clock() - self._lost_at, 1)
            self._log.warning("link found again", away_s=away_s, **facts)
        elif self._status.opened == 1:
            self._log.info("link open", **facts)
        self._lost_at = None
        self._told.clear()
