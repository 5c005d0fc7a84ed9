"""A whole station as a process, with its page on a port of its own, for browsers to look at."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pseudo_terminals import PseudoRadio

from protocols.ctt.packet import build_packet, id_from_number

PASSWORD: Final = "heron on one leg"  # noqa: S105  Of a station that lives for a test.
STATION: Final = "salt-marsh"

_STOPOVER: Final = str(Path(sys.executable).with_name("stopover"))
_PATIENCE_S: Final = 60.0


def tag_of(number: int) -> str:
    """Return the id of one of a million different tags."""
    return id_from_number(number)


class ServedStation:
    """One station on a port that stays the same over restarts."""

    def __init__(
        self,
        folder: Path,
        devices: Mapping[str, str],
        *,
        names: Mapping[str, str] | None = None,
        page: str = "",
        more: str = "",
    ) -> None:
        """`devices` are by antenna, `names` the owner's for tags, the rest is configuration."""
        folder.mkdir(exist_ok=True, parents=True)
        self._radios = len(devices)
        self.store = folder / "station.db"
        self._configuration = folder / "stopover.toml"
        self._log = folder / "log"
        self._log.touch()
        self._run: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        (folder / "password").write_text(PASSWORD + "\n", encoding="utf-8")
        rows = (f'"{tag}","{name}"\n' for tag, name in (names or {}).items())
        (folder / "names.csv").write_text("tag_id,name\n" + "".join(rows), encoding="utf-8")
        links = (
            f'[[links]]\nkind = "serial"\nname = "{antenna}"\ndevice = "{device}"\n'
            f'antenna = "{antenna}"\ntalk = "never"\n'
            for antenna, device in devices.items()
        )
        self._configuration.write_text(
            f'[station]\nid = "{STATION}"\nlatitude = 54.48\nlongitude = 8.31\n'
            f'[store]\npath = "{self.store}"\ncommit_interval = 0.2\n[log]\nformat = "json"\n'
            f'[page]\nport = {port}\naddress = "127.0.0.1"\n'
            f'password_file = "{folder / "password"}"\n{page}'
            f'[tags]\nnames_file = "{folder / "names.csv"}"\n' + "".join(links) + more,
            encoding="utf-8",
        )

    def start(self) -> None:
        """Start it; return when its page is served and its radios, all plugged in, are heard.

        What a radio said before its port was opened is nobody's: the driver throws it away. A radio
        is of one station only: another one's port is locked.
        """
        served, opened = self._told("page"), self._told("link open")
        with self._log.open("ab") as log:
            self._run = subprocess.Popen(
                [_STOPOVER, "run", "-c", str(self._configuration)], stdout=log, stderr=log
            )
        give_up_at = time.monotonic() + _PATIENCE_S
        try:
            while self._told("page") == served or self._told("link open") < opened + self._radios:
                assert self._run.poll() is None, self._log.read_text()
                assert time.monotonic() < give_up_at, self._log.read_text()
                time.sleep(0.01)
        except AssertionError:
            self.stop(signal.SIGKILL)  # A fixture that failed has no end of its own.
            raise

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it; safe to call again."""
        if self._run is not None:
            self._run.send_signal(number)
            self._run.wait(_PATIENCE_S)
            self._run = None

    def configure(self, old: str, new: str) -> None:
        """Change the configuration, for the next start."""
        text = self._configuration.read_text(encoding="utf-8")
        assert old in text
        self._configuration.write_text(text.replace(old, new), encoding="utf-8")

    def forget(self) -> None:
        """Remove the store: what runs next knows nothing."""
        for path in self.store.parent.glob(f"{self.store.name}*"):
            path.unlink()

    def _told(self, event: str) -> int:
        """Return how often the log told it; a refusal to start is told in plain words."""
        lines = self._log.read_bytes().splitlines(keepends=True)
        whole = (line for line in lines if line.startswith(b"{") and line.endswith(b"\n"))
        return sum(json.loads(line)["event"] == event for line in whole)


def say(radio: PseudoRadio, number: int, rssi_dbm: int = -70) -> None:
    """Let a radio print the beep of one of a million tags, as a Motus Adapter V2 does."""
    radio.say(build_packet(id_from_number(number)).hex().encode() + b",%d\r\n" % rssi_dbm)
