"""What a software radio costs while it listens: CPU and memory of its worker and of the daemon.

Run: .venv/bin/python tests/benchmarks/software_radio_live.py [--seconds 60] [--hears ctt-434]

`stopover run` as it is installed, with one stick of 250,000 samples a second behind a simulated
rtl_tcp that plays a busy world (or noise with pulses) at the pace of a real one, over and over. The
first seconds, in which numpy is loaded and the whole noise is new, are not counted. The stick lives
in this process, not the station's.
"""

import argparse
import asyncio
import itertools
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from process_numbers import ProcessNumbers, numbers_of  # noqa: E402
from report import print_report  # noqa: E402
from simulated_sticks import BLOCK_S, BYTES_PER_S, air  # noqa: E402

from receiver.store.activity_queries import hours_listened  # noqa: E402
from receiver.store.queries import DetectionFilter, Reader  # noqa: E402
from simulator.iq import IqTape, coded_bursts, encoded  # noqa: E402
from simulator.rtl_tcp_server import rtl_tcp_server  # noqa: E402

SETTLES_WITHIN_S = 8.0
AIR_S = 12.0
GOAL_SLOWER = 8
"""A Pi Zero 2 W's core is about so much slower than this kind of machine's at numpy."""
GOAL_WORKER_CPU = 1 / GOAL_SLOWER
GOAL_DAEMON_CPU = 0.003
GOAL_DAEMON_MB = 60
GOAL_BOTH_MB = 150

_LINK = """\
[[links]]
kind = "software-radio"
name = "stick"
source = "rtl_tcp://127.0.0.1:{port}"
hears = "{hears}"
frequency_mhz = {mhz}
"""


def blocks(hears: str) -> Sequence[bytes]:
    """Return twelve seconds of air: sixteen packets, or twelve pulses, a second."""
    if hears == "ctt-434":
        return air(AIR_S, tags=40).blocks
    tape = IqTape(1)
    for number in range(round(3 * AIR_S)):
        for burst in coded_bursts(number / 3, (30.0, 45.5, 62.25), 25_000 + 50.0 * number, 5.0):
            tape.put(burst)
    stream = encoded(tape.take(AIR_S), "cu8")
    size = round(BYTES_PER_S * BLOCK_S)
    return [stream[at : at + size] for at in range(0, len(stream), size)]


async def measure(
    seconds: float, hears: str, folder: Path
) -> tuple[list[ProcessNumbers], list[ProcessNumbers]]:
    """Run a station with a stick; return two looks at its daemon, and two at its worker."""
    heard = blocks(hears)

    def played() -> Iterator[bytes]:
        return itertools.cycle(heard)

    async with rtl_tcp_server(played, bytes_per_s=BYTES_PER_S) as (_, port):
        configuration = folder / "stopover.toml"
        mhz = 434.0 if hears == "ctt-434" else 166.38
        configuration.write_text(
            "[page]\nport = 0\n" + _LINK.format(port=port, hears=hears, mhz=mhz), encoding="utf-8"
        )
        stopover = Path(sys.executable).with_name("stopover")
        run = await asyncio.create_subprocess_exec(
            stopover, "run", "-c", configuration, stderr=asyncio.subprocess.DEVNULL
        )
        await asyncio.sleep(SETTLES_WITHIN_S)
        worker = worker_of(run.pid)
        looks = [(numbers_of(run.pid), numbers_of(worker))]
        await asyncio.sleep(seconds)
        looks.append((numbers_of(run.pid), numbers_of(worker)))
        run.send_signal(signal.SIGTERM)
        await run.wait()
    return [daemon for daemon, _ in looks], [of_worker for _, of_worker in looks]


def worker_of(daemon: int) -> int:
    """Return the process in which a daemon's samples are looked at."""
    children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text(encoding="ascii").split()
    (worker,) = (
        int(pid) for pid in children if b"radio_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    return worker


def counted(store: Path) -> dict[str, float]:
    """Return what the hours counted: detections, pulses, and what was lost."""
    totals: dict[str, float] = {}
    with Reader(store) as reader:
        for hour in hours_listened(reader, DetectionFilter()):
            for name, count in (*hour["rejects"].items(), *hour.items()):
                if isinstance(count, int | float):
                    totals[name] = totals.get(name, 0) + count
    return totals


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description="Measures a station with one stick.")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--hears", choices=("ctt-434", "coded-id"), default="ctt-434")
    told = options.parse_args()
    seconds: float = told.seconds
    with tempfile.TemporaryDirectory() as folder:
        daemon, worker = asyncio.run(measure(seconds, told.hears, Path(folder)))
        totals = counted(Path(folder, "stopover.db"))
    cpu = {
        "daemon": (daemon[1].cpu_s - daemon[0].cpu_s) / seconds,
        "worker": (worker[1].cpu_s - worker[0].cpu_s) / seconds,
    }
    both_mb = daemon[1].rss_mb + worker[1].rss_mb
    dropped_s = totals.get("samples_dropped", 0) / (BYTES_PER_S / 2)
    print_report(
        f"one stick that hears {told.hears}, 250 kS/s, {seconds:.0f} s",
        [
            (
                "worker's CPU",
                f"{100 * cpu['worker']:.1f} % of a core, {1 / cpu['worker']:.1f} times real time",
                f"< {100 * GOAL_WORKER_CPU:.1f} %, {GOAL_SLOWER} times",
            ),
            (
                "daemon's CPU",
                f"{100 * cpu['daemon']:.2f} % of a core",
                f"< {100 * GOAL_DAEMON_CPU:.1f} % where nothing is heard",
            ),
            ("worker's memory", f"{worker[1].rss_mb:.1f} MB", ""),
            ("daemon's memory", f"{daemon[1].rss_mb:.1f} MB", f"< {GOAL_DAEMON_MB} MB"),
            ("both", f"{both_mb:.1f} MB", f"< {GOAL_BOTH_MB} MB"),
            ("heard", f"{totals['detections'] + totals['pulses']:.0f}", ""),
            ("grid thinned", f"{totals.get('grid_thinned_s', 0):.0f} s", "0"),
            ("samples dropped", f"{dropped_s:.1f} s", "0"),
        ],
    )


if __name__ == "__main__":
    main()
