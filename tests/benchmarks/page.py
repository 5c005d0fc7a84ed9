"""What the page costs: until somebody looks, when somebody looks, and what it takes to answer.

Run: .venv/bin/python tests/benchmarks/page.py [--seconds 60] [--rows 600000] [--tags 10000]

A station without radios, so that what is measured is the page's, with a store of a week: 600,000
detections of 60 tags, one in twenty of 10,000 ids of noise instead. First `stopover run` itself is
watched with nobody and with one page that looks. Then a station that sees its own loop stall
(`saturated_station.py`) loads the page's library, counts the week, answers, and sends downloads.
Memory and CPU time are the station's own, from /proc.
"""

import argparse
import contextlib
import gzip
import http.client
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from process_numbers import numbers_of
from report import print_report

from protocols.records import Detection, StationHealth
from receiver.arrivals import Arrival, ClockSample, Source, Stamp
from receiver.limits import LONGEST_LOOP_STALL_S, PAGE_RESTS_AFTER_S
from receiver.store.database import Store

WEEK_S = 7 * 86_400
BATCH_ROWS = 5_000
FAITHFUL_TAGS = 60
NOISE_EVERY = 20
GOAL_LOAD_BYTES = 200_000
GOAL_LOAD_S = 1.0
GOAL_AGAIN_S = 0.2
GOAL_FIRST_S = 5.0
GOAL_MB = 60
GOAL_CPU = 0.003


class Visitor:
    """A browser that keeps one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def get(self, path: str) -> tuple[bytes, float]:
        """Return what is at a path, as it comes over the wire, and how long it took."""
        began_s = time.perf_counter()
        while True:
            self._connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
            answer = self._connection.getresponse()
            body = answer.read()
            if answer.status == http.client.OK:
                return body, time.perf_counter() - began_s
            if answer.status != http.client.SERVICE_UNAVAILABLE:
                raise SystemExit(f"{path}: {answer.status} {body!r}")

    def page(self) -> tuple[int, float]:
        """Load the page with all that it names and imports; return bytes and seconds."""
        began_s = time.perf_counter()
        body, _ = self.get("/")
        size = len(body)
        seen = set[str]()
        wanted = _named(_unpacked(body))
        while wanted:
            name = wanted.pop()
            if name in seen:
                continue
            seen.add(name)
            body, _ = self.get(f"/static/{name}")
            size += len(body)
            if name.endswith(".js"):
                wanted += re.findall(r'(?:from|import)\s+"\./([\w.-]+)"', _unpacked(body))
        return size, time.perf_counter() - began_s


def _named(page: str) -> list[str]:
    return re.findall(r"""(?:href|src)=["']/?static/([\w.-]+)""", page)


