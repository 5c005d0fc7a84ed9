"""A pseudo-terminal that plays a radio: what the program opens as a serial port is real."""

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import Callable
from pathlib import Path


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
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"." * 4096)
        os.close(writer)

    def unplug(self) -> None:
        """Hang up: the port is gone at once."""
        for end in (self._radio, self._port):
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(end)
            with contextlib.suppress(OSError):
                os.close(end)
        self._radio = self._port = -1


def name_port(name: Path, radio: PseudoRadio) -> None:
    """Let a lasting name lead to this radio's port, as udev does after it was plugged in."""
    name.unlink(missing_ok=True)
    name.symlink_to(radio.device)
