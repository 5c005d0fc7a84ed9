"""A station in a flood of VHF noise: eight antennas with 400 pulses a second each, and some tags.

Run: .venv/bin/python tests/benchmarks/coded_id_live.py [--seconds 30] [--noise 400] [--tags 500]

The station (`saturated_station.py`: the daemon itself, and a task that sees its loop stall) is a
process of its own; its CPU time and memory are from /proc. This one plays eight radios: lines as
vamp-alsa-host prints them, each port's every 10 ms, with times of this machine's clock. First
without a tag list, then with one: the difference is the search. On each antenna two listed tags are
on the air.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import tty
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
from process_numbers import ProcessNumbers, numbers_of
from report import print_report

from protocols.coded_id import CodedTag, HeardPulse
from receiver.limits import LONGEST_LOOP_STALL_S
from receiver.store.activity_queries import hours_listened
from receiver.store.queries import DetectionFilter, Reader
from simulator.pulses import PulseAir, made_up_beacons, made_up_tags

ANTENNAS = 8
TAGS_EACH = 2
PLAY_EVERY_S = 0.01
SETTLES_S = 2.5
GOAL_MB = 60


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What a run gave."""

    pulses: int
    seconds: float
    before: ProcessNumbers
    after: ProcessNumbers
    stall_s: float
    counts: Counter[str]
    """Pulses, detections and rejects of the hours."""
    tags: Counter[str]
    """Detections of each antenna and tag."""


def _lines(air: PulseAir, port: int) -> Iterator[tuple[float, HeardPulse, int]]:
    begin_ns: int | None = None
    for pulses, _ in air.slices():
        for pulse in pulses:
            begin_ns = pulse.time_ns if begin_ns is None else begin_ns
            yield (pulse.time_ns - begin_ns) / 1e9, pulse, port


def _play(ends: list[int], airs: list[PulseAir]) -> tuple[int, float]:
    """Print every pulse soon after its time; return how many, and the seconds it took."""
    waiting = sorted(
        (each for port, air in enumerate(airs) for each in _lines(air, port)),
        key=lambda each: each[0],
    )
    begun, begun_ns = time.monotonic(), time.time_ns()
    at = 0
    while at < len(waiting):
        time.sleep(PLAY_EVERY_S)
        now_s = time.monotonic() - begun
        said: dict[int, list[bytes]] = {}
        while at < len(waiting) and waiting[at][0] <= now_s:
            after_s, pulse, port = waiting[at]
            stamp = f"{(begun_ns + after_s * 1e9) / 1e9:.4f}"
            line = (
                f"p{port},{stamp},{pulse.frequency_offset_hz / 1000:.3f},"
                f"{pulse.signal_db:.2f},{pulse.noise_db or 0:.2f}\n"
            )
            said.setdefault(port, []).append(line.encode())
            at += 1
        for port, lines in said.items():
            os.write(ends[port], b"".join(lines))
    return len(waiting), time.monotonic() - begun


