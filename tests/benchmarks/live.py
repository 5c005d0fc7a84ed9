"""A station at the most that the air allows: twelve radios, each with 350 packets a second.

Run: .venv/bin/python tests/benchmarks/live.py [--seconds 60] [--radios 12]

Three processes: this one, the station, and the radios. The radios are pseudo-terminals that print
what the simulator's `saturation` scenario says, line by line, each at its time. The station is the
daemon itself in a process of its own, with one task more, which sleeps 10 ms at a time and notes by
how much it was late: the longest stall of the loop. CPU time is the station's own, from /proc.
"""

import argparse
import asyncio
import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import tty
from collections import Counter
from pathlib import Path

import msgspec

from process_numbers import ProcessNumbers, numbers_of
from receiver.daemon import Daemon
from receiver.log import configure
from receiver.settings import Settings
from receiver.store.queries import Reader
from report import print_report
from simulator.scenario import SATURATED_PACKETS_PER_S, saturation
from simulator.world import Emission, World

COMMIT_INTERVAL_S = 2.0
LOOK_EVERY_S = 0.01
GOAL_CPU = 1 / 3
GOAL_MB = 60
GOAL_STALL_MS = 50


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the radios' process tells at its end."""

    seconds: float
    sent: dict[str, dict[str, int]]
    """How often each line went out at each radio."""
    refused: int
    """Lines that found the port's buffer full."""
    latest_ms: float
    """By how much the latest line came after its time."""


def be_radios(radios: int, seconds: float) -> None:
    """Make the ports, tell them, wait for a line on stdin, print, tell what was printed."""
    world = World(saturation(radios).changed(duration_s=seconds))
    emissions = [each for each in world.happenings() if isinstance(each, Emission)]
    ends: dict[str, int] = {}
    devices: dict[str, str] = {}
    for radio in world.scenario.stations[0].radios:
        ends[radio.name], port = os.openpty()
        tty.setraw(port)
        os.set_blocking(ends[radio.name], False)
        devices[radio.name] = os.ttyname(port)
    print(json.dumps(devices), flush=True)
    sys.stdin.readline()
    gc.disable()
    sent: dict[str, Counter[bytes]] = {name: Counter() for name in ends}
    refused = 0
    latest_s = 0.0
    begun_s = time.perf_counter()
    for emission in emissions:
        ahead_s = begun_s + emission.time_s - time.perf_counter()
        if ahead_s > 0:
            select.select([], [], [], ahead_s)
        else:
            latest_s = max(latest_s, -ahead_s)
        name = emission.radio.name
        try:
            os.write(ends[name], emission.wire)
        except BlockingIOError:
            refused += 1
        else:
            sent[name][emission.wire.rstrip()] += 1
    told = Told(
        seconds=time.perf_counter() - begun_s,
        sent={
            name: {line.decode(): count for line, count in lines.items()}
            for name, lines in sent.items()
        },
        refused=refused,
        latest_ms=1000 * latest_s,
    )
    print(msgspec.json.encode(told).decode(), flush=True)
    # The ports stay until the station is through with them.
    sys.stdin.readline()


