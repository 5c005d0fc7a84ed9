"""systemd is told what is so: ready, how it goes, alive only while there is progress."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from conftest import Until
from pseudo_terminals import PseudoRadio
from station_process import StationProcess, beep, serial_link

from receiver.clock import Clock
from receiver.daemon import Daemon
from receiver.settings import ClockSettings, Settings, StationSettings, StoreSettings
from receiver.store.database import Store
from receiver.supervision.notify import Notifier
from receiver.supervision.progress import Progress


class SystemdSocket:
    """The socket that a service manager listens on."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)  # noqa: FBT003  It has no keyword.
        self._told: list[str] = []

    def told(self) -> list[str]:
        """Return every line that came so far, in order."""
        while True:
            try:
                self._told += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self._told

    def forget(self) -> None:
        """Forget what came so far."""
        self.told()
        self._told.clear()

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[SystemdSocket]:
    made = SystemdSocket(str(tmp_path / "notify"))
    yield made
    made.close()


def test_every_word_reaches_a_socket_with_a_path(systemd: SystemdSocket) -> None:
    notifier = Notifier(systemd.address)
    notifier.ready()
    notifier.status("3 hearing\nREADY=0")
    notifier.status("3 hearing READY=0")
    notifier.alive()
    notifier.reloading()
    notifier.stopping()
    notifier.close()
    told = systemd.told()
    assert told[:4] == ["READY=1", "STATUS=3 hearing READY=0", "WATCHDOG=1", "RELOADING=1"]
    assert told[4].startswith("MONOTONIC_USEC=")
    assert told[5:] == ["STOPPING=1"]


def test_an_abstract_socket_is_reached_too() -> None:
    systemd = SystemdSocket(f"@stopover-test-{os.getpid()}")
    notifier = Notifier(systemd.address)
    notifier.ready()
    assert systemd.told() == ["READY=1"]
    notifier.close()
    systemd.close()


def test_the_environment_says_where_and_how_often() -> None:
    environment = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000"}
    for wanted, more in (
        (30.0, {}),
        (30.0, {"WATCHDOG_PID": str(os.getpid())}),
        (None, {"WATCHDOG_PID": "1"}),
        (None, {"WATCHDOG_USEC": "soon"}),
        (None, {"WATCHDOG_USEC": "0"}),
    ):
        notifier = Notifier.from_environment(environment | more)
        assert notifier.watchdog_s == wanted
        assert notifier.is_heard
        notifier.close()


def test_without_systemd_and_with_a_dead_one_nothing_happens(tmp_path: Path) -> None:
    nobody = Notifier.from_environment({"WATCHDOG_USEC": "30000000"})
    assert (nobody.is_heard, nobody.watchdog_s) == (False, None)
    nobody.ready()
    dead = Notifier(str(tmp_path / "gone"))
    dead.ready()
    dead.close()
    dead.alive()


class Disk:
    """A writer of which a test says what it did."""

    attempts = 0


def test_a_writer_that_tries_and_fails_makes_progress() -> None:
    disk = Disk()
    progress = Progress(disk, lambda: 5, list, stuck_after_s=90)
    for now_s in range(0, 1000, 30):
        disk.attempts += 1
        assert progress.standstill(now_s) is None


def test_a_writer_that_does_nothing_while_rows_wait_is_stuck() -> None:
    waiting = 5
    progress = Progress(Disk(), lambda: waiting, list, stuck_after_s=90)
    assert progress.standstill(0) is None
    assert progress.standstill(90) is None
    assert "writer" in (progress.standstill(91) or "")
    waiting = 0
    assert progress.standstill(92) is None


def test_a_writer_with_nothing_to_do_is_not_stuck() -> None:
    progress = Progress(Disk(), lambda: 0, list, stuck_after_s=90)
    assert [progress.standstill(now_s) for now_s in (0, 500, 1000)] == [None] * 3


def test_a_link_whose_task_has_ended_is_a_standstill() -> None:
    progress = Progress(Disk(), lambda: 0, lambda: ["ch2"])
    assert "ch2" in (progress.standstill(0) or "")


