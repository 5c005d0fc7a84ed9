"""`python -m receiver.radio_worker`: one worker, started by a link; orders in, reports out.

It ends when its samples do, when its standard input closes, or when nobody reads what it tells. It
ignores the signals that stop a station: the link ends it, so that its last packets are kept.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from typing import BinaryIO

from receiver.limits import (
    RADIO_NICE,
    RADIO_WAITING_BYTES,
    RADIO_WAITING_S,
)
from receiver.radio_worker.messages import (
    KnownTags,
    Lost,
    Report,
    Task,
    line_of,
    order_of,
)


class Worker:
    """Listens as its task says; tells on `out`."""

    def __init__(self, task: Task, out: BinaryIO) -> None:
        self._task = task
        self._out = out

    def run(self, orders: BinaryIO) -> None:
        """Listen until the samples end or `orders` close; the last report says why."""
        # Loaded here: a failure to load numpy is a report, not a traceback.
        from receiver.radio_worker import channel, feed, listening, sources  # noqa: PLC0415

        link = self._task.link
        connection = None if self._task.socket is None else socket.socket(fileno=self._task.socket)
        frame_bytes = channel.frame_bytes(link)
        known_tags = frozenset(self._task.known_tags)
        try:
            source = sources.source_of(link, connection, frame_bytes, stall_s=self._task.stall_s)
            most_bytes = round(RADIO_WAITING_S * link.rate_hz * frame_bytes)
            samples = feed.Feed(source, min(RADIO_WAITING_BYTES, most_bytes))
            ears = channel.channel_of(link, known_tags)
            loop = listening.Listening(
                link,
                source,
                samples,
                ears,
                frame_bytes=frame_bytes,
                tell=self.tell,
                known_tags=known_tags,
                level_s=self._task.level_s,
            )

            def follow() -> None:
                for line in orders:
                    order = order_of(line)
                    if isinstance(order, KnownTags):
                        loop.know(frozenset(order.tags))
                # The link is gone, or wants the worker to end.
                samples.close()

            samples.start()
            threading.Thread(target=follow, name="orders", daemon=True).start()
            loop.run()
        except sources.SourceError as error:
            self.tell(Lost(str(error), error.do, is_silent=error.is_silent, is_over=error.is_over))

    def tell(self, report: Report) -> None:
        """Write a report."""
        self._out.write(line_of(report))
        self._out.flush()


def main() -> None:
    """Work as standard input says."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # A hardened service may not be allowed to.
        os.nice(RADIO_NICE)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a library may print must not come between the reports.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    line = sys.stdin.buffer.readline()
    task = order_of(line) if line else None
    if not isinstance(task, Task):
        return
    worker = Worker(task, out)
    try:
        worker.run(sys.stdin.buffer)
    except BrokenPipeError:
        pass  # The daemon is gone; there is nobody to tell.
    except ImportError as error:
        worker.tell(Lost(f"numpy cannot be loaded ({error})", "pip install 'stopover[sdr]'"))
    except Exception as error:
        worker.tell(
            Lost(f"a fault in the program: {type(error).__name__}: {error}", "see the log, tell us")
        )
        raise
    # A thread may still wait for the source or for orders: nothing is left to be done.
    out.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
