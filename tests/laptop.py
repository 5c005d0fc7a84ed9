"""A folder in which somebody types what a page says, beside a simulated station.

The files that pages speak of are there when a command names them: a configuration, a store, tag
lists, recordings, metadata.
"""

import contextlib
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from export_season import METADATA, make_season

from receiver.store.errors import StoreError
from receiver.store.queries import DetectionFilter, Reader

BIN = Path(sys.executable).parent
WITHIN_S = 60.0

_ENDLESS = frozenset(("listen", "collect", "record"))
"""Commands that go on until somebody stops them."""
_ASKS_THE_STATION = frozenset(("listen", "status", "doctor", "commission"))
_MAY_FIND_SOMETHING = frozenset(("doctor", "commission"))
"""Commands whose status 1 is an answer."""
_MAKES_ITS_STORE = frozenset(("import", "replay", "demo"))

_STATION = """
[station]
id = "marsh"
latitude = 47.8
longitude = 16.8

[store]
path = "stopover.db"
commit_interval = 0.1

[page]
port = 0

[[sinks]]
kind = "folder"
name = "stick"
folder = "stick"
automatic = false
"""
_TAG_LIST = "proj,id,tagFreq,bi,dfreq,g1,g2,g3\n1,2,150.1,5.0,0.0,22.0,24.5,19.5\n"
_COLLECTOR = '[database]\nurl = "collected.db"\n[http]\nport = {port}\n'


class Laptop:
    """Whose folder it is; a context that ends what it started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._radios: subprocess.Popen[str] | None = None
        self._station: subprocess.Popen[bytes] | None = None
        self._links = ""

    def __enter__(self) -> Self:
        (self._folder / ".venv").symlink_to(BIN.parent)
        (self._folder / "tags.csv").write_text(_TAG_LIST, encoding="ascii")
        (self._folder / "stick").mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_station()
        if self._radios is not None:
            self._radios.kill()
            self._radios.communicate()

    def types(self, command: str) -> str | None:
        """Do what a line says; return what went wrong."""
        command = command.replace("/etc/stopover/", "").replace("/var/lib/stopover/", "")
        command = re.sub(
            r"(--port |--rtl-tcp )\d+", lambda found: f"{found[1]}{_free_port()}", command
        )
        words = shlex.split(command)
        name = words[1]
        self._prepare(name, words)
        if name == "run":
            return self._starts_station(command)
        if name in _ENDLESS or not {"--serial", "--rtl-tcp"}.isdisjoint(words):
            return self._stops_when_asked(command)
        done = self._shell(command)
        if name == "init":
            # "Name your radios in it."
            self._configure(self._folder / words[2])
        if "--example-metadata" in words:
            # "Fill it in."
            (self._folder / _value(words, "--example-metadata")).write_text(METADATA, "utf-8")
        allowed = (0, 1) if name in _MAY_FIND_SOMETHING else (0,)
        return None if done.returncode in allowed else f"{done.stdout}{done.stderr}"

    def _prepare(self, name: str, words: list[str]) -> None:
        """Put in place what a reader has by then."""
        configuration = self._folder / "stopover.toml"
        is_named = name in ("check", "run", "record", "upload", *_ASKS_THE_STATION)
        if is_named and not configuration.exists():
            self._configure(configuration)
        if name == "record":
            self._stop_station()
        elif name in _ASKS_THE_STATION:
            self._starts_station("stopover run -c stopover.toml")
        if name == "import":
            self._record(words[2:])
        if name == "collect":
            collector = _COLLECTOR.format(port=_free_port())
            (self._folder / "collector.toml").write_text(collector, encoding="ascii")
        if "--db" in words and name not in _MAKES_ITS_STORE:
            self._fill(self._folder / _value(words, "--db"))
        if "--metadata" in words:
            (self._folder / _value(words, "--metadata")).write_text(METADATA, encoding="utf-8")

    def _configure(self, path: Path) -> None:
        path.write_text(_STATION + self._simulated_links(), encoding="utf-8")

    def _simulated_links(self) -> str:
        """Start the radios; return the links that they are told as."""
        if self._radios is None:
            self._radios = subprocess.Popen(
                [BIN / "stopover", "simulate", "quiet-marsh", "--serial"],
                cwd=self._folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            assert self._radios.stdout is not None
            for line in self._radios.stdout:
                self._links += line
                if self._links.count("preset") == 3:
                    break
            self._links = self._links.replace('name = "north"', 'name = "ch1"')
        return self._links

    def _fill(self, store: Path) -> None:
        if not store.exists():
            made = make_season(self._folder).path
            made.rename(store)

    def _record(self, words: list[str]) -> None:
        """Make the recordings that a command imports."""
        for word in words:
            folder = Path(word).parts[0]
            if word.startswith("-") or (self._folder / folder).exists() or word.endswith(".db"):
                continue
            if word.endswith(".sqlite"):
                _sensorgnome_tags(self._folder / word)
            elif word.endswith((".cu8", ".cf32")):
                self._made(f"stopover simulate quiet-marsh --duration 4 --iq {word}")
            else:
                self._made(f"stopover simulate quiet-marsh --files {folder}")

    def _made(self, command: str) -> None:
        done = self._shell(command)
        assert done.returncode == 0, done.stderr

    def _starts_station(self, command: str) -> str | None:
        if self._station is not None:
            return None
        log = self._folder / "log"
        with log.open("ab") as file:
            station = self._station = subprocess.Popen(
                shlex.split(command), cwd=self._folder, env=_env(), stdout=file, stderr=file
            )
        _until(lambda: station.poll() is not None or self._has_heard())
        return None if station.poll() is None else log.read_text()

    def _has_heard(self) -> bool:
        with contextlib.suppress(StoreError), Reader(self._folder / "stopover.db") as reader:
            return next(reader.detections(DetectionFilter()), None) is not None
        return False

    def _stop_station(self) -> None:
        if self._station is not None:
            self._station.send_signal(signal.SIGTERM)
            self._station.wait(WITHIN_S)
            self._station = None

    def _stops_when_asked(self, command: str) -> str | None:
        """Start it, let it say or write something, stop it as with Ctrl-C."""
        log = self._folder / "endless"
        with log.open("wb") as file:
            process = subprocess.Popen(
                shlex.split(command), cwd=self._folder, env=_env(), stdout=file, stderr=file
            )
        try:
            _until(lambda: process.poll() is not None or bool(log.read_bytes()))
            process.send_signal(signal.SIGINT)
            status = process.wait(WITHIN_S)
        finally:
            process.kill()
            process.wait()
        return None if status in (0, 130) else f"status {status}\n{log.read_text()}"

    def _shell(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=_env(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_S,
        )


def _until(is_so: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    give_up_at = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def _env() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"}
    return kept | {"PATH": f"{BIN}:{os.environ['PATH']}"}


def _value(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _sensorgnome_tags(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as tags:
        tags.execute(
            "CREATE TABLE tags (proj TEXT, id TEXT, tagFreq REAL, dfreq REAL, g1 REAL, g2 REAL,"
            " g3 REAL, bi REAL)"
        )
        tags.execute("INSERT INTO tags VALUES ('1', '2', 150.1, 0.0, 22.0, 24.5, 19.5, 5.0)")
        tags.commit()
