"""One station to a far end: rows a second through each sink, and bytes that a detection costs.

The collector and PostgreSQL (which syncs each commit) run on the same machine.
"""

import argparse
import asyncio
import time
from pathlib import Path

import psycopg
from far_end import collectors, scene, season
from report import print_report

from receiver.sink_settings import FolderSink, HttpSink, MqttSink, Sink
from receiver.sinks import outbox
from receiver.sinks.batches import Compression, pack
from receiver.sinks.runner import SinkRunner
from receiver.sinks.uploads import made, notes_into

PORT = 18_472


def rows_per_s(sink: Sink, store: Path) -> float:
    """Send everything; return the rows a second."""

    async def send() -> float:
        sender, _ = made(sink, store, "bench")
        runner = SinkRunner(sender, sink, store, notes_into(store))
        begin = time.perf_counter()
        if not await runner.run_once():
            raise SystemExit(f"{sink.name}: {runner.status.state}: {runner.status.reason}")
        return runner.status.rows / (time.perf_counter() - begin)

    return asyncio.run(send())


def bytes_each(store: Path, rows: int, compression: Compression) -> float:
    """Return the bytes of a detection in a batch of so many."""
    outgoing = outbox.read(
        store, "none", (), most_rows=rows, most_bytes=2**40, now_utc_ns=time.time_ns()
    )
    batch = pack(outgoing.header, outgoing.lines, compression)
    return len(batch.body) / batch.rows


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description="Measures the sinks of one station.")
    options.add_argument("--rows", type=int, default=50_000)
    rows = options.parse_args().rows
    table = []
    with scene() as (folder, broker, server):
        store = folder / "station.db"
        season(store, rows, "bench")
        address = server.database()
        begin = time.perf_counter()
        outbox.read(store, "none", (), most_rows=20_000, most_bytes=2**40, now_utc_ns=0)
        reading = 20_000 / (time.perf_counter() - begin)
        with collectors(1, "--database", address, "--broker", broker.url, "--port", str(PORT)):
            time.sleep(3)
            url = f"http://127.0.0.1:{PORT}/batches"
            for sink in (
                HttpSink(name="http", url=url),
                MqttSink(name="mqtt", broker=broker.url),
                FolderSink(name="folder", folder=str(folder / "stick")),
            ):
                if sink.name == "mqtt":  # It finds nothing of what came over HTTP.
                    with psycopg.connect(address, autocommit=True) as connection:
                        connection.execute("TRUNCATE detections")
                table.append((f"{sink.name}, rows/s", f"{rows_per_s(sink, store):,.0f}", ""))
        table.insert(0, ("read from the store, rows/s", f"{reading:,.0f}", ""))
        for compression in ("none", "gzip", "zstd"):
            for in_batch in (1, 20, 200, 2_000):
                each = bytes_each(store, in_batch, compression)
                goal = "< 60" if in_batch == 2_000 and compression != "none" else ""
                table.append(
                    (f"bytes each, {compression}, {in_batch} a batch", f"{each:.0f}", goal)
                )
    print_report(f"sinks: {rows:,} detections of one station", table)


if __name__ == "__main__":
    main()