def be_station(settings: Settings) -> None:
    """Run the daemon; tell when it hears, and at its end its longest stall."""
    configure("json", "warning")

    async def run() -> float:
        daemon = Daemon(settings)
        longest_s = 0.0

        async def look() -> None:
            nonlocal longest_s
            while any(link.opened == 0 for link in daemon.links) or not daemon.links:
                await asyncio.sleep(LOOK_EVERY_S)
            print("hears", flush=True)
            while True:
                before_s = time.perf_counter()
                await asyncio.sleep(LOOK_EVERY_S)
                longest_s = max(longest_s, time.perf_counter() - before_s - LOOK_EVERY_S)

        looking = asyncio.create_task(look())
        await daemon.run()
        looking.cancel()
        return longest_s

    print(asyncio.run(run()), flush=True)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a run gave."""

    told: Told
    before: ProcessNumbers
    after: ProcessNumbers
    stall_s: float
    stored: Counter[tuple[str, str]]


def measure(radios: int, seconds: float, folder: Path) -> Measured:
    """Run station and radios."""
    script = [sys.executable, __file__]
    radios_command = [*script, "--be-radios", "--radios", str(radios), "--seconds", str(seconds)]
    with subprocess.Popen(
        radios_command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as playing:
        assert playing.stdin is not None
        assert playing.stdout is not None
        devices = json.loads(playing.stdout.readline())
        tree = {
            "store": {"path": str(folder / "live.db"), "commit_interval": COMMIT_INTERVAL_S},
            "links": [
                {"kind": "serial", "name": name, "device": device, "talk": "never"}
                for name, device in devices.items()
            ],
        }
        station_command = [*script, "--be-station", json.dumps(tree)]
        with subprocess.Popen(station_command, stdout=subprocess.PIPE, text=True) as station:
            assert station.stdout is not None
            station.stdout.readline()
            before = numbers_of(station.pid)
            playing.stdin.write("go\n")
            playing.stdin.flush()
            told = msgspec.json.decode(playing.stdout.readline(), type=Told)
            time.sleep(COMMIT_INTERVAL_S + 0.5)  # The last rows' commit is part of the work.
            after = numbers_of(station.pid)
            station.send_signal(signal.SIGTERM)
            stall_s = float(station.stdout.readline())
        playing.stdin.write("end\n")
    with Reader(folder / "live.db") as reader:
        stored = Counter(
            {
                (link, raw.decode()): count
                for link, raw, count in reader.connection.execute(
                    "SELECT link, raw, count(*) FROM readable_detections GROUP BY link, raw"
                )
            }
        )
    return Measured(told=told, before=before, after=after, stall_s=stall_s, stored=stored)


def main() -> None:
    """Measure and print, or play one of the two parts."""
    options = argparse.ArgumentParser(description="Measures a station at channel saturation.")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--radios", type=int, default=12)
    options.add_argument("--be-radios", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--be-station", default="", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.be_radios:
        be_radios(chosen.radios, chosen.seconds)
        return
    if chosen.be_station:
        be_station(msgspec.json.decode(chosen.be_station, type=Settings))
        return
    with tempfile.TemporaryDirectory() as folder:
        run = measure(chosen.radios, chosen.seconds, Path(folder))
    sent = Counter(
        {(name, line): count for name, lines in run.told.sent.items() for line, count in lines.items()}
    )
    packets, seconds = sent.total(), run.told.seconds
    cpu_s = run.after.cpu_s - run.before.cpu_s
    user_s = run.after.user_s - run.before.user_s
    print_report(
        f"live: {chosen.radios} radios for {seconds:.0f} s",
        [
            (
                "packets a second",
                f"{packets / seconds:,.0f}",
                f"{chosen.radios * SATURATED_PACKETS_PER_S:,}",
            ),
            ("packets sent", f"{packets:,}", ""),
            ("packets stored", f"{run.stored.total():,}", "all"),
            ("lost", f"{(sent - run.stored).total()}", "0"),
            ("stored but never sent", f"{(run.stored - sent).total()}", "0"),
            ("refused by a full port", f"{run.told.refused}", "0"),
            ("CPU time", f"{100 * cpu_s / seconds:.1f} % of a core", f"< {100 * GOAL_CPU:.0f} %"),
            ("CPU time a packet", f"{1e6 * cpu_s / packets:.1f} µs", f"< {1e6 * GOAL_CPU / 4200:.0f} µs"),
            ("  of it in the program", f"{1e6 * user_s / packets:.1f} µs", ""),
            ("memory at most", f"{run.after.peak_rss_mb:.1f} MB", f"< {GOAL_MB} MB"),
            ("longest stall of the loop", f"{1000 * run.stall_s:.1f} ms", f"< {GOAL_STALL_MS} ms"),
            ("latest line of the radios", f"{run.told.latest_ms:.1f} ms", ""),
        ],
    )


if __name__ == "__main__":
    main()
