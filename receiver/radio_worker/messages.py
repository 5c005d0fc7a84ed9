"""What a link and its worker say to each other: one JSON object a line, over pipes.

The link writes a `Task` and later perhaps new `KnownTags`; when it closes the pipe, the worker
tells what it still has and ends. The worker writes `Report`s. Times are nanoseconds of
CLOCK_BOOTTIME, which both read.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from protocols.records import Detection, Pulse
from receiver.limits import RADIO_LEVEL_S, RADIO_STALL_S
from receiver.radio_settings import SoftwareRadioLink

LONGEST_LINE_BYTES: Final = 1024 * 1024
"""Known tags of a whole network, 50,000 of 12 bytes, in one line."""


class Task(msgspec.Struct, frozen=True, tag="task"):
    """What the worker is to do."""

    link: SoftwareRadioLink
    socket: int | None = None
    """File descriptor of the connection to a stick, which the worker inherits."""
    known_tags: tuple[str, ...] = ()
    stall_s: float = RADIO_STALL_S
    """A source that gives nothing for so long is silent."""
    level_s: float = RADIO_LEVEL_S
    """How often a `Level` is to be told."""


class KnownTags(msgspec.Struct, frozen=True, tag="known-tags"):
    """The tags that are believed where a packet is too weak to prove itself."""

    tags: tuple[str, ...]


Order: TypeAlias = Task | KnownTags


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """Samples arrive."""

    radio: str
    """What receives: `RTL-SDR R820T`, `file`, `pipe`."""
    gain_db: float | None


class HeardDetection(msgspec.Struct, frozen=True, tag="detection"):
    """A packet; `mono_ns` is when its last bit was sent."""

    mono_ns: int
    detection: Detection


class HeardPulse(msgspec.Struct, frozen=True, tag="pulse"):
    """A pulse; `mono_ns` is when it began."""

    mono_ns: int
    pulse: Pulse


class Level(msgspec.Struct, frozen=True, tag="level"):
    """How the radio is, every few seconds: the worker's sign of life, too."""

    measurements: Mapping[str, float]
    """`noise_dbm` where calibrated, `noise_dbfs`, `occupancy`, `gain_db`, `clipped_part`,
    `crystal_ppm`, `waiting_s`, `kept_files` (since the start)."""
    counted: Mapping[str, int]
    """Since the last time, by name: `samples_lost`, `samples_dropped`, `grid_thinned_s`,
    `clock_steps`, `kept_files_removed`, `packets_not_kept`, `pulses_left_out`."""
    straits: str | None = None
    """What is listened to less well than it should be, because the processor cannot keep up."""


class Lost(msgspec.Struct, frozen=True, tag="lost"):
    """The last report: the samples have ended."""

    reason: str
    do: str
    is_silent: bool = False
    """The radio is there and says nothing."""
    is_over: bool = False
    """A recording has been played to its end."""


Report: TypeAlias = Opened | HeardDetection | HeardPulse | Level | Lost

_ORDERS: Final[msgspec.json.Decoder[Order]] = msgspec.json.Decoder(Order)
_REPORTS: Final[msgspec.json.Decoder[Report]] = msgspec.json.Decoder(Report)


def line_of(message: Order | Report) -> bytes:
    """Return a message as the line that carries it."""
    return msgspec.json.encode(message) + b"\n"


def order_of(line: bytes) -> Order:
    """Return the order on a line.

    Raises:
        msgspec.MsgspecError: it holds none.
    """
    return _ORDERS.decode(line)


def report_of(line: bytes) -> Report:
    """Return the report on a line.

    Raises:
        msgspec.MsgspecError: it holds none.
    """
    return _REPORTS.decode(line)
