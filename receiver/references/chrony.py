"""chrony asked what disciplines the clock: a GPS receiver, its pulse, the network, or nothing.

`chronyc -c tracking` prints one comma-separated line, of which is read:

field  content
0      reference id, 8 hex digits: 7F7F0101 is chrony's own clock (`local`), else of its source
1      the source's name: an address, or the four letters of a reference clock
2      stratum; 1 where the source is a reference clock
13     leap status: Normal, Insert second, Delete second, Not synchronised

Source: chronyc(1), `tracking` and `-c`.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from receiver.arrivals import ClockQuality
from receiver.limits import CHRONY_INTERVAL_S, CHRONY_TIMEOUT_S

log = structlog.get_logger()

_FIELDS: Final = 14
_LOCAL: Final = "7F7F0101"
_NOT_SYNCHRONISED: Final = "Not synchronised"
_REFERENCE_CLOCK: Final = "1"
_PULSE: Final = ("PPS",)
_RECEIVER: Final = ("GPS", "NMEA", "GNSS", "GLO", "SHM", "SOC", "RMC", "ZDA")
"""How the names of satellite receivers' reference clocks begin: gpsd hands its time over by SHM or
SOCK, and owners call theirs GPS or NMEA. Another one (PHC, DCF) counts as `ntp`."""


def quality_of(tracking: str) -> ClockQuality | None:
    """Return the quality that a line of `chronyc -c tracking` tells, None where it is none."""
    fields = tracking.strip().split(",")
    if len(fields) != _FIELDS:
        return None
    reference_id, name, stratum, leap = fields[0].upper(), fields[1].upper(), fields[2], fields[13]
    if leap == _NOT_SYNCHRONISED or reference_id == _LOCAL:
        return "unsynchronised"
    if stratum == _REFERENCE_CLOCK and name.startswith(_PULSE):
        return "pps"
    if stratum == _REFERENCE_CLOCK and name.startswith(_RECEIVER):
        return "gps"
    return "ntp"


class ChronyWatch:
    """Asks chrony every minute, in a process of its own, and tells the clock what it said."""

    def __init__(
        self,
        tell: Callable[[ClockQuality | None], None],
        *,
        command: Sequence[str] = ("chronyc",),
        interval_s: float = CHRONY_INTERVAL_S,
    ) -> None:
        """`command` is chronyc with what it needs to find its daemon."""
        self._tell = tell
        self._command = (*command, "-n", "-c", "tracking")
        self._interval_s = interval_s

    async def run(self) -> None:
        """Ask for ever; ends at once where there is no chronyc."""
        if shutil.which(self._command[0]) is None:
            log.debug("no chronyc")
            return
        while True:
            self._tell(await self.ask())
            await asyncio.sleep(self._interval_s)

    async def ask(self) -> ClockQuality | None:
        """Return what chrony says now, None where it does not answer."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            log.debug("chronyc cannot be started", reason=error.strerror)
            return None
        try:
            async with asyncio.timeout(CHRONY_TIMEOUT_S):
                answer, _ = await process.communicate()
        except TimeoutError:
            return None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return quality_of(answer.decode("ascii", "replace"))
