"""A serial link: opens its port for ever, reads it on the loop, talks where its radio talks."""

import asyncio
import os
from typing import TYPE_CHECKING

import structlog

from receiver.limits import LINK_QUIET_AFTER_S, SERIAL_WRITE_STALL_S
from receiver.links.availability import Availability
from receiver.links.backoff import Backoff
from receiver.links.blu_radio import BluConversation
from receiver.links.conversation import Conversation
from receiver.links.ctt_radio import CttConversation
from receiver.links.intake import FrameListener, LinkState, LinkStatus, StreamIntake
from receiver.links.quiet import NOTHING_HEARD, QuietWatch
from receiver.links.serial_port import PortError, SerialPort
from receiver.links.station_conversation import StationConversation
from receiver.settings import SerialLink as SerialSettings

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_LOST_ADVICE = "it is opened again as soon as it is back; check plug, cable and power"


_SWITCHED_ON_BY_LOW_DTR = frozenset({"ctt-blu"})
"""Decoders whose radios have their power switched by DTR. Source: CTT's station software."""


def conversation_for(settings: SerialSettings, status: LinkStatus) -> Conversation | None:
    """Return the conversation that radios of this decoder understand.

    None where none does: such a link stays mute.
    """
    log: FilteringBoundLogger = structlog.get_logger().bind(link=settings.name)
    if settings.decoder == "ctt":
        return CttConversation(settings, log)
    if settings.decoder == "ctt-blu":
        return BluConversation(settings, status, log)
    if settings.decoder == "station-link":
        return StationConversation(settings, status, log, now=asyncio.get_running_loop().time)
    return None


def listener_of(conversation: Conversation | None) -> FrameListener | None:
    """Return what of a conversation looks at each frame, for the intake; most look at none."""
    if isinstance(conversation, BluConversation | StationConversation):
        return conversation.frame
    return None


class SerialLink:
    """Reads one serial port into its intake, for ever.

    `run` never raises for what the world does; cancelling it closes the port.
    """

    def __init__(
        self,
        settings: SerialSettings,
        intake: StreamIntake,
        status: LinkStatus,
        *,
        conversation: Conversation | None = None,
        backoff: Backoff | None = None,
        quiet_after_s: float = LINK_QUIET_AFTER_S,
        write_stall_s: float = SERIAL_WRITE_STALL_S,
    ) -> None:
        """`conversation` and `backoff` are made from the settings where they are not given.

        One that looks at frames must be given: the intake then has its `listener_of`.
        """
        self._settings = settings
        self._intake = intake
        self.status = status
        self._log: FilteringBoundLogger = structlog.get_logger().bind(link=settings.name)
        self._conversation = conversation or conversation_for(settings, status)
        self._backoff = backoff or Backoff()
        self._availability = Availability(status, self._log)
        self._quiet_after_s = quiet_after_s
        self._write_stall_s = write_stall_s

    def command(self, text: str) -> bool:
        """Send a command to a receiver that takes some; False where this link's does not.

        Its answer is stored as a `CommandReply`.
        """
        if not isinstance(self._conversation, StationConversation):
            return False
        self._conversation.command(text)
        return True

    async def run(self) -> None:
        """Open, read, and open again whenever the port ends."""
        while True:
            wait_s = await self._open_once()
            await asyncio.sleep(wait_s)

    async def _open_once(self) -> float:
        """Open the port and read it until it ends; return the seconds to wait then."""
        settings = self._settings
        try:
            port = await SerialPort.open_off_loop(
                settings.device,
                settings.bits_per_second,
                dtr=settings.decoder not in _SWITCHED_ON_BY_LOW_DTR,
            )
        except PortError as error:
            self._availability.lost(str(error), error.advice)
            return self._backoff.failed()
        session = _Session(
            port,
            self._intake,
            self.status,
            self._conversation,
            quiet_after_s=self._quiet_after_s,
            write_stall_s=self._write_stall_s,
        )
        self._availability.found(device=settings.device, baud_rate=settings.bits_per_second)
        self._backoff.works()
        try:
            session.start()
            end = await session.ended
        finally:
            session.stop()
            self.status.listening(now=False)
            self._intake.interrupted()
            await asyncio.to_thread(port.close)
        if isinstance(end, float):
            return end
        self._availability.lost(end, _LOST_ADVICE)
        return self._backoff.failed()


