"""gpsd read for ever, for time and position: where the station is, who vouches for its clock."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from protocols.framing import LineFramer
from protocols.gpsd import WATCH, fix_of
from protocols.records import GpsFix
from receiver.limits import GPSD_SILENT_AFTER_S, GPSD_TIMEOUT_S, READ_CHUNK_BYTES
from receiver.links.availability import Availability
from receiver.links.backoff import Backoff
from receiver.links.intake import LinkState, LinkStatus

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

DEFAULT_ADDRESS: Final = "localhost:2947"
"""Where `gpsd = "auto"` looks. Source: gpsd(8)."""

_QUESTION: Final = b"?VERSION;\n"
"""Asked of a gpsd that says nothing: one that is there answers, with a receiver or without."""


class TakesGpsTime(Protocol):
    """The clock, as far as gpsd is concerned."""

    def gps_said(self, gps_utc_ns: int) -> None:
        """Take the time of a fix that was just reported."""
        ...


class GpsdClient:
    """Reads one gpsd: each fix goes to `take_fix`, its time to the clock.

    `run` never raises for what gpsd does or says; cancelling it closes the connection. A line of
    any length and content costs at most `MAX_LINE_BYTES` of memory.
    """

    def __init__(
        self,
        address: str,
        clock: TakesGpsTime,
        take_fix: Callable[[GpsFix], None],
        *,
        expected: bool = True,
        backoff: Backoff | None = None,
        silent_after_s: float = GPSD_SILENT_AFTER_S,
    ) -> None:
        """`address` is HOST:PORT; `expected` False keeps quiet while none was ever found there."""
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._clock = clock
        self._take_fix = take_fix
        self._expected = expected
        self._backoff = backoff or Backoff()
        self._silent_after_s = silent_after_s
        self._log: FilteringBoundLogger = structlog.get_logger().bind(gpsd=address)
        self.status = LinkStatus("gpsd")
        """`quiet`: connected, without a fix; `hearing`: with one."""
        self._availability = Availability(self.status, self._log)
        self.unreadable_lines = 0

    async def run(self) -> None:
        """Connect, read, and connect again whenever it ends."""
        while True:
            reason = await self._read_until_it_ends()
            if self._expected or self.status.opened:
                self._availability.lost(reason, "check that gpsd runs: `systemctl status gpsd`")
            else:
                self.status.state = LinkState.FAILED
                self._log.debug("no gpsd", reason=reason)
            await asyncio.sleep(self._backoff.failed())

    async def _read_until_it_ends(self) -> str:
        """Read one connection to its end; return why it ended."""
        try:
            async with asyncio.timeout(GPSD_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(self._host, self._port)
        except TimeoutError:
            return f"no connection within {GPSD_TIMEOUT_S:g} s"
        except OSError as error:
            return error.strerror or str(error)
        try:
            self._availability.found()
            self._backoff.works()
            writer.write(WATCH)
            return await self._read(reader, writer)
        except OSError as error:
            return error.strerror or str(error)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        lines = LineFramer()
        asked = False
        while True:
            try:
                async with asyncio.timeout(self._silent_after_s):
                    chunk = await reader.read(READ_CHUNK_BYTES)
            except TimeoutError:
                if asked:
                    return "it does not answer"
                asked = True
                self.status.state = LinkState.QUIET
                writer.write(_QUESTION)
                continue
            if not chunk:
                return "it closed the connection"
            asked = False
            for line in lines.feed(chunk):
                self._report(line)

    def _report(self, line: bytes) -> None:
        record = fix_of(line)
        if not isinstance(record, GpsFix):
            self.unreadable_lines += 0 if record.reason == "other-report" else 1
            return
        self.status.state = LinkState.QUIET if record.latitude is None else LinkState.HEARING
        if record.gps_unix_s is not None:
            self._clock.gps_said(round(record.gps_unix_s * 1e9))
        self._take_fix(record)
