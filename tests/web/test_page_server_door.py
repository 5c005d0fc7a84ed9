"""The page of a running daemon: it costs nothing until somebody looks, and ends with the daemon."""

import asyncio
import contextlib
import gc
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from itertools import islice
from pathlib import Path

import aiohttp
import msgspec
import pytest
from conftest import Until
from page_rig import Events
from structlog.testing import capture_logs

from receiver.daemon import Daemon
from receiver.log import configure
from receiver.settings import ClockSettings, Settings, StationSettings, StoreSettings
from receiver.watch_settings import PageSettings
from receiver.web import app, door
from receiver.web.local_client import connect
from receiver.web.unix_address import socket_beside

STOPOVER = str(Path(sys.executable).with_name("stopover"))
STOPS_WITHIN_S = 20.0


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


class Running:
    """A daemon on the test's loop."""

    def __init__(self, folder: Path, port: int) -> None:
        self.wanted = Settings(
            station=StationSettings(id="marsh"),
            store=StoreSettings(path=str(folder / "marsh.db"), commit_interval=0.05),
            clock=ClockSettings(gpsd="", chrony="never"),
            page=PageSettings(port=port, address="127.0.0.1"),
        )
        self.store = folder / "marsh.db"
        self.daemon = Daemon(self.wanted, load=lambda: self.wanted)
        self._run = asyncio.create_task(self.daemon.run())

    async def served(self, until: Until) -> str:
        """Wait for the page; return where it is."""
        await until(lambda: self.daemon.door.url or self._run.done())
        assert self.daemon.door.url is not None
        return self.daemon.door.url

    async def reload(self, until: Until, **page: object) -> None:
        """Let the daemon read other settings of its page."""
        changed = msgspec.structs.replace(self.wanted.page, **page)
        self.wanted = msgspec.structs.replace(self.wanted, page=changed)
        self.daemon.reload()
        await until(lambda: self.daemon.settings.page == changed)
        await until(lambda: not self.daemon._reload.is_asked)
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """Stop it, in time."""
        self.daemon.stop()
        async with asyncio.timeout(STOPS_WITHIN_S):
            assert await self._run == 0


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Running]]:
    """Start daemons; they end with the test."""
    running: list[Running] = []

    def run(port: int | None = None) -> Running:
        folder = tmp_path / f"station-{len(running)}"
        folder.mkdir()
        running.append(Running(folder, free_port() if port is None else port))
        return running[-1]

    yield run
    for each in running:
        if not each._run.done():
            await each.stop()


