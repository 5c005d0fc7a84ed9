"""Radios that publish their lines to an MQTT broker, one message a line, QoS 1.

topic    stopover/<station>/lines/<radio>
payload  one serial line of a CTT radio, without its terminator
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import aiomqtt

from simulator.world import Emission

MAX_WAITING_LINES: Final = 10_000
"""Lines kept while the broker is away: at 85 bytes under 1 MB; then new ones are dropped."""
_RECONNECT_S: Final = 1.0
_CONNECT_WITHIN_S: Final = 10.0
_DRAIN_S: Final = 5.0

_DEFAULT_PORT: Final = {"mqtt": 1883, "mqtts": 8883}


class BrokerError(Exception):
    """A broker that cannot be used; the message says which, and why."""


class MqttRadios:
    """An outlet: publishes what all radios of a world print."""

    def __init__(self) -> None:
        self.lines_published = 0
        self.lines_dropped = 0
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_WAITING_LINES)

    def send(self, emission: Emission) -> bool:
        """Queue a radio's lines; False where the queue is full or there is no line in it."""
        topic = line_topic(emission.station.name, emission.radio.name)
        lines = [line for line in emission.wire.replace(b"\r", b"\n").split(b"\n") if line]
        if self._waiting.qsize() + len(lines) > MAX_WAITING_LINES:
            self.lines_dropped += len(lines)
            return False
        for line in lines:
            self._waiting.put_nowait((topic, line))
        return bool(lines)

    async def publish(self, client: aiomqtt.Client) -> None:
        """Publish what is queued, for ever; a line leaves the queue once the broker has it.

        Raises:
            aiomqtt.MqttError: the broker is gone; the line in hand is queued again, last.
        """
        while True:
            topic, line = await self._waiting.get()
            try:
                await client.publish(topic, line, qos=1)
                self.lines_published += 1
            except aiomqtt.MqttError:
                with contextlib.suppress(asyncio.QueueFull):
                    self._waiting.put_nowait((topic, line))
                raise
            finally:
                self._waiting.task_done()

    @property
    def lines_waiting(self) -> int:
        """Lines that the broker does not have yet."""
        return self._waiting.qsize()

    async def drained(self) -> None:
        """Wait until the broker has everything that was queued."""
        await self._waiting.join()


def line_topic(station: str, radio: str) -> str:
    """Return the topic of one radio's lines."""
    return f"stopover/{station}/lines/{radio}"


@contextlib.asynccontextmanager
async def mqtt_radios(url: str) -> AsyncIterator[MqttRadios]:
    """Connect to the broker at `url` (mqtt://[USER:PASSWORD@]HOST[:PORT], mqtts:// for TLS).

    A broker that goes away later is tried again for ever.

    Raises:
        BrokerError: the URL is no such thing, or the broker cannot be reached now.
    """
    radios = MqttRadios()
    is_connected = asyncio.Event()
    publishing = asyncio.create_task(_publish_for_ever(url, radios, is_connected))
    connecting = asyncio.create_task(is_connected.wait())
    try:
        await asyncio.wait(
            {publishing, connecting},
            timeout=_CONNECT_WITHIN_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if publishing.done():
            await publishing
        if not is_connected.is_set():
            raise BrokerError(f"{url}: no answer within {_CONNECT_WITHIN_S:.0f} s")
        yield radios
        if publishing.done():
            await publishing
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(radios.drained(), _DRAIN_S)
    finally:
        connecting.cancel()
        publishing.cancel()
        await asyncio.gather(connecting, publishing, return_exceptions=True)


async def _publish_for_ever(url: str, radios: MqttRadios, is_connected: asyncio.Event) -> None:
    while True:
        try:
            async with _client(url) as client:
                is_connected.set()
                await radios.publish(client)
        except aiomqtt.MqttError as error:
            if not is_connected.is_set():
                raise BrokerError(f"{url}: {error}") from error
        await asyncio.sleep(_RECONNECT_S)


def _client(url: str) -> aiomqtt.Client:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BrokerError(f"{url}: {error}") from error
    if parts.scheme not in _DEFAULT_PORT or not parts.hostname:
        raise BrokerError(
            f"{url}: must be like mqtt://localhost:1883 or mqtts://broker.example.org"
        )
    return aiomqtt.Client(
        parts.hostname,
        port or _DEFAULT_PORT[parts.scheme],
        username=parts.username,
        password=parts.password,
        identifier=f"stopover-simulator-{os.getpid()}",
        tls_params=aiomqtt.TLSParameters() if parts.scheme == "mqtts" else None,
    )
