"""Stamps: what time it is, by both clocks, and how far that can be trusted.

`utc_ns` is the system clock, right or wrong; `mono_ns` is CLOCK_BOOTTIME, which nobody sets and
which runs through suspend. The kernel says by adjtimex whether somebody disciplines the system
clock; chrony, timesyncd, ntpd and gpsd all tell the kernel. What chrony and gpsd add to that is in
`receiver.clock_trust`. A time that cannot be is `implausible`, whatever the kernel says of it.
"""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from receiver.arrivals import ClockQuality, ClockSample, Stamp
from receiver.clock_trust import References, is_possible

STEP_NS: Final = 20_000_000
"""A change of the system clock against CLOCK_BOOTTIME by more than this is a step. The kernel slews
both clocks alike, so that between steps nothing but the time between the two readings differs."""

_LOOK_EVERY_NS: Final = 1_000_000_000
"""How often at most the kernel is asked for its sync state: a call costs 2 µs, stamps come in
thousands a second."""

_SAMPLE_EVERY_NS: Final = 3600 * 10**9

_STA_UNSYNC: Final = 0x0040
_STA_PPSSIGNAL: Final = 0x0100
_TIME_ERROR: Final = 5

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock:
    """Stamps arrivals and notices what happens to the system clock.

    The parts that read the machine can be replaced, so that a test brings its own time.
    """

    def __init__(
        self,
        *,
        utc_ns: Callable[[], int] = time.time_ns,
        mono_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        quality: Callable[[], ClockQuality] | None = None,
        boot: str | None = None,
    ) -> None:
        self._utc_ns = utc_ns
        self._mono_ns = mono_ns
        self._ask_kernel = quality or kernel_quality
        self.boot = boot or boot_id()
        self.steps = 0
        """System clock steps seen."""
        self.references = References()
        self._samples: list[ClockSample] = []
        self._gps_sampled_mono_ns: int | None = None
        mono = self._mono_ns()
        utc = self._utc_ns()
        self.quality: ClockQuality = self._judged(mono, utc)
        self._looked_mono_ns = mono
        self._offset_ns = utc - mono
        self._sample(mono, utc, "start")

    def stamp(self) -> Stamp:
        """Return the stamp of this moment."""
        mono = self._mono_ns()
        utc = self._utc_ns()
        self._look(mono, utc)
        return Stamp(utc, self.quality, mono, self.boot)

    def look(self) -> None:
        """Notice steps and sync changes also when nothing is heard."""
        self._look(self._mono_ns(), self._utc_ns())

    def chrony_said(self, quality: ClockQuality | None) -> None:
        """Take what chrony says disciplines the clock; None where it does not say."""
        self.references.chrony_said(quality, self._mono_ns())

    def gps_said(self, gps_utc_ns: int) -> None:
        """Take the time of a fix that a GPS receiver just reported.

        While nobody disciplines the system clock, the receiver's time becomes a clock sample, once
        an hour: rows of this boot are then corrected by it, to about a second.
        """
        mono = self._mono_ns()
        utc = self._utc_ns()
        self._look(mono, utc)
        self.references.gps_said(gps_utc_ns, mono, utc)
        if self.quality not in ("unsynchronised", "implausible"):
            self._gps_sampled_mono_ns = None
            return
        if not self.references.gps_is_trusted(mono):
            return
        sampled = self._gps_sampled_mono_ns
        if sampled is None or mono - sampled >= _SAMPLE_EVERY_NS:
            self._gps_sampled_mono_ns = mono
            self._samples.append(ClockSample(self.boot, mono, gps_utc_ns, "gps", "gpsd"))

    @property
    def has_samples(self) -> bool:
        """Whether `take_samples` would return any."""
        return bool(self._samples)

    def take_samples(self) -> list[ClockSample]:
        """Return the samples taken since this was last called; the caller stores them."""
        taken, self._samples = self._samples, []
        return taken

    def _look(self, mono: int, utc: int) -> None:
        offset = utc - mono
        if abs(offset - self._offset_ns) > STEP_NS:
            # This thread may have been stopped between the two readings: only a second pair that
            # says the same is a step.
            mono, utc = self._mono_ns(), self._utc_ns()
            offset = utc - mono
        if abs(offset - self._offset_ns) > STEP_NS:
            self.steps += 1
            self.quality = self._judged(mono, utc)
            self._sample(mono, utc, "step")
        elif mono - self._looked_mono_ns < _LOOK_EVERY_NS:
            return
        else:
            quality = self._judged(mono, utc)
            if quality != self.quality:
                self.quality = quality
                self._sample(mono, utc, "sync")
            elif mono - self._sampled_mono_ns >= _SAMPLE_EVERY_NS:
                self._sample(mono, utc, "hourly")
        self._looked_mono_ns = mono
        self._offset_ns = offset

    def _judged(self, mono: int, utc: int) -> ClockQuality:
        if not is_possible(utc):
            return "implausible"
        return self.references.judged(self._ask_kernel(), mono)

    def _sample(self, mono: int, utc: int, reason: str) -> None:
        self._sampled_mono_ns = mono
        self._samples.append(ClockSample(self.boot, mono, utc, self.quality, reason))


def boot_id() -> str:
    """Return the kernel's id of this boot."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


class _Timex(ctypes.Structure):
    """The kernel's `struct timex` up to its status; the rest is room. Source: adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def kernel_quality() -> ClockQuality:
    """Return how the kernel judges its clock: `pps`, `ntp` or `unsynchronised`."""
    timex = _Timex()  # modes = 0: only ask
    state = _libc.adjtimex(ctypes.byref(timex))
    if state in (-1, _TIME_ERROR) or timex.status & _STA_UNSYNC:
        return "unsynchronised"
    return "pps" if timex.status & _STA_PPSSIGNAL else "ntp"
