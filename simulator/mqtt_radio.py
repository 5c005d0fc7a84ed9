"""Radios that publish to an MQTT broker, QoS 1.

A CTT radio publishes its lines, one message a line, without terminator, at
stopover/<station>/lines/<radio>; what the others publish is drawn in `mqtt_messages.py`. Several
gateways that hear one LoRa uplink make one message, as their server merges them.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from typing import Final
from urllib.parse import urlsplit

import aiomqtt

from simulator.link_firmware import LinkFirmware
from simulator.mqtt_messages import Message, chirpstack_uplink, rtl433_event, ttn_uplink
from simulator.world import Emission

MAX_WAITING_LINES: Final = 10_000
"""Lines kept while the broker is away: at 85 bytes under 1 MB; then new ones are dropped."""
_RECONNECT_S: Final = 1.0
_CONNECT_WITHIN_S: Final = 10.0
_DRAIN_S: Final = 5.0
_MERGED_WITHIN_S: Final = 0.2
"""How long a LoRaWAN server waits for other gateways: ChirpStack's default."""

_DEFAULT_PORT: Final = {"mqtt": 1883, "mqtts": 8883}


class BrokerError(Exception):
    """A broker that cannot be used; the message says which, and why."""


class MqttRadios:
    """An outlet: publishes what all radios of a world print."""

    def __init__(self) -> None:
        self.lines_published = 0
        self.lines_dropped = 0
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_WAITING_LINES)
        self._firmware: dict[str, LinkFirmware] = {}
        self._uplink: list[Emission] = []
        self._uplinks: dict[str, int] = {}

    def send(self, emission: Emission) -> bool:
        """Queue what a radio publishes; False where the queue is full or it publishes nothing."""
        kind = emission.radio.kind
        if kind == "lorawan":
            return self._merge(emission)
        if kind == "ctt":
            topic = line_topic(emission.station.name, emission.radio.name)
            lines = emission.wire.replace(b"\r", b"\n").split(b"\n")
            messages = [Message(topic, line) for line in lines if line]
        elif kind == "rtl433":
            messages = [rtl433_event(emission, emission.reception.heard_at_unix_s)]
        elif kind == "station-link":
            messages = self._link_frames(emission)
        else:
            return False
        return self._queue(messages)

    def flush(self) -> None:
        """Publish the uplink that waits for more gateways."""
        if self._uplink:
            heard, self._uplink = self._uplink, []
            device = heard[0].device
            count = self._uplinks.get(device, 0)
            self._uplinks[device] = count + 1
            dress = ttn_uplink if heard[0].radio.server == "ttn" else chirpstack_uplink
            self._queue([dress(heard, device, count, heard[0].reception.heard_at_unix_s)])

    def _merge(self, emission: Emission) -> bool:
        is_other = self._uplink and (
            self._uplink[0].reception.transmission != emission.reception.transmission
            or self._uplink[0].radio.server != emission.radio.server
        )
        if is_other:
            self.flush()
        self._uplink.append(emission)
        if len(self._uplink) == 1:
            with contextlib.suppress(RuntimeError):  # Without a loop, the next uplink flushes.
                asyncio.get_running_loop().call_later(_MERGED_WITHIN_S, self._flush_if, emission)
        return True

    def _flush_if(self, first: Emission) -> None:
        if self._uplink and self._uplink[0] is first:
            self.flush()

    def _link_frames(self, emission: Emission) -> list[Message]:
        """Return a receiver's frames: HELLO before its first packet."""
        station = emission.station
        topic = f"stopover/{station.name}/frames"
        firmware = self._firmware.get(station.name)
        messages: list[Message] = []
        if firmware is None:
            linked = [radio for radio in station.radios if radio.kind == "station-link"]
            firmware = self._firmware[station.name] = LinkFirmware(station.name, linked)
            messages.append(Message(topic, firmware.frame(firmware.hello(), emission.time_s)))
        body = firmware.packet(emission.radio, emission.wire, emission.reception.rssi_dbm)
        messages.append(Message(topic, firmware.frame(body, emission.time_s)))
        return messages

    def _queue(self, messages: Sequence[Message]) -> bool:
        if self._waiting.qsize() + len(messages) > MAX_WAITING_LINES:
            self.lines_dropped += len(messages)
            return False
        for message in messages:
            self._waiting.put_nowait(message)
        return bool(messages)

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
        radios.flush()
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
