"""The `mqtt` sink: batches to collectors behind a broker, acknowledged by a collector's message.

    stopover/STATION/batches   a batch, QoS 1, not retained
    stopover/STATION/acks      a collector's answer, QoS 1: {"batch": NAME, "state": …}
                               `stored` after its commit; `refused` with `reason`: never send it as
                               it is; `unavailable` with `reason` and `retry_after_s`: later
    stopover/STATION/status    retained: {"state": "online", "alarms": […], …}, told anew at every
                               change of the alarms; the last will says "offline"
    stopover/STATION/live      with `live = true`: each detection at once, QoS 0, for eyes only

What the broker itself confirms (PUBACK) is no acknowledgement: a killed broker keeps nothing of it.
The station speaks MQTT 3.1.1, which every broker takes. A station id with `/`, `+` or `#` cannot be
configured.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import aiomqtt
import msgspec
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import MQTTMessage

from receiver.health.snapshot import AlarmSnapshot
from receiver.limits import (
    LIVE_ROWS_PER_LOOK,
    MQTT_SINK_KEEPALIVE_S,
    SINK_CONFIRM_S,
    SINK_RETRY_FIRST_S,
    SINK_RETRY_LONGEST_S,
    STATUS_EVERY_S,
)
from receiver.links import broker
from receiver.links.backoff import Backoff
from receiver.sink_settings import MqttSink as MqttSettings
from receiver.sinks import outbox
from receiver.sinks.batches import Batch, Header
from receiver.sinks.far_end import BatchRefusedError, FarEndError

_QOS: Final = 1
_LIVE_LOOK_S: Final = 1.0


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a collector says of a batch, on `stopover/STATION/acks`."""

    batch: str
    state: Literal["stored", "refused", "unavailable"]
    reason: str = ""
    retry_after_s: float | None = None


def batches_topic(station_id: str) -> str:
    """Return where a station's batches are published."""
    return f"stopover/{station_id}/batches"


def acks_topic(station_id: str) -> str:
    """Return where collectors answer a station."""
    return f"stopover/{station_id}/acks"


