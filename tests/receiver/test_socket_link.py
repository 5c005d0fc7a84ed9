"""Socket links: drivers that serve JSON lines on real Unix sockets."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from conftest import Until
from live_station import LiveStation
from structlog.testing import capture_logs

from protocols.ctt.driver_socket import data_message
from receiver.links import socket as socket_module
from receiver.links.backoff import Backoff
from receiver.links.intake import LinkState
from receiver.settings import SocketLink

HELLO = b'{"t":"hello","device":{"name":"SensorStationRadio","firmware":"4.0.0"}}\n'
BEEP = "78664C3304,-75"


class Driver:
    """A driver that serves whoever connects to its socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._server: asyncio.Server | None = None
        self.clients: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        """Serve the socket."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def _serve(self, _: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        client.write(HELLO)
        self.clients.append(client)

    def say(self, line: str, seq: int) -> None:
        """Pass on a serial line."""
        self.clients[-1].write(data_message(line, seq=seq))

    async def stop(self) -> None:
        """End, and with it every connection."""
        if self._server is None:
            return
        for client in self.clients:
            client.close()
            with contextlib.suppress(ConnectionError):
                await client.wait_closed()
        self.clients.clear()
        self._server.close()
        await self._server.wait_closed()
        self._server = None
        self.path.unlink(missing_ok=True)


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[Driver]:
    made = Driver(tmp_path / "ch1.sock")
    yield made
    await made.stop()


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the link come back in hundredths of what it waits otherwise."""
    hasty = functools.partial(Backoff, first_s=0.01, longest_s=0.05)
    monkeypatch.setattr(socket_module, "Backoff", hasty)


def link_to(driver: Driver, decoder: str = "ctt-driver") -> SocketLink:
    return SocketLink(name="ch1", path=str(driver.path), decoder=decoder, antenna="north")


async def test_a_drivers_lines_are_heard_and_what_it_threw_away_is_counted(
    live: LiveStation, driver: Driver, until: Until
) -> None:
    await driver.start()
    live.hear(link_to(driver))
    await until(lambda: driver.clients)
    for seq in (17, 18, 21):
        driver.say(BEEP, seq)
    await until(lambda: len(live.detections()) == 3)
    assert live.statuses["ch1"].firmware == "SensorStationRadio 4.0.0"
    assert live.statuses["ch1"].state is LinkState.HEARING
    await live.end()
    row = live.detections()[0]
    assert (row["tag_id"], row["antenna"], row["decoder"]) == (
        "78664C33",
        "north",
        "ctt-driver/1",
    )
    assert live.rejects()["lost_lines"] == 2


async def test_a_driver_that_ends_is_found_again_and_told_once(
    live: LiveStation, driver: Driver, until: Until
) -> None:
    status_of = live.statuses
    with capture_logs() as log:
        live.hear(link_to(driver))
        await until(lambda: status_of["ch1"].state is LinkState.FAILED)
        await driver.start()
        await until(lambda: driver.clients)
        await driver.stop()
        await until(lambda: status_of["ch1"].state is LinkState.FAILED)
        await driver.start()
        await until(lambda: driver.clients)
        driver.say(BEEP, 1)
        await until(live.detections)
    told = [line["event"] for line in log if line["log_level"] == "warning"]
    assert told[:3] == ["link lost", "link found again", "link lost"]
    assert told[-1] == "link found again"
    await live.end()
    # A new driver counts anew: nothing was lost.
    assert "lost_lines" not in live.rejects()


async def test_a_blu_drivers_socket_is_heard_too(
    live: LiveStation, driver: Driver, until: Until
) -> None:
    await driver.start()
    live.hear(link_to(driver, "ctt-blu-driver"))
    await until(lambda: driver.clients)
    fields = '{"detection":"AAAAoQcAAACMCDD4","rssi":-70,"current_tick_ms":9,"detect_tick_ms":4}'
    driver.say(f'{{"type":6,"channel":2,"data":{fields}}}', 1)
    await until(live.detections)
    (row,) = live.detections()
    assert (row["tag_id"], row["antenna"]) == ("000000A1", "2")
    assert row["measurements"]["temperature_c"] == -20


async def test_a_path_that_is_no_socket_is_told_with_what_to_do(
    live: LiveStation, driver: Driver, until: Until
) -> None:
    driver.path.write_text("")
    live.hear(link_to(driver))
    status = live.statuses["ch1"]
    await until(lambda: status.state is LinkState.FAILED)
    assert status.reason is not None
    assert "start it" in status.reason or "no socket" in status.reason
