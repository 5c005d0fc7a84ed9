"""What several tests need: real brokers, pseudo-terminals, and waiting for something to be true."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import pytest_asyncio
import structlog
from brokers import MOSQUITTO, Broker
from debian_machine import DebianMachine, why_not
from debian_package import (
    CannotInstallError,
    InstalledPackage,
    Package,
    build_and_debootstrap,
    copy_sources,
    install,
    later_release,
)
from hypothesis import HealthCheck, settings
from live_station import LiveStation
from postgres_server import INITDB, PostgresServer
from pseudo_terminals import PseudoRadio
from watched_station import Machine, WatchedStation

from receiver.settings import Settings

if TYPE_CHECKING:
    from browser import OpenPage, Visit
    from playwright.async_api import Browser

Until: TypeAlias = Callable[[Callable[[], object]], Awaitable[None]]

_WAIT_S = 60.0
"""Nothing is measured by it: as long as a machine may take that has much else to do."""

# How long an example takes is the machine's matter: nothing is right or wrong by it.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


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
    """Wait until something that nobody announces is true; fail after a minute."""

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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> "AsyncIterator[Browser]":
    """A running browser without a window, one for all tests."""
    from browser import CHROMIUM, launched  # noqa: PLC0415  Only tests of the page need it.

    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: sudo apt-get install chromium")
    async with launched(CHROMIUM) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def visit(chromium: "Browser") -> "AsyncIterator[OpenPage]":
    """Visit a page; every visit ends with the test, and the browser must have nothing to say."""
    from browser import new_visit  # noqa: PLC0415  Same.

    visits: list[Visit] = []

    async def start(url: str, **options: Any) -> "Visit":  # noqa: ANN401  They are new_visit's own.
        visits.append(await new_visit(chromium, url, **options))
        return visits[-1]

    yield start
    for each in visits:
        await each.end()


@pytest.fixture(scope="session")
def deb_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, which packages are built from."""
    return copy_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="session")
def deb(deb_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The package for this computer, and a clean Debian for it: two minutes, once for all tests."""
    reason = why_not()
    if reason is None:
        try:
            return build_and_debootstrap(deb_sources, tmp_path_factory.mktemp("deb"))
        except CannotInstallError as error:
            reason = str(error)
    pytest.skip(f"no clean Debian can be made here: {reason}")


@pytest.fixture(scope="session")
def deb_installed(deb: Package, tmp_path_factory: pytest.TempPathFactory) -> InstalledPackage:
    """The package freshly installed."""
    return install(deb, tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="session")
def later_deb(deb: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A later release of the package."""
    return later_release(deb, tmp_path_factory.mktemp("later"))


@pytest.fixture
def debian(deb_installed: InstalledPackage, tmp_path: Path) -> Iterator[DebianMachine]:
    """A running Debian of the test's own, on which the package was just installed."""
    with DebianMachine(tmp_path / "debian", deb_installed.disks) as machine:
        yield machine


StartStation: TypeAlias = Callable[..., Awaitable[WatchedStation]]


@pytest.fixture
def machine() -> Machine:
    """The clocks of the computer that watched stations run on."""
    return Machine()


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """The folder of the files that its kernel shows; empty at first."""
    folder = tmp_path / "kernel"
    folder.mkdir()
    return folder


@pytest.fixture
async def start_station(machine: Machine, kernel: Path) -> AsyncIterator[StartStation]:
    """Start a daemon whose time the test moves on; it ends with the test."""
    stations: list[WatchedStation] = []

    async def start(settings: Settings) -> WatchedStation:
        stations.append(WatchedStation(settings, machine, kernel))
        await stations[-1].start()
        return stations[-1]

    yield start
    for station in stations:
        await station.end()
