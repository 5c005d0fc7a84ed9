"""Asking a port what is behind it, outside a running station."""

import asyncio

import msgspec

from protocols import registry
from protocols.ctt import commands
from protocols.framing import framer
from protocols.records import Ignored, RadioInfo, Record, Unknown
from receiver.links.ctt_radio import CttTiming
from receiver.links.serial_port import PortError, SerialPort


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a port answered."""

    radio: str | None = None
    """Name and firmware; None where it did not answer."""
    frames: int = 0
    """Frames of a CTT radio that came while it was asked."""
    problem: str | None = None
    """Why it could not be asked."""

    @property
    def text(self) -> str:
        """The answer, for people."""
        if self.problem:
            return self.problem
        heard = f"{self.frames} frames of a CTT radio" if self.frames else "nothing"
        return f"answers: {self.radio}" if self.radio else f"no answer; heard {heard}"


async def ask_version(
    device: str, baud_rate: int = 115_200, timing: CttTiming | None = None
) -> Answer:
    """Open a port, ask for the version as a CTT radio understands it, close the port.

    Old dongles hang when written to, until their port is opened again: ask only where a person
    wants it.
    """
    timing = timing or CttTiming()
    try:
        port = await SerialPort.open_off_loop(device, baud_rate)
    except PortError as error:
        return Answer(problem=f"{error}: {error.advice}")
    question = _Question(port)
    loop = asyncio.get_running_loop()
    timers = (
        loop.call_later(timing.ask_after_s, question.ask),
        loop.call_later(timing.ask_after_s + timing.answer_within_s, question.end),
    )
    loop.add_reader(port.fileno(), question.read)
    try:
        await question.ended.wait()
    finally:
        for timer in timers:
            timer.cancel()
        loop.remove_reader(port.fileno())
        await asyncio.to_thread(port.close)
    return Answer(radio=question.radio, frames=question.frames)


class _Question:
    """One port while it is asked."""

    def __init__(self, port: SerialPort) -> None:
        self.ended = asyncio.Event()
        self.radio: str | None = None
        self.frames = 0
        self._port = port
        self._lines = framer("lines")
        self._decode = registry.entry("ctt").make().decode

    def ask(self) -> None:
        try:
            self._port.write(commands.VERSION)
        except OSError:
            self.end()

    def end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._port.fileno())
        self.ended.set()

    def read(self) -> None:
        try:
            chunk = self._port.read()
        except OSError:
            chunk = b""
        if chunk is None:
            return
        if not chunk:
            self.end()
        for frame in self._lines.feed(chunk):
            for record in self._decode(frame):
                self._hear(record)

    def _hear(self, record: Record) -> None:
        if isinstance(record, RadioInfo):
            self.radio = " ".join(filter(None, (record.name, record.firmware))) or "unnamed"
            self.end()
        elif not isinstance(record, Unknown | Ignored):
            self.frames += 1
