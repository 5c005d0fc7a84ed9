"""The station that `stopover demo` listens to."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from simulator.play import play, unwatched
from simulator.scenario import Scenario, quiet_marsh
from simulator.serial_station import Port, serial_station
from simulator.truth_file import TruthFile
from simulator.world import World


@contextlib.asynccontextmanager
async def simulated_ports(
    scenario: Scenario | None = None,
    *,
    truth: Path | None = None,
    aliases: Path | None = None,
    speed: float = 1.0,
) -> AsyncIterator[tuple[Port, ...]]:
    """Play a scenario, `quiet-marsh` by default, on pseudo-terminals inside the running loop.

    The world begins now, and ends with the context or its own duration. What no port took is
    `not-delivered` in the truth, so everything `printed` there was for the host to read.
    """
    chosen = (scenario or quiet_marsh()).changed(start_unix_s=time.time())
    world = World(chosen)
    with contextlib.ExitStack() as stack:
        station = stack.enter_context(serial_station(world, aliases=aliases))
        witness = stack.enter_context(TruthFile(truth)).write if truth else unwatched
        playing = asyncio.create_task(play(world, [station], witness, speed=speed))
        try:
            yield station.ports()
        finally:
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await playing
