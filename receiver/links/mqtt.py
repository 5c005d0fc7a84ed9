"""An MQTT link: messages in, acknowledged only when they are kept.

What it promises, and what not:

- A message of QoS 1 is acknowledged to the broker only after its rows are in the store
  (`on_durable`). aiomqtt acknowledges before its user sees a message, so paho's manual
  acknowledgement is used, and paho's callback instead of aiomqtt's queue: nothing waits between
  socket and intake, and the broker's in-flight window (20 messages in mosquitto) bounds the rest.
- The session is persistent: what is published while the link is away waits at the broker, as far
  as the broker keeps it.
- What was not acknowledged when a connection ended is sent again by the broker on the next one. If
  its rows were in the store by then they are stored twice; no message is lost.
- A retained message is old, nobody knows how old: it is counted and not decoded. (One that is
  published while the link listens arrives like any other.)
- The paho client reads a message whole before anybody can look at its length: the broker's
  `message_size_limit` is what bounds memory against a hostile publisher.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import aiomqtt
import structlog
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import MQTTMessage

from receiver.limits import (
    LINK_QUIET_AFTER_S,
    MAX_MQTT_PAYLOAD_BYTES,
    MQTT_KEEPALIVE_S,
    MQTT_SETTLE_S,
    MQTT_TIMEOUT_S,
)
from receiver.links import broker
from receiver.links.availability import Availability
from receiver.links.backoff import Backoff
from receiver.links.intake import LinkStatus, MessageIntake
from receiver.links.quiet import QuietWatch
from receiver.links.station_links import StationLinks
from receiver.settings import MqttLink as MqttSettings

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_QOS: Final = 1


class MqttLink:
    """Hands the messages of some subscriptions to its intake, for ever.

    `run` never raises for what the world does. Cancelling it disconnects, after a moment in which
    what is being committed is still acknowledged; so cancel it before the store is closed.
    """

    def __init__(
        self,
        settings: MqttSettings,
        intake: MessageIntake,
        status: LinkStatus,
        station_id: str,
        *,
        station_links: StationLinks | None = None,
        backoff: Backoff | None = None,
        keepalive_s: int = MQTT_KEEPALIVE_S,
        timeout_s: float = MQTT_TIMEOUT_S,
        settle_s: float = MQTT_SETTLE_S,
        quiet_after_s: float = LINK_QUIET_AFTER_S,
    ) -> None:
        """`station_links` answers the receivers whose frames the intake shows it."""
        self._settings = settings
        self._station_links = station_links
        self._intake = intake
        self.status = status
        self._log: FilteringBoundLogger = structlog.get_logger().bind(link=settings.name)
        self._availability = Availability(status, self._log)
        self._backoff = backoff or Backoff()
        self._quiet_watch = QuietWatch(status, quiet_after_s)
        self._keepalive_s = keepalive_s
        self._timeout_s = timeout_s
        self._settle_s = settle_s
        self._client_id = settings.client_id or f"stopover-{station_id}-{settings.name}"
        self._refusals_told: set[str] = set()

    def command(self, topic: str, text: str) -> bool:
        """Send a command to the station-link receiver whose frames come on `topic`.

        Its answer is stored as a `CommandReply`. False where none was heard there.
        """
        return self._station_links is not None and self._station_links.command(topic, text)

    async def run(self) -> None:
        """Connect, listen, and connect again whenever the connection ends."""
        while True:
            wait_s = await self._connect_once()
            await asyncio.sleep(wait_s)

    async def _connect_once(self) -> float:
        """Connect and listen until the connection ends; return the seconds to wait then."""
        try:
            client = await self._client()
            connection = _Connection(client, self._intake, self.status, self._quiet_watch)
            try:
                await broker.connect(client, self._settings.broker)
                await self._subscribe(client)
                broker.heed_cancellation()
                self._backoff.works()
                if self._station_links is not None:
                    self._station_links.connected(connection.publish)
                with contextlib.suppress(StopAsyncIteration):
                    await anext(client.messages)
            except asyncio.CancelledError:
                await connection.settle(self._settle_s)
                raise
            finally:
                if self._station_links is not None:
                    self._station_links.disconnected()
                self.status.listening(now=False)
                self._quiet_watch.stop()
                await connection.close()
        except broker.ConnectError as error:
            self._availability.lost(str(error), error.advice)
            return self._backoff.refused() if error.refused else self._backoff.failed()
        except aiomqtt.MqttError as error:
            self._availability.lost(
                f"{self._settings.broker}: connection lost: {broker.words(error)}",
                f"is the broker up? Does another client use the id {self._client_id}?",
            )
        return self._backoff.failed()

    async def _client(self) -> aiomqtt.Client:
        return await broker.client(
            self._settings,
            identifier=self._client_id,
            clean_session=False,
            keepalive_s=self._keepalive_s,
            timeout_s=self._timeout_s,
        )

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        """Subscribe to every topic; tell the refused ones.

        Raises:
            broker.ConnectError: the broker refused all of them.
            aiomqtt.MqttError: the connection ended.
        """
        refused = []
        for topic in self._settings.topics:
            try:
                codes = await client.subscribe(topic.topic, qos=_QOS)
            except ValueError:
                refused.append(topic.topic)
            else:
                refused += [topic.topic for code in codes if broker.is_refusal(code)]
        if refused:
            self.status.turned_away["subscription_refused"] += len(refused)
        if len(refused) == len(self._settings.topics):
            raise broker.ConnectError(
                f"{self._settings.broker}: the broker refuses every subscription",
                "let this user read the topics in the broker's access list",
                refused=True,
            )
        self._availability.found(broker=self._settings.broker, client_id=self._client_id)
        for name in sorted(set(refused) - self._refusals_told):
            self._log.warning(
                "subscription refused",
                topic=name,
                advice="let this user read it in the broker's access list, or mend the topic",
            )
        self._refusals_told = set(refused)
        if refused:
            self.status.reason = f"the broker refuses the topics {', '.join(refused)}"


class _Connection:
    """One connection: takes its messages, and acknowledges them on it and on no other."""

    def __init__(
        self,
        client: aiomqtt.Client,
        intake: MessageIntake,
        status: LinkStatus,
        quiet_watch: QuietWatch,
    ) -> None:
        self._client = client
        self._paho: PahoClient = client._client  # noqa: SLF001  aiomqtt has no manual acknowledgement.
        self._paho.manual_ack_set(on=True)
        self._paho.on_message = self._message
        self._intake = intake
        self._status = status
        self._quiet_watch = quiet_watch
        self._takes_messages = True
        self._is_open = True
        self._unacknowledged = 0
        self._settled = asyncio.Event()

    def _message(self, _: PahoClient, __: object, message: MQTTMessage) -> None:
        if not self._takes_messages:
            return  # It stays with the broker.
        self._unacknowledged += 1
        on_durable = self._acknowledge_once(message.mid, message.qos)
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._turn_away("topic_not_utf8", on_durable)
            return
        if message.retain:
            self._turn_away("retained", on_durable)
        elif len(message.payload) > MAX_MQTT_PAYLOAD_BYTES:
            self._turn_away("message_too_long", on_durable)
        else:
            # Nobody waits for the acknowledgement of QoS 0, nor bounds how many such messages come.
            waits = message.qos > 0
            self._intake.message(topic, bytes(message.payload), on_durable if waits else None)
            if not waits:
                on_durable()
            self._quiet_watch.heard()

    def _turn_away(self, reason: str, on_durable: Callable[[], None]) -> None:
        self._status.turned_away[reason] += 1
        on_durable()

    def _acknowledge_once(self, mid: int, qos: int) -> Callable[[], None]:
        acknowledged = False

        def on_durable() -> None:
            nonlocal acknowledged
            if acknowledged:
                return
            acknowledged = True
            self._unacknowledged -= 1
            if self._is_open:
                self._paho.ack(mid, qos)
            if not self._unacknowledged:
                self._settled.set()

        return on_durable

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish without waiting and without a guarantee: what is told anew all the time."""
        self._paho.publish(topic, payload, qos=0)

    async def settle(self, longest_s: float) -> None:
        """Take nothing more; wait until what was taken is acknowledged, or for `longest_s`."""
        self._takes_messages = False
        if self._unacknowledged and self._paho.is_connected():
            self._settled.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), longest_s)

    async def close(self) -> None:
        """Disconnect, also from a broker that never answered."""
        self._takes_messages = False
        await broker.disconnect(self._client)
        self._is_open = False
