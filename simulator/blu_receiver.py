"""A BluSeries receiver on a pseudo-terminal: up to four 2.4 GHz radios that answer when asked.

It keeps what it heard until it is asked for, 256 detections a radio, and drops new ones after that.
A batch is one reply for each detection and ends with an empty one. Detections carry the receiver's
own ticks. Source: CTT's station software 2.x, as `protocols.ctt.blu` describes it.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from protocols.ctt.blu import BEACON, BluReply, RequestType, detection_fields, parse_reply, reply
from protocols.framing import LineFramer
from protocols.layouts import parse
from simulator.pseudo_terminal import PseudoTerminal
from simulator.stations import Radio

KEPT_DETECTIONS: Final = 256
"""The size of a radio's ring: a guess; what matters is that it is bounded and counted."""

_FIRMWARE: Final = {"app": "blu_series", "version": "2.0.0"}


class BluReceiver:
    """One receiver and its cable, on the running loop; channels are its radios, from 1."""

    def __init__(self, radios: Sequence[Radio]) -> None:
        self.radios = tuple(radios)
        self.detections_told = 0
        self.detections_dropped = 0
        self._heard: dict[int, deque[tuple[bytes, int, int]]] = {
            channel: deque() for channel in range(1, len(radios) + 1)
        }
        self._dropped = dict.fromkeys(self._heard, 0)
        self._requests = LineFramer(max_frame_bytes=512)
        self._loop = asyncio.get_running_loop()
        self._cable = PseudoTerminal(self._asked, self._requests.reset)

    @property
    def device(self) -> str:
        """The path to open."""
        return self._cable.device

    @property
    def is_open(self) -> bool:
        """Whether a host has the port open."""
        return self._cable.is_open

    def hear(self, radio: Radio, beacon: bytes, rssi_dbm: int) -> bool:
        """Keep what a radio heard; False where there is no room for it."""
        channel = self.radios.index(radio) + 1
        heard = self._heard[channel]
        if len(heard) >= KEPT_DETECTIONS:
            self._dropped[channel] += 1
            self.detections_dropped += 1
            return False
        heard.append((beacon, rssi_dbm, self._tick_ms()))
        return True

    def unplug(self) -> None:
        """Leave the bus."""
        self._cable.close()

    def _tick_ms(self) -> int:
        return round(self._loop.time() * 1000) % 2**32

    def _asked(self, chunk: bytes) -> None:
        for line in self._requests.feed(chunk):
            asked = parse_reply(line)
            if asked is not None and asked.channel in self._heard:
                self._answer(asked)

    def _answer(self, asked: BluReply) -> None:
        channel = asked.channel
        if asked.type == RequestType.DETECTIONS:
            self._cable.send(self._batch(channel))
        elif asked.type == RequestType.VERSION:
            self._cable.send(reply(RequestType.VERSION, channel, _FIRMWARE))
        elif asked.type == RequestType.STATS:
            told = {"det_dropped": self._dropped[channel]}
            self._cable.send(reply(RequestType.STATS, channel, told))
        elif asked.type in set(RequestType):
            self._cable.send(reply(RequestType(asked.type), channel, asked.data))

    def _batch(self, channel: int) -> bytes:
        lines: list[bytes] = []
        heard = self._heard[channel]
        while heard:
            beacon, rssi_dbm, tick_ms = heard.popleft()
            fields = detection_fields(
                parse(BEACON, beacon),
                rssi_dbm=rssi_dbm,
                current_tick_ms=self._tick_ms(),
                detect_tick_ms=tick_ms,
            )
            lines.append(reply(RequestType.DETECTIONS, channel, fields))
        self.detections_told += len(lines)
        return b"".join([*lines, reply(RequestType.DETECTIONS, channel, {})])