class MqttSink:
    """Publishes batches and waits for a collector's answer; keeps the connection between them."""

    def __init__(
        self,
        settings: MqttSettings,
        station_id: str,
        *,
        confirm_s: float = SINK_CONFIRM_S,
        keepalive_s: int = MQTT_SINK_KEEPALIVE_S,
        utc_s: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._station_id = station_id
        self._confirm_s = min(confirm_s, settings.timeout)
        self._keepalive_s = keepalive_s
        self._utc_s = utc_s
        self._client: aiomqtt.Client | None = None
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._connecting = asyncio.Lock()
        self._status_at_s = 0.0
        self._batch: Header | None = None
        """Of the last one that was acknowledged."""
        self._alarms: tuple[AlarmSnapshot, ...] | None = None
        self._alarms_changed = asyncio.Event()
        self.answers_unasked = 0
        """Answers about batches that nobody waits for: late ones, and repetitions."""

    async def send(self, batch: Batch) -> None:
        """Publish a batch and wait; see `receiver.sinks.far_end.Sink`."""
        client = await self._connected()
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[batch.name] = answered
        try:
            topic = batches_topic(self._station_id)
            publishing = asyncio.ensure_future(client.publish(topic, batch.body, qos=_QOS))
            await _before_its_end(client, publishing, self._confirm_s + 1.0)
            await _before_its_end(client, answered, self._settings.timeout)
        except aiomqtt.MqttError as error:
            await self.close()
            raise FarEndError(
                f"{self._settings.broker}: connection lost: {broker.words(error)}",
                "is the broker up? Does it take messages of this size?",
            ) from error
        finally:
            del self._answers[batch.name]
        if not answered.done():
            raise FarEndError(
                f"{self._settings.broker}: no collector answered in {self._settings.timeout:g} s",
                "is a `stopover collect` running there, and may this station read its acks?",
            )
        self._judge(answered.result())
        self._batch = batch.header
        if abs(self._utc_s() - self._status_at_s) >= STATUS_EVERY_S:
            with contextlib.suppress(aiomqtt.MqttError):  # The next batch meets the same fault.
                await self._tell_status(client)

    async def close(self) -> None:
        """Say goodbye and disconnect."""
        client, self._client = self._client, None
        if client is None:
            return
        if client._client.is_connected():  # noqa: SLF001  aiomqtt has no such question.
            with contextlib.suppress(aiomqtt.MqttError):
                await client.publish(
                    self._topic("status"), _OFFLINE, qos=_QOS, retain=True, timeout=1.0
                )
        await broker.disconnect(client)

    def alarms_are(self, alarms: Sequence[AlarmSnapshot]) -> None:
        """Tell which alarms are on, in the retained status."""
        is_news = tuple(alarms) != (self._alarms or ())
        self._alarms = tuple(alarms)
        if is_news:
            self._alarms_changed.set()

    async def feed(self, store: Path) -> None:
        """Tell alarms, and what is heard where the owner wants that; runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_alarms())
            if self._settings.live:
                tasks.create_task(self.live(store))

    async def _tell_alarms(self) -> None:
        """Tell each change of the alarms at once, and again until the broker has it."""
        backoff = Backoff(first_s=SINK_RETRY_FIRST_S, longest_s=SINK_RETRY_LONGEST_S)
        while True:
            await self._alarms_changed.wait()
            self._alarms_changed.clear()
            backoff.works()
            try:
                await self._tell_status(await self._connected())
            except (FarEndError, aiomqtt.MqttError):
                # The log has it from the runner, as soon as there are rows to send.
                self._alarms_changed.set()
                broker.heed_cancellation()
                await asyncio.sleep(backoff.failed())

    async def live(self, store: Path) -> None:
        """Publish what is heard from now on, whenever there is a connection; runs until cancelled.

        It reads the store, so it shows what was kept; what does not fit or has no connection is
        left out.
        """
        last: int | None = None
        while True:
            try:
                last, lines = await asyncio.to_thread(
                    outbox.live_rows, store, last, LIVE_ROWS_PER_LOOK
                )
            except sqlite3.Error:
                last, lines = last or 0, []  # It is being made: all that it will hold is new.
            client = self._client
            if client is not None:
                with contextlib.suppress(aiomqtt.MqttError):
                    for line in lines:
                        await client.publish(self._topic("live"), line, qos=0)
            broker.heed_cancellation()
            await asyncio.sleep(_LIVE_LOOK_S)

    async def _connected(self) -> aiomqtt.Client:
        async with self._connecting:
            return await self._connect()

    async def _connect(self) -> aiomqtt.Client:
        client = self._client
        if client is not None and client._client.is_connected():  # noqa: SLF001  As above.
            return client
        await self.close()
        settings = self._settings
        try:
            client = await broker.client(
                settings,
                identifier=settings.client_id or f"stopover-{self._station_id}-{settings.name}",
                clean_session=True,
                keepalive_s=self._keepalive_s,
                timeout_s=self._confirm_s,
                will=aiomqtt.Will(self._topic("status"), _OFFLINE, qos=_QOS, retain=True),
            )
            self._client = client
            client._client.on_message = self._message  # noqa: SLF001  Its own queue has no bound.
            await broker.connect(client, settings.broker)
            codes = await client.subscribe(acks_topic(self._station_id), qos=_QOS)
        except broker.ConnectError as error:
            await self.close()
            raise FarEndError(
                str(error), error.advice, refused=error.refused, is_reached=False
            ) from error
        except aiomqtt.MqttError as error:
            await self.close()
            raise FarEndError(
                f"{settings.broker}: connection lost: {broker.words(error)}", "is the broker up?"
            ) from error
        if any(broker.is_refusal(code) for code in codes):
            await self.close()
            raise FarEndError(
                f"{settings.broker}: the broker refuses to show us {acks_topic(self._station_id)}",
                "let this user read it in the broker's access list",
                refused=True,
            )
        return client

    def _message(self, _: PahoClient, __: object, message: MQTTMessage) -> None:
        try:
            answer = _decode_answer(message.payload)
        except msgspec.DecodeError:
            self.answers_unasked += 1
            return
        waiting = self._answers.get(answer.batch)
        if waiting is None or waiting.done() or message.retain:
            self.answers_unasked += 1
            return
        waiting.set_result(answer)

    def _judge(self, answer: Answer) -> None:
        if answer.state == "refused":
            raise BatchRefusedError(answer.reason)
        if answer.state == "unavailable":
            raise FarEndError(
                f"{self._settings.broker}: the collector cannot store it: {answer.reason}",
                "see the collector's log",
                retry_after_s=answer.retry_after_s,
            )

    async def _tell_status(self, client: aiomqtt.Client) -> None:
        now_s = self._utc_s()
        self._status_at_s = now_s
        status: dict[str, object] = {"state": "online", "unix_s": int(now_s)}
        if self._batch is not None:
            status |= {
                "store_uuid": self._batch.store_uuid,
                "acknowledged_seq": self._batch.last_seq,
            }
        if self._alarms is not None:
            status["alarms"] = self._alarms
        await client.publish(
            self._topic("status"), msgspec.json.encode(status), qos=_QOS, retain=True
        )

    def _topic(self, last: str) -> str:
        return f"stopover/{self._station_id}/{last}"


async def _before_its_end(
    client: aiomqtt.Client, awaited: asyncio.Future[Any], longest_s: float
) -> None:
    """Wait for a future, as long as it may take.

    Raises:
        aiomqtt.MqttError: the connection ended first.
    """
    lost = client._disconnected  # noqa: SLF001  aiomqtt does not look at it while it publishes.
    await asyncio.wait({awaited, lost}, timeout=longest_s, return_when=asyncio.FIRST_COMPLETED)
    if awaited.done():
        awaited.result()
    elif lost.done():
        awaited.cancel()
        raise aiomqtt.MqttError("Disconnected") from lost.exception()


_OFFLINE: Final = msgspec.json.encode({"state": "offline"})
_decode_answer = msgspec.json.Decoder(Answer).decode
