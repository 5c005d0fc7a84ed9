"""Asking a port what is behind it, outside a running station."""

import asyncio

import msgspec

from protocols import registry
from protocols.ctt import commands
from protocols.framing import framer
from protocols.records import Ignored, RadioInfo, Unknown
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
    loop = asyncio.get_running_loop()
    lines = framer("lines")
    decode = registry.entry("ctt").make().decode
    answered: asyncio.Future[str | None] = loop.create_future()
    frames = 0

    def end(radio: str | None) -> None:
        loop.remove_reader(port.fileno())
        if not answered.done():
            answered.set_result(radio)

    def read() -> None:
        nonlocal frames
        try:
            chunk = port.read()
        except OSError:
            chunk = b""
        if chunk is None:
            return
        if not chunk:
            end(None)
        for frame in lines.feed(chunk):
            for record in decode(frame):
                if isinstance(record, RadioInfo):
                    end(" ".join(filter(None, (record.name, record.firmware))) or "unnamed")
                elif not isinstance(record, Unknown | Ignored):
                    frames += 1

    def ask() -> None:
        try:
            port.write(commands.VERSION)
        except OSError:
            end(None)

    timers = (
        loop.call_later(timing.ask_after_s, ask),
        loop.call_later(timing.ask_after_s + timing.answer_within_s, end, None),
    )
    loop.add_reader(port.fileno(), read)
    try:
        radio = await answered
    finally:
        for timer in timers:
            timer.cancel()
        end(None)
        await asyncio.to_thread(port.close)
    return Answer(radio=radio, frames=frames)
