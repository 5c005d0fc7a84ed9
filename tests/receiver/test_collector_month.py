"""A month of a station, through a broker and two collectors into PostgreSQL, with ten disasters.

Programs are killed as power cuts and the kernel's killer do it: at once, on both sides. At the end
every row is there, and none twice.
"""

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from brokers import MOSQUITTO, Broker
from postgres_server import PostgresServer

from protocols.records import Detection, GpsFix
from receiver.arrivals import Arrival, ClockSample, Source, Stamp
from receiver.store.database import Store

DAYS = 30
BEGIN_NS = 1_777_593_600_000_000_000  # 2026-05-01T00:00:00Z
DAY_NS = 86_400 * 10**9
SOURCES = [Source(link=f"ch{n}", decoder="ctt/1", antenna=f"antenna {n}") for n in range(3)]
STATION_SCRIPT = Path(__file__).parents[1] / "uploading_station.py"
COLLECT = "from receiver.cli.collect import collect_command; collect_command()"
ARRIVES_WITHIN_S = 60.0


class Programs:
    """Processes that can be killed and started again."""

    def __init__(self, commands: dict[str, list[str]], folder: Path) -> None:
        self._commands = commands
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start one."""
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, *self._commands[name]], stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        """Kill one, at once."""
        process = self._running.pop(name, None)
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self, name: str, *, now: bool) -> None:
        """Let one stand still, or go on."""
        self._running[name].send_signal(signal.SIGSTOP if now else signal.SIGCONT)

    def end(self) -> None:
        """Kill all."""
        for name in list(self._running):
            self.kill(name)

    def told(self) -> str:
        """Return the end of what each logged."""
        logs = sorted(self._folder.glob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text()[-600:]}" for log in logs)


@pytest.fixture
def broker_for_collectors(tmp_path: Path) -> Iterator[Broker]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: sudo apt-get install mosquitto")
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Broker(folder)
    broker.start()
    yield broker
    broker.kill()


def day_of(day: int, rows: int, dice: random.Random) -> list[Arrival]:
    """Return a day's rows; each third day's first ones come before the clock is right."""
    arrivals = []
    boot = f"boot-{day // 10}"
    for number in range(rows):
        mono_ns = (day % 10) * DAY_NS + number * (DAY_NS // rows)
        utc_ns = BEGIN_NS + (day // 10) * 10 * DAY_NS + mono_ns
        is_early = day % 10 == 0 and number < 20
        stamp = Stamp(
            mono_ns if is_early else utc_ns,
            "unsynchronised" if is_early else "ntp",
            mono_ns,
            boot,
        )
        detection = Detection(
            protocol="ctt-434",
            tag_id=f"{dice.randrange(60):08X}",
            integrity="verified",
            rssi_dbm=-dice.randrange(50, 110),
            raw=dice.randbytes(6),
        )
        arrivals.append(Arrival(detection, SOURCES[number % 3], stamp))
    fix = GpsFix(latitude=44.3, longitude=-66.1)
    arrivals.append(Arrival(fix, SOURCES[0], Stamp(BEGIN_NS + day * DAY_NS, "ntp", 0, boot)))
    return arrivals


def truth(store: Path) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(store)) as connection:
        return [
            (seq, tag_id, rssi_dbm, raw, antenna, time_stamped_ns // 1000)
            for seq, tag_id, rssi_dbm, raw, antenna, time_stamped_ns in connection.execute(
                "SELECT seq, tag_id, rssi_dbm, raw, antenna, time_stamped_ns"
                " FROM readable_detections ORDER BY seq"
            )
        ]


def arrived(address: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(address) as connection:
        return [
            (seq, tag_id, rssi_dbm, bytes(raw), antenna, int(stamped_us))
            for seq, tag_id, rssi_dbm, raw, antenna, stamped_us in connection.execute(
                "SELECT seq, tag_id, rssi_dbm, raw, antenna,"
                " extract(epoch FROM time_stamped) * 1000000 FROM detections ORDER BY seq"
            )
        ]


def count(address: str) -> int:
    with contextlib.suppress(psycopg.Error), psycopg.connect(address) as connection:
        found = connection.execute("SELECT count(*) FROM detections").fetchone()
        return found[0] if found else 0
    return 0


class Month:
    """A station, a broker, two collectors and a database, and what goes wrong with them."""

    def __init__(
        self, folder: Path, broker: Broker, server: PostgresServer, *, batch_rows: int
    ) -> None:
        self.address = server.database()
        self.store = folder / "station.db"
        self._broker = broker
        self._server = server
        configuration = folder / "stopover.toml"
        configuration.write_text(
            f'[station]\nid = "marsh"\n[store]\npath = "{self.store}"\n[[sinks]]\nkind = "mqtt"\n'
            f'name = "fleet"\nbroker = "{broker.url}"\ninterval = 0.05\ntimeout = 1\n'
            f"batch_rows = {batch_rows}\n"
        )
        collect = ["-c", COLLECT, "--broker", broker.url, "--database", self.address]
        self.commands = {
            "collector-1": collect,
            "collector-2": collect,
            "station": [str(STATION_SCRIPT), str(configuration)],
        }
        self.programs = Programs(self.commands, folder)
        self._disasters: dict[int, Callable[[], None]] = {
            2: lambda: self._restart("station"),
            5: lambda: self._restart("collector-1"),
            8: self._broker_dies,
            11: self._database_dies,
            14: lambda: self._restart("collector-1", "collector-2"),
            17: lambda: self._restart("station", "collector-2"),
            20: self._collector_hangs,
            23: self._broker_dies,
            26: lambda: self._restart(*self.commands),
            29: self._database_dies,
        }

    def play(self, rows: int) -> None:
        """Play it; return when everything has arrived."""
        dice = random.Random(7)
        with Store.open(self.store, station_id="marsh") as opened:
            for name in self.commands:
                self.programs.start(name)
            for day in range(DAYS):
                before = count(self.address)
                opened.append(day_of(day, rows // DAYS, dice))
                sample = ClockSample(f"boot-{day // 10}", DAY_NS, BEGIN_NS, "ntp", "hourly")
                with opened.transaction():
                    opened.add_clock_sample(sample)
                if day in self._disasters:
                    # In the middle of it: something of the day has arrived, or a while is over.
                    self._wait_for_more_than(before)
                    self._disasters[day]()
        wanted = DAYS * (rows // DAYS)
        is_all = self._wait(lambda: count(self.address) >= wanted, ARRIVES_WITHIN_S + rows / 500)
        assert is_all, f"{count(self.address)}: {self.programs.told()}"

    def _wait_for_more_than(self, before: int) -> None:
        self._wait(lambda: count(self.address) > before, 1.5)

    @staticmethod
    def _wait(is_true: Callable[[], bool], longest_s: float) -> bool:
        deadline = time.monotonic() + longest_s
        while not is_true():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _restart(self, *names: str) -> None:
        for name in names:
            self.programs.kill(name)
        for name in names:
            self.programs.start(name)

    def _broker_dies(self) -> None:
        self._broker.kill()
        self._broker.start()

    def _database_dies(self) -> None:
        self._server.kill()
        self._server.start()
        self._restart("station")

    def _collector_hangs(self) -> None:
        self.programs.freeze("collector-1", now=True)
        self._restart("station")
        self.programs.freeze("collector-1", now=False)


@pytest.fixture
def month_of(
    tmp_path: Path, broker_for_collectors: Broker, postgres_server: PostgresServer
) -> Iterator[Callable[[int], Month]]:
    """Make a month whose batches have so many rows; its programs end with the test."""
    months: list[Month] = []

    def make(batch_rows: int) -> Month:
        month = Month(tmp_path, broker_for_collectors, postgres_server, batch_rows=batch_rows)
        months.append(month)
        return month

    yield make
    for month in months:
        month.programs.end()


def assert_whole_and_once(month: Month) -> None:
    assert arrived(month.address) == truth(month.store)
    with psycopg.connect(month.address) as connection:
        (beside,) = connection.execute(
            "SELECT ARRAY[(SELECT count(*) FROM notes), (SELECT count(*) FROM clock_samples),"
            " (SELECT count(*) FROM stores), (SELECT count(*) FROM store_conflicts)]"
        ).fetchone() or ([],)
    assert beside == [DAYS, DAYS, 1, 0]


def test_a_month_with_ten_disasters_arrives_whole_and_once(
    month_of: Callable[[int], Month],
) -> None:
    month = month_of(50)
    month.play(3_000)
    assert_whole_and_once(month)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_busy_month_with_ten_disasters_arrives_whole_and_once(
    month_of: Callable[[int], Month],
) -> None:
    month = month_of(2_000)
    month.play(600_000)
    assert_whole_and_once(month)
