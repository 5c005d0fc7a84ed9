"""Far ends of every kind for the tests of sinks: real ones, with faults that can be switched on."""

import asyncio
import contextlib
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from brokers import Broker, free_port
from certificates import Certificate
from wire import Wire

from receiver.collector.collector import Collector, Outcome, Verdict
from receiver.collector.http import HttpFront
from receiver.collector.mqtt import MqttFront
from receiver.collector.rows import Contents, read
from receiver.collector.settings import HttpSettings, MqttSettings
from receiver.collector.sqlite import SqliteStore
from receiver.limits import MAX_BATCH_UNPACKED_BYTES
from receiver.links.backoff import Backoff
from receiver.sink_settings import FolderSink, HttpSink, MqttSink, Sink
from receiver.sinks.batches import name_of

STATION = "marsh"
PASSWORD = "correct-horse"  # noqa: S105  Of a broker that lives for a second.


class FaultyCollector(Collector):
    """A collector that refuses, delays or stores without saying so, as it is told."""

    def __init__(self, path: Path) -> None:
        super().__init__(SqliteStore(path))
        self.refuses: Callable[[Contents], bool] = lambda _contents: False
        self.refuses_as = Outcome.REFUSED
        self.delay_s = 0.0
        self.on_stored: Callable[[], None] = lambda: None
        self.came: Counter[int] = Counter()
        """How often each detection was stored, the first time counted."""
        self.batches_came: list[int] = []
        """The rows of each batch, refused ones too."""

    async def take(self, body: bytes, station_id: str | None = None) -> Verdict:
        """Store a batch, or not, as it is told."""
        contents = read(body, MAX_BATCH_UNPACKED_BYTES)
        self.batches_came.append(contents.rows)
        if self.refuses(contents):
            return Verdict(batch=name_of(body), outcome=self.refuses_as, reason="told to")
        await asyncio.sleep(self.delay_s)
        verdict = await super().take(body, station_id)
        self.came.update(row.seq for row in contents.detections)
        self.on_stored()
        return verdict


class FarEnd:
    """What the tests do to a far end; a kind that has no such thing skips the test."""

    async def start(self, folder: Path, tls: Certificate | None = None) -> None:
        """Begin."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End."""
        raise NotImplementedError

    def settings(self, **changes: Any) -> Sink:  # noqa: ANN401  Each kind has its own.
        """Return the settings of a sink that sends here."""
        raise NotImplementedError

    async def away(self) -> None:
        """Begin an outage."""
        raise NotImplementedError

    async def back(self) -> None:
        """End it."""
        raise NotImplementedError

    def kept(self) -> list[int]:
        """Return the `seq` of the detections it has, in order, those it has twice twice."""
        raise NotImplementedError

    def cut_next(self) -> None:
        """Let the next batch arrive in half."""
        raise NotImplementedError

    def wrong_password(self, folder: Path) -> dict[str, Any]:
        """Return settings with which it does not let the station in."""
        raise NotImplementedError

    @property
    def collector(self) -> FaultyCollector:
        """The collector behind it."""
        pytest.skip("it takes whatever fits on it, and nobody answers")


class _Collected(FarEnd):
    """A far end with a real collector, at the end of a wire."""

    def __init__(self) -> None:
        self._collector: FaultyCollector | None = None
        self._wire: Wire | None = None
        self._front: asyncio.Task[None] | None = None
        self.tls: Certificate | None = None

    @property
    def collector(self) -> FaultyCollector:
        """The collector behind it."""
        assert self._collector is not None
        return self._collector

    @property
    def wire(self) -> Wire:
        """The wire to it."""
        assert self._wire is not None
        return self._wire

    async def _begin(self, folder: Path, port: int, tls: Certificate | None) -> None:
        self.tls = tls
        self._collector = FaultyCollector(folder / "collected.db")
        self._wire = Wire(port, tls=tls.server_context() if tls else None)
        await self._wire.mend()

    async def stop(self) -> None:
        """End."""
        await self.wire.cut()
        if self._front is not None:
            self._front.cancel()
            await asyncio.gather(self._front, return_exceptions=True)
        self.collector.close()

    async def away(self) -> None:
        """Begin an outage."""
        await self.wire.cut()

    async def back(self) -> None:
        """End it."""
        await self.wire.mend()

    def cut_next(self) -> None:
        """Let the next batch arrive in half."""
        self.wire.cut_after(600)

    def kept(self) -> list[int]:
        """Return what it has."""
        assert self._collector is not None
        path = self._collector._store._path  # type: ignore[attr-defined]  # It is an SqliteStore.
        select = "SELECT seq FROM detections WHERE station_id = ? ORDER BY seq"
        with (
            contextlib.closing(sqlite3.connect(path)) as connection,
            contextlib.suppress(sqlite3.OperationalError),  # Nothing came yet.
        ):
            return [seq for (seq,) in connection.execute(select, (STATION,))]
        return []


