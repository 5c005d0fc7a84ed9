"""Tags: who they are, how often they beep, and what they send."""

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from protocols.ctt.packet import build_packet, id_bytes_of
from simulator.chance import chance
from simulator.positions import Position

TagKind: TypeAlias = Literal["life-tag", "power-tag", "hybrid-tag"]
"""Solar LifeTags and HybridTags send a CRC behind their id, PowerTags send none.

Source: CTT tag guide: PowerTags are never shown as validated.
"""

AIRTIME_US: Final = 2_880
"""Nine bytes (preamble 2, sync 2, id 4, CRC 1) at 25 kbit/s."""


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """One tag on one animal that sits still."""

    tag_id: str
    """Eight hex digits."""
    position: Position
    kind: TagKind = "life-tag"
    interval_s: float = 5.0
    """LifeTags 5 s; the others as ordered, 15 to 43 s measured in the field."""
    jitter_s: float = 0.01
    """Each gap differs from the interval by at most this, evenly spread."""
    first_beep_s: float | None = None
    """When it beeps first; None is any time within the first interval."""
    power_dbm: float = 10.0

    def packet(self) -> bytes:
        """Return what follows the sync word: five bytes with the CRC, four without.

        Raises:
            EncodeError: the id is not eight hex digits.
        """
        if self.kind == "power-tag":
            return id_bytes_of(self.tag_id)
        return build_packet(self.tag_id)

    def beep_times_us(self, seed: int) -> Iterator[int]:
        """Return when it beeps, microseconds since the world began, without end."""
        dice = chance(seed, "tag", self.tag_id)
        first_s = self.first_beep_s
        beep_s = dice.uniform(0, self.interval_s) if first_s is None else first_s
        while True:
            yield round(beep_s * 1e6)
            gap_s = self.interval_s + dice.uniform(-self.jitter_s, self.jitter_s)
            beep_s += max(gap_s, AIRTIME_US / 1e6)
