"""Collectors that share the batches of many stations: rows a second into PostgreSQL.

The stations are one process that publishes batches made beforehand, each station one at a time, as
sinks do. Everything runs on this machine; PostgreSQL syncs each commit.
"""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import psycopg
from far_end import collectors, scene, season
from report import print_report

from receiver.sinks import outbox
from receiver.sinks.batches import name_of, pack
from receiver.sinks.mqtt import Answer
from receiver.sinks.uploads import write_note
from receiver.store.outbox import SinkNote

GOAL_ROWS_PER_S = 1_000
"""A thousand stations that hear a tag a second each."""


def batches_of(store: Path, in_batch: int) -> list[bytes]:
    """Return everything in a store as batches."""
    bodies: list[bytes] = []
    while True:
        outgoing = outbox.read(
            store, "bench", (), most_rows=in_batch, most_bytes=2**40, now_utc_ns=time.time_ns()
        )
        if not outgoing.lines:
            return bodies
        batch = pack(outgoing.header, outgoing.lines, "gzip")
        bodies.append(batch.body)
        write_note(store, SinkNote(sink="bench", marks=batch.marks))


async def send(port: int, stations: dict[str, list[bytes]]) -> float:
    """Send every station's batches; return the seconds until the last was acknowledged."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("stopover/+/acks", qos=1)
        answered: dict[str, asyncio.Future[None]] = {}

        async def listen() -> None:
            async for message in client.messages:
                answer = msgspec.json.decode(bytes(message.payload), type=Answer)
                if answer.state != "stored":
                    raise SystemExit(answer.reason)
                waiting = answered.pop(answer.batch, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)

        async def station(name: str, bodies: list[bytes]) -> None:
            for body in bodies:
                done = asyncio.get_running_loop().create_future()
                answered[name_of(body)] = done
                await client.publish(f"stopover/{name}/batches", body, qos=1)
                await done

        listening = asyncio.create_task(listen())
        begin = time.perf_counter()
        await asyncio.gather(*(station(name, bodies) for name, bodies in stations.items()))
        seconds = time.perf_counter() - begin
        listening.cancel()
        return seconds


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description="Measures collectors that share the work.")
    options.add_argument("--rows", type=int, default=10_000, help="of each of the stations")
    options.add_argument("--stations", type=int, default=8)
    options.add_argument("--batch-rows", type=int, default=1_000)
    chosen = options.parse_args()
    table = []
    found: tuple[Any, ...] = (0, 0)
    with scene() as (folder, broker, server):
        stations = {}
        for number in range(chosen.stations):
            store = folder / f"{number}.db"
            season(store, chosen.rows, f"s{number}")
            stations[f"s{number}"] = batches_of(store, chosen.batch_rows)
        rows = chosen.rows * chosen.stations
        for count in (1, 2, 4):
            address = server.database()
            with collectors(count, "--database", address, "--broker", broker.url):
                time.sleep(2 + count)
                seconds = asyncio.run(send(broker.port, stations))
            with psycopg.connect(address) as connection:
                found = connection.execute(
                    "SELECT count(*), (SELECT sum(pg_total_relation_size(inhrelid))"
                    " FROM pg_inherits WHERE inhparent = 'detections'::regclass) FROM detections"
                ).fetchone() or (0, 0)
            if found[0] != rows:
                raise SystemExit(f"{found[0]} rows arrived, not {rows}")
            goal = f"> {GOAL_ROWS_PER_S:,}"
            table.append((f"{count} collectors, rows/s", f"{rows / seconds:,.0f}", goal))
        table.append(("bytes of a row in PostgreSQL", f"{float(found[1]) / rows:.0f}", ""))
    print_report(
        f"collector: {chosen.stations} stations, {rows:,} rows, {chosen.batch_rows:,} a batch",
        table,
    )


if __name__ == "__main__":
    main()
