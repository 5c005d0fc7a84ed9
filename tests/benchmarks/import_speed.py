"""How fast a recorded file goes into a durable store.

Run: .venv/bin/python tests/benchmarks/import_speed.py [RECORDS]

A SensorGnome `-ctt` file of a million `T` records is made in a temporary folder, as a busy station
writes it: 40 tags, levels of 30 dB, times to the millisecond without trailing zeros, one id in a
thousand with a wrong bit, clock records. Each record is checked (CRC, dictionary, time) and stored;
each block is synced to the disk. The plain write of the same bytes is measured beside it.
"""

import os
import platform
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from protocols.ctt.packet import build_packet, id_from_number
from receiver.importing.importer import Importer
from receiver.store.database import Store

GOAL_PER_S = 250_000
FLOOR_PER_S = 100_000
NAME = "bench-7F5ERPI46977-3-2021-12-16T00-25-01.8450Z-ctt.txt"


def _write_recording(path: Path, records: int) -> None:
    chance = random.Random(1)
    tags = [build_packet(id_from_number(chance.getrandbits(20))) for _ in range(40)]
    ms = 1_639_614_305_000
    with path.open("w") as file:
        for number in range(records):
            ms += chance.randrange(1, 250)
            packet = chance.choice(tags)
            if number % 1000 == 0:
                packet = bytes([packet[0] ^ 1 << chance.randrange(8)]) + packet[1:]
                file.write(f"C,{ms / 1000:.3f},3,0\n")
            seconds = f"{ms // 1000}.{ms % 1000:03d}".rstrip("0").rstrip(".")
            level = chance.randrange(-105, -75)
            file.write(f"T{chance.randrange(1, 6)},{seconds},{packet.hex()},{level}\n")


def _disk_mb_per_s(folder: Path, size_bytes: int) -> float:
    block = os.urandom(1024 * 1024)
    started = time.perf_counter()
    with (folder / "plain").open("wb") as file:
        for _ in range(max(1, size_bytes // len(block))):
            file.write(block)
            file.flush()
            os.fsync(file.fileno())
    return size_bytes / 1e6 / (time.perf_counter() - started)


def main() -> None:
    """Measure and print."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recording = folder / NAME
        _write_recording(recording, records)
        size_bytes = recording.stat().st_size
        timings = []
        with Store.open(folder / "bench.db", station_id="bench") as store:
            for _ in ("first", "again"):
                started, cpu = time.perf_counter(), time.process_time()
                report = Importer(store, now_ns=time.time_ns()).import_file(recording)
                timings.append((time.perf_counter() - started, time.process_time() - cpu, report))
            (stored,) = store.connection.execute("SELECT count(*) FROM detections").fetchone()
        (first_s, first_cpu_s, report), (again_s, _, again) = timings
        print(f"machine   {platform.machine()}, {os.cpu_count()} cores, {platform.platform()}")
        print(f"python    {platform.python_version()}")
        print(f"file      {records} T records, {size_bytes / 1e6:.1f} MB")
        store_mb = (folder / "bench.db").stat().st_size / 1e6
        speed_per_s = records / first_s
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"stored    {stored} detections in {store_mb:.1f} MB")
        print(f"speed     {speed_per_s:,.0f} records/s ({first_s:.2f} s, CPU {first_cpu_s:.2f} s)")
        print(f"goal      {GOAL_PER_S:,} records/s; floor {FLOOR_PER_S:,}")
        print(f"again     {again_s:.2f} s, nothing new: {again.is_known}")
        print(f"memory    {memory_mb:.0f} MB")
        print(f"disk      {_disk_mb_per_s(folder, size_bytes):,.0f} MB/s written, synced by the MB")
        print(f"damage    {report.damage or 'none'}")


if __name__ == "__main__":
    main()
