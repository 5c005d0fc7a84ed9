"""All sinks of a station: made from the settings, kept running side by side, each by itself."""

import asyncio
import contextlib
import fcntl
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import structlog

from receiver.health.snapshot import AlarmSnapshot
from receiver.links.backoff import Backoff
from receiver.sink_settings import FolderSink, HttpSink, MqttSink
from receiver.sink_settings import Sink as SinkSettings
from receiver.sinks.far_end import Sink, TellsAlarms
from receiver.sinks.runner import SinkRunner
from receiver.sinks.state import SinkStatus
from receiver.store.database import Store
from receiver.store.errors import StoreError
from receiver.store.outbox import SinkNote

log = structlog.get_logger()

Feed: TypeAlias = Callable[[Path], Awaitable[None]]
"""Publishes what is heard from a store, and what else is told besides, until cancelled."""

_FAULT_PAUSE_S = 60.0
_LOCKED_PAUSE_S = 60.0


class SinkInUseError(Exception):
    """Another process sends to this sink."""


class Uploads:
    """Runs sinks side by side; the daemon has one, with its automatic sinks.

    `note` writes to the store: `noted_by(writer.note)` in the daemon, else `notes_into(store)`.
    """

    def __init__(
        self,
        sinks: Sequence[SinkSettings],
        store: Path,
        station_id: str,
        note: Callable[[SinkNote], Awaitable[None]],
        *,
        backoff: Callable[[], Backoff | None] = lambda: None,
    ) -> None:
        self._store = store
        self._kept: list[tuple[SinkRunner, Feed | None]] = []
        self._tell_alarms: list[Callable[[Sequence[AlarmSnapshot]], None]] = []
        for settings in sinks:
            sink, feed = made(settings, store, station_id)
            runner = SinkRunner(sink, settings, store, note, backoff=backoff())
            self._kept.append((runner, feed))
            if isinstance(sink, TellsAlarms):
                self._tell_alarms.append(sink.alarms_are)

    @property
    def statuses(self) -> list[SinkStatus]:
        """How each sink is, in the order of the configuration."""
        return [runner.status for runner, _ in self._kept]

    def alarms_are(self, alarms: Sequence[AlarmSnapshot]) -> None:
        """Tell the far ends that take a status which alarms are on."""
        for tell in self._tell_alarms:
            tell(alarms)

    async def run(self) -> None:
        """Run until cancelled; a fault in one sink never reaches another."""
        async with asyncio.TaskGroup() as tasks:
            for runner, feed in self._kept:
                tasks.create_task(self._keep(runner, feed))

    async def _keep(self, runner: SinkRunner, feed: Feed | None) -> None:
        while True:
            try:
                with lock(self._store, runner.settings.name):
                    await run_with_feed(runner, feed, self._store)
            except SinkInUseError:
                await asyncio.sleep(_LOCKED_PAUSE_S)  # `stopover upload` is at it.
            except Exception:  # A fault in one sink must not end the others.
                log.exception("sink failed by a fault in the program", sink=runner.settings.name)
                await asyncio.sleep(_FAULT_PAUSE_S)


async def run_with_feed(runner: SinkRunner, feed: Feed | None, store: Path) -> None:
    """Run a sink for ever, with its live feed beside it where it has one."""
    if feed is None:
        await runner.run()
        return
    feeding = asyncio.ensure_future(feed(store))
    try:
        await runner.run()
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


def made(settings: SinkSettings, store: Path, station_id: str) -> tuple[Sink, Feed | None]:
    """Return the sink of its settings, and its live feed; what a kind needs is loaded only here."""
    if isinstance(settings, HttpSink):
        from receiver.sinks.http import HttpSink as Http  # noqa: PLC0415  Loaded where used.

        return Http(settings), None
    if isinstance(settings, MqttSink):
        from receiver.sinks.mqtt import MqttSink as Mqtt  # noqa: PLC0415  Same.

        mqtt = Mqtt(settings, station_id)
        return mqtt, mqtt.feed
    if isinstance(settings, FolderSink):
        from receiver.sinks.folder import FolderSink as Folder  # noqa: PLC0415  Same.

        return Folder(settings), None
    from receiver.sinks.motus import MotusSink as Motus  # noqa: PLC0415  Same.

    return Motus(settings, store), None


@contextlib.contextmanager
def lock(store: Path, sink: str) -> Iterator[None]:
    """Hold a sink for one process, so that rows are not paid for twice; ends with the process.

    Raises:
        SinkInUseError: another process holds it.
    """
    path = store.with_name(f"{store.name}.{sink}.lock")
    with path.open("w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SinkInUseError(
                f"{sink}: another process sends to this sink; is the station running?"
            ) from None
        yield


def noted_by(note: Callable[[SinkNote], None]) -> Callable[[SinkNote], Awaitable[None]]:
    """Return a way to write notes through the daemon's writer thread, which nobody waits for."""

    async def noted(each: SinkNote) -> None:
        note(each)

    return noted


def notes_into(store: Path) -> Callable[[SinkNote], Awaitable[None]]:
    """Return a way to write notes from a process that is not the station's daemon.

    A note that cannot be written now is told and dropped: its rows are sent again some day.
    """

    async def note(each: SinkNote) -> None:
        try:
            await asyncio.to_thread(write_note, store, each)
        except (StoreError, sqlite3.Error) as error:
            log.warning("what was sent cannot be noted", sink=each.sink, reason=str(error))

    return note


def write_note(store: Path, note: SinkNote) -> None:
    """Write a note to the store at once.

    Raises:
        StoreError: there is none, or it cannot be opened.
        sqlite3.Error: disk full, I/O error.
    """
    with Store.open(store, create=False) as opened, opened.transaction():
        opened.note_sinks([note], time.time_ns())