@pytest.fixture
async def daemon(tmp_path: Path, systemd: SystemdSocket) -> AsyncIterator[Daemon]:
    settings = Settings(
        station=StationSettings(id="marsh"),
        store=StoreSettings(path=str(tmp_path / "marsh.db"), commit_interval=0.05),
        clock=ClockSettings(gpsd="", chrony="never"),
    )
    made = Daemon(
        settings,
        clock=Clock(quality=lambda: "ntp"),
        notifier=Notifier(systemd.address, watchdog_s=3600),
    )
    running = asyncio.create_task(made.run())
    yield made
    made.stop()
    await running


async def test_a_stuck_writer_stops_the_watchdog_and_its_return_starts_it_again(
    daemon: Daemon, systemd: SystemdSocket, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(lambda: "READY=1" in systemd.told())
    hangs, goes_on = threading.Event(), threading.Event()
    insert = Store.insert

    def hanging_insert(store: Store, by_table: dict[str, list[tuple[object, ...]]]) -> None:
        hangs.set()
        assert goes_on.wait(60)
        insert(store, by_table)

    monkeypatch.setattr(Store, "insert", hanging_insert)
    daemon._state_position()  # A row.
    await until(hangs.is_set)
    now_s = asyncio.get_running_loop().time()
    await daemon.look(now_s + 1)
    systemd.forget()
    await daemon.look(now_s + 80)
    assert "WATCHDOG=1" in systemd.told()
    systemd.forget()
    await daemon.look(now_s + 100)
    await daemon.look(now_s + 200)
    assert "WATCHDOG=1" not in systemd.told()
    assert any("STANDSTILL the writer" in line for line in systemd.told())
    goes_on.set()
    await until(lambda: daemon.pipeline.waiting_rows == 0)
    systemd.forget()
    await daemon.look(now_s + 210)
    assert "WATCHDOG=1" in systemd.told()


async def test_the_status_line_says_how_links_store_and_clock_are(
    daemon: Daemon, systemd: SystemdSocket, until: Until
) -> None:
    await until(lambda: any(line.startswith("STATUS=") for line in systemd.told()))
    (status,) = [line for line in systemd.told() if line.startswith("STATUS=")]
    assert status == "STATUS=links: none; store writing; clock ntp"
    assert daemon.status_line() in status


async def test_a_store_that_cannot_be_opened_does_not_keep_the_station_from_being_ready(
    tmp_path: Path, systemd: SystemdSocket, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.daemon.DRAIN_S", 0.05)
    (tmp_path / "marsh.db").mkdir()  # No file: SQLite cannot open it.
    settings = Settings(
        store=StoreSettings(path=str(tmp_path / "marsh.db")),
        clock=ClockSettings(gpsd="", chrony="never"),
    )
    made = Daemon(settings, notifier=Notifier(systemd.address))
    made.writer._retry_first_s = 0.01
    running = asyncio.create_task(made.run())
    await until(lambda: "READY=1" in systemd.told())
    assert made.writer.state != "opening"
    await until(lambda: made.writer.attempts >= 3)  # It tries on, which is no standstill.
    made.stop()
    await running


async def test_a_real_process_tells_its_whole_life(
    tmp_path: Path,
    systemd: SystemdSocket,
    until: Until,
    plug_in: Callable[[], PseudoRadio],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    radio = plug_in()
    station = StationProcess(tmp_path, [serial_link("ch1", radio.device)])
    station.start()
    try:
        await until(lambda: "READY=1" in systemd.told())
        # Being ready waits for no radio; a port that is opened drops what stood in it.
        await station.tells(1, "link open")
        radio.say(beep(1))
        await until(lambda: systemd.told().count("WATCHDOG=1") >= 3)
        await until(lambda: any("1 hearing" in line for line in systemd.told()))
        station.send(signal.SIGHUP)
        await until(lambda: systemd.told().count("READY=1") == 2)
        assert "RELOADING=1" in systemd.told()
        station.send(signal.SIGTERM)
        assert await station.ended() == 0
        assert systemd.told()[-1] == "STOPPING=1"
    finally:
        station.kill()