def _unpacked(body: bytes) -> str:
    return (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode()


def fill(store: Path, rows: int, tags: int) -> None:
    """Put a week of detections into a new store, up to now."""
    dice = random.Random(1)
    faithful = [f"{dice.getrandbits(32):08X}" for _ in range(FAITHFUL_TAGS)]
    noise = [f"{dice.getrandbits(32):08X}" for _ in range(tags)]
    sources = [Source(link=f"ch{n}", decoder="ctt/1", antenna=f"antenna {n}") for n in range(3)]
    host = Source(link="station", decoder="host/1")
    end_ns = time.time_ns()
    with Store.open(store, station_id="week") as opened:
        for first in range(0, rows, BATCH_ROWS):
            arrivals = []
            for number in range(first, min(rows, first + BATCH_ROWS)):
                utc_ns = end_ns - WEEK_S * 10**9 * (rows - number) // rows
                stamp = Stamp(utc_ns, "ntp", number + 1, "boot-a")
                record = Detection(
                    protocol="ctt-434",
                    tag_id=dice.choice(faithful if number % NOISE_EVERY else noise),
                    integrity="verified",
                    rssi_dbm=dice.randrange(-110, -50),
                )
                arrivals.append(Arrival(record, dice.choice(sources), stamp))
                if number % 600 == 0:
                    health = StationHealth(measurements={"temperature_c": 20 + dice.random()})
                    arrivals.append(Arrival(health, host, stamp))
            opened.append(arrivals)
        with opened.transaction():
            sample = ClockSample("boot-a", 1, end_ns - WEEK_S * 10**9, "ntp", "start")
            opened.add_clock_sample(sample)


def settings_of(store: Path, port: int) -> dict[str, dict[str, object]]:
    """Return the configuration of a station that hears nothing and asks nobody."""
    return {
        "store": {"path": str(store)},
        "page": {"port": port, "address": "127.0.0.1"},
        "clock": {"gpsd": "", "chrony": "never"},
    }


@contextlib.contextmanager
def station(store: Path, port: int, stall: list[float]) -> Iterator[int]:
    """Run a station that sees itself stall; give its process id, and the longest at its end."""
    command: list[str | Path] = [
        sys.executable,
        Path(__file__).with_name("saturated_station.py"),
        msgspec.json.encode(settings_of(store, port)).decode(),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        run.stdout.readline()
        try:
            yield run.pid
        finally:
            run.send_signal(signal.SIGTERM)
            stall.append(float(run.stdout.readline()))


@contextlib.contextmanager
def installed_station(store: Path, port: int) -> Iterator[int]:
    """Run `stopover run`, whose one port cannot be opened; give its process id."""
    configuration = store.with_name("stopover.toml")
    told = settings_of(store, port)
    lines = [
        f"[{section}]\n" + "".join(f"{key} = {value!r}\n" for key, value in keys.items())
        for section, keys in told.items()
    ]
    link = '[[links]]\nkind = "serial"\nname = "ch1"\ndevice = "/dev/none"\n'
    configuration.write_text("".join(lines) + link, encoding="utf-8")
    stopover = Path(sys.executable).with_name("stopover")
    with subprocess.Popen([stopover, "run", "-c", configuration], stderr=subprocess.DEVNULL) as run:
        time.sleep(
            10
        )  # It checks its store, looks at its health, and asks for its port less often.
        try:
            yield run.pid
        finally:
            run.send_signal(signal.SIGTERM)


def idle(pid: int, seconds: float) -> tuple[float, float]:
    """Return the part of a core, and the wake-ups a second, that the station takes by itself."""
    before = numbers_of(pid)
    time.sleep(seconds)
    after = numbers_of(pid)
    return (after.cpu_s - before.cpu_s) / seconds, (after.wake_ups - before.wake_ups) / seconds


def looking(port: int) -> socket.socket:
    """Open the stream of live events, as a page that is looked at has it open."""
    stream = socket.create_connection(("127.0.0.1", port))
    stream.sendall(b"GET /api/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    stream.recv(4096)
    return stream


def measure(folder: Path, seconds: float, rows: int, tags: int) -> list[tuple[str, str, str]]:
    """Measure; return the lines of the table."""
    store = folder / "week.db"
    fill(store, rows, tags)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stall: list[float] = []
    lines: list[tuple[str, str, str]] = []

    def timed(what: str, visitor: Visitor, path: str, goal_s: float) -> bytes:
        body, took_s = visitor.get(path)
        told = f"{1000 * took_s:,.0f} ms, {len(body) / 1000:.1f} kB"
        lines.append((what, told, f"< {1000 * goal_s:,.0f} ms"))
        return body

    with installed_station(store, port) as pid:
        unseen_mb = numbers_of(pid).rss_mb
        unseen_cpu, unseen_wakes = idle(pid, seconds)
        size, first_s = Visitor(port).page()
        _, again_s = Visitor(port).page()
        seen_mb = numbers_of(pid).rss_mb
        stream = looking(port)
        seen_cpu, seen_wakes = idle(pid, seconds)
        stream.close()
    lines += [
        ("memory until somebody looks", f"{unseen_mb:.1f} MB", f"< {GOAL_MB} MB"),
        ("memory with the page", f"{seen_mb:.1f} MB", ""),
        ("first load", f"{size / 1000:.1f} kB", f"< {GOAL_LOAD_BYTES / 1000:.0f} kB"),
        ("  with the library's loading", f"{1000 * first_s:,.0f} ms", ""),
        ("  afterwards", f"{1000 * again_s:,.0f} ms", f"< {1000 * GOAL_LOAD_S:.0f} ms"),
        ("CPU while nobody looks", f"{100 * unseen_cpu:.2f} %", f"< {100 * GOAL_CPU:.1f} %"),
        ("CPU while one page is open", f"{100 * seen_cpu:.2f} %", "no more"),
        ("wake-ups a second, nobody; one", f"{unseen_wakes:.2f}; {seen_wakes:.2f}", "<= 1; 5"),
    ]
    with station(store, port, stall) as pid:
        time.sleep(5)  # It checks its store.
        visitor = Visitor(port)
        visitor.page()
        stream = looking(port)
        first = f"first week of {rows:,} rows"
        timed(first, visitor, "/api/history?period=week", GOAL_FIRST_S)
        for period in ("hour", "day", "week", "month"):
            timed(f"{period} again", visitor, f"/api/history?period={period}", GOAL_AGAIN_S)
        told: Any = msgspec.json.decode(
            _unpacked(timed("tags, a hundred of them", visitor, "/api/tags", GOAL_AGAIN_S))
        )
        lines.append(("  of", f"{told['total']:,}", ""))
        timed("tags, found by a part", visitor, "/api/tags?search=A7&sort=detections", GOAL_AGAIN_S)
        before_mb = numbers_of(pid).rss_mb
        timed("two days as CSV", visitor, f"/api/download/detections.csv?since={_since(2)}", 120)
        after_mb = numbers_of(pid).rss_mb
        time.sleep(PAGE_RESTS_AFTER_S + 3)
        now = numbers_of(pid)
        lines += [
            ("memory before and after it", f"{before_mb:.1f}; {after_mb:.1f} MB", ""),
            ("  once nobody asks", f"{now.rss_mb:.1f} MB", f"< {GOAL_MB} MB"),
            ("  at most", f"{now.peak_rss_mb:.1f} MB", ""),
        ]
        stream.close()
    plots = store.with_name(store.name + ".plots").stat().st_size / 1e6
    lines += [
        ("store; plots beside it", f"{store.stat().st_size / 1e6:.1f}; {plots:.1f} MB", ""),
        (
            "longest stall of the loop",
            f"{1000 * stall[0]:.1f} ms",
            f"< {1000 * LONGEST_LOOP_STALL_S:.0f} ms",
        ),
    ]
    return lines


def _since(days: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days * 86_400))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description="Measures the station's page.")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--rows", type=int, default=600_000)
    options.add_argument("--tags", type=int, default=10_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(Path(folder), chosen.seconds, chosen.rows, chosen.tags)
    print_report(f"page: {chosen.rows:,} rows, {chosen.tags:,} ids of noise", lines)


if __name__ == "__main__":
    main()
