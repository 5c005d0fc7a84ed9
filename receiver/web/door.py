"""Where the page is asked for: listening sockets that cost nothing until somebody knocks.

There are two: TCP at `page.port`, and a Unix socket beside the store for commands on the station,
whose mode (0660) says who may use it. Until the first connection no HTTP library is in memory; then
it is loaded in a thread, so that the loop goes on hearing, and takes the sockets over.
What cannot be had (a port that another program has) is told once and tried again.
"""

import asyncio
import contextlib
import errno
import gc
import importlib
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from receiver.limits import PAGE_PORT_RETRY_FIRST_S, PAGE_PORT_RETRY_LONGEST_S
from receiver.links.backoff import Backoff
from receiver.web.parts import StationParts
from receiver.web.unix_address import address_of, socket_beside

if TYPE_CHECKING:
    from receiver.web.app import Page

log = structlog.get_logger()

_SOCKET_MODE: Final = 0o660
_BACKLOG: Final = 128
_ANY: Final = ("", "::", "0.0.0.0")  # noqa: S104  The page is for the network, as configured.
_ACCEPTING_TURNS: Final = 5
_UNROUTED: Final = ("192.0.2.1", 9)
"""An address of RFC 5737, to which nothing is sent: asking for the way to it tells our own."""


class Door:
    """The page's sockets, from the daemon's start to its end.

    Nothing here raises for what the world does: a station without a page still hears.
    """

    def __init__(self, parts: StationParts) -> None:
        self._parts = parts
        self._place: tuple[str, int] | None = None
        """Address and port that are wanted."""
        self._tcp: list[socket.socket] = []
        self._unix: socket.socket | None = None
        self._unix_inode = 0
        self._servers: dict[socket.socket, asyncio.Server] = {}
        self._page: Page | None = None
        self._opening: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._retrying: asyncio.Task[None] | None = None
        self._backoff = Backoff(
            first_s=PAGE_PORT_RETRY_FIRST_S, longest_s=PAGE_PORT_RETRY_LONGEST_S
        )
        self._is_refused = False
        self._is_closed = False

    @property
    def url(self) -> str | None:
        """Where the page is, for whoever stands at the station; None where it is not served."""
        if not self._tcp:
            return None
        address, port = self._tcp[0].getsockname()[:2]
        if address in _ANY:
            address = _own_address()
        return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"

    async def open(self) -> None:
        """Listen."""
        self._open_unix()
        await self.change()

    async def change(self) -> None:
        """Listen where the settings say now."""
        page = self._parts.settings().page
        if self._place == (page.address, page.port):
            return
        self._place = (page.address, page.port)
        await self._give_up_trying()
        closing, self._tcp = self._tcp, []  # The page is not there any more, from now on.
        await self._stop_listening(*closing)
        self._is_refused = False
        if page.port:
            await self._open_tcp()

    async def close(self) -> None:
        """Close everything, streams that are open included."""
        self._is_closed = True
        await self._give_up_trying()
        await _ended(self._opening)
        await self._stop_listening(*self._listening)
        if self._page is not None:
            await self._page.close()
        self._remove_unix()

    async def _give_up_trying(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        await _ended(self._retrying)

    @property
    def _listening(self) -> tuple[socket.socket, ...]:
        return (*self._tcp, *filter(None, (self._unix,)))

    async def _stop_listening(self, *sockets: socket.socket) -> None:
        """Close listening sockets; who has connected already is served."""
        for listening in sockets:
            if listening.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(listening)
        # A connection that was accepted just now takes some turns of the loop to reach the page;
        # where its server was closed by then, nobody would close it.
        for _ in range(_ACCEPTING_TURNS):
            await asyncio.sleep(0)
        for listening in sockets:
            server = self._servers.pop(listening, None)
            if server is not None:
                server.close()
            listening.close()

    async def _open_tcp(self) -> None:
        assert self._place is not None  # noqa: S101  `change` has just set it.
        address, port = self._place
        try:
            self._tcp = await _listening(address, port)
        except OSError as error:
            self._refused(error)
            return
        told = log.warning if self._is_refused else log.info
        told("page", url=self.url)
        self._is_refused = False
        self._backoff.works()
        for listening in self._tcp:
            await self._attend(listening)

    def _refused(self, error: OSError) -> None:
        assert self._place is not None  # noqa: S101  Same.
        address, port = self._place
        if not self._is_refused:
            self._is_refused = True
            log.warning(
                "page cannot be served; tried again",
                address=address or None,
                port=port,
                reason=error.strerror or str(error),
                do="free the port, or set page.port and page.address",
            )
        loop = asyncio.get_running_loop()
        self._retry = loop.call_later(self._backoff.failed(), self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._retrying = asyncio.create_task(self._open_tcp())

    def _open_unix(self) -> None:
        path = socket_beside(self._parts.store)
        try:
            self._unix = _listening_unix(path)
            self._unix_inode = path.stat().st_ino
        except OSError as error:
            log.warning(
                "commands cannot ask the running station",
                path=str(path),
                reason=error.strerror or str(error),
                do="check the folder of the store",
            )
            return
        asyncio.get_running_loop().add_reader(self._unix, self._knocked)

    def _remove_unix(self) -> None:
        if self._unix is None:
            return
        path = socket_beside(self._parts.store)
        with contextlib.suppress(OSError):
            if path.stat().st_ino == self._unix_inode:
                path.unlink()

    async def _attend(self, listening: socket.socket) -> None:
        """Wait for the first knock, or serve, where somebody has knocked already."""
        if self._page is not None:
            self._servers[listening] = await self._page.serve(listening)
        else:
            asyncio.get_running_loop().add_reader(listening, self._knocked)

    def _knocked(self) -> None:
        for listening in self._listening:
            asyncio.get_running_loop().remove_reader(listening)
        if self._opening is None and not self._is_closed:
            self._opening = asyncio.create_task(self._open_page())

    async def _open_page(self) -> None:
        try:
            app = await asyncio.to_thread(importlib.import_module, "receiver.web.app")
            page: Page = app.Page(self._parts)
            await page.start()
        except Exception:
            log.exception("page failed by a fault in the program")
            # Refused is better than never answered.
            await self._stop_listening(*self._listening)
            self._tcp = []
            return
        # What was loaded stays: it need not be walked through whenever garbage is looked for.
        gc.freeze()
        self._page = page
        for listening in self._listening:
            if listening not in self._servers:
                await self._attend(listening)


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None and not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _listening(address: str, port: int) -> list[socket.socket]:
    """Return sockets that listen at an address; at every one, of both IPs, where it is empty.

    Raises:
        OSError: it cannot be had.
    """
    if not address:
        if socket.has_dualstack_ipv6():
            with contextlib.suppress(_NoIpv6Error):
                return [_listening_everywhere(port)]
        return [_nonblocking(socket.create_server(("", port), backlog=_BACKLOG))]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    listening: list[socket.socket] = []
    try:
        for family, _, _, _, place in dict.fromkeys(found):
            made = socket.create_server(place[:2], family=family, backlog=_BACKLOG)
            listening.append(_nonblocking(made))
    except OSError:
        for made in listening:
            made.close()
        raise
    return listening


class _NoIpv6Error(Exception):
    """This kernel has no IPv6 address to listen at."""


def _listening_everywhere(port: int) -> socket.socket:
    try:
        made = socket.create_server(
            ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
        )
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise _NoIpv6Error from error
        raise
    return _nonblocking(made)


def _nonblocking(made: socket.socket) -> socket.socket:
    made.settimeout(0.0)
    return made


def _listening_unix(path: Path) -> socket.socket:
    """Return a socket that listens at a path and that only its owner and group may use.

    The daemon holds the store's lock: a socket that is there already is a dead daemon's.

    Raises:
        OSError: the folder cannot be written.
    """
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat(follow_symlinks=False).st_mode):
            path.unlink()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux gives the file the mode of the socket: nobody else may use it at any moment.
        os.fchmod(made.fileno(), _SOCKET_MODE)
        with address_of(path) as address:
            made.bind(address)
        path.chmod(_SOCKET_MODE)  # What the umask took from the group.
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return _nonblocking(made)


def _own_address() -> str:
    """Return an address under which others on the network reach this machine, or its name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(_UNROUTED)
        except OSError:
            return f"{socket.gethostname()}.local"
        return str(asking.getsockname()[0])
