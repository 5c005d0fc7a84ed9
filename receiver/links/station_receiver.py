"""One receiver that speaks the station link: what it has sent, its clock, what we owe it.

Knows neither port nor broker: a serial link has one of these, an MQTT link one for each topic.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from protocols.errors import PacketError
from protocols.records import Unknown
from protocols.station_link.bodies import Ack, Body, Command, FrameType, Hello, Time
from protocols.station_link.clock import UptimeClock
from protocols.station_link.frames import Frame, build_frame, parse_body, parse_frame
from protocols.station_link.sequence import SEQ_MODULUS, SequenceCounter
from protocols.station_link.sequence import Arrival as ArrivalKind
from receiver.arrivals import Stamp
from receiver.limits import STATION_LINK_UNANSWERED
from receiver.links.acknowledgements import Acknowledgements
from receiver.links.intake import FrameNote, LinkStatus

_NS_PER_US: Final = 1000

LOST = "lost_frames"
"""Counter: numbers that were missing when the next frame came."""
LATE = "late_frames"
"""Counter: frames that were missing and came after all; `lost_frames` less these never came."""
REPEATED = "repeated_frame"
"""Counter: frames sent again that were there already; they are not decoded."""


def _boot_time_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class StationReceiver:
    """Reads each frame's header, refines its stamp, and says what to send.

    Stamps are of CLOCK_BOOTTIME; every other time is seconds of the loop's clock.
    """

    def __init__(
        self,
        status: LinkStatus,
        *,
        wake: Callable[[], None],
        now: Callable[[], float],
        host_ns: Callable[[], int] = _boot_time_ns,
    ) -> None:
        """`wake` is called when there is something to send that was not due before."""
        self.clock = UptimeClock()
        self.sequence = SequenceCounter()
        self.acknowledgements = Acknowledgements()
        self.firmware: str | None = None
        self.heard_at: float | None = None
        """When the last whole frame came."""
        self.unanswered = 0
        """Tokens in a row that no echo came of."""
        self._status = status
        self._wake = wake
        self._now = now
        self._host_ns = host_ns
        self._boot_count: int | None = None
        self._commands: list[str] = []
        self._seq = 0

    @property
    def due(self) -> float | None:
        """When `answers` wants to be called."""
        return self._now() if self._commands else self.acknowledgements.due

    def frame(self, encoded: bytes, stamp: Stamp) -> FrameNote:
        """Take a frame; a `FrameListener`."""
        frame = parse_frame(encoded)
        if isinstance(frame, Unknown):
            return FrameNote(stamp)
        self.heard_at = self._now()
        arrival = self._observe(frame, stamp.mono_ns or self._host_ns())
        on_durable = self._when_durable(frame.seq)
        if arrival == "repeated":
            return FrameNote(stamp, on_durable, REPEATED)
        return FrameNote(self._refined(stamp, frame.uptime_us), on_durable)

    def command(self, text: str) -> None:
        """Send a COMMAND; the answer is stored as any other record."""
        self._commands.append(text)
        self._wake()

    def token(self) -> bytes:
        """Return a TIME frame that goes out at once."""
        self.unanswered += 1
        return self._built(Time(token=self.clock.token(self._host_ns())))

    def answers(self) -> list[bytes]:
        """Return the ACK and commands that are due, as frames without COBS."""
        bodies: list[Body] = [Command(text=text) for text in self._commands]
        self._commands.clear()
        seq = self.acknowledgements.take(self._now())
        if seq is not None:
            bodies.append(Ack(seq=seq))
        return [self._built(body) for body in bodies]

    @property
    def is_deaf(self) -> bool:
        """Whether tokens go unanswered."""
        return self.unanswered > STATION_LINK_UNANSWERED

    def _observe(self, frame: Frame, mono_ns: int) -> ArrivalKind:
        lost_before = self.sequence.lost
        boot_count = self._boot_count_in(frame)
        if boot_count is not None and self._boot_count not in {None, boot_count}:
            arrival = self.sequence.begin_boot(frame.seq, frame.uptime_us)
        else:
            arrival = self.sequence.observe(frame.seq, frame.uptime_us)
        if arrival == "boot":
            self.clock.begin_boot()
            self._boot_count = None  # Of a boot that was known by its uptime it is not known yet.
        if boot_count is not None:
            self._boot_count = boot_count
        if self.sequence.lost > lost_before:
            self._status.turned_away[LOST] += self.sequence.lost - lost_before
        if arrival == "late":
            self._status.turned_away[LATE] += 1
        if arrival in {"first", "boot"}:
            self.acknowledgements.begin(frame.seq, self._now())
        if arrival not in {"late", "repeated"}:
            self._set_clock(frame, mono_ns)
        return arrival

    def _boot_count_in(self, frame: Frame) -> int | None:
        if frame.type != FrameType.HELLO:
            return None
        try:
            hello = parse_body(frame)
        except PacketError:
            return None
        assert isinstance(hello, Hello)  # noqa: S101  Its type says so.
        version = f"{hello.firmware_major}.{hello.firmware_minor}.{hello.firmware_patch}"
        self.firmware = f"{hello.name or 'unnamed'} {version}"
        return hello.boot_count

    def _set_clock(self, frame: Frame, mono_ns: int) -> None:
        if frame.type == FrameType.TIME:
            try:
                echo = parse_body(frame)
            except PacketError:
                return
            assert isinstance(echo, Time)  # noqa: S101  Its type says so.
            self.unanswered = 0
            self.clock.echoed(echo.token, frame.uptime_us, mono_ns)
        else:
            self.clock.heard(frame.uptime_us, mono_ns)

    def _refined(self, stamp: Stamp, uptime_us: int) -> Stamp:
        """Return when the frame's event was; never later than its arrival."""
        event_ns = self.clock.host_ns(uptime_us) if self.clock.is_settled else None
        if event_ns is None or stamp.mono_ns is None or event_ns >= stamp.mono_ns:
            return stamp
        earlier_ns = stamp.mono_ns - event_ns
        return msgspec.structs.replace(
            stamp, utc_ns=stamp.utc_ns - earlier_ns, mono_ns=stamp.mono_ns - earlier_ns
        )

    def _when_durable(self, seq: int) -> Callable[[], None]:
        boot = self.acknowledgements.boot

        def on_durable() -> None:
            self.acknowledgements.durable(boot, seq, self._now())
            if self.acknowledgements.due is not None:
                self._wake()

        return on_durable

    def _built(self, body: Body) -> bytes:
        frame = build_frame(body, seq=self._seq, uptime_us=self._host_ns() // _NS_PER_US)
        self._seq = (self._seq + 1) % SEQ_MODULUS
        return frame
