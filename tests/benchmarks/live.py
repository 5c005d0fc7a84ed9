"""A station at the most that the air allows: twelve radios, each with 350 packets a second.

Run: .venv/bin/python tests/benchmarks/live.py [--seconds 60] [--radios 12]

Three processes: this one, the station (`saturated_station.py`: the daemon itself, with one task
more, which sleeps 10 ms at a time and notes by how much it was late), and the radios
(`saturated_radios.py`: pseudo-terminals that print the simulator's `saturation` scenario, a line at
a time). CPU time and memory are the station's own, from /proc. What was sent and what is in the
store are compared line by line.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec
from process_numbers import ProcessNumbers, numbers_of
from report import print_report
from saturated_radios import Told

from receiver.limits import LONGEST_LOOP_STALL_S
from receiver.store.queries import Reader

PACKETS_PER_S = 350
"""At each radio: a packet lasts 2.9 ms, so no more fit on the channel."""
COMMIT_INTERVAL_S = 2.0
GOAL_CORE_PART = 1 / 3
GOAL_MB = 60


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a run gave."""

    told: Told
    before: ProcessNumbers
    after: ProcessNumbers
    stall_s: float
    stored: Counter[tuple[str, str]]
    """How often each line of each radio is in the store."""


def measure(radios: int, seconds: float, folder: Path) -> Measured:
    """Run station and radios to the end."""
    script = Path(__file__)
    store = folder / "live.db"
    radios_command: list[str | Path] = [
        sys.executable,
        script.with_name("saturated_radios.py"),
        f"{radios}",
        f"{seconds}",
    ]
    with subprocess.Popen(
        radios_command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as playing:
        assert playing.stdin is not None
        assert playing.stdout is not None
        devices = msgspec.json.decode(playing.stdout.readline(), type=dict[str, str])
        settings = {
            "store": {"path": str(store), "commit_interval": COMMIT_INTERVAL_S},
            "links": [
                {"kind": "serial", "name": name, "device": device, "talk": "never"}
                for name, device in devices.items()
            ],
        }
        station_command: list[str | Path] = [
            sys.executable,
            script.with_name("saturated_station.py"),
            msgspec.json.encode(settings).decode(),
        ]
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
        playing.stdin.close()
    return Measured(told=told, before=before, after=after, stall_s=stall_s, stored=_stored(store))


def _stored(store: Path) -> Counter[tuple[str, str]]:
    stored: Counter[tuple[str, str]] = Counter()
    with Reader(store) as reader:
        for link, raw, count in reader.connection.execute(
            "SELECT link, raw, count(*) FROM readable_detections GROUP BY link, raw"
        ):
            stored[link, raw.decode()] = count
    return stored


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description="Measures a station at channel saturation.")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--radios", type=int, default=12, help="12 at most")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = measure(chosen.radios, chosen.seconds, Path(folder))
    sent: Counter[tuple[str, str]] = Counter()
    for name, lines in run.told.sent.items():
        sent.update({(name, line): count for line, count in lines.items()})
    packets, seconds = sent.total(), run.told.seconds
    cpu_s = run.after.cpu_s - run.before.cpu_s
    user_s = run.after.user_s - run.before.user_s
    packets_per_s = chosen.radios * PACKETS_PER_S
    print_report(
        f"live: {chosen.radios} radios for {seconds:.0f} s",
        [
            ("packets a second", f"{packets / seconds:,.0f}", f"{packets_per_s:,}"),
            ("packets sent", f"{packets:,}", ""),
            ("packets stored", f"{run.stored.total():,}", "all"),
            ("lost", f"{(sent - run.stored).total()}", "0"),
            ("stored but never sent", f"{(run.stored - sent).total()}", "0"),
            ("refused by a full port", f"{run.told.refused}", "0"),
            ("CPU", f"{100 * cpu_s / seconds:.1f} % of a core", f"< {100 * GOAL_CORE_PART:.0f} %"),
            (
                "CPU time a packet",
                f"{1e6 * cpu_s / packets:.1f} µs",
                f"< {1e6 * GOAL_CORE_PART / packets_per_s:.0f} µs",
            ),
            ("  without the kernel's", f"{1e6 * user_s / packets:.1f} µs", ""),
            ("memory at most", f"{run.after.peak_rss_mb:.1f} MB", f"< {GOAL_MB} MB"),
            (
                "longest stall of the loop",
                f"{1000 * run.stall_s:.1f} ms",
                f"< {1000 * LONGEST_LOOP_STALL_S:.0f} ms",
            ),
            ("latest line of the radios", f"{run.told.latest_ms:.1f} ms", ""),
        ],
    )


if __name__ == "__main__":
    main()
