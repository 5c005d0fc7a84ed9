"""What the daemon gives to its page."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from protocols.records import Record
from receiver.arrivals import Source
from receiver.health.snapshot import StationSnapshot
from receiver.live import LiveRing
from receiver.settings import Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class StationParts:
    """The station as the page sees it; everything is called on the daemon's loop."""

    settings: Callable[[], Settings]
    """As they are in force now."""
    snapshot: Callable[[], StationSnapshot]
    """How the station is; takes less than 2 ms."""
    live: LiveRing
    names: Callable[[], Mapping[str, str]]
    """The owner's names of tags, by id."""
    known: Callable[[], frozenset[str]]
    """Tags on one of the station's lists."""
    keep: Callable[[Record, Source], None]
    """Puts a note of the station's own into the store."""
    boot: str
    reload: Callable[[], None] | None = None
    """Asks the daemon to read its configuration again; None where it has none."""
    configuration: Path | None = None
    """Its file; None where there is none."""

    @property
    def store(self) -> Path:
        """The store's file."""
        return Path(self.settings().store.path)
