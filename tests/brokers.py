"""A real mosquitto for tests: on a port of its own, on loopback, stopped at the end."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import aiomqtt

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")

_STARTS_WITHIN_S = 60.0


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Broker:
    """One mosquitto, which keeps its port and its configuration over restarts."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true\n") -> None:
        self.port = free_port()
        self.folder = folder
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text(
            # Started by root it would become another user, who cannot read this folder.
            f"user root\nper_listener_settings false\nlistener {self.port} 127.0.0.1\n{settings}"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The broker as a configuration names it."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; return when it takes connections."""
        assert MOSQUITTO is not None
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [MOSQUITTO, "-c", str(self._configuration)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = (self.folder / "mosquitto.log").read_text()
                    raise AssertionError(f"mosquitto did not start:\n{said}") from None
                time.sleep(0.01)
            else:
                return

    def send(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP freezes it, SIGCONT wakes it."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def publish(
        self, topic: str, *payloads: bytes, qos: int = 1, retain: bool = False
    ) -> None:
        """Publish as somebody else."""
        async with aiomqtt.Client("127.0.0.1", self.port) as client:
            for payload in payloads:
                await client.publish(topic, payload, qos=qos, retain=retain)
