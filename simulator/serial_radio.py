"""A CTT radio on a pseudo-terminal: prints lines, answers commands, has the vices of its kind."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from protocols.ctt.commands import read_command
from protocols.ctt.printed_lines import command_reply_line, version_reply_line
from protocols.errors import PacketError
from protocols.framing import LineFramer
from simulator.firmware import PRESETS, VERSIONS
from simulator.pseudo_terminal import PseudoTerminal
from simulator.stations import Channel, Radio, ViceKind

_FLOOD_LINE: Final = (
    b'{"meta":{"data_type":"terra_uhf","rssi":-88.5,"rssi_src":"sync","noise":-92.0,"snr":3.5,'
    b'"lna":1,"isr_us":412,"crc":4,"crcok":0},"data":{"id":"00000000"}}\r\n'
)
"""Bench firmware 5.0.0 printed one for whatever the noise looked like."""
_FLOOD_EVERY_S: Final = 0.05
_FLOOD_LINES: Final = 7
"""161,435 lines in 20 minutes were counted: 135 a second."""


class SerialRadio:
    """One radio and its cable, on the running loop.

    `alias` is a path that is made a symbolic link to the device and follows it when the radio comes
    back under another number. `on_tuned` hears what a preset made the radio listen to.
    """

    def __init__(
        self,
        radio: Radio,
        *,
        on_tuned: Callable[[Channel], None] | None = None,
        alias: Path | None = None,
    ) -> None:
        self.radio = radio
        self.lines_sent = 0
        self.lines_dropped = 0
        """Lines that nobody took: port closed, buffer full, radio hung or unplugged."""
        self.commands: list[str] = []
        """What hosts have asked of it, in order."""
        self._on_tuned = on_tuned
        self._alias = alias
        self._vice = radio.vice
        self._hangs_on_write = radio.vice is not None and radio.vice.kind == "hangs-on-write"
        self._commands = LineFramer(max_frame_bytes=256)
        self._cable: PseudoTerminal | None = None
        self._device = ""
        self._hung = False
        self._vice_timer: asyncio.TimerHandle | None = None
        self.plug_in()

    @property
    def device(self) -> str:
        """The path to open: the alias where there is one, else the pseudo-terminal of now."""
        return self._device if self._alias is None else str(self._alias)

    @property
    def has_replies(self) -> bool:
        """Whether radios of its generation answer commands."""
        return self.radio.generation in VERSIONS

    @property
    def is_open(self) -> bool:
        """Whether a host has the port open."""
        return self._cable is not None and self._cable.is_open

    def plug_in(self) -> None:
        """Come onto the bus, as after a reset; nothing happens where it is there already."""
        if self._cable is not None:
            return
        self._hung = False
        self._commands.reset()
        self._cable = PseudoTerminal(self._asked, self._host_closed)
        self._device = self._cable.device
        if self._alias is not None:
            with contextlib.suppress(FileNotFoundError):
                self._alias.unlink()
            self._alias.symlink_to(self._device)
        self._begin_vice()

    def unplug(self) -> None:
        """Leave the bus: an open port is hung up, and the alias is gone."""
        if self._vice_timer is not None:
            self._vice_timer.cancel()
        if self._cable is not None:
            self._cable.close()
            self._cable = None
            if self._alias is not None:
                with contextlib.suppress(FileNotFoundError):
                    self._alias.unlink()

    def send(self, wire: bytes) -> bool:
        """Print bytes now; False, and counted, where nobody took them."""
        taken = self._cable is not None and not self._hung and self._cable.send(wire)
        self.lines_sent += taken
        self.lines_dropped += not taken
        return taken

    def _asked(self, chunk: bytes) -> None:
        if self._hangs_on_write:
            self._hung = True
        for line in self._commands.feed(chunk):
            with contextlib.suppress(PacketError):
                self._obey(*read_command(line))

    def _obey(self, name: str, argument: str) -> None:
        self.commands.append(f"{name}:{argument}" if argument else name)
        firmware = VERSIONS.get(self.radio.generation)
        if firmware is None or self._hung or self._cable is None:
            return
        if name == "version":
            reply = version_reply_line(firmware)
        elif name == "preset":
            channel = PRESETS[self.radio.generation].get(argument)
            if channel is not None and self._on_tuned is not None:
                self._on_tuned(channel)
            message = None if channel else "bad arg"
            reply = command_reply_line(name, ok=channel is not None, message=message)
        else:
            reply = command_reply_line(name[:32], ok=False, message="unknown key")
        self._cable.send(reply)

    def _host_closed(self) -> None:
        if self._hangs_on_write:
            self._hung = False

    def _begin_vice(self) -> None:
        begin: dict[ViceKind, Callable[[], None]] = {
            "stops-talking": self._fall_silent,
            "floods": self._flood,
            "unplugs": self._drop_off,
        }
        if self._vice is not None and self._vice.kind in begin:
            self._later(self._vice.after_s, begin[self._vice.kind])

    def _later(self, delay_s: float, action: Callable[[], None]) -> None:
        self._vice_timer = asyncio.get_running_loop().call_later(delay_s, action)

    def _fall_silent(self) -> None:
        self._hung = True

    def _flood(self) -> None:
        for _ in range(_FLOOD_LINES):
            self.send(_FLOOD_LINE)
        self._later(_FLOOD_EVERY_S, self._flood)

    def _drop_off(self) -> None:
        self.unplug()
        if self._vice is not None and self._vice.back_after_s is not None:
            self._later(self._vice.back_after_s, self.plug_in)
