"""How many rows a second each export writes, and how much memory it takes.

Run: .venv/bin/python tests/benchmarks/export_speed.py [--rows N] [--formats motus,csv]

A store is generated as a busy station fills it: a detection each 3.15 s, which is ten million a
year, of 20 tags that the metadata know and 20 that they do not, on three antennas, a tenth through
a node, one in 50 with a wrong bit. Each export runs in a process of its own, whose greatest memory
is what the kernel says. Memory must not grow with the rows: compare --rows 200000 and 2000000. The
time for ten million is what the measured rate would give, not a measurement.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from report import print_report

from protocols.ctt.lines import decode_ctt_line
from protocols.ctt.packet import build_packet, id_from_number
from protocols.records import Detection, Relay
from receiver.arrivals import Arrival, ClockSample, Source, Stamp
from receiver.exports.formats import FORMATS
from receiver.store.database import Store

BEGAN_NS = 1_735_689_600 * 10**9  # 2025-01-01
APART_NS = 3_153_600_000
YEAR_ROWS = 10_000_000
TAGS = 20
ROWS_AT_ONCE = 10_000
GOAL_MB = 150

_MEASURED = """
import json, resource, sys, time
from receiver.cli.exporting import export_command
began = time.perf_counter()
code = 0
try:
    export_command(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(json.dumps([time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    time.process_time(), code]), file=sys.stderr)
"""


def _arrivals(rows: int) -> Iterator[Arrival]:
    chance = random.Random(1)
    packets = [build_packet(id_from_number(chance.getrandbits(20))) for _ in range(2 * TAGS)]
    sources = [
        Source(link=f"ch{number}", decoder="ctt/1", antenna=f"antenna {number}")
        for number in (1, 2, 3)
    ]
    heard: dict[tuple[int, int, int], Detection] = {}
    for number in range(rows):
        tag, level = chance.randrange(2 * TAGS), chance.randrange(-105, -75)
        flip = chance.randrange(32) if number % 50 == 0 else -1
        key = (tag, level, flip)
        record = heard.get(key)
        if record is None:
            packet = bytearray(packets[tag])
            if flip >= 0:
                packet[flip // 8] ^= 1 << flip % 8
            decoded = decode_ctt_line(b"%s,%d" % (packet.hex().upper().encode(), level))
            assert isinstance(decoded, Detection)
            record = heard[key] = decoded
        if number % 10 == 0:
            record = Detection(
                protocol=record.protocol,
                tag_id=record.tag_id,
                integrity=record.integrity,
                rssi_dbm=level,
                relay=Relay(relay_id="3796F5"),
                raw=record.raw,
            )
        at_ns = number * APART_NS
        stamp = Stamp(BEGAN_NS + at_ns, "ntp", at_ns, "boot")
        yield Arrival(record, sources[tag % 3], stamp)


def _metadata() -> str:
    chance = random.Random(1)
    ids = [id_from_number(chance.getrandbits(20)) for _ in range(2 * TAGS)][:TAGS]
    tags = "".join(
        f'[[tags]]\nid = "{tag}"\nanimal = "BIRD-{number}"\ntaxon = "Calidris pugnax"\n'
        f'deployed_from = "2024-12-01"\nring_scheme = "NLA"\nring_number = "{123000 + number}"\n'
        'euring_species = "05170"\n'
        for number, tag in enumerate(ids)
    )
    return f"""
[project]
title = "bench"
description = "bench"
id = "bench"
licence = "CC0-1.0"
publisher = "bench"
[contact]
family_name = "bench"
email = "bench@example.org"
[motus]
serial = "SG-1234RPI45678"
[ctt]
station_id = "V30300000001"
[[stations]]
id = "bench"
latitude = 53.253
longitude = 5.221
euring_place_code = "NL--"
[[stations.relays]]
id = "3796F5"
latitude = 53.26
longitude = 5.23
{tags}"""


def _generate(path: Path, rows: int) -> None:
    with Store.open(path, station_id="bench") as store:
        with store.transaction():
            store.add_clock_sample(ClockSample("boot", 0, BEGAN_NS, "ntp", "start"))
        batch: list[Arrival] = []
        for arrival in _arrivals(rows):
            batch.append(arrival)
            if len(batch) == ROWS_AT_ONCE:
                store.append(batch)
                batch.clear()
        store.append(batch)


def _measure(folder: Path, name: str) -> tuple[float, float, float, float]:
    """Return seconds, CPU seconds and greatest memory in MB of one export, and the MB written."""
    out = folder / f"out-{name}"
    args = [name, "--db", folder / "bench.db", "--out", out, "--metadata", folder / "metadata.toml"]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *map(str, args)],
        capture_output=True,
        text=True,
        check=True,
    )
    wall_s, peak_kib, cpu_s, code = json.loads(done.stderr.splitlines()[-1])
    if code:
        sys.exit(done.stderr)
    size_mb = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    return wall_s, cpu_s, peak_kib * 1024 / 1e6, size_mb


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--formats", default=",".join(FORMATS))
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "metadata.toml").write_text(_metadata())
        began = time.perf_counter()
        _generate(folder / "bench.db", wanted.rows)
        store_mb = (folder / "bench.db").stat().st_size / 1e6
        table = [
            (
                f"store of {wanted.rows:,} rows",
                f"{store_mb:.0f} MB, made in {time.perf_counter() - began:.0f} s",
                "",
            )
        ]
        for each in wanted.formats.split(","):
            wall_s, cpu_s, peak_mb, size_mb = _measure(folder, each)
            rate_per_s = wanted.rows / wall_s
            table += [
                (f"{each}: rows read a second", f"{rate_per_s:,.0f} (CPU {cpu_s:.1f} s)", ""),
                (f"{each}: greatest memory", f"{peak_mb:.0f} MB", f"{GOAL_MB} MB at any size"),
                (f"{each}: written", f"{size_mb:.1f} MB", ""),
                (
                    f"{each}: ten million rows at this rate",
                    f"{YEAR_ROWS / rate_per_s / 60:.1f} min",
                    "",
                ),
            ]
        print_report("Exports", table)


if __name__ == "__main__":
    main()
