"""Where samples come from: a stick behind rtl_tcp, a named pipe, a file. Reads block."""

import contextlib
import os
import select
import socket
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol, Self

from protocols.errors import PacketError
from protocols.rtl_tcp import GREETING_BYTES, gain_commands, tuner_of, tuning
from receiver.limits import RADIO_BLOCK_S, RADIO_STALL_S
from receiver.radio_settings import SoftwareRadioLink

_READ_BYTES: Final = 64 * 1024
_LOOKED_AT_AGAIN_S: Final = 1.0
"""How often a source that is waited for looks whether it is to stop."""


class SourceError(Exception):
    """No more samples come from here; why, and what to do."""

    def __init__(
        self, reason: str, do: str, *, is_silent: bool = False, is_over: bool = False
    ) -> None:
        super().__init__(reason)
        self.do = do
        self.is_silent = is_silent
        """It is there and says nothing."""
        self.is_over = is_over
        """A recording has come to its end."""


class Source(Protocol):
    """What every source promises."""

    radio: str
    """What receives, for people."""
    gains_db: tuple[float, ...]
    """What its gain can be set to; empty where it has none."""
    is_live: bool
    """Whether samples are lost that nobody takes."""

    def read(self) -> bytes:
        """Return the next bytes, a few milliseconds to a second of them; never empty.

        Raises:
            SourceError: there are no more.
        """
        ...

    def set_gain(self, gain_db: float) -> None:
        """Set the gain, where there is one."""
        ...

    def stop(self) -> None:
        """Let a read that waits end within a second; called from another thread."""
        ...

    def close(self) -> None:
        """Give back what it holds; called when nobody reads any more."""
        ...


