"""The coded-ID decoder's numbers beside its goals: `python tests/benchmarks/coded_id.py`.

Prints, for made-up tags and noise (see `simulator.pulses`), how many completely received bursts
are found, what is found that nobody sent, how fast, and in how much memory. `--quick` shortens
every case, `--only TEXT` runs the cases whose name contains TEXT. Asserts nothing.

What counts. A burst is found when a confirmed run reports it with the right tag within 3 ms; false
is one that a confirmed run reports and that tag did not send then. A false run has three bursts or
more, most of them false. Speed is that of `feed` alone, in processor time, pulses made beforehand;
memory is the peak of the whole process, the generator, the truth and Python itself (about 20 MB)
included.
"""

import argparse
import csv
import gzip
import itertools
import multiprocessing
import platform
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random

import msgspec

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from protocols.coded_id import (  # noqa: E402  The path above makes it importable.
    AntennaDecoder,
    BurstSeen,
    CodeBook,
    Event,
    HeardPulse,
    IntervalMismatch,
    RunContinued,
    RunEnded,
    RunOpened,
    Tolerances,
    parse_csv,
)
from simulator.pulses import (  # noqa: E402  As above.
    PulseAir,
    Transmission,
    made_up_beacons,
    made_up_tags,
)

FIELD = ROOT / ".." / "shared" / "data"
MATCH_NS = 3_000_000
THREE = 3


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table."""

    name: str
    goal: str = ""
    listed: int = 500
    live: int = 10
    antennas: int = 4
    noise_per_s: float = 1.0
    noise_band_hz: tuple[float, float] = (2000.0, 8000.0)
    seconds: float = 7200.0
    loss: float = 0.02
    intervals_s: tuple[float, float] = (5.0, 25.0)
    every: int = 1
    frequency_sd_hz: tuple[float, float] = (5.0, 26.0)
    drift_hz_per_hour: float = 120.0
    interval_error_s: float = 0.0
    range_hz: float = Tolerances().frequency_range_hz
    seed: int = 1


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one case gave."""

    pulses: int = 0
    complete: int = 0
    complete_found: int = 0
    three: int = 0
    three_found: int = 0
    false_bursts: int = 0
    false_three: int = 0
    false_runs: int = 0
    runs: int = 0
    mismatches: int = 0
    accidents: int = 0
    skipped: int = 0
    pulses_per_s: float = 0.0
    memory_mb: float = 0.0


class Reported(msgspec.Struct, gc=False):
    """One burst as it was reported, without its pulses: their memory is not the decoder's."""

    run: int
    """0 for one that was seen and not yet confirmed."""
    tag_ids: tuple[str, ...]
    time_ns: int
    pulse_count: int


def reported(event: Event) -> list[Reported]:
    """Return the bursts that `event` tells of."""
    if isinstance(event, RunOpened):
        run, bursts = event.run, event.bursts
    elif isinstance(event, RunContinued):
        run, bursts = event.run, (event.burst,)
    elif isinstance(event, BurstSeen) and event.run is None:
        run, bursts = 0, (event.burst,)
    else:
        return []
    return [Reported(run, event.tag_ids, burst.time_ns, burst.pulse_count) for burst in bursts]


