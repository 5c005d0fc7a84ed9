"""The messages of one MQTT link: the first topic filter that matches names the decoder."""

from collections.abc import Callable, Mapping

import msgspec

from protocols import registry
from protocols.framing import Framing
from protocols.records import Ignored, Record
from receiver.activity import LinkActivity
from receiver.arrivals import Source
from receiver.links.intake import LinkStatus, MessageListener
from receiver.links.topics import TopicRoutes
from receiver.pipeline import Pipeline
from receiver.settings import MqttLink, MqttTopic, labels

_NONE: Mapping[str, MessageListener] = {}


class _Route(msgspec.Struct, frozen=True):
    source: Source
    decode: Callable[[bytes], tuple[Record, ...]]
    framing: Framing
    listener: MessageListener | None


class MessageIntake:
    """Takes the messages of one link."""

    def __init__(
        self,
        pipeline: Pipeline,
        link: MqttLink,
        status: LinkStatus,
        listeners: Mapping[str, MessageListener] = _NONE,
    ) -> None:
        """`listeners`, by decoder, see each message first."""
        self._pipeline = pipeline
        told = (label for topic in link.topics for label in labels(topic))
        self._activity = LinkActivity(status, told)
        pipeline.count_activity(self._activity)
        self._routes = TopicRoutes(
            [
                (topic.topic, self._route(link.name, topic, listeners.get(topic.decoder)))
                for topic in link.topics
            ]
        )

    def _route(self, link: str, topic: MqttTopic, listener: MessageListener | None) -> _Route:
        entry = registry.entry(topic.decoder)
        source = Source(
            link=link,
            decoder=entry.identity,
            antenna=topic.antenna,
            antennas=tuple(topic.antennas.items()),
        )
        decode = entry.made(self._pipeline.payloads).decode
        return _Route(source, decode, entry.framing, listener)

    def message(self, topic: str, payload: bytes, on_durable: Callable[[], None] | None) -> None:
        """Stamp, decode and queue one message; `on_durable` follows once it is in the store."""
        stamp = self._pipeline.clock.stamp()
        route = self._routes.route(topic)
        if route is None:
            self._activity.of(None).rejects["no_decoder_for_topic"] += 1
            if on_durable is not None:
                on_durable()
            return
        frames = payload.splitlines() if route.framing == "lines" else [payload]
        then = None
        records: list[Record] = []
        for frame in frames or [b""]:
            if route.listener is not None:
                note = route.listener(topic, frame, stamp)
                stamp, then = note.stamp, note.on_durable
                if note.ignored is not None:
                    records.append(Ignored(reason=note.ignored))
                    continue
            records += route.decode(frame)
        self._pipeline.count_frames(len(frames), self._activity.of(route.source.antenna))
        self._pipeline.take(records, route.source, stamp, self._activity, on_durable, then=then)
