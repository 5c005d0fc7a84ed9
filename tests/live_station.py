"""A station's links, pipeline and store on the test's own loop, for tests that look inside."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from protocols.declared_payloads import DeclaredPayload
from receiver.activity import Activity
from receiver.clock import Clock
from receiver.connecting import connect
from receiver.links.intake import LinkStatus
from receiver.pipeline import Pipeline
from receiver.settings import Link
from receiver.store.activity_queries import hours_listened
from receiver.store.database import Store
from receiver.store.queries import DetectionFilter, Reader
from receiver.store.writer import Writer
from receiver.supervision.links import RunsForEver


class LiveStation:
    """Runs links into a real store; what is heard is committed within 50 ms."""

    def __init__(self, path: Path, *, payloads: Sequence[DeclaredPayload] = ()) -> None:
        self.path = path
        Store.open(path, station_id="marsh").close()
        self.clock = Clock(quality=lambda: "ntp")
        self.writer = Writer(path, "marsh", reserve_bytes=4096)
        self.activity = Activity(self.clock.stamp().utc_ns)
        self.pipeline = Pipeline(
            self.clock, self.writer, self.activity, commit_interval_s=0.05, payloads=payloads
        )
        self.statuses: dict[str, LinkStatus] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._is_written = False

    def write(self) -> None:
        """Let the store be written from now on."""
        self.writer.start()
        self._is_written = True

    def hear(self, settings: Link) -> RunsForEver:
        """Run a link from now on; return it."""
        status = self.statuses[settings.name] = LinkStatus(settings.name)
        link = connect(settings, status, self.pipeline, "marsh")
        self._tasks.append(asyncio.ensure_future(link.run()))
        return link

    async def end(self) -> None:
        """Stop the links, drain, close the store; safe to call again."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        if self._is_written:
            self._is_written = False
            self.pipeline.flush(with_activity=True)
            assert await self.writer.stop(5) == 0

    def detections(self) -> list[dict[str, Any]]:
        """Return the detections that are in the store."""
        with Reader(self.path) as reader:
            return list(reader.detections(DetectionFilter()))

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return what a query finds in the store."""
        with Reader(self.path) as reader:
            return [dict(row) for row in reader.connection.execute(query)]

    def rejects(self) -> dict[str, int]:
        """Return what the links counted as come to nothing, once the station has ended."""
        counted: dict[str, int] = {}
        with Reader(self.path) as reader:
            for hour in hours_listened(reader, DetectionFilter()):
                for reason, count in hour["rejects"].items():
                    counted[reason] = counted.get(reason, 0) + count
        return counted