def measure(folder: Path, airs: list[PulseAir], tags: tuple[CodedTag, ...]) -> Played:
    """Run station and radios to the end; without tags the station has no list."""
    ports = [os.openpty() for _ in airs]
    for _, port in ports:
        tty.setraw(port)
    store = folder / f"flood-{len(tags)}.db"
    settings: dict[str, object] = {
        "store": {"path": str(store)},
        "links": [
            {
                "kind": "serial",
                "name": f"vah{number}",
                "device": os.ttyname(port),
                "decoder": "sensorgnome",
            }
            for number, (_, port) in enumerate(ports)
        ],
    }
    if tags:
        rows = (
            f"{tag.project},{tag.id},{tag.frequency_mhz},"
            f"{','.join(map(str, tag.gaps_ms))},{tag.burst_interval_s}\n"
            for tag in tags
        )
        tag_list = folder / "tags.csv"
        tag_list.write_text("proj,id,tagFreq,g1,g2,g3,bi\n" + "".join(rows), encoding="utf-8")
        settings["tags"] = {"coded_ids": str(tag_list)}
    station_command = [
        sys.executable,
        str(Path(__file__).with_name("saturated_station.py")),
        msgspec.json.encode(settings).decode(),
    ]
    with subprocess.Popen(station_command, stdout=subprocess.PIPE, text=True) as station:
        assert station.stdout is not None
        station.stdout.readline()
        before = numbers_of(station.pid)
        pulses, seconds = _play([end for end, _ in ports], airs)
        time.sleep(SETTLES_S)
        after = numbers_of(station.pid)
        station.send_signal(signal.SIGTERM)
        stall_s = float(station.stdout.readline())
    for pair in ports:
        for end in pair:
            os.close(end)
    counts: Counter[str] = Counter()
    heard: Counter[str] = Counter()
    with Reader(store) as reader:
        for hour in hours_listened(reader, DetectionFilter()):
            counts.update(pulses=hour["pulses"], detections=hour["detections"])
            counts.update(hour["rejects"])
        counts["stored pulses"] = reader.counts()["pulses"]
        for row in reader.detections(DetectionFilter()):
            heard[f"{row['antenna']} {row['tag_id']}"] += 1
    return Played(
        pulses=pulses,
        seconds=seconds,
        before=before,
        after=after,
        stall_s=stall_s,
        counts=counts,
        tags=heard,
    )


def _cpu_part(run: Played) -> float:
    return (run.after.cpu_s - run.before.cpu_s) / run.seconds


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description="Measures the live search for coded IDs.")
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--noise", type=float, default=400.0)
    options.add_argument("--tags", type=int, default=500)
    chosen = options.parse_args()
    random = Random(5)
    tags = made_up_tags(chosen.tags, random, intervals_s=(3.0, 6.0))
    airs = []
    truth: Counter[str] = Counter()
    for number in range(ANTENNAS):
        on_air = tags[number * TAGS_EACH : (number + 1) * TAGS_EACH]
        air = PulseAir(
            beacons=made_up_beacons(on_air, random),
            duration_s=chosen.seconds,
            seed=number,
            noise_per_s=chosen.noise,
        )
        airs.append(air)
        for _, sent in air.slices():
            truth.update(f"{number} {each.tag_id}" for each in sent if each.received_pulses)
    with tempfile.TemporaryDirectory() as folder:
        without = measure(Path(folder), airs, ())
        searched = measure(Path(folder), airs, tags)
    right = sum((searched.tags & truth).values())
    rejects = {
        name: searched.counts[name]
        for name in ("pulses_not_searched", "skipped_pulses", "narrowed_searches", "late_pulses")
    }
    print_report(
        f"coded-ID flood: {ANTENNAS} antennas, {chosen.noise:g} noise pulses a second each,"
        f" {chosen.tags} tags listed, {chosen.seconds:g} s",
        [
            ("pulses a second", f"{searched.pulses / searched.seconds:,.0f}", ""),
            ("pulses counted", f"{searched.counts['pulses']:,} of {searched.pulses:,}", "all"),
            ("pulses stored, no list", f"{without.counts['stored pulses']:,}", "all"),
            ("pulses stored, used ones", f"{searched.counts['stored pulses']:,}", ""),
            ("CPU without a list", f"{100 * _cpu_part(without):.1f} % of a core", ""),
            ("CPU with the search", f"{100 * _cpu_part(searched):.1f} % of a core", ""),
            ("longest stall, no list", f"{1000 * without.stall_s:.1f} ms", ""),
            (
                "longest stall of the loop",
                f"{1000 * searched.stall_s:.1f} ms",
                f"< {1000 * LONGEST_LOOP_STALL_S:.0f} ms",
            ),
            ("memory without a list", f"{without.after.peak_rss_mb:.1f} MB", ""),
            ("memory at most", f"{searched.after.peak_rss_mb:.1f} MB", f"< {GOAL_MB} MB"),
            ("bursts found", f"{right} of {truth.total()}", ""),
            ("false detections", f"{(searched.tags - truth).total()}", ""),
            *((name, f"{count:,}", "") for name, count in rejects.items()),
        ],
    )


if __name__ == "__main__":
    main()