async def is_answered(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as client, client.get(f"{url}api/status") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_a_daemon_serves_its_page_and_its_socket(
    start: Callable[..., Running], until: Until
) -> None:
    running = start()
    url = await running.served(until)
    assert await is_answered(url)
    station = await asyncio.to_thread(connect, running.store)
    assert station is not None
    assert (await asyncio.to_thread(station.status)).station == "marsh"
    assert socket_beside(running.store).stat().st_mode & 0o777 == 0o660
    await running.stop()
    assert not await is_answered(url)
    assert not socket_beside(running.store).exists()
    assert await asyncio.to_thread(connect, running.store) is None


async def test_the_daemon_stops_in_time_whatever_the_page_is_doing(
    start: Callable[..., Running], until: Until
) -> None:
    running = start()
    url = await running.served(until)
    port = int(url.rstrip("/").rpartition(":")[2])
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(cookie_jar=jar) as client:
        streams = [await client.get(f"{url}api/live") for _ in range(8)]
        for each in streams:
            await Events(each).following("status")
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        _, slow = await asyncio.open_connection("127.0.0.1", port)
        slow.write(b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n")
        slow.write(b"Content-Type: application/json\r\n\r\n{")
        rows = (await asyncio.to_thread(connect, running.store)).live()  # type: ignore[union-attr]
        await asyncio.to_thread(next, rows)
        await running.stop()
        for each in streams:
            with contextlib.suppress(aiohttp.ClientError):
                await each.read()
            each.close()
        idle.close()
        slow.close()


async def test_a_port_that_is_taken_is_one_warning_and_tried_again(
    start: Callable[..., Running], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "PAGE_PORT_RETRY_FIRST_S", 0.02)
    monkeypatch.setattr(door, "PAGE_PORT_RETRY_LONGEST_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as taken, capture_logs() as told:
        port = taken.getsockname()[1]
        running = start(port)
        tries = 0
        listening = door._listening

        async def counted(address: str, wanted: int) -> list[socket.socket]:
            nonlocal tries
            tries += 1
            return await listening(address, wanted)

        monkeypatch.setattr(door, "_listening", counted)
        await until(lambda: tries >= 5)
        assert running.daemon.door.url is None
        # The commands' socket does not care.
        assert await asyncio.to_thread(connect, running.store) is not None
        taken.close()
        assert await is_answered(await running.served(until))
    lines = [line for line in told if line["event"].startswith("page")]
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("page cannot be served; tried again", "warning"),
        ("page", "warning"),
    ]
    assert lines[0]["port"] == port
    assert "page.port" in lines[0]["do"]


async def test_two_daemons_of_one_machine_do_not_disturb_each_other(
    start: Callable[..., Running], until: Until
) -> None:
    first = start()
    url = await first.served(until)
    second = start(int(url.rstrip("/").rpartition(":")[2]))
    await until(lambda: second.daemon.door._is_refused)
    assert await is_answered(url)
    station = await asyncio.to_thread(connect, second.store)
    assert station is not None
    await second.stop()
    assert await is_answered(url)


async def test_a_connection_of_the_last_moment_is_closed_with_the_rest(
    start: Callable[..., Running],
) -> None:
    for _ in range(12):
        running = start(0)
        while not socket_beside(running.store).exists():  # noqa: ASYNC110  It announces nothing.
            await asyncio.sleep(0.001)
        await asyncio.to_thread(connect, running.store)
        await running.stop()
    # A connection that nobody closed complains when it is collected, and fails the test.
    gc.unfreeze()
    gc.collect()


@pytest.mark.parametrize("has_been_asked", [False, True])
async def test_the_page_moves_when_the_configuration_says_so(
    start: Callable[..., Running], until: Until, *, has_been_asked: bool
) -> None:
    running = start()
    old = await running.served(until)
    assert await is_answered(old) is True or not has_been_asked
    port = free_port()
    await running.reload(until, port=port)
    await until(lambda: running.daemon.door.url == f"http://127.0.0.1:{port}/")
    assert await is_answered(f"http://127.0.0.1:{port}/")
    assert not await is_answered(old)
    await running.reload(until, port=0)
    await until(lambda: running.daemon.door.url is None)
    assert not await is_answered(f"http://127.0.0.1:{port}/")
    await running.reload(until, port=port, address="127.0.0.2")
    await until(lambda: running.daemon.door.url == f"http://127.0.0.2:{port}/")
    assert await is_answered(f"http://127.0.0.2:{port}/")


async def test_a_stream_goes_on_while_another_setting_changes(
    start: Callable[..., Running], until: Until, tmp_path: Path
) -> None:
    configure("json", "info")  # What is logged goes on the stream.
    running = start()
    url = await running.served(until)
    async with aiohttp.ClientSession() as client, client.get(f"{url}api/live") as stream:
        events = Events(stream)
        await events.following("status")
        (tmp_path / "secret").write_text("heron\n")
        await running.reload(until, password_file=str(tmp_path / "secret"))
        assert await events.following("log")
        async with client.get(f"{url}api/session") as answer:
            assert (await answer.json())["password_set"] is True


async def test_an_address_that_is_none_is_a_warning(
    start: Callable[..., Running], until: Until
) -> None:
    running = start()
    await running.served(until)
    with capture_logs() as told:
        await running.reload(until, address="no.such.host.invalid")
        await until(lambda: running.daemon.door._is_refused)
    assert [line["log_level"] for line in told if line["event"].startswith("page")] == ["warning"]


async def test_a_folder_without_room_for_a_socket_is_a_warning(
    start: Callable[..., Running], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> socket.socket:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(door, "_listening_unix", refused)
    with capture_logs() as told:
        running = start()
        assert await is_answered(await running.served(until))
        await running.stop()
    (line,) = (line for line in told if line["event"].startswith("commands"))
    assert line["log_level"] == "warning"
    assert "folder" in line["do"]


async def test_a_fault_in_the_page_does_not_stop_the_station(
    start: Callable[..., Running], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(app, "Page", broken)
    with capture_logs() as told:
        running = start()
        url = await running.served(until)
        port = int(url.rstrip("/").rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: [line for line in told if line["log_level"] == "error"])
        writer.close()
        assert not await is_answered(url)
        assert await asyncio.to_thread(connect, running.store) is None
        await running.stop()


def test_nothing_is_loaded_for_the_page_until_somebody_knocks(tmp_path: Path) -> None:
    port = free_port()
    configuration = tmp_path / "stopover.toml"
    configuration.write_text(
        f'[store]\npath = "{tmp_path / "s.db"}"\n[log]\nformat = "json"\n'
        f'[page]\nport = {port}\naddress = "127.0.0.1"\n'
        '[[links]]\nkind = "serial"\nname = "ch1"\ndevice = "/dev/none"\n'
    )
    with (tmp_path / "log").open("wb") as log:
        station = subprocess.Popen([STOPOVER, "run", "-c", configuration], stderr=log)
    try:
        maps = Path(f"/proc/{station.pid}/maps")
        log_path = tmp_path / "log"
        give_up_at = time.monotonic() + 60
        while b'"page"' not in log_path.read_bytes():
            assert time.monotonic() < give_up_at, log_path.read_text()
            assert station.poll() is None, log_path.read_text()
            time.sleep(0.01)
        time.sleep(0.5)
        assert "aiohttp" not in maps.read_text()
        with socket.create_connection(("127.0.0.1", port), timeout=60) as knocking:
            knocking.sendall(b"GET /api/session HTTP/1.0\r\nHost: localhost\r\n\r\n")
            assert knocking.recv(12) == b"HTTP/1.0 200"
        assert "aiohttp" in maps.read_text()
    finally:
        station.send_signal(signal.SIGTERM)
        assert station.wait(60) == 0


@pytest.mark.parametrize(
    ("address", "shown"),
    [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:"), ("", "http://")],
)
async def test_the_page_tells_where_it_is(
    start: Callable[..., Running], until: Until, address: str, shown: str
) -> None:
    if ":" in address and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    running = start()
    await running.served(until)
    await running.reload(until, address=address)
    url = await running.served(until)
    assert url.startswith(shown)
    assert "0.0.0.0" not in url  # noqa: S104  Nobody can open that.
    assert "[::]" not in url


def test_the_antennas_of_the_demo_point_somewhere(tmp_path: Path) -> None:
    command = [STOPOVER, "demo", "--duration", "30"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as demo:
        try:
            assert demo.stderr is not None
            begins = (line for line in demo.stderr if " page " in line or " link open " in line)
            (page,) = (line for line in islice(begins, 4) if " page " in line)
            port = int(page.strip().rpartition(":")[2].rstrip("/"))
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            asked.request("GET", "/api/status")
            antennas = json.loads(asked.getresponse().read())["antennas"]
            asked.close()
            demo.stderr.close()  # Nobody reads its log any more.
            demo.terminate()
            assert demo.wait(timeout=60) == 0
        finally:
            demo.kill()
    assert {each["antenna"]: (each["bearing_deg"], each["kind"]) for each in antennas} == {
        "north": (0, "yagi"),
        "south": (180, "yagi"),
        "nodes": (None, "omni"),
    }


def test_the_demo_serves_its_page_also_where_its_port_is_taken(tmp_path: Path) -> None:
    with contextlib.ExitStack() as held:
        give_up_at = time.monotonic() + 60
        while time.monotonic() < give_up_at:
            # Another test's demo may have it, and give it back too soon; a lasting one is as good.
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", PageSettings().port)))
                break
            time.sleep(0.05)
        demo = subprocess.run(
            [STOPOVER, "demo", "--duration", "1"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
            check=True,
        )
    (line,) = (line for line in demo.stderr.splitlines() if " page " in line)
    url = line.rpartition("url=")[2].strip()
    assert url.startswith("http://127.0.0.1:")
    assert f":{PageSettings().port}/" not in url
    assert "warning" not in line
