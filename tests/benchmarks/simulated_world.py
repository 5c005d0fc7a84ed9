"""How fast the simulated world goes: transmissions, air events, I/Q, and the memory of a night.

python tests/benchmarks/simulated_world.py [--hours 24]
"""

import argparse
import gc
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import print_report

from simulator.iq import Burst, IqTape, encoded, fsk_samples
from simulator.play import play_at_once
from simulator.recorded_files import RecordedFiles
from simulator.scenario import saturation, scenario
from simulator.truth import OutOfReach, Reception, Transmission
from simulator.truth_file import TruthFile
from simulator.world import Emission, World

IQ_SECONDS = 20.0


def counted(hours: float) -> tuple[int, int, int, float]:
    """Run the night without files: (transmissions, told ones, receptions, seconds)."""
    night = scenario("night-migration").changed(duration_s=hours * 3600)
    transmissions = told = receptions = 0
    begun_s = time.perf_counter()
    for each in World(night).happenings():
        if isinstance(each, Transmission):
            transmissions += 1
            told += 1
        elif isinstance(each, OutOfReach):
            transmissions += each.transmissions
        elif isinstance(each, Reception | Emission):
            receptions += 1
    return transmissions, told, receptions, time.perf_counter() - begun_s


def recorded(hours: float) -> tuple[float, int]:
    """Write the night as `stopover simulate --files --truth` does: (seconds, bytes of truth)."""
    night = scenario("night-migration").changed(duration_s=hours * 3600)
    with tempfile.TemporaryDirectory() as folder:
        truth = Path(folder) / "truth.jsonl"
        begun_s = time.perf_counter()
        world = World(night)
        with TruthFile(truth) as file, RecordedFiles(Path(folder) / "sg", world) as files:
            play_at_once(world, [files], file.write)
        return time.perf_counter() - begun_s, truth.stat().st_size


def air_events() -> tuple[int, float]:
    """Return how many packets arrived at radios on a full channel, and in how many seconds."""
    world = World(saturation(radios=12).changed(duration_s=10))
    begun_s = time.perf_counter()
    events = sum(isinstance(each, Emission) for each in world.happenings())
    return events, time.perf_counter() - begun_s


def iq_speed() -> float:
    """Return how many seconds of 250 kS/s are made in one, with a packet in each tenth."""
    tape = IqTape(1)
    samples = fsk_samples(bytes.fromhex("78664C3304"))
    begun_s = time.perf_counter()
    for second in range(int(IQ_SECONDS)):
        for tenth in range(10):
            tape.put(Burst(second + tenth / 10, samples, 12.0))
        encoded(tape.take(second + 1.0), "cu8")
    return IQ_SECONDS / (time.perf_counter() - begun_s)


def memory_mb(hours: float) -> float:
    """Return the most memory that a process of its own takes for the night."""
    code = (
        "import resource; from simulator.scenario import scenario; from simulator.world import"
        f" World; w = World(scenario('night-migration').changed(duration_s={hours * 3600}))\n"
        "for _ in w.happenings(): pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return int(done.stdout) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=24.0, help="of the night")
    hours = parser.parse_args().hours
    gc.collect()
    before_s = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    transmissions, told, receptions, took_s = counted(hours)
    cpu_s = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before_s
    files_s, truth_bytes = recorded(hours)
    events, events_s = air_events()
    print_report(
        f"{hours:g} hours of night-migration: 20 stations, 60 radios, 500 tags",
        [
            ("night, world alone", f"{took_s:.1f} s", ""),
            ("  of which processor time", f"{cpu_s:.1f} s", ""),
            ("night with files and truth", f"{files_s:.1f} s", "< 60 s for a day"),
            ("  truth file", f"{truth_bytes / 1e6:.0f} MB", ""),
            ("transmissions simulated", f"{transmissions:,}", ""),
            ("  that some antenna was in reach of", f"{told:,}", ""),
            ("  receptions told", f"{receptions:,}", ""),
            ("transmissions a second", f"{transmissions / took_s:,.0f}", ""),
            ("air events a second, full channel", f"{events / events_s:,.0f}", ""),
            ("I/Q seconds a second, 250 kS/s", f"{iq_speed():.1f}", "> 1: real time"),
            ("memory of the night", f"{memory_mb(hours):.0f} MB", ""),
        ],
    )


if __name__ == "__main__":
    main()
