"""Noticing that a link which used to decode starts to fail, as after a change of firmware.

What a link hears is judged `DECODE_WINDOW_FRAMES` at a time. One that could once be read almost
whole fails when half of it cannot be read any more, and has mended when it can be again; a site
full of noise, which never could be read whole, raises no alarm.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
import structlog

from receiver.limits import DECODE_WINDOW_FRAMES

log = structlog.get_logger()

DECODES_BELOW: Final = 0.1
FAILS_FROM: Final = 0.5
"""Parts of what came that could not be read."""


class LinkTotals(msgspec.Struct, frozen=True):
    """What a link has heard since it was started."""

    link: str
    records: int
    unknown: int


class DecodingChange(msgspec.Struct, frozen=True):
    """A link has begun to fail, or has mended."""

    link: str
    fails: bool
    unknown_percent: int


class _Link:
    def __init__(self) -> None:
        self.records = self.unknown = 0
        self.window_records = self.window_unknown = 0
        self.did_decode = False
        self.fails = False


class DecodeWatch:
    """Judges the totals of all links, handed in from time to time."""

    def __init__(self) -> None:
        self._links: dict[str, _Link] = {}

    @property
    def failing(self) -> frozenset[str]:
        """The links that fail."""
        return frozenset(name for name, link in self._links.items() if link.fails)

    @property
    def alarms(self) -> list[str]:
        """The links that fail, for a technician."""
        return [
            f"link {name} hears what it cannot read: see `stopover status`"
            for name, link in self._links.items()
            if link.fails
        ]

    def look(self, totals: Iterable[LinkTotals]) -> list[DecodingChange]:
        """Take the totals of now; return what has changed, and tell it in the log."""
        known, self._links = self._links, {}
        changes = []
        for each in totals:
            link = known.get(each.link) or _Link()
            if each.records < link.records:
                link = _Link()  # It was started anew, with other settings perhaps.
            self._links[each.link] = link
            change = self._judge(link, each)
            if change is not None:
                _tell(change)
                changes.append(change)
        return changes

    @staticmethod
    def _judge(link: _Link, totals: LinkTotals) -> DecodingChange | None:
        link.window_records += totals.records - link.records
        link.window_unknown += totals.unknown - link.unknown
        link.records, link.unknown = totals.records, totals.unknown
        if link.window_records < DECODE_WINDOW_FRAMES:
            return None
        part = link.window_unknown / link.window_records
        link.window_records = link.window_unknown = 0
        failed = link.fails
        if part <= DECODES_BELOW:
            link.did_decode, link.fails = True, False
        elif part >= FAILS_FROM and link.did_decode:
            link.fails = True
        if link.fails is failed:
            return None
        return DecodingChange(totals.link, link.fails, round(100 * part))


def _tell(change: DecodingChange) -> None:
    if change.fails:
        log.warning(
            "link hears what it cannot read any more",
            link=change.link,
            unknown_percent=change.unknown_percent,
            do="see `stopover status`: has its radio other firmware, its line a fault?",
        )
    else:
        log.warning("link can be read again", link=change.link)