class Truth:
    """What was sent, and which of it has been found."""

    def __init__(self) -> None:
        self._by_tag: dict[str, dict[int, Transmission]] = defaultdict(dict)
        self._found: set[int] = set()
        self.sent: list[Transmission] = []

    def add(self, sent: list[Transmission]) -> None:
        """Note what was sent."""
        self.sent += sent
        for transmission in sent:
            self._by_tag[transmission.tag_id][transmission.time_ns // MATCH_NS] = transmission

    def has(self, burst: Reported) -> bool:
        """Say whether one of the tags sent `burst`; note it as found if a run reports it."""
        cell = burst.time_ns // MATCH_NS
        for tag_id in burst.tag_ids:
            for near in (cell, cell - 1, cell + 1):
                sent = self._by_tag[tag_id].get(near)
                if sent is not None and abs(sent.time_ns - burst.time_ns) <= MATCH_NS:
                    if burst.run:
                        self._found.add(id(sent))
                    return True
        return False

    def count(self, pulses: int) -> tuple[int, int]:
        """Return how many bursts with that many received pulses there were and were found."""
        these = [sent for sent in self.sent if sent.received_pulses == pulses]
        return len(these), sum(id(sent) in self._found for sent in these)


def _memory_mb() -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def measure_case(case: Case) -> Result:
    """Run one case in this process."""
    random = Random(case.seed)
    tags = made_up_tags(case.listed, random, intervals_s=case.intervals_s)
    beacons = made_up_beacons(
        random.sample(tags, case.live),
        random,
        frequency_sd_hz=case.frequency_sd_hz,
        drift_hz_per_hour=(-case.drift_hz_per_hour, case.drift_hz_per_hour),
        every=case.every,
    )
    listed = [
        msgspec.structs.replace(tag, burst_interval_s=tag.burst_interval_s + case.interval_error_s)
        for tag in tags
    ]
    book = CodeBook(listed, Tolerances(frequency_range_hz=case.range_hz))
    total: dict[str, int] = defaultdict(int)
    spent_s = 0.0
    for antenna in range(case.antennas):
        air = PulseAir(
            beacons=beacons,
            duration_s=case.seconds,
            seed=case.seed * 1000 + antenna,
            noise_per_s=case.noise_per_s,
            loss=case.loss,
            noise_band_hz=case.noise_band_hz,
        )
        decoder = AntennaDecoder(book)
        truth = Truth()
        runs: dict[int, list[Reported]] = defaultdict(list)
        portions = itertools.chain(air.slices(), [(None, [])])
        for pulses, sent in portions:
            truth.add(sent)
            begin = time.process_time()
            events = decoder.finish() if pulses is None else decoder.feed(pulses)
            spent_s += time.process_time() - begin
            total["mismatches"] += sum(isinstance(event, IntervalMismatch) for event in events)
            for event in events:
                for burst in reported(event):
                    runs[burst.run].append(burst)
        total["accidents"] += sum(not truth.has(burst) for burst in runs.pop(0, []))
        for bursts in runs.values():
            wrong = [burst for burst in bursts if not truth.has(burst)]
            total["false_bursts"] += len(wrong)
            total["false_three"] += sum(burst.pulse_count == THREE for burst in wrong)
            total["false_runs"] += len(wrong) * 2 > len(bursts) >= THREE
        total["runs"] += len(runs)
        for received, name in ((4, "complete"), (THREE, "three")):
            there, found = truth.count(received)
            total[name] += there
            total[f"{name}_found"] += found
        total["pulses"] += decoder.counters.pulses
        total["skipped"] += decoder.counters.skipped_pulses
    return Result(pulses_per_s=total["pulses"] / spent_s, memory_mb=_memory_mb(), **total)


def cases() -> list[Case]:
    """Return the rows of the table."""
    rows = [
        Case(
            name=f"grid {listed} tags {noise:g}/s",
            listed=listed,
            noise_per_s=noise,
            seconds=seconds,
            goal={
                (500, 10): ">= 99.5 %, no false run",
                (500, 100): ">= 99.5 %, <= 5 false",
                (500, 1): ">= 200 k/s",
            }.get((listed, round(noise)), ""),
        )
        for listed in (10, 100, 500, 1000)
        for noise, seconds in ((0.1, 7200), (1, 7200), (10, 3600), (30, 1200), (100, 600))
    ]
    rows += [
        Case(
            name=f"flood 500 tags {noise}/s",
            noise_per_s=noise,
            antennas=1,
            seconds=60,
            goal=">= 20 k/s" if noise == 400 else "",
        )
        for noise in (200, 400)
    ]
    rows += [
        Case(
            name=f"loss {loss:.0%}",
            loss=loss,
            goal={0.2: ">= 99.5 %", 0.3: ">= 99 %"}.get(loss, ""),
        )
        for loss in (0.0, 0.05, 0.1, 0.2, 0.3)
    ]
    rows += [
        Case(
            name=f"colony of {live}, 9.7 s",
            live=live,
            intervals_s=(9.7, 9.7),
            antennas=2,
            seconds=1200,
            goal=">= 99 %, <= 5 false runs" if live == 200 else "",
        )
        for live in (50, 100, 200)
    ]
    rows += [
        Case(name="every 2nd burst", every=2, goal="all"),
        Case(name="every 3rd burst", every=3),
        Case(name="drift 1.2 kHz/h", drift_hz_per_hour=1200.0),
        *(
            Case(
                name=f"hum {noise}/s within 400 Hz",
                antennas=1,
                noise_per_s=noise,
                noise_band_hz=(3800.0, 4200.0),
                seconds=600,
            )
            for noise in (20, 100, 400)
        ),
        Case(name="interval 5 s off", interval_error_s=5.103, goal="mismatches, no runs"),
    ]
    return rows


def trade() -> list[Case]:
    """Return the rows of the frequency limit: weak tags' scatter against accidents."""
    return [
        Case(
            name=f"limit {limit} Hz, scatter {scatter} Hz",
            range_hz=limit,
            frequency_sd_hz=(scatter, scatter),
            noise_per_s=100,
            seconds=600,
        )
        for limit in (100, 150, 200, 300, 500)
        for scatter in (6, 25, 40, 60)
    ]


def _field(folder: str) -> str:
    path = FIELD / folder
    if not path.is_dir():
        return f"{folder}: no recordings here"
    reference = {
        (row["port"], round(float(row["first_pulse_unix_s"]) * 10_000))
        for row in csv.DictReader((path / "reference-hits.csv").read_text().splitlines())
    }
    antennas: dict[str, list[HeardPulse]] = defaultdict(list)
    for file in sorted(path.glob("*-all.txt.gz")):
        for line in gzip.decompress(file.read_bytes()).decode().splitlines():
            if line.startswith("p"):
                port, stamp, offset, signal, noise = line.split(",")[:5]
                seconds, _, fraction = stamp.partition(".")
                antennas[port[1:]].append(
                    HeardPulse(
                        int(seconds) * 10**9 + int(fraction.ljust(9, "0")),
                        float(offset) * 1000,
                        float(signal),
                        float(noise),
                    )
                )
    book = CodeBook(parse_csv((path / "tags.csv").read_text()).tags)
    bursts: list[tuple[str, Reported]] = []
    runs = 0
    for port, pulses in antennas.items():
        decoder = AntennaDecoder(book)
        events = decoder.feed(pulses) + decoder.finish()
        bursts += [(port, burst) for event in events for burst in reported(event) if burst.run]
        runs += sum(isinstance(event, RunEnded) for event in events)
    found = {(port, burst.time_ns // 100_000) for port, burst in bursts}
    three = sum(burst.pulse_count == THREE for _, burst in bursts)
    return (
        f"{folder}: {len(found & reference)} of {len(reference)} reference bursts at the same "
        f"time, {len(found - reference)} more ({three} of three pulses), {runs} runs"
    )


def _row(case: Case, result: Result) -> str:
    def share(part: int, whole: int) -> str:
        return f"{100 * part / whole:6.2f}" if whole else "     -"

    return (
        f"{case.name:30} {result.pulses:8} "
        f"{share(result.complete_found, result.complete)} {share(result.three_found, result.three)}"
        f" {result.false_bursts:5} ({result.false_three:4}) {result.false_runs:5} {result.runs:5} "
        f"{result.accidents:6} {result.mismatches:4} {result.skipped:9} "
        f"{result.pulses_per_s / 1000:7.0f} {result.memory_mb:5.0f}  {case.goal}"
    )


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description="Measures the coded-ID decoder.")
    options.add_argument("--quick", action="store_true", help="a tenth of each duration")
    options.add_argument("--only", default="", help="only cases whose name contains this")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, one core")
    for folder in ("kingsburg-2017", "sensorgnome-2021"):
        print(_field(folder))
    print(
        f"\n{'case':30} {'pulses':>8} {'recall':>6} {'of 3':>6} {'false (of 3)':>12} "
        f"{'runs3':>5} {'runs':>5} {'lone':>6} {'odd':>4} {'skipped':>9} "
        f"{'k/s':>7} {'MB':>5}  goal\n"
        "recall: % of complete bursts; of 3: % of bursts with one pulse lost; false bursts, and "
        "of these\nwith three pulses; runs3: false runs of three or more; lone: bursts shown "
        "that nobody\nsent and no run took; odd: intervals told as not in the list; skipped: "
        "pulses not\nsearched"
    )
    context = multiprocessing.get_context("spawn")
    for case in [*cases(), *trade()]:
        if chosen.only not in case.name:
            continue
        seconds = case.seconds / 10 if chosen.quick else case.seconds
        run = msgspec.structs.replace(case, seconds=seconds, seed=chosen.seed)
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            result = pool.submit(measure_case, run).result()
        print(_row(case, result), flush=True)


if __name__ == "__main__":
    main()
