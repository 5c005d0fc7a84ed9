"""The page over real sockets on the test's own loop, with a store, a ring and settings to turn."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from protocols.records import Detection, LogLine, Record
from receiver.arrivals import Arrival, Source, Stamp
from receiver.health.snapshot import (
    AntennaSnapshot,
    ClockSnapshot,
    LinkSnapshot,
    StationSnapshot,
    StoreSnapshot,
)
from receiver.live import LiveRing
from receiver.settings import Settings, StationSettings, StoreSettings
from receiver.store.database import Store
from receiver.watch_settings import PageSettings
from receiver.web.app import Page
from receiver.web.door import _listening_unix
from receiver.web.local_client import LocalStation
from receiver.web.parts import StationParts
from receiver.web.unix_address import socket_beside

AT_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
PASSWORD = "heron on one leg"  # noqa: S105  Of a page that lives for a test.
JSON = {"Content-Type": "application/json"}


class PageRig:
    """A page whose station is turned by the test."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.store = Path(settings.store.path)
        self.live = LiveRing()
        self.kept: list[tuple[Record, Source]] = []
        self.names: dict[str, str] = {}
        self.known: frozenset[str] = frozenset()
        self.reloads = 0
        self.status_asked = 0
        self.links: tuple[LinkSnapshot, ...] = ()
        self.antennas: tuple[AntennaSnapshot, ...] = ()
        self.told: dict[str, Any] = {}
        """What else the snapshot tells, by its names, in place of what it tells otherwise."""
        self._began_s = time.monotonic()
        self.parts = StationParts(
            settings=lambda: self.settings,
            snapshot=self._snapshot,
            live=self.live,
            names=lambda: self.names,
            known=lambda: self.known,
            keep=lambda record, source: self.kept.append((record, source)),
            boot="boot-a",
            reload=self._reload,
            configuration=folder / "stopover.toml",
        )
        self.url = ""
        self.client: aiohttp.ClientSession
        self.page: Page

    @property
    def local(self) -> LocalStation:
        """How a command asks this page; call it in a thread."""
        return LocalStation(socket_beside(self.store))

    def turn_page(self, **changed: Any) -> None:  # noqa: ANN401  Values of the page's settings.
        """Change settings of the page, as SIGHUP does."""
        page = msgspec.structs.replace(self.settings.page, **changed)
        self.settings = msgspec.structs.replace(self.settings, page=page)

    def set_password(self, password: str = PASSWORD) -> None:
        """Give the page a password."""
        path = self.folder / "password"
        path.write_text(f"{password}\n", encoding="utf-8")
        self.turn_page(password_file=str(path))

    async def log_in(self, password: str = PASSWORD) -> dict[str, str]:
        """Log in; return the headers that a change needs then."""
        async with self.client.post("/api/session", json={"password": password}) as answer:
            assert answer.status == 200, await answer.text()
            csrf = (await answer.json())["csrf"]
        return {"X-CSRF-Token": csrf}

    def hear(self, tag_id: str, rssi_dbm: float | None = -70.0, antenna: str = "north") -> None:
        """Let the station hear a tag."""
        record = Detection(
            protocol="ctt-434", tag_id=tag_id, integrity="verified", rssi_dbm=rssi_dbm
        )
        stamp = Stamp(AT_NS, "ntp", self.live.count + 1, "boot-a")
        source = Source(link=f"link-{antenna}", decoder="ctt/1", antenna=antenna)
        self.live.heard(Arrival(record, source, stamp))

    async def get(self, path: str, **more: Any) -> Any:  # noqa: ANN401  JSON of any shape.
        """Return the JSON at a path, which must be there."""
        async with self.client.get(path, **more) as answer:
            assert answer.status == 200, (answer.status, await answer.text())
            return await answer.json()

    async def status_of(self, method: str, path: str, **more: Any) -> int:  # noqa: ANN401  As aiohttp's.
        """Return how a request is answered; an error must say what to do."""
        async with self.client.request(method, path, **more) as answer:
            if answer.status >= 400 and method != "HEAD":  # Whose answer has no words.
                told = await answer.json()
                assert told["error"]
                assert "do" in told
            return answer.status

    def notes(self) -> list[str]:
        """Return the words of what was put into the store."""
        return [record.message for record, _ in self.kept if isinstance(record, LogLine)]

    def _snapshot(self) -> StationSnapshot:
        self.status_asked += 1
        snapshot = StationSnapshot(
            station=self.settings.station.id,
            version="0.1.0",
            started="2026-01-01T00:00:00Z",
            uptime_s=time.monotonic() - self._began_s,
            latitude=self.settings.station.latitude,
            longitude=self.settings.station.longitude,
            clock=ClockSnapshot(time="2026-01-01T00:00:00Z", quality="ntp"),
            store=StoreSnapshot(
                path=str(self.store),
                state="writing",
                store_uuid="uuid",
                bytes=0,
                free_bytes=0,
                disk_bytes=0,
            ),
            detections=self.live.count,
            links=self.links,
            antennas=self.antennas,
        )
        return msgspec.structs.replace(snapshot, **self.told)

    def _reload(self) -> None:
        self.reloads += 1


@contextlib.asynccontextmanager
async def serving(
    folder: Path, settings: Settings | None = None, *, connections: int = 96
) -> AsyncIterator[PageRig]:
    """Serve the page of an empty store over TCP and the Unix socket."""
    store = folder / "station.db"
    Store.open(store, station_id="marsh").close()
    if settings is None:
        settings = Settings(station=StationSettings(id="marsh"), page=PageSettings())
    rig = PageRig(folder, msgspec.structs.replace(settings, store=StoreSettings(path=str(store))))
    rig.page = Page(rig.parts, connections=connections)
    await rig.page.start()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)  # noqa: FBT003  Its only argument.
    rig.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    servers = [
        await rig.page.serve(each) for each in (listening, _listening_unix(socket_beside(store)))
    ]
    jar = aiohttp.CookieJar(unsafe=True)  # An address is a host like any other here.
    try:
        async with aiohttp.ClientSession(rig.url, cookie_jar=jar) as rig.client:
            yield rig
    finally:
        for server in servers:
            server.close()
        await rig.page.close()


class Events:
    """Reads server-sent events as they come."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def following(self, wanted: str | None = None, within_s: float = 60.0) -> dict[str, Any]:
        """Return the next event (of a kind): `event`, `id`, `data`."""
        async with asyncio.timeout(within_s):
            while True:
                event = await self._event()
                if event and (wanted is None or event.get("event") == wanted):
                    return event

    async def _event(self) -> dict[str, Any]:
        event: dict[str, Any] = {}
        while line := (await self._answer.content.readuntil(b"\n")).decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            event[name] = msgspec.json.decode(value) if name == "data" else value
        return event


def takes_nothing(writer: asyncio.StreamWriter) -> None:
    """Read no more of what comes back, as a phone that has left the network does."""
    assert isinstance(writer.transport, asyncio.Transport)
    writer.transport.pause_reading()
