"""What a station costs while nothing is heard: CPU, wake-ups, memory.

Run: .venv/bin/python tests/benchmarks/idle.py [--seconds 60]

`stopover run` as it is installed, with three quiet links: pseudo-terminals whose radios answer the
version poll, as CTT's do, and say nothing else. The first seconds, in which the links open and the
radios are asked who they are, are not counted. The radios live in this process, not the station's.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from process_numbers import ProcessNumbers, numbers_of
from report import print_report

from simulator.serial_radio import SerialRadio
from simulator.stations import Radio

SETTLES_WITHIN_S = 8.0
GOAL_CPU = 0.003
GOAL_WAKE_UPS_PER_S = 1
GOAL_MB = 60


async def measure(seconds: float, folder: Path) -> tuple[ProcessNumbers, ProcessNumbers, int]:
    """Run a station with three quiet radios; return two looks at it, and how often it polled."""
    radios = [SerialRadio(Radio(name=f"ch{n}", generation="G5", antenna="a")) for n in (1, 2, 3)]
    configuration = folder / "stopover.toml"
    configuration.write_text(
        "\n".join(
            f'[[links]]\nkind = "serial"\nname = "{radio.radio.name}"\ndevice = "{radio.device}"\n'
            for radio in radios
        ),
        encoding="utf-8",
    )
    stopover = Path(sys.executable).with_name("stopover")
    run = await asyncio.create_subprocess_exec(
        stopover, "run", "-c", configuration, stderr=asyncio.subprocess.DEVNULL
    )
    await asyncio.sleep(SETTLES_WITHIN_S)
    polls = sum(len(radio.commands) for radio in radios)
    before = numbers_of(run.pid)
    await asyncio.sleep(seconds)
    after = numbers_of(run.pid)
    polls = sum(len(radio.commands) for radio in radios) - polls
    run.send_signal(signal.SIGTERM)
    await run.wait()
    for radio in radios:
        radio.unplug()
    return before, after, polls


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description="Measures a station that hears nothing.")
    options.add_argument("--seconds", type=float, default=60.0)
    seconds: float = options.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        before, after, polls = asyncio.run(measure(seconds, Path(folder)))
    cpu_s = after.cpu_s - before.cpu_s
    wake_ups = after.wake_ups - before.wake_ups
    print_report(
        f"idle: three quiet links for {seconds:.0f} s",
        [
            ("CPU", f"{100 * cpu_s / seconds:.2f} % of a core", f"< {100 * GOAL_CPU:.1f} %"),
            ("wake-ups a second", f"{wake_ups / seconds:.2f}", f"<= {GOAL_WAKE_UPS_PER_S}"),
            ("  polls among them", f"{polls}", ""),
            ("memory now", f"{after.rss_mb:.1f} MB", f"< {GOAL_MB} MB"),
            ("memory at most", f"{after.peak_rss_mb:.1f} MB", f"< {GOAL_MB} MB"),
        ],
    )


if __name__ == "__main__":
    main()
