"""The sockets of CTT's radio drivers (station software 2.x): serial lines inside JSON lines.

A driver owns the serial port and serves a Unix socket a channel, one JSON object a line:

    driver → client  {"t":"hello","device":{…}}
                     {"t":"data","line":"<serial line>","seq":N,"ts":…}
                     {"t":"bye","reason":…}
    client → driver  {"t":"cmd","op":"raw" | "tx" | "preset","arg":"…"}

The driver throws lines away when its client reads too slowly; `seq` tells how many. `ts` has no
documented unit and is not read: the host stamps what arrives.

Source: CTT's station software 2.x.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, Self

import msgspec

from protocols.ctt.blu import BluDecoder
from protocols.ctt.lines import CttLineDecoder
from protocols.declared_payloads import DeclaredPayload
from protocols.records import Ignored, LogLine, RadioInfo, Record, Unknown
from protocols.registry import Decoder, register

_LARGEST_GAP: Final = 1_000_000
"""An hour of a line every 4 ms; a larger step in `seq` is a driver that began again."""


class _Message(msgspec.Struct):
    t: str
    line: str = ""
    seq: int | None = None
    device: dict[str, Any] = {}
    reason: str | None = None


class _DriverSocketDecoder:
    """One JSON line of a driver's socket: the records of the serial line inside, `raw` the whole.

    `hello` gives a `RadioInfo`, `bye` a `LogLine`.
    """

    def __init__(self, inner: Decoder) -> None:
        self.lost_lines = 0
        """Serial lines that the driver threw away, by the gaps in `seq`."""
        self._inner = inner
        self._last_seq: int | None = None

    def decode(self, frame: bytes) -> tuple[Record, ...]:
        """Return the records in one line; never raises, never returns an empty tuple."""
        try:
            message = msgspec.json.decode(frame, type=_Message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return (Unknown(reason="not-a-driver-message", raw=frame),)
        if message.t == "data":
            self._count(message.seq)
            line = message.line.rstrip("\r\n").encode("utf-8", "replace")
            return tuple(_rewrapped(record, frame) for record in self._inner.decode(line))
        if message.t == "hello":
            self._last_seq = None
            return (_hello(message, frame),)
        if message.t == "bye":
            return (LogLine(message=f"driver left: {message.reason}", level="warning", raw=frame),)
        return (Unknown(reason="unknown-message", raw=frame),)

    def _count(self, seq: int | None) -> None:
        if seq is not None and self._last_seq is not None:
            missing = seq - self._last_seq - 1
            if 0 < missing <= _LARGEST_GAP:
                self.lost_lines += missing
        self._last_seq = seq


def _rewrapped(record: Record, frame: bytes) -> Record:
    return record if isinstance(record, Ignored) else msgspec.structs.replace(record, raw=frame)


def _hello(message: _Message, frame: bytes) -> RadioInfo:
    device = {
        name: value
        for name, value in message.device.items()
        if isinstance(value, str | int | float)
    }
    firmware = device.get("firmware")
    name = device.get("name")
    return RadioInfo(
        name=None if name is None else str(name),
        firmware=None if firmware is None else str(firmware),
        measurements=device or None,
        raw=frame,
    )


@register(
    "ctt-driver",
    version="1",
    framing="lines",
    takes="JSON lines of CTT's radio driver sockets, /run/ctt/radios/ch<N>.sock",
)
class RadioDriverDecoder(_DriverSocketDecoder):
    """JSON lines around the serial lines of 434 MHz radios.

    {"t":"data","line":"0178664C3304A8","seq":17,"ts":…}
    """

    def __init__(self) -> None:
        super().__init__(CttLineDecoder())


@register(
    "ctt-blu-driver",
    version="1",
    framing="lines",
    takes="JSON lines of CTT's Blu driver sockets, /run/ctt/blu/ch<N>.sock",
)
class BluDriverDecoder(_DriverSocketDecoder):
    r"""JSON lines around the reply lines of BluSeries receivers.

    {"t":"data","line":"{\"type\":6,\"channel\":1,\"data\":{…}}","seq":17,"ts":…}
    """

    def __init__(self, inner: BluDecoder | None = None) -> None:
        super().__init__(inner or BluDecoder())

    @classmethod
    def with_payloads(cls, declared: Sequence[DeclaredPayload]) -> Self:
        """Return a decoder that reads the payload revisions which an owner declared."""
        return cls(BluDecoder.with_payloads(declared))


def command(op: Literal["raw", "tx", "preset"], arg: str) -> bytes:
    """Return a command line to a driver, terminator and all."""
    return msgspec.json.encode({"t": "cmd", "op": op, "arg": arg}) + b"\n"


def data_message(line: str, *, seq: int) -> bytes:
    """Return a line as a driver sends it around a serial line, terminator and all."""
    return msgspec.json.encode({"t": "data", "line": line, "seq": seq}) + b"\n"
