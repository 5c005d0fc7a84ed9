"""A writer under load in a process of its own, killed at random moments, started again."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from store_traffic import is_sound, stored

_LOAD = """
import asyncio, os, sys
from pathlib import Path
import store_traffic
from receiver.store.retention import Retention
from receiver.store.writer import Batch, Writer

async def load(path):
    first = len(store_traffic.stored(path))
    writer = Writer(path, "marsh")
    writer.start()
    size = 1
    while True:
        durable = asyncio.Event()
        last = first + size
        def tell(last=last, durable=durable):
            os.write(1, b"%d\\n" % last)
            durable.set()
        writer.submit(Batch(store_traffic.numbers(range(first, last)), on_durable=[tell]))
        first, size = last, size % 997 * 3 + 1
        if size % 2:
            await durable.wait()

asyncio.run(load(Path(sys.argv[1])))
"""


class Tally(msgspec.Struct):
    """What a campaign did and found."""

    kills: int = 0
    kills_before_the_first_commit: int = 0
    rows_kept: int = 0
    rows_told_durable: int = 0
    rows_lost: int = 0
    """Told durable and not there."""


def kill_writers(path: Path, kills: int, seed: int = 1) -> Tally:
    """Kill a writer again and again; check each time that the store is sound and nothing is lost.

    Rows that had not been told durable may be there or not; none may be missing before another.
    """
    dice = random.Random(seed)
    tally = Tally(kills=kills)
    tests = Path(__file__).parent
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", _LOAD, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": f"{tests}:{tests.parent}"},
        )
        assert process.stdout is not None
        # Some of them while they start or recover, the others under load.
        told = b"" if dice.random() < 0.2 else process.stdout.readline()
        time.sleep(dice.uniform(0, 0.2))
        process.kill()
        told += process.stdout.read()
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        durable = [int(line) for line in told.splitlines()]
        rows = stored(path)
        assert rows == list(range(len(rows))), "a row is missing or there twice"
        if durable:
            tally.rows_told_durable = durable[-1]
            tally.rows_lost += max(0, durable[-1] - len(rows))
        else:
            tally.kills_before_the_first_commit += 1
        tally.rows_kept = len(rows)
    assert is_sound(path)
    return tally