class Stick:
    """A stick behind rtl_tcp, over a connection that somebody else made."""

    is_live = True

    def __init__(self, connection: socket.socket, radio: str, gains_db: tuple[float, ...]) -> None:
        self._connection = connection
        self.radio = radio
        self.gains_db = gains_db

    @classmethod
    def greeted(
        cls, connection: socket.socket, link: SoftwareRadioLink, *, stall_s: float = RADIO_STALL_S
    ) -> Self:
        """Read what the stick is, and tune it.

        Raises:
            SourceError: this is no rtl_tcp, or it says nothing.
        """
        connection.settimeout(stall_s)
        greeting = b""
        while len(greeting) < GREETING_BYTES:
            greeting += _received(connection, GREETING_BYTES - len(greeting))
        try:
            tuner, gains_db = tuner_of(greeting)
        except PacketError:
            raise SourceError(
                "what answers there is not rtl_tcp", "check host and port of the link's source"
            ) from None
        stick = cls(connection, f"RTL-SDR {tuner}", gains_db)
        stick._send(
            tuning(
                frequency_hz=link.tuned_hz,
                rate_hz=link.rate_hz,
                ppm=link.ppm,
                gain_db=None if link.gain == "auto" else nearest(gains_db, link.gain),
                bias_tee=link.bias_tee,
            )
        )
        return stick

    def read(self) -> bytes:
        """Return what has arrived."""
        return _received(self._connection, _READ_BYTES)

    def set_gain(self, gain_db: float) -> None:
        """Tell the stick another gain."""
        self._send(gain_commands(gain_db))

    def _send(self, commands: Iterable[bytes]) -> None:
        try:
            self._connection.sendall(b"".join(commands))
        except OSError as error:
            raise _hung_up(error.strerror or str(error)) from None

    def stop(self) -> None:
        """End the connection; a read that waits ends with it."""
        with contextlib.suppress(OSError):  # It may have ended already.
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Pipe:
    """A named pipe that another program writes samples into."""

    is_live = True
    radio = "pipe"
    gains_db: tuple[float, ...] = ()

    def __init__(self, path: str, *, stall_s: float = RADIO_STALL_S) -> None:
        """Open the pipe; nobody need write yet.

        Raises:
            SourceError: there is none.
        """
        self._path = path
        self._stall_s = stall_s
        self._is_stopped = False
        self._has_been_written = False
        self._fd = _opened(path, os.O_RDONLY | os.O_NONBLOCK, "a pipe: mkfifo", stat.S_ISFIFO)

    def read(self) -> bytes:
        """Return what has arrived; wait for the first writer for as long as it takes."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        silent_s = 0.0
        while not self._is_stopped:
            if not poll.poll(1000 * _LOOKED_AT_AGAIN_S):
                silent_s += _LOOKED_AT_AGAIN_S
                if self._has_been_written and silent_s >= self._stall_s:
                    raise SourceError(
                        f"no samples for {self._stall_s:g} s",
                        "see the program that writes into the pipe",
                        is_silent=True,
                    )
                continue
            chunk = os.read(self._fd, _READ_BYTES)
            if chunk:
                self._has_been_written = True
                return chunk
            break
        raise SourceError(
            f"{self._path}: the program that wrote into it has ended", "start that program again"
        )

    def set_gain(self, gain_db: float) -> None:
        """Do nothing: the program that writes sets its own gain."""

    def stop(self) -> None:
        """Let a read that waits end when it looks next."""
        self._is_stopped = True

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._fd)


class Played:
    """A file of samples, played once at the pace at which it was recorded."""

    is_live = False
    radio = "file"
    gains_db: tuple[float, ...] = ()

    def __init__(
        self,
        path: str,
        bytes_per_s: int,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Open the file.

        Raises:
            SourceError: there is none, or it is no file.
        """
        self._path = path
        self._portion_bytes = max(1, round(bytes_per_s * RADIO_BLOCK_S))
        self._monotonic = monotonic
        self._sleep = sleep
        self._begun_s: float | None = None
        self._portions = 0
        self._fd = _opened(path, os.O_RDONLY, "a file", stat.S_ISREG)

    def read(self) -> bytes:
        """Return the next portion, once as much time has passed as it lasts."""
        now_s = self._monotonic()
        if self._begun_s is None:
            self._begun_s = now_s
        self._portions += 1
        wait_s = self._begun_s + self._portions * RADIO_BLOCK_S - now_s
        if wait_s > 0:
            self._sleep(wait_s)
        try:
            chunk = os.read(self._fd, self._portion_bytes)
        except OSError as error:
            raise SourceError(
                f"{self._path}: {error.strerror}", "is the disk it is on still there?"
            ) from None
        if not chunk:
            raise SourceError(
                f"{self._path} has been played to its end",
                "it is played again when the station starts again",
                is_over=True,
            )
        return chunk

    def set_gain(self, gain_db: float) -> None:
        """Do nothing: what is recorded is recorded."""

    def stop(self) -> None:
        """Do nothing: a read lasts a moment."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def nearest(gains_db: tuple[float, ...], wanted_db: float) -> float:
    """Return the gain that a tuner has nearest to a wanted one."""
    return min(gains_db, key=lambda each: abs(each - wanted_db)) if gains_db else wanted_db


def source_of(
    link: SoftwareRadioLink,
    connection: socket.socket | None,
    frame_bytes: int,
    *,
    stall_s: float = RADIO_STALL_S,
) -> Source:
    """Return the source of a link; `frame_bytes` is what a sample has.

    Raises:
        SourceError: there is none.
    """
    if connection is not None:
        return Stick.greeted(connection, link, stall_s=stall_s)
    if link.source.startswith("pipe:"):
        return Pipe(link.file_path, stall_s=stall_s)
    return Played(link.file_path, link.rate_hz * frame_bytes)


def _received(connection: socket.socket, most: int) -> bytes:
    try:
        chunk = connection.recv(most)
    except TimeoutError:
        raise SourceError(
            f"no samples for {connection.gettimeout():g} s",
            "does another program use the stick? Else unplug it, plug it in, restart rtl_tcp",
            is_silent=True,
        ) from None
    except OSError as error:
        raise _hung_up(error.strerror or str(error)) from None
    if not chunk:
        raise _hung_up("it closed the connection")
    return chunk


def _hung_up(reason: str) -> SourceError:
    return SourceError(
        f"rtl_tcp: {reason}", "check that the stick is plugged in and that rtl_tcp runs"
    )


def _opened(path: str, flags: int, what: str, is_that: Callable[[int], bool]) -> int:
    try:
        if not is_that(Path(path).stat().st_mode):
            raise SourceError(f"{path} is not {what}", "check the link's source")
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        raise SourceError(
            f"{path}: {error.strerror}", "check the link's source, and who may read it"
        ) from None
