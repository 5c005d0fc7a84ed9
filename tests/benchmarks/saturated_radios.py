"""The radios of `live.py`, a process of their own.

Run by it: saturated_radios.py RADIOS SECONDS; RADIOS is 12 at most. Prints the devices as JSON,
waits for a line on stdin, prints what the simulator's `saturation` scenario says, each line at its
time, then tells what went out (`Told`), and keeps the ports until stdin ends.
"""

import gc
import os
import select
import sys
import time
import tty
from collections import Counter

import msgspec

from simulator.scenario import scenario
from simulator.world import Emission, World


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the radios tell at their end."""

    seconds: float
    sent: dict[str, dict[str, int]]
    """How often each line went out at each radio."""
    refused: int
    """Lines that found the port's buffer full."""
    latest_ms: float
    """By how much the latest line came after its time."""


def main() -> None:
    """Make the ports and play."""
    radios, seconds = int(sys.argv[1]), float(sys.argv[2])
    saturation = scenario("saturation")
    (station,) = saturation.stations
    station = msgspec.structs.replace(station, radios=station.radios[:radios])
    saturation = msgspec.structs.replace(saturation, stations=(station,))
    world = World(saturation.changed(duration_s=seconds))
    emissions = [each for each in world.happenings() if isinstance(each, Emission)]
    ends: dict[str, int] = {}
    devices: dict[str, str] = {}
    for radio in station.radios:
        ends[radio.name], port = os.openpty()
        tty.setraw(port)
        os.set_blocking(ends[radio.name], False)
        devices[radio.name] = os.ttyname(port)
    _tell(devices)
    sys.stdin.readline()
    # Nothing but the lines is to take time from now on.
    gc.disable()
    _tell(_play(emissions, ends))
    sys.stdin.read()


def _tell(value: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.flush()


def _play(emissions: list[Emission], ends: dict[str, int]) -> Told:
    sent: dict[str, Counter[bytes]] = {name: Counter() for name in ends}
    refused = 0
    latest_s = 0.0
    begun_s = time.perf_counter()
    for emission in emissions:
        ahead_s = begun_s + emission.time_s - time.perf_counter()
        if ahead_s > 0:
            select.select([], [], [], ahead_s)
        latest_s = max(latest_s, -ahead_s)
        name = emission.radio.name
        try:
            os.write(ends[name], emission.wire)
        except BlockingIOError:
            refused += 1
        else:
            sent[name][emission.wire.rstrip()] += 1
    return Told(
        seconds=time.perf_counter() - begun_s,
        sent={
            name: {line.decode(): count for line, count in lines.items()}
            for name, lines in sent.items()
        },
        refused=refused,
        latest_ms=1000 * latest_s,
    )


if __name__ == "__main__":
    main()
