"""What a link hands its bytes to; the pipeline implements it, links know only this."""

import enum
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import msgspec

from protocols.records import Record
from receiver.arrivals import Stamp


class LinkState(enum.StrEnum):
    """How a link is, in words that `status` and the log use."""

    STARTING = "starting"
    HEARING = "hearing"
    """Open, and something arrived lately."""
    QUIET = "quiet"
    """Open and healthy; nothing arrived lately, and nothing had to."""
    SILENT = "silent"
    """Open, but the radio does not answer what it must answer."""
    FAILED = "failed"
    """Not open: the port or the broker cannot be reached; it is tried again."""


class LinkStatus:
    """How one link is: written by the link, read by `status`, the summary and `activity`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = LinkState.STARTING
        self.reason: str | None = None
        """Why it is not hearing, for a technician."""
        self.firmware: str | None = None
        self.opened = 0
        """How often it was opened, the first time counted."""
        self.last_heard_mono_ns: int | None = None
        self.turned_away: Counter[str] = Counter()
        """What the link itself did not hand on, by reason: `message_too_long`, `retained`,
        `topic_not_utf8`, `subscription_refused`."""
        self._listening_since: float | None = None
        self._listened_s = 0.0

    def heard(self, mono_ns: int | None) -> None:
        """Tell that something arrived."""
        self.last_heard_mono_ns = mono_ns
        if self.state in (LinkState.QUIET, LinkState.STARTING):
            self.state = LinkState.HEARING

    def listening(self, *, now: bool) -> None:
        """Tell that the link from this moment on could (or could not) hear a tag."""
        moment = time.monotonic()
        if self._listening_since is not None:
            self._listened_s += moment - self._listening_since
        self._listening_since = moment if now else None

    def take_turned_away(self) -> Counter[str]:
        """Return what the link turned away since this was last called, by reason."""
        taken, self.turned_away = self.turned_away, Counter()
        return taken

    def take_listened_s(self) -> float:
        """Return the seconds it listened since this was last called."""
        if self._listening_since is not None:
            self.listening(now=True)
        listened, self._listened_s = self._listened_s, 0.0
        return listened


class FrameNote(msgspec.Struct, frozen=True):
    """What a link's own protocol knows of one frame before anybody decodes it."""

    stamp: Stamp
    """When what the frame tells of happened; as it arrived where nothing better is known."""
    on_durable: Callable[[], None] | None = None
    """Called on the loop once all that came of the frame is in the store."""
    ignored: str | None = None
    """Where it is not to be decoded: the reason that it is counted under."""


FrameListener: TypeAlias = Callable[[bytes, Stamp], FrameNote]
"""Takes each frame of a stream and its arrival's stamp; a link's protocol gives one to the intake
when it is made. Never raises for what the bytes are."""

MessageListener: TypeAlias = Callable[[str, bytes, Stamp], FrameNote]
"""The same for messages, whose topic comes first."""


class StreamIntake(Protocol):
    """Takes the bytes of one serial port or recording; one for each link."""

    def received(self, chunk: bytes) -> Sequence[Record]:
        """Stamp, frame, decode and queue a chunk just read; return its records in order.

        The link looks among them for the replies of its own protocol (`RadioInfo`,
        `CommandReply`, `RadioError`). Never raises for what the bytes are.
        """
        ...

    def interrupted(self) -> None:
        """Forget an unfinished frame: the stream was closed."""
        ...


class MessageIntake(Protocol):
    """Takes the messages of one MQTT link."""

    def message(self, topic: str, payload: bytes, on_durable: Callable[[], None] | None) -> None:
        """Stamp, decode and queue one message.

        `on_durable` is called on the loop once all that came of it is in the store, at once where
        it holds nothing to keep. It is None where nobody waits (QoS 0): such messages are dropped
        and counted when there is no room, like the bytes of a stream.
        """
        ...
