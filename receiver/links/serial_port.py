"""An open serial port that never blocks, and why one could not be opened."""

import asyncio
import contextlib
import errno
import os
import termios
from collections.abc import Mapping
from typing import Final, Self, TypeVar

import serial

from receiver.limits import MAX_SERIAL_WRITE_BYTES, READ_CHUNK_BYTES

_ADVICE: Final[Mapping[int, str]] = {
    errno.ENOENT: "plug the radio in; `stopover ports` lists what is there",
    errno.ENODEV: "plug the radio in; `stopover ports` lists what is there",
    errno.ENXIO: "plug the radio in; `stopover ports` lists what is there",
    errno.EACCES: "let this user use serial ports: sudo adduser USER dialout, then log in again",
    errno.EPERM: "let this user use serial ports: sudo adduser USER dialout, then log in again",
    errno.EBUSY: "another program holds the port: stop it",
    errno.EAGAIN: "another program holds the port: stop it (`fuser -v` on the port names it)",
    errno.EIO: "unplug the radio and plug it in; check cable and hub",
}
_Port = TypeVar("_Port", bound="SerialPort")

_NOT_A_PORT = "this is no serial port: `stopover ports` lists them"


class PortError(Exception):
    """A port that cannot be opened; `advice` says what to do."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.advice = advice


class SerialPort:
    """One open port, 8N1, locked against other programs.

    Promises: no call blocks but `open` and `close`, which are called off the loop.
    """

    def __init__(self, port: serial.Serial) -> None:
        self._port = port
        self._waiting = bytearray()

    @classmethod
    def open(cls, device: str, baud_rate: int, *, dtr: bool = True) -> Self:
        """Open the port that `device` names now (a by-path link may lead elsewhere than before).

        `dtr` is the level of that line from the moment of opening: some radios are switched by it.

        Raises:
            PortError: it is not there, not ours, locked, or no serial port.
        """
        try:
            port = serial.Serial(
                None,
                baud_rate,
                timeout=0,
                exclusive=True,
                # pyserial then sets VMIN to 1, so that an empty read means a hang-up and nothing
                # else; with 0 it could also mean that there was nothing to read.
                inter_byte_timeout=0,
            )
            port.port = device
            port.dtr = dtr
            port.open()
        except (OSError, termios.error) as error:
            number = error.errno if isinstance(error, OSError) else None
            if number is None or number in (errno.ENOTTY, errno.EINVAL):
                raise PortError(f"{device} cannot be set up: {error}", _NOT_A_PORT) from error
            reason = "locked" if number == errno.EAGAIN else os.strerror(number)
            raise PortError(f"{device}: {reason}", _ADVICE.get(number, _NOT_A_PORT)) from error
        except (ValueError, OverflowError) as error:
            raise PortError(f"{device} cannot be set up: {error}", "check baud_rate") from error
        return cls(port)

    @classmethod
    async def open_off_loop(cls, device: str, baud_rate: int, *, dtr: bool = True) -> Self:
        """Open in a thread: a driver may take its time. A cancelled open leaves no port behind.

        Raises:
            PortError: as `open`.
        """
        opening = asyncio.create_task(asyncio.to_thread(cls.open, device, baud_rate, dtr=dtr))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_opened)
            raise

    def fileno(self) -> int:
        """Return the descriptor, for the loop."""
        return int(self._port.fileno())

    def read(self) -> bytes | None:
        """Return what has arrived, None where nothing has, b"" where the port hung up.

        Raises:
            OSError: the port is gone.
        """
        try:
            return os.read(self._port.fileno(), READ_CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return None

    @property
    def waiting_bytes(self) -> int:
        """How many written bytes the port has not taken yet."""
        return len(self._waiting)

    def write(self, text: bytes) -> None:
        """Write `text` or keep what the port does not take, for `flush`.

        Raises:
            OSError: the port is gone, or `MAX_SERIAL_WRITE_BYTES` are waiting already.
        """
        if len(self._waiting) + len(text) > MAX_SERIAL_WRITE_BYTES:
            raise OSError(errno.ENOBUFS, "the radio takes no bytes")
        self._waiting += text
        self.flush()

    def flush(self) -> None:
        """Write what is waiting, as much as the port takes.

        Raises:
            OSError: the port is gone.
        """
        with contextlib.suppress(BlockingIOError, InterruptedError):
            while self._waiting:
                del self._waiting[: os.write(self._port.fileno(), self._waiting)]

    def close(self) -> None:
        """Close it; bytes that the radio never took are dropped.

        The kernel would wait up to 30 s for a hung radio to take them.
        """
        with contextlib.suppress(OSError, termios.error, serial.SerialException):
            termios.tcflush(self._port.fileno(), termios.TCOFLUSH)
        with contextlib.suppress(OSError):
            self._port.close()


def _close_opened(opening: asyncio.Task[_Port]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
