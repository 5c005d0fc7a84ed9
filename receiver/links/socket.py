"""A socket link: a program on this computer that serves a radio on a Unix stream socket."""

import asyncio
import errno
import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import structlog

from protocols.records import RadioInfo
from receiver.limits import LINK_QUIET_AFTER_S, READ_CHUNK_BYTES
from receiver.links.availability import Availability
from receiver.links.backoff import Backoff
from receiver.links.intake import LinkStatus, StreamIntake
from receiver.links.quiet import NOTHING_HEARD, QuietWatch
from receiver.settings import SocketLink as SocketSettings

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_ADVICE: Final[Mapping[int, str]] = {
    errno.ENOENT: "is the driver running, and is this the path of its socket?",
    errno.ECONNREFUSED: "the driver that made this socket has ended: start it",
    errno.EACCES: "let this user read and write the socket: add it to the socket's group",
    errno.ENOTSOCK: "this is no socket: check the path",
}
_LOST_ADVICE = "it is opened again as soon as it is back; see the driver's own log"


class SocketLink:
    """Reads one socket into its intake, for ever; it never writes.

    `run` never raises for what the world does; cancelling it closes the socket.
    """

    def __init__(
        self,
        settings: SocketSettings,
        intake: StreamIntake,
        status: LinkStatus,
        *,
        backoff: Backoff | None = None,
        quiet_after_s: float = LINK_QUIET_AFTER_S,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self.status = status
        log: FilteringBoundLogger = structlog.get_logger().bind(link=settings.name)
        self._log = log
        self._availability = Availability(status, log)
        self._backoff = backoff or Backoff()
        self._quiet_watch = QuietWatch(status, quiet_after_s)

    async def run(self) -> None:
        """Open, read, and open again whenever the socket ends."""
        while True:
            wait_s = await self._open_once()
            await asyncio.sleep(wait_s)

    async def _open_once(self) -> float:
        """Open the socket and read it until it ends; return the seconds to wait then."""
        path = self._settings.path
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as end:
            try:
                await loop.sock_connect(end, path)
            except OSError as error:
                advice = _ADVICE.get(error.errno or 0, _LOST_ADVICE)
                self._availability.lost(f"{path}: {_reason(error)}", advice)
                return self._backoff.failed()
            self._availability.found(path=path)
            self._backoff.works()
            try:
                reason = await self._read_until_it_ends(loop, end)
            finally:
                self.status.listening(now=False)
                self._quiet_watch.stop()
                self._intake.interrupted()
        self._availability.lost(reason, _LOST_ADVICE)
        return self._backoff.failed()

    async def _read_until_it_ends(self, loop: asyncio.AbstractEventLoop, end: socket.socket) -> str:
        while True:
            try:
                chunk = await loop.sock_recv(end, READ_CHUNK_BYTES)
            except OSError as error:
                return _reason(error)
            if not chunk:
                return "the driver hung up"
            records = self._intake.received(chunk)
            for record in records:
                if isinstance(record, RadioInfo):
                    told = filter(None, (record.name, record.firmware))
                    self.status.firmware = " ".join(told) or None
            if any(not isinstance(record, NOTHING_HEARD) for record in records):
                self._quiet_watch.heard()


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
