"""Stamps: what time it is, by both clocks, and how far that can be trusted.

`utc_ns` is the system clock, right or wrong; `mono_ns` is CLOCK_BOOTTIME, which nobody sets and
which runs through suspend. The kernel says by adjtimex whether somebody disciplines the system
clock; chrony, timesyncd, ntpd and gpsd all tell the kernel.
"""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from receiver.arrivals import ClockQuality, ClockSample, Stamp

STEP_NS: Final = 20_000_000
"""A change of the system clock against CLOCK_BOOTTIME by more than this is a step. Slewing moves it
by 0.5 ms a second at most, so between two looks a second apart it stays well below."""

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
        self._ask_quality = quality or kernel_quality
        self.boot = boot or boot_id()
        self.steps = 0
        """System clock steps seen."""
        self._samples: list[ClockSample] = []
        mono = self._mono_ns()
        utc = self._utc_ns()
        self.quality: ClockQuality = self._ask_quality()
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
            self.quality = self._ask_quality()
            self._sample(mono, utc, "step")
        elif mono - self._looked_mono_ns < _LOOK_EVERY_NS:
            return
        else:
            quality = self._ask_quality()
            if quality != self.quality:
                self.quality = quality
                self._sample(mono, utc, "sync")
            elif mono - self._sampled_mono_ns >= _SAMPLE_EVERY_NS:
                self._sample(mono, utc, "hourly")
        self._looked_mono_ns = mono
        self._offset_ns = offset

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