class _Session:
    """One opening of the port: what the loop calls while it is open.

    `ended` becomes the reason why the port failed, or the seconds after which it is to be opened
    again because the conversation asked for it.
    """

    def __init__(
        self,
        port: SerialPort,
        intake: StreamIntake,
        status: LinkStatus,
        conversation: Conversation | None,
        *,
        quiet_after_s: float,
        write_stall_s: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str | float] = self._loop.create_future()
        self._port = port
        self._intake = intake
        self._status = status
        self._conversation = conversation
        self._quiet_watch = QuietWatch(status, quiet_after_s)
        self._write_stall_s = write_stall_s
        self._scheduled: float | None = None
        self._step_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Read the port from now on."""
        self._loop.add_reader(self._port.fileno(), self._read)
        if self._conversation is not None:
            self._conversation.wake = self._follow_conversation
            self._conversation.opened(self._loop.time())
            self._follow_conversation()

    def stop(self) -> None:
        """Read and write no more."""
        if self._conversation is not None:
            self._conversation.wake = None
        self._loop.remove_reader(self._port.fileno())
        self._loop.remove_writer(self._port.fileno())
        self._quiet_watch.stop()
        for timer in (self._step_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()

    def _end(self, how: str | float) -> None:
        if not self.ended.done():
            self.stop()
            self.ended.set_result(how)

    def _read(self) -> None:
        try:
            chunk = self._port.read()
        except OSError as error:
            self._end(_reason(error))
            return
        if chunk is None:
            return
        if not chunk:
            self._end("the port hung up")
            return
        records = self._intake.received(chunk)
        if not records:
            return
        if any(not isinstance(record, NOTHING_HEARD) for record in records):
            self._quiet_watch.heard()
        else:
            self._quiet_watch.look()
        if self._conversation is not None:
            self._conversation.heard(records, self._loop.time())
            self._follow_conversation()

    def _follow_conversation(self) -> None:
        """Show how the radio is, and call the conversation when it wants to be called."""
        conversation = self._conversation
        if conversation is None or self.ended.done():
            return
        self._show(conversation)
        if conversation.due == self._scheduled:
            return
        if self._step_timer is not None:
            self._step_timer.cancel()
        self._scheduled = conversation.due
        if conversation.due is not None:
            self._step_timer = self._loop.call_at(conversation.due, self._step, conversation)

    def _show(self, conversation: Conversation) -> None:
        status = self._status
        status.firmware = conversation.firmware
        status.reason = conversation.silent or conversation.problem
        if conversation.silent is not None and status.state is not LinkState.SILENT:
            status.state = LinkState.SILENT
            status.listening(now=False)
        elif conversation.silent is None and status.state is LinkState.SILENT:
            status.state = LinkState.QUIET
            status.listening(now=True)

    def _step(self, conversation: Conversation) -> None:
        self._scheduled = None
        # The loop may call a few microseconds early, within its clock's resolution.
        step = conversation.step(max(self._loop.time(), conversation.due or 0.0))
        if step.write:
            self._write(step.write)
        self._follow_conversation()
        if step.reopen_after_s is not None:
            self._end(step.reopen_after_s)

    def _write(self, text: bytes) -> None:
        try:
            self._port.write(text)
        except OSError as error:
            self._end(_reason(error))
            return
        if self._port.waiting_bytes and self._stall_timer is None:
            self._loop.add_writer(self._port.fileno(), self._flush)
            self._await_room()

    def _flush(self) -> None:
        try:
            self._port.flush()
        except OSError as error:
            self._end(_reason(error))
            return
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if self._port.waiting_bytes:
            self._await_room()
        else:
            self._loop.remove_writer(self._port.fileno())

    def _await_room(self) -> None:
        self._stall_timer = self._loop.call_later(
            self._write_stall_s, self._end, f"it took no bytes for {self._write_stall_s:g} s"
        )


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
