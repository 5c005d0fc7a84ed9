"""What systemd is told: ready, how it goes, still alive. Nothing where systemd does not listen.

One datagram of KEY=value lines to the socket that NOTIFY_SOCKET names, a path or, with @, an
abstract name. Source: sd_notify(3), systemd.service(5) on WatchdogSec.
"""

import os
import socket
import time
from collections.abc import Mapping
from typing import Final, Self

_LONGEST_STATUS: Final = 500


class Notifier:
    """Tells systemd; never raises and never blocks: a service manager that hangs is not our end."""

    def __init__(self, address: str | None = None, *, watchdog_s: float | None = None) -> None:
        """`address` is a socket's path or @name, None tells nobody; `watchdog_s` its patience."""
        self.watchdog_s = watchdog_s if address else None
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._socket = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(0)
        self._status = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the notifier that systemd's variables ask for."""
        address = environment.get("NOTIFY_SOCKET")
        for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environment.get("WATCHDOG_USEC", "")
        watchdog_s = int(microseconds) / 1e6 if for_us and microseconds.isdigit() else None
        return cls(address or None, watchdog_s=watchdog_s or None)

    @property
    def is_heard(self) -> bool:
        """Whether somebody listens."""
        return self._socket is not None

    def ready(self) -> None:
        """Tell that the station hears."""
        self._tell("READY=1")

    def status(self, line: str) -> None:
        """Tell how it goes, for `systemctl status`; only what is new is sent."""
        line = " ".join(line.split())[:_LONGEST_STATUS]
        if line != self._status:
            self._status = line
            self._tell(f"STATUS={line}")

    def reloading(self) -> None:
        """Tell that the configuration is read again; `ready` ends it."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """Tell that it stops."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """Tell that it makes progress."""
        self._tell("WATCHDOG=1")

    def close(self) -> None:
        """Tell nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, *lines: str) -> None:
        if self._socket is None or self._address is None:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            # It is gone or takes no more: there is nobody else to tell.
            return
