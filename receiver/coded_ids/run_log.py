"""Log lines of coded-ID runs that open and end: each one, up to so many a minute."""

from typing import Final

import structlog

from protocols.coded_id import RunEnded, RunOpened
from receiver.arrivals import RunRow
from receiver.limits import FIRST_DETECTIONS_LOGGED_PER_MINUTE

log = structlog.get_logger()

_MINUTE_NS: Final = 60 * 10**9


class RunLog:
    """Tells of runs; beyond the minute's bound they are counted, and told as a number."""

    def __init__(self) -> None:
        self._minute = -1
        self._lines = 0

    def tell(self, event: RunOpened | RunEnded, run: RunRow, link: str, mono_ns: int) -> None:
        """Tell that a run has opened or ended."""
        minute = mono_ns // _MINUTE_NS
        if minute != self._minute:
            more = self._lines - FIRST_DETECTIONS_LOGGED_PER_MINUTE
            if more > 0:
                log.info("more runs opened and ended", runs=more)
            self._minute, self._lines = minute, 0
        self._lines += 1
        if self._lines <= FIRST_DETECTIONS_LOGGED_PER_MINUTE:
            log.info(
                "run opened" if isinstance(event, RunOpened) else "run ended",
                tag=run.tag_id,
                antenna=run.place,
                link=link,
                bursts=run.detections,
                missed=run.missed,
                confidence=run.confidence,
            )
