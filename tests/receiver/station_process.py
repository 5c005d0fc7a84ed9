"""A running `stopover`, as a real process started the way a user starts it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from protocols.ctt.packet import build_packet, id_from_number
from receiver.store.errors import StoreError
from receiver.store.queries import DetectionFilter, Reader

STOPOVER = str(Path(sys.executable).with_name("stopover"))
ENDS_WITHIN_S = 10.0
"""What the station promises for SIGTERM."""

_STARTS_WITHIN_S = 60.0


def serial_link(name: str, device: str | Path, *more: str) -> str:
    """Return a link of the configuration; its radio is never written to."""
    return _section(
        'kind = "serial"', f'name = "{name}"', f'device = "{device}"', 'talk = "never"', *more
    )


def mqtt_link(name: str, broker_url: str, topic: str) -> str:
    """Return a link of the configuration whose messages are CTT lines."""
    topics = f'topics = [{{ topic = "{topic}", decoder = "ctt" }}]'
    return _section('kind = "mqtt"', f'name = "{name}"', f'broker = "{broker_url}"', topics)


def _section(*lines: str) -> str:
    return "\n".join(("[[links]]", *lines, ""))


def beep(number: int, rssi_dbm: int = -70) -> bytes:
    """Return the line that a Motus Adapter V2 prints for one of a million different tags."""
    return build_packet(id_from_number(number)).hex().encode() + b",%d\r\n" % rssi_dbm


class StationProcess:
    """One station: its configuration, its store, and the process that runs it now."""

    def __init__(
        self, folder: Path, links: Sequence[str], *, commit_interval_s: float = 2.0
    ) -> None:
        self.store = folder / "station.db"
        self.configuration = folder / "stopover.toml"
        self.configuration.write_text(
            f'[station]\nid = "marsh"\n[store]\npath = "{self.store}"\n'
            f'commit_interval = {commit_interval_s}\n[log]\nformat = "json"\n' + "\n".join(links),
            encoding="utf-8",
        )
        self._log_path = folder / "log"
        self._log_path.touch()
        self._run: subprocess.Popen[bytes] | None = None
        self._links = len(links)

    def start(self) -> None:
        """Start it; its log is appended to that of its earlier runs."""
        with self._log_path.open("ab") as log:
            self._run = subprocess.Popen(
                [STOPOVER, "run", "-c", str(self.configuration)], stdout=log, stderr=log
            )

    async def start_and_hear(self) -> None:
        """Start it; return when every link is open."""
        told_before = self.told("link open") + self.told("link found again")
        self.start()
        await self.tells(told_before + self._links, "link open", "link found again")

    async def tells(self, times: int, *events: str) -> None:
        """Wait until the log tells one of some events so many times in all."""
        give_up_at = time.monotonic() + _STARTS_WITHIN_S
        while sum(map(self.told, events)) < times:
            assert self._run is not None
            assert self._run.poll() is None, self._log_path.read_text()
            assert time.monotonic() < give_up_at, self._log_path.read_text()
            await asyncio.sleep(0.005)

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of its log so far."""
        lines = self._log_path.read_bytes().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def told(self, event: str) -> int:
        """Return how often its log tells an event."""
        return sum(line["event"] == event for line in self.log())

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        return self._run.pid if self._run else None

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        assert self._run is not None
        self._run.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end, as long as it promises to take at most; return the exit status."""
        assert self._run is not None
        return await asyncio.to_thread(self._run.wait, ENDS_WITHIN_S)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._run is not None:
            self._run.kill()
            self._run.wait()
            self._run = None

    def has_store(self) -> bool:
        """Tell whether its store is there, with the station in it."""
        try:
            Reader(self.store).close()
        except StoreError:
            return False
        return True

    def detections(self) -> list[dict[str, Any]]:
        """Return what its store holds, in the order in which it was kept."""
        with Reader(self.store) as reader:
            return list(reader.detections(DetectionFilter()))

    def heard(self, link: str) -> list[str]:
        """Return the tags of one link in the order in which they were kept."""
        return [row["tag_id"] for row in self.detections() if row["link"] == link]


def run_stopover(
    *arguments: str | Path, folder: Path, seconds: float = 90.0
) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` to its end; nothing of the terminal it runs in reaches it."""
    return subprocess.run(
        [STOPOVER, *map(str, arguments)],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
