"""The uploading half of a station as a process, with short waits; its argument is CONFIG.

What it does is what `stopover upload` does.
"""

import asyncio
import sys
from pathlib import Path

from receiver import config
from receiver.links.backoff import Backoff
from receiver.log import configure
from receiver.sinks.uploads import Uploads, notes_into


async def upload(path: Path) -> None:
    """Send for ever."""
    settings = config.load(path)
    store = Path(settings.store.path)
    await Uploads(
        settings.sinks,
        store,
        settings.station.id,
        notes_into(store),
        backoff=lambda: Backoff(first_s=0.05, longest_s=0.5),
    ).run()


if __name__ == "__main__":
    configure("json", "info")
    asyncio.run(upload(Path(sys.argv[1])))
