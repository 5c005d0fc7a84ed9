"""One pseudo-terminal as the cable between a simulated radio and whoever opens its port."""

import asyncio
import os
import select
import tty
from collections.abc import Callable
from typing import Final

OPEN_CHECK_S: Final = 0.02
"""The kernel tells that a port was closed, but not that it was opened: that has to be asked for."""

_SETTLING_S: Final = 0.02
"""After opening, a host sets the port up and throws away what came before: nothing is sent yet."""

_CHUNK_BYTES: Final = 4096


class PseudoTerminal:
    """The radio's end of a raw pseudo-terminal, on the running loop; never blocks it.

    Nothing is sent while no host has the port open, as with a USB radio, nor what the kernel's
    buffer (about 20 kB) has no room for.
    """

    def __init__(
        self,
        on_bytes: Callable[[bytes], None],
        on_host_closed: Callable[[], None],
        on_host_opened: Callable[[], None] | None = None,
    ) -> None:
        self._on_bytes = on_bytes
        self._on_host_closed = on_host_closed
        self._on_host_opened = on_host_opened
        self._loop = asyncio.get_running_loop()
        self._end, port = os.openpty()
        tty.setraw(port)
        self.device = os.ttyname(port)
        """The path that a host opens."""
        os.close(port)
        os.set_blocking(self._end, False)
        self._hang_up = select.poll()
        self._hang_up.register(self._end, 0)
        self._unsent = b""
        self.is_open = False
        """Whether a host has the port open and is through with setting it up."""
        self._timer = self._loop.call_later(0, self._look_for_host)

    def send(self, wire: bytes) -> bool:
        """Send bytes whole; False (and none of them sent) where nobody can take them now."""
        if not self.is_open or self._unsent:
            return False
        if self._has_no_host():
            self._lose_host()
            return False
        sent = self._write(wire)
        if 0 < sent < len(wire):
            self._unsent = wire[sent:]
            self._loop.add_writer(self._end, self._send_rest)
        return sent > 0

    def close(self) -> None:
        """Unplug: whoever has the port open finds it hung up."""
        self._timer.cancel()
        self._forget_host()
        os.close(self._end)

    def _write(self, wire: bytes) -> int:
        try:
            return os.write(self._end, wire)
        except BlockingIOError:
            return 0

    def _send_rest(self) -> None:
        self._unsent = self._unsent[self._write(self._unsent) :]
        if not self._unsent:
            self._loop.remove_writer(self._end)

    def _has_no_host(self) -> bool:
        return bool(self._hang_up.poll(0))

    def _look_for_host(self) -> None:
        if self._has_no_host():
            self._timer = self._loop.call_later(OPEN_CHECK_S, self._look_for_host)
            return
        self._timer = self._loop.call_later(_SETTLING_S, self._settled)

    def _settled(self) -> None:
        """Begin to talk; what the host wrote meanwhile is read now, so that it can be answered."""
        self.is_open = True
        self._loop.add_reader(self._end, self._read)
        if self._on_host_opened is not None:
            self._on_host_opened()

    def _read(self) -> None:
        try:
            chunk = os.read(self._end, _CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._lose_host()
            return
        self._on_bytes(chunk)

    def _lose_host(self) -> None:
        self._timer.cancel()
        self._forget_host()
        self._on_host_closed()
        self._timer = self._loop.call_later(OPEN_CHECK_S, self._look_for_host)

    def _forget_host(self) -> None:
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._unsent = b""
        self.is_open = False
