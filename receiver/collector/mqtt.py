"""Batches over MQTT 5: a shared subscription hands each to one collector of a group.

A batch is acknowledged to its station by our own message, after the commit, then to the broker. If
a collector dies in between, the station sends the batch again after its time-out, to whichever
collector is there, and rows that were stored stay single. So the session needs no memory: it is
clean, and a dead collector holds nothing back.
"""

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Final

import aiomqtt
import msgspec
import structlog
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import MQTTMessage

from receiver.collector.collector import RETRY_AFTER_S, Collector, Outcome, Verdict
from receiver.collector.settings import MqttSettings
from receiver.limits import MQTT_BATCHES_IN_FLIGHT, MQTT_KEEPALIVE_S, MQTT_TIMEOUT_S
from receiver.links import broker
from receiver.links.backoff import Backoff
from receiver.sinks.mqtt import Answer, acks_topic

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_QOS: Final = 1
_LEVELS: Final = 3


class MqttFront:
    """Takes the batches of every station behind one broker, with the others of its group."""

    def __init__(
        self,
        settings: MqttSettings,
        collector: Collector,
        *,
        backoff: Backoff | None = None,
        timeout_s: float = MQTT_TIMEOUT_S,
    ) -> None:
        self._settings = settings
        self._collector = collector
        self._backoff = backoff or Backoff()
        self._timeout_s = timeout_s
        self._log: FilteringBoundLogger = structlog.get_logger().bind(broker=settings.broker)
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: str | None = None
        self.is_listening = False

    async def run(self) -> None:
        """Connect, take batches, and connect again whenever the connection ends."""
        while True:
            wait_s = await self._connect_once()
            broker.heed_cancellation()
            await asyncio.sleep(wait_s)

    async def _connect_once(self) -> float:
        try:
            await self._listen()
        except broker.ConnectError as error:
            self._lost(str(error), error.advice)
            return self._backoff.refused() if error.refused else self._backoff.failed()
        except aiomqtt.MqttError as error:
            self._lost(broker.words(error), "is the broker up?")
        return self._backoff.failed()

    async def _listen(self) -> None:
        client = await broker.client(
            self._settings,
            identifier=f"stopover-collect-{socket.gethostname()}-{os.getpid()}-{id(self):x}",
            clean_session=True,
            keepalive_s=MQTT_KEEPALIVE_S,
            timeout_s=self._timeout_s,
            receive_maximum=MQTT_BATCHES_IN_FLIGHT,
        )
        paho = client._client  # noqa: SLF001  aiomqtt has no manual acknowledgement.
        paho.manual_ack_set(on=True)

        def take(_: PahoClient, __: object, message: MQTTMessage) -> None:
            task = asyncio.get_running_loop().create_task(self._take(client, message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        paho.on_message = take
        try:
            await broker.connect(client, self._settings.broker)
            topic = f"$share/{self._settings.group}/stopover/+/batches"
            if any(broker.is_refusal(code) for code in await client.subscribe(topic, qos=_QOS)):
                raise broker.ConnectError(
                    f"the broker refuses {topic}",
                    "let this user read it; does this broker know shared subscriptions?",
                    refused=True,
                )
            broker.heed_cancellation()
            self._backoff.works()
            self.is_listening = True
            self._log.warning("listening" if self._told is None else "listening again")
            self._told = None
            with contextlib.suppress(StopAsyncIteration):
                await anext(client.messages)
        finally:
            self.is_listening = False
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await broker.disconnect(client)

    async def _take(self, client: aiomqtt.Client, message: MQTTMessage) -> None:
        """Store a batch and answer; what cannot be answered is sent again by the station."""
        levels = str(message.topic).split("/")
        if len(levels) != _LEVELS or message.qos < _QOS:
            return  # Nobody of ours: a batch comes with QoS 1, which bounds how many come at once.
        station_id = levels[1]
        verdict = await self._collector.take(bytes(message.payload), station_id)
        with contextlib.suppress(aiomqtt.MqttError):
            await client.publish(
                acks_topic(station_id), msgspec.json.encode(_answer(verdict)), qos=_QOS
            )
        client._client.ack(message.mid, message.qos)  # noqa: SLF001  As above.

    def _lost(self, reason: str, advice: str) -> None:
        if reason != self._told:
            self._told = reason
            self._log.warning("broker lost", reason=reason, advice=advice)


def _answer(verdict: Verdict) -> Answer:
    if verdict.outcome is Outcome.STORED:
        return Answer(batch=verdict.batch, state="stored")
    if verdict.outcome is Outcome.UNAVAILABLE:
        return Answer(
            batch=verdict.batch,
            state="unavailable",
            reason=verdict.reason,
            retry_after_s=RETRY_AFTER_S,
        )
    return Answer(batch=verdict.batch, state="refused", reason=verdict.reason)
