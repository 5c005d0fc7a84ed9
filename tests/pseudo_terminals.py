"""A pseudo-terminal that plays a radio: what the program opens as a serial port is real."""

import asyncio
import contextlib
import os
import pty
import time
import tty
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


_REFUSALS = 20
"""As many refused writes, a millisecond apart, mean that the pseudo-terminal is full."""

_GONE: Final[deque[int]] = deque()
"""Ports that were hung up. While one is open no other gets its number: else a link that
looks for its radio under the old name would take that of another test, in any process."""

_GONE_KEPT: Final = 64


class PseudoRadio:
    """The radio's end of a pseudo-terminal.

    `answers` maps a command to what the radio says to it; everything written is kept in `told`.
    """

    def __init__(self) -> None:
        self._radio, self._port = pty.openpty()
        tty.setraw(self._port)
        os.set_blocking(self._radio, False)
        self.device = os.ttyname(self._port)
        self.told: list[bytes] = []
        self.answer: Callable[[bytes], bytes] = lambda _: b""
        self._unread = b""

    def listen(self) -> None:
        """Take what is written from now on, on the running loop."""
        asyncio.get_running_loop().add_reader(self._radio, self._read)

    def _read(self) -> None:
        self._unread += os.read(self._radio, 4096)
        while b"\r\n" in self._unread:
            command, self._unread = self._unread.split(b"\r\n", 1)
            self.told.append(command)
            said = self.answer(command)
            if said:
                self.say(said)

    def say(self, text: bytes) -> None:
        """Send bytes to the program, all of them."""
        assert os.write(self._radio, text) == len(text)

    def fill(self) -> None:
        """Fill what lies between program and radio, so that the port takes no byte more."""
        writer = os.open(self.device, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        refused = 0
        while refused < _REFUSALS:  # The kernel moves bytes on in its own time.
            try:
                os.write(writer, b"." * 4096)
            except BlockingIOError:
                refused += 1
                time.sleep(0.001)
            else:
                refused = 0
        os.close(writer)

    def unplug(self) -> None:
        """Hang up: the port is gone at once."""
        if self._radio < 0:
            return
        with contextlib.suppress(RuntimeError):  # Without a loop nobody listens.
            asyncio.get_running_loop().remove_reader(self._radio)
        os.close(self._radio)
        _GONE.append(self._port)
        if len(_GONE) > _GONE_KEPT:
            os.close(_GONE.popleft())
        self._radio = self._port = -1


def name_port(name: Path, radio: PseudoRadio) -> None:
    """Let a lasting name lead to this radio's port, as udev does after it was plugged in."""
    name.unlink(missing_ok=True)
    name.symlink_to(radio.device)
