"""What several tests need: real brokers, pseudo-terminals, and waiting for something to be true."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
import structlog
from brokers import MOSQUITTO, Broker
from live_station import LiveStation
from postgres_server import INITDB, PostgresServer
from pseudo_terminals import PseudoRadio

Until: TypeAlias = Callable[[Callable[[], object]], Awaitable[None]]

_WAIT_S = 10.0


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """Take back what a command of the last test did to the log of this process."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Start mosquitto, with lines of its configuration if given; it ends with the test."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: sudo apt-get install mosquitto")
    brokers: list[Broker] = []

    def start(settings: str = "allow_anonymous true\n") -> Broker:
        folder = tmp_path / f"mosquitto-{len(brokers)}"
        folder.mkdir()
        broker = Broker(folder, settings)
        brokers.append(broker)
        broker.start()
        return broker

    yield start
    for broker in brokers:
        broker.kill()


@pytest.fixture
def broker(start_broker: Callable[..., Broker]) -> Broker:
    """A running mosquitto that lets everybody in."""
    return start_broker()


@pytest.fixture
def plug_in() -> Iterator[Callable[[], PseudoRadio]]:
    """Plug in another radio; all are unplugged at the end."""
    radios: list[PseudoRadio] = []

    def plug() -> PseudoRadio:
        radios.append(PseudoRadio())
        return radios[-1]

    yield plug
    for radio in radios:
        radio.unplug()


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[LiveStation]:
    """Links, pipeline and store of a station on the test's loop."""
    station = LiveStation(tmp_path / "live.db")
    station.write()
    yield station
    await station.end()


@pytest.fixture
def until() -> Until:
    """Wait until something that nobody announces is true; fail after ten seconds."""

    async def wait(is_true: Callable[[], object]) -> None:
        async with asyncio.timeout(_WAIT_S):
            while not is_true():  # noqa: ASYNC110  What is waited for announces nothing.
                await asyncio.sleep(0.002)

    return wait


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL, one for all tests."""
    if INITDB is None:
        pytest.skip("PostgreSQL is not installed: sudo apt-get install postgresql")
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture
def database(postgres_server: PostgresServer) -> str:
    """The address of a new database in PostgreSQL."""
    return postgres_server.database()
