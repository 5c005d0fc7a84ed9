"""What chrony and a GPS receiver say of the system clock, beside the kernel, and what cannot be."""

from typing import Final

from receiver.arrivals import ClockQuality

FIRST_POSSIBLE_NS: Final = 1_735_689_600 * 10**9
"""2025-01-01: this program is younger. Clocks without a battery say 1970, 2000 or their image's
date; receivers whose week counter rolled over say 1999 or 2006."""

LAST_POSSIBLE_NS: Final = FIRST_POSSIBLE_NS + 1024 * 7 * 86_400 * 10**9
"""2044-08-16, 1024 weeks later: of all the times that a receiver which counts weeks modulo 1024 may
mean, one lies between the two. Raise both with a release before that year comes near."""

GPS_TRUSTED_AFTER_NS: Final = 10 * 10**9
"""A receiver's time counts after its fixes ran on evenly for so long: the first ones after a cold
start may still be its battery clock's."""

_GPS_EVEN_NS: Final = 10**9
"""A fix reaches us between 0.1 and 1 s after its moment, later on a slow line at times."""

_GPS_AGREES_NS: Final = (-500_000_000, 1_500_000_000)
"""A clock that is right is this far ahead of a fix that arrives: the way through receiver, serial
line and gpsd takes time, and up to half a second of doubt is the clock's."""

_GPS_LASTS_NS: Final = 60 * 10**9
"""How long after its last fix a receiver still vouches for the clock: under a bridge it stays."""

_CHRONY_LASTS_NS: Final = 180 * 10**9
"""How long chrony's word holds: it is asked every minute, and may miss two."""


def is_possible(utc_ns: int) -> bool:
    """Tell whether it can be this time at all while this program runs."""
    return FIRST_POSSIBLE_NS <= utc_ns < LAST_POSSIBLE_NS


class References:
    """Who vouches for the system clock.

    All times are nanoseconds; `mono_ns` is CLOCK_BOOTTIME.
    """

    def __init__(self) -> None:
        self.gps_disagrees_s: float | None = None
        """By how much a disciplined clock is ahead of a receiver that can be trusted, where that is
        too much; None where they agree or there is no receiver."""
        self._chrony: ClockQuality | None = None
        self._chrony_until_ns = 0
        self._gps_since_ns: int | None = None
        self._gps_last_ns = 0
        self._gps_offset_ns = 0
        self._gps_agrees = False

    def chrony_said(self, quality: ClockQuality | None, mono_ns: int) -> None:
        """Take what chrony says disciplines the clock; None where it does not say."""
        self._chrony = quality
        self._chrony_until_ns = mono_ns + _CHRONY_LASTS_NS

    def gps_said(self, gps_utc_ns: int, mono_ns: int, utc_ns: int) -> None:
        """Take the time of a fix that arrived at `mono_ns`, when the system clock said `utc_ns`."""
        offset_ns = gps_utc_ns - mono_ns
        broken_off = mono_ns - self._gps_last_ns > _GPS_LASTS_NS
        uneven = abs(offset_ns - self._gps_offset_ns) > _GPS_EVEN_NS
        if self._gps_since_ns is None or broken_off or uneven or not is_possible(gps_utc_ns):
            self._gps_since_ns = mono_ns
        self._gps_last_ns = mono_ns
        self._gps_offset_ns = offset_ns
        ahead_ns = utc_ns - gps_utc_ns
        earliest_ns, latest_ns = _GPS_AGREES_NS
        self._gps_agrees = earliest_ns <= ahead_ns <= latest_ns
        self.gps_disagrees_s = None
        if self.gps_is_trusted(mono_ns) and not self._gps_agrees:
            self.gps_disagrees_s = round(ahead_ns / 1e9, 3)

    def gps_is_trusted(self, mono_ns: int) -> bool:
        """Tell whether the receiver's fixes ran on evenly, up to now, at times that can be."""
        return (
            self._gps_since_ns is not None
            and mono_ns - self._gps_last_ns <= _GPS_LASTS_NS
            and self._gps_last_ns - self._gps_since_ns >= GPS_TRUSTED_AFTER_NS
        )

    def judged(self, kernel: ClockQuality, mono_ns: int) -> ClockQuality:
        """Return the clock's quality, from what the kernel says and who vouches for it.

        A clock that the kernel calls unsynchronised is that, whoever else says what. One that
        chrony steers by nothing but itself (`local`) is that too.
        """
        if kernel == "unsynchronised":
            return kernel
        if self._chrony is not None and mono_ns <= self._chrony_until_ns:
            return "pps" if kernel == "pps" and self._chrony != "unsynchronised" else self._chrony
        if kernel == "ntp" and self._gps_agrees and self.gps_is_trusted(mono_ns):
            return "gps"
        return kernel
