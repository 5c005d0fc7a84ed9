"""What travels from a link to the store: a record, where it came from, and when.

A `Stamp` says when the last byte of a frame was read, by both clocks; a `Source` says which link,
decoder and antenna; an `Arrival` is one record with both. What the station notes of itself, clock
samples and activity, travels the same way.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from protocols.records import Record
from receiver.confidence import Confidence

ClockQuality: TypeAlias = Literal["pps", "gps", "ntp", "unsynchronised", "file", "implausible"]
"""How far the system clock could be trusted when a row was stamped. For imported rows: `file`
where the file claims a good clock, `unsynchronised` where it says otherwise, `implausible` where
the time cannot be."""

SET_CLOCKS: Final[frozenset[str]] = frozenset(("pps", "gps", "ntp"))
"""Qualities of a system clock that something keeps set."""


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """When a record arrived."""

    utc_ns: int
    """Nanoseconds since 1970-01-01 UTC, as the system clock (or the imported file) said."""
    clock: ClockQuality
    mono_ns: int | None = None
    """CLOCK_BOOTTIME of the same instant; None for imported rows."""
    boot: str | None = None
    """The kernel's boot id; None for imported rows."""


FIRST_RADIO: Final = "0"
"""As receivers that number their radios from 0 name the first, mostly the only one."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where records come from. One value serves all records of a link and decoder."""

    link: str
    decoder: str
    """Name and version of the decoder, `ctt/1`."""
    antenna: str | None = None
    """The owner's label for a link with one radio, or for the first (`0`) of several."""
    antennas: tuple[tuple[str, str], ...] = ()
    """The owner's labels for the radios of a link with several: (radio as the frame names it,
    label)."""
    import_id: int | None = None
    """The imported file, where there is one."""

    def antenna_of(self, radio: str | None) -> str | None:
        """Return the label of the antenna that `radio` (as the frame names it) listens on."""
        if radio is None:
            return self.antenna
        first = self.antenna if radio == FIRST_RADIO else None
        return dict(self.antennas).get(radio, first or radio)


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """One record, where it came from, and when."""

    record: Record
    source: Source
    stamp: Stamp
    run: int | None = None
    """Number of its run within this process, where its decoder found one: that of a `RunRow`."""


class ClockSample(msgspec.Struct, frozen=True):
    """One pair of the two clocks, kept so that stamps can be corrected later."""

    boot: str
    mono_ns: int
    utc_ns: int
    clock: ClockQuality
    reason: str
    """`start`, `sync` (the quality changed), `step` or `hourly`."""


class ActivityRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one antenna did in one hour, so far; a later row of the same key takes its place."""

    hour_utc_s: int
    session: str
    link: str
    antenna: str
    listening_s: float
    frames: int
    detections: int
    pulses: int
    noise_dbm: float | None
    rejects: dict[str, int]


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it stands; a later row of the same number takes its place."""

    number: int
    """Within the process (or tracker) that found it; the store gives it its own."""
    protocol: str
    tag_id: str
    place: str
    """The antenna, or the relay that passed the detections on."""
    first_utc_ns: int
    last_utc_ns: int
    detections: int
    verified: int
    """Detections whose checksum held."""
    missed: int | None = None
    """Transmissions that it should have had and did not; None where the interval is not known."""
    interval_s: float | None = None
    """The interval that its gaps are multiples of; None where they are not regular."""
    interval_error_ms: float | None = None
    """Worst distance of a transmission from where the interval puts it."""
    confidence: Confidence
    reason: str
    """Why, in kebab case: `verified-repeatedly`, `bit-7-of-344C2A55`…"""
