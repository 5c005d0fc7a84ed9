"""What a pulse in a live decoder is remembered by, until it turns out whether it is a tag's."""

from collections.abc import Iterable, Iterator

import msgspec

from protocols.coded_id import HeardPulse
from protocols.records import Ignored
from receiver.arrivals import Arrival, Stamp


class PulseOrigin:
    """What a pulse in the decoder is remembered by."""

    __slots__ = ("arrival", "is_kept", "stamp")

    def __init__(self, arrival: Arrival, stamp: Stamp, *, is_kept: bool) -> None:
        self.arrival = arrival
        self.stamp = stamp
        """Of the pulse itself."""
        self.is_kept = is_kept


def later(stamp: Stamp, by_ns: int) -> Stamp:
    """Return the stamp of a moment after that of `stamp`."""
    if not by_ns:
        return stamp
    mono_ns = None if stamp.mono_ns is None else stamp.mono_ns + by_ns
    return msgspec.structs.replace(stamp, utc_ns=stamp.utc_ns + by_ns, mono_ns=mono_ns)


def raw_of(pulse: HeardPulse) -> bytes:
    """Return the bytes that a pulse was decoded from."""
    record = _origin_of(pulse).arrival.record
    return b"" if isinstance(record, Ignored) else record.raw


def stamp_of(time_ns: int, first: HeardPulse) -> Stamp:
    """Return the stamp of a burst: its first pulse may have been lost."""
    return later(_origin_of(first).stamp, time_ns - first.time_ns)


def kept_now(pulses: Iterable[HeardPulse]) -> Iterator[Arrival]:
    """Yield the pulses that are stored because they turned out to be a tag's."""
    for pulse in pulses:
        origin = _origin_of(pulse)
        if not origin.is_kept:
            origin.is_kept = True
            yield origin.arrival


def _origin_of(pulse: HeardPulse) -> PulseOrigin:
    assert isinstance(pulse.origin, PulseOrigin)  # noqa: S101  The listener made it so.
    return pulse.origin
