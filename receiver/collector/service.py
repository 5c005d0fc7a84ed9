"""A collector put together: a database, a broker, a port; started, told about, stopped."""

import asyncio
import signal
from pathlib import Path
from typing import Final

import msgspec
import structlog

from receiver.collector.collector import Collector, Verdict, opened
from receiver.collector.settings import CollectorSettings

log = structlog.get_logger()

_SUMMARY_S: Final = 60.0


class NothingToDoError(Exception):
    """The settings name no way for batches to come in."""


async def serve(settings: CollectorSettings) -> None:
    """Take batches until SIGTERM or SIGINT; what is being stored then is finished first.

    Raises:
        NothingToDoError: the settings name neither a broker nor a port.
        ConfigError: a file that the settings name cannot be read.
        OSError: the port cannot be had.
    """
    if not settings.mqtt.broker and not settings.http.port:
        raise NothingToDoError("set mqtt.broker, http.port, or both; or name files to take in")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    collector = Collector(opened(settings.database))
    try:
        await _serve(settings, collector, stop)
    finally:
        await asyncio.to_thread(collector.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        log.info("collector stopped", batches=collector.batches, rows_new=collector.rows_new)


async def _serve(settings: CollectorSettings, collector: Collector, stop: asyncio.Event) -> None:
    fronts = [_summarise(collector)]
    if settings.mqtt.broker:
        from receiver.collector.mqtt import MqttFront  # noqa: PLC0415  Loaded where used.

        fronts.append(MqttFront(settings.mqtt, collector).run())
    if settings.http.port:
        from receiver.collector.http import HttpFront  # noqa: PLC0415  Loaded where used.

        fronts.append(HttpFront(settings.http, collector).run())
    log.info(
        "collector starts",
        broker=settings.mqtt.broker or None,
        http=f"{settings.http.host}:{settings.http.port}" if settings.http.port else None,
    )
    tasks = [asyncio.create_task(front) for front in fronts]
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        stopping.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)


async def take_files(settings: CollectorSettings, paths: list[Path]) -> list[tuple[Path, Verdict]]:
    """Store batches that a `folder` sink wrote; return what became of each file."""
    collector = Collector(opened(settings.database))
    try:
        found = []
        for path in paths:
            body = await asyncio.to_thread(path.read_bytes)
            found.append((path, await collector.take(body)))
        return found
    finally:
        await asyncio.to_thread(collector.close)


async def _summarise(collector: Collector) -> None:
    before = (0, 0, 0)
    while True:
        await asyncio.sleep(_SUMMARY_S)
        now = (collector.batches, collector.rows, collector.rows_new)
        batches, rows, new = (after - earlier for after, earlier in zip(now, before, strict=True))
        before = now
        log.info(
            "last minute",
            batches=batches,
            rows=rows,
            repeated=rows - new,
            refused=collector.refused,
            stations_with_two_stores=len(collector.conflicts),
        )


def of_options(
    settings: CollectorSettings, *, database: str | None, broker: str | None, port: int | None
) -> CollectorSettings:
    """Return the settings with what was given as options."""
    replace = msgspec.structs.replace
    if database is not None:
        settings = replace(settings, database=replace(settings.database, url=database))
    if broker is not None:
        settings = replace(settings, mqtt=replace(settings.mqtt, broker=broker))
    if port is not None:
        settings = replace(settings, http=replace(settings.http, port=port))
    return settings
