"""The station of `live.py`, a process of its own: the daemon, and one task that sees it stall.

Run by it: saturated_station.py SETTINGS (JSON). Prints a line when every link is open, and after
SIGTERM the longest stall of its loop in seconds.
"""

import asyncio
import sys
import time

import msgspec

from receiver.lean_start import UNUSED, without

with without(*UNUSED):  # As `stopover run` starts it.
    from receiver.daemon import Daemon
from receiver.log import configure
from receiver.settings import Settings

LOOK_EVERY_S = 0.01


async def run(settings: Settings) -> float:
    """Run the daemon until it is stopped; return by how much the loop was late at most."""
    daemon = Daemon(settings)
    longest_s = 0.0

    async def look() -> None:
        nonlocal longest_s
        wanted = len(settings.links)
        while sum(link.opened > 0 for link in daemon.links) < wanted:  # noqa: ASYNC110  Untold.
            await asyncio.sleep(LOOK_EVERY_S)
        sys.stdout.write("hears\n")
        sys.stdout.flush()
        while True:
            before_s = time.perf_counter()
            await asyncio.sleep(LOOK_EVERY_S)
            longest_s = max(longest_s, time.perf_counter() - before_s - LOOK_EVERY_S)

    looking = asyncio.create_task(look())
    await daemon.run()
    looking.cancel()
    return longest_s


def main() -> None:
    """Run and tell."""
    configure("json", "warning")
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    sys.stdout.write(f"{asyncio.run(run(settings))}\n")


if __name__ == "__main__":
    main()