class HttpFarEnd(_Collected):
    """`stopover collect` over HTTP."""

    async def start(self, folder: Path, tls: Certificate | None = None) -> None:
        """Begin."""
        port = free_port()
        await self._begin(folder, port, tls)
        (folder / "tokens").write_text(f"# station and token\n{STATION} {PASSWORD}\nother y\n")
        (folder / "token").write_text(f"{PASSWORD}\n")
        self._token_file = folder / "token"
        front = HttpFront(
            HttpSettings(port=port, tokens_file=str(folder / "tokens")), self.collector
        )
        self._front = asyncio.create_task(front.run())
        while front.port is None:  # noqa: ASYNC110  It announces nothing.
            await asyncio.sleep(0.002)

    def settings(self, **changes: Any) -> Sink:  # noqa: ANN401  As above.
        """Return the settings of a sink that sends here."""
        given: dict[str, Any] = {"token_file": str(self._token_file), **changes}
        scheme = "http"
        if self.tls:
            scheme = "https"
            given.setdefault("ca_file", str(self.tls.file))
        return HttpSink(name="far", url=f"{scheme}://localhost:{self.wire.port}/batches", **given)

    def wrong_password(self, folder: Path) -> dict[str, Any]:
        """Return settings that it does not let in."""
        (folder / "wrong").write_text("x\n")
        return {"token_file": str(folder / "wrong")}


def _make_user(users: Path) -> None:
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", users, "stopover", PASSWORD],
        check=True,
        capture_output=True,
    )


class MqttFarEnd(_Collected):
    """`stopover collect` behind mosquitto."""

    def __init__(self) -> None:
        super().__init__()
        self.broker: Broker | None = None

    async def start(self, folder: Path, tls: Certificate | None = None) -> None:
        """Begin."""
        place = folder / "mosquitto"
        place.mkdir()
        await asyncio.to_thread(_make_user, place / "users")
        (folder / "password").write_text(f"{PASSWORD}\n")
        self._password_file = folder / "password"
        self.broker = Broker(
            place, f"allow_anonymous false\npassword_file {place / 'users'}\nset_tcp_nodelay true\n"
        )
        await asyncio.to_thread(self.broker.start)
        await self._begin(folder, self.broker.port, tls)
        front = MqttFront(
            MqttSettings(
                broker=self.broker.url,
                username="stopover",
                password_file=str(self._password_file),
            ),
            self.collector,
            backoff=Backoff(first_s=0.02, longest_s=0.1),
        )
        self._front = asyncio.create_task(front.run())
        while not front.is_listening:  # noqa: ASYNC110  Same.
            await asyncio.sleep(0.002)

    async def stop(self) -> None:
        """End."""
        await super().stop()
        assert self.broker is not None
        await asyncio.to_thread(self.broker.kill)

    def settings(self, **changes: Any) -> Sink:  # noqa: ANN401  As above.
        """Return the settings of a sink that sends here."""
        given: dict[str, Any] = {
            "username": "stopover",
            "password_file": str(self._password_file),
            **changes,
        }
        scheme = "mqtt"
        if self.tls:
            scheme = "mqtts"
            given.setdefault("ca_file", str(self.tls.file))
        return MqttSink(name="far", broker=f"{scheme}://localhost:{self.wire.port}", **given)

    def wrong_password(self, folder: Path) -> dict[str, Any]:
        """Return settings that it does not let in."""
        (folder / "wrong").write_text("x\n")
        return {"password_file": str(folder / "wrong")}


class FolderFarEnd(FarEnd):
    """A USB stick."""

    async def start(self, folder: Path, tls: Certificate | None = None) -> None:
        """Begin."""
        if tls is not None:
            pytest.skip("a folder has no certificate")
        self._folder = folder / "stick"
        self._folder.mkdir()
        (self._folder / ".stopover").touch()

    async def stop(self) -> None:
        """End."""

    def settings(self, **changes: Any) -> Sink:  # noqa: ANN401  As above.
        """Return the settings of a sink that sends here."""
        changes.pop("timeout", None)
        return FolderSink(name="far", folder=str(self._folder), mark_file=".stopover", **changes)

    async def away(self) -> None:
        """Begin an outage."""
        self._folder.rename(self._folder.with_name("pulled-out"))

    async def back(self) -> None:
        """End it."""
        self._folder.with_name("pulled-out").rename(self._folder)

    def kept(self) -> list[int]:
        """Return what it has."""
        pulled_out = self._folder.with_name("pulled-out")
        files = (pulled_out if pulled_out.exists() else self._folder).rglob("*.ndjson*")
        return sorted(
            {
                row.seq
                for file in files
                if not file.name.endswith(".partial")
                for row in read(file.read_bytes(), MAX_BATCH_UNPACKED_BYTES).detections
            }
        )

    def cut_next(self) -> None:
        """Let the next batch arrive in half."""
        # Power went while a file was being written.
        (self._folder / STATION).mkdir(exist_ok=True)
        (self._folder / STATION / "marsh-0-0-0.ndjson.gz.partial").write_bytes(b"\x1f\x8b half")

    def wrong_password(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002  It has none.
        """Return settings that it does not let in."""
        pytest.skip("a folder has no password")


KINDS: dict[str, Callable[[], FarEnd]] = {
    "http": HttpFarEnd,
    "mqtt": MqttFarEnd,
    "folder": FolderFarEnd,
}
