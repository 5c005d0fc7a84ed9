"""The log's line of each minute: what was heard, and how links, store and clock are."""

from collections import Counter
from collections.abc import Sequence

import structlog

from receiver.heard import Heard
from receiver.limits import FIRST_DETECTIONS_LOGGED_PER_MINUTE
from receiver.links.intake import LinkStatus

log = structlog.get_logger()


class Minute:
    """Tells of each minute what came in it; `tell` is called once a minute."""

    def __init__(self, heard: Heard) -> None:
        self.last = ""
        """How much was heard in the last whole minute, in words; empty before there was one."""
        self._heard = heard
        self._before = self._counts()

    def tell(self, links: Sequence[LinkStatus], *, store: str, clock: str) -> None:
        """Log the minute that ends now."""
        heard = self._heard
        now = self._counts()
        detections, pulses, unknown, dropped = (
            after - earlier for after, earlier in zip(now, self._before, strict=True)
        )
        self._before = now
        self.last = f"{detections} detections in the last minute"
        log.info(
            "last minute",
            detections=detections,
            **({"pulses": pulses} if pulses else {}),
            tags_since_start=len(heard.tags),
            links=states(links),
            store=store,
            clock=clock,
        )
        if unknown:
            log.warning("unknown frames", count=unknown, do="see `stopover status`")
        if dropped:
            log.error("rows dropped: no room while the store is away", rows=dropped)
        quiet = heard.first_detections_this_minute - FIRST_DETECTIONS_LOGGED_PER_MINUTE
        if quiet > 0:
            log.info("more tags heard first", tags=quiet)
        heard.first_detections_this_minute = 0

    def _counts(self) -> tuple[int, int, int, int]:
        heard = self._heard
        return (heard.detections, heard.pulses, heard.unknown_frames, heard.dropped_rows)


def states(links: Sequence[LinkStatus]) -> str:
    """Return `3 hearing, 1 failed`."""
    counts = Counter(str(link.state) for link in links)
    return ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"
