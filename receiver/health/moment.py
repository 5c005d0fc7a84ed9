"""How long ago something was, by whichever clock can tell."""

import msgspec

from receiver.arrivals import SET_CLOCKS, Stamp

_GOOD: frozenset[str] = SET_CLOCKS | {"corrected"}


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When something was: by a steady clock within its boot, by the system clock beyond."""

    utc_ns: int
    quality: str
    """As `time_quality` of rows."""
    boot: str | None = None
    mono_ns: int | None = None


def moment_of(stamp: Stamp) -> Moment:
    """Return the moment that a stamp tells."""
    return Moment(utc_ns=stamp.utc_ns, quality=stamp.clock, boot=stamp.boot, mono_ns=stamp.mono_ns)


def age_s(moment: Moment, now: Stamp) -> float | None:
    """Return the seconds since a moment; None where neither clock can tell."""
    is_this_boot = moment.boot is not None and moment.boot == now.boot
    if is_this_boot and moment.mono_ns is not None and now.mono_ns is not None:
        return max(0.0, (now.mono_ns - moment.mono_ns) / 1e9)
    if moment.quality in _GOOD and now.clock in _GOOD:
        return max(0.0, (now.utc_ns - moment.utc_ns) / 1e9)
    return None
