"""The station link over MQTT: receivers by their topic, TIME and ACK on the topic beside it.

A receiver publishes its frames on `stopover/<station>/frames`; what is for it goes to the topic
whose last level is `host` instead: `stopover/<station>/host`.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

import structlog

from receiver.arrivals import Stamp
from receiver.limits import STATION_LINK_MQTT_TIME_S, STATION_LINK_RECEIVERS
from receiver.links.intake import FrameNote, LinkStatus
from receiver.links.station_receiver import StationReceiver

DECODER: Final = "station-link"
HOST_LEVEL: Final = "host"

Publish: TypeAlias = Callable[[str, bytes], None]


def host_topic(frames_topic: str) -> str:
    """Return where a receiver that publishes on `frames_topic` is answered."""
    above, slash, _ = frames_topic.rpartition("/")
    return f"{above}{slash}{HOST_LEVEL}"


class StationLinks:
    """Answers the receivers of one MQTT link while it is connected."""

    def __init__(
        self, link: str, status: LinkStatus, *, token_every_s: float = STATION_LINK_MQTT_TIME_S
    ) -> None:
        self._status = status
        self._token_every_s = token_every_s
        self._log = structlog.get_logger().bind(link=link)
        self._receivers: dict[str, StationReceiver] = {}
        """By the topic of their frames; the one heard last stands last."""
        self._publish: Publish | None = None
        self._token_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None

    def message(self, topic: str, frame: bytes, stamp: Stamp) -> FrameNote:
        """Take a frame; a `MessageListener`."""
        if topic == host_topic(topic):
            return FrameNote(stamp)  # Our own, heard because the subscription is wide.
        receiver = self._receivers.pop(topic, None)
        is_new = receiver is None
        if receiver is None:
            receiver = self._new_receiver()
        self._receivers[topic] = receiver
        firmware = receiver.firmware
        note = receiver.frame(frame, stamp)
        if receiver.firmware != firmware:
            self._log.info("receiver says hello", topic=topic, firmware=receiver.firmware)
            self._status.firmware = receiver.firmware
        if is_new and self._publish is not None:
            self._publish(host_topic(topic), receiver.token())
        return note

    def command(self, topic: str, text: str) -> bool:
        """Send a COMMAND to the receiver whose frames come on `topic`; False if none was heard."""
        receiver = self._receivers.get(topic)
        if receiver is None:
            return False
        receiver.command(text)
        return True

    def connected(self, publish: Publish) -> None:
        """Begin to answer: the link has connected (again)."""
        self._publish = publish
        self._send_tokens()
        self._look()

    def disconnected(self) -> None:
        """Answer no more until the link is back."""
        self._publish = None
        for timer in (self._token_timer, self._answer_timer):
            if timer is not None:
                timer.cancel()
        self._token_timer = self._answer_timer = None

    def _new_receiver(self) -> StationReceiver:
        if len(self._receivers) >= STATION_LINK_RECEIVERS:
            del self._receivers[next(iter(self._receivers))]
            self._status.turned_away["receivers_forgotten"] += 1
        loop = asyncio.get_running_loop()
        return StationReceiver(self._status, wake=self._look, now=loop.time)

    def _send_tokens(self) -> None:
        if self._publish is None:
            return
        for topic, receiver in self._receivers.items():
            self._publish(host_topic(topic), receiver.token())
        loop = asyncio.get_running_loop()
        self._token_timer = loop.call_later(self._token_every_s, self._send_tokens)

    def _look(self) -> None:
        """Come back when something is due to be sent."""
        due = [each.due for each in self._receivers.values() if each.due is not None]
        if self._publish is None or not due:
            return
        at = min(due)
        if self._answer_timer is not None:
            if at >= self._answer_timer.when():
                return
            self._answer_timer.cancel()
        self._answer_timer = asyncio.get_running_loop().call_at(at, self._answer)

    def _answer(self) -> None:
        self._answer_timer = None
        if self._publish is None:
            return
        for topic, receiver in self._receivers.items():
            for frame in receiver.answers():
                self._publish(host_topic(topic), frame)
        self._look()
