"""What the benchmarks of sinks and collectors share: a season of detections, and real far ends."""

import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocols.ctt.packet import build_packet, id_from_number
from protocols.records import Detection
from receiver.arrivals import Arrival, Source, Stamp
from receiver.store.database import Store

sys.path.insert(0, str(Path(__file__).parents[1]))

from brokers import Broker
from postgres_server import PostgresServer

BEGIN_NS = 1_777_593_600_000_000_000  # 2026-05-01T00:00:00Z
COLLECT = "from receiver.cli.collect import collect_command; collect_command()"


def season(path: Path, rows: int, station_id: str) -> None:
    """Make a store: 60 tags in turn on four antennas, levels and times as the air gives them."""
    dice = random.Random(station_id)
    tags = [id_from_number(dice.randrange(2**20)) for _ in range(60)]
    sources = [Source(link=f"ch{n}", decoder="ctt/1", antenna=f"mast {n}") for n in range(4)]
    at_ns = BEGIN_NS
    with Store.open(path, station_id=station_id) as store:
        for begin in range(0, rows, 5_000):
            arrivals = []
            for _ in range(begin, min(begin + 5_000, rows)):
                at_ns += int(dice.expovariate(1 / 2e9))
                tag, rssi_dbm = dice.choice(tags), -dice.randrange(55, 112)
                detection = Detection(
                    protocol="ctt-434",
                    tag_id=tag,
                    integrity="verified",
                    id_legal=True,
                    rssi_dbm=rssi_dbm,
                    raw=build_packet(tag).hex().encode() + b",%d" % rssi_dbm,
                )
                stamp = Stamp(at_ns, "ntp", at_ns - BEGIN_NS, "6f1c5c5e-2a31-4c0e-9c55-0a5f")
                arrivals.append(Arrival(detection, dice.choice(sources), stamp))
            store.append(arrivals)


@contextmanager
def scene() -> Iterator[tuple[Path, Broker, PostgresServer]]:
    """Provide a folder, a broker and a database that syncs its commits."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Broker(folder, "allow_anonymous true\nset_tcp_nodelay true\n")
        server = PostgresServer(settings="fsync = on")
        broker.start()
        try:
            yield folder, broker, server
        finally:
            broker.kill()
            server.remove()


@contextmanager
def collectors(count: int, *options: str) -> Iterator[None]:
    """Run collectors as processes of their own."""
    command = [sys.executable, "-c", COLLECT, *options]
    running = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
