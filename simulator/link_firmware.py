"""Firmware that speaks the station link on a pseudo-terminal, as `deploy/firmware` lets one write.

It says HELLO when a host opens the port, sends a PACKET for what each of its radios takes from the
air, a STATUS every so often, echoes TIME at once, keeps frames until the host has acknowledged
them, and answers a COMMAND. Its uptime runs on a crystal of its own.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from protocols.framing import CobsFramer, cobs_encode
from protocols.records import Unknown
from protocols.station_link.bodies import (
    Ack,
    Body,
    Command,
    Hello,
    Modulation,
    Packet,
    RadioReading,
    Reply,
    Status,
    Time,
)
from protocols.station_link.frames import build_frame, parse_body, parse_frame
from simulator.air import FREQUENCY_HZ
from simulator.pseudo_terminal import PseudoTerminal
from simulator.stations import Radio

KEPT_FRAMES: Final = 256
"""Frames kept for a host that does not take them: at 60 bytes 15 kB, a small chip's memory."""

STATUS_EVERY_S: Final = 60.0
_SEQ_MODULUS: Final = 2**16


class LinkFirmware:
    """What the firmware says and remembers; whoever carries its frames calls it."""

    def __init__(
        self, name: str, radios: Sequence[Radio], *, boot_count: int = 1, drift_ppm: float = 0.0
    ) -> None:
        self.radios = tuple(radios)
        self.packets = [0] * len(radios)
        self.frames_dropped = 0
        self._name = name
        self._boot_count = boot_count
        self._pace = 1 + drift_ppm * 1e-6
        self._seq = 0
        self.unacknowledged: deque[tuple[int, bytes]] = deque()
        """(seq, frame) of packets that the host has not got yet."""

    def uptime_us(self, since_boot_s: float) -> int:
        """Return what its own counter says."""
        return round(since_boot_s * 1e6 * self._pace)

    def frame(self, body: Body, since_boot_s: float) -> bytes:
        """Return the next frame, without COBS."""
        frame = build_frame(body, seq=self._seq, uptime_us=self.uptime_us(since_boot_s))
        if isinstance(body, Packet):
            if len(self.unacknowledged) >= KEPT_FRAMES:
                self.unacknowledged.popleft()
                self.frames_dropped += 1
            self.unacknowledged.append((self._seq, frame))
        self._seq = (self._seq + 1) % _SEQ_MODULUS
        return frame

    def hello(self) -> Hello:
        """Return what it is."""
        return Hello(
            uid=self._name.encode().ljust(8, b"\0")[:8],
            firmware_major=1,
            firmware_minor=0,
            firmware_patch=0,
            reset_cause=1,
            boot_count=self._boot_count,
            radios=len(self.radios),
            name=self._name,
        )

    def status(self) -> Status:
        """Return how it is."""
        return Status(
            battery_mv=3_980,
            solar_mv=None,
            solar_ma=None,
            temperature_cdeg=2_150,
            dropped=self.frames_dropped,
            queued=len(self.unacknowledged),
            radios=tuple(RadioReading(noise_ddbm=-1_110, packets=each) for each in self.packets),
        )

    def packet(self, radio: Radio, packet: bytes, rssi_dbm: int) -> Packet:
        """Return what it says of a packet."""
        number = self.radios.index(radio)
        self.packets[number] += 1
        return Packet(
            radio=number,
            modulation=Modulation.CTT_FSK,
            frequency_hz=FREQUENCY_HZ["434"],
            rssi_ddbm=10 * rssi_dbm,
            snr_ddb=None,
            frequency_error_hz=None,
            packet=packet,
        )

    def answer(self, frame: bytes) -> Body | None:
        """Return what a frame from the host is answered with, None where nothing is."""
        parsed = parse_frame(frame)
        body = None if isinstance(parsed, Unknown) else parse_body(parsed)
        if isinstance(body, Time):
            return Time(token=body.token)
        if isinstance(body, Ack):
            self._forget(body.seq)
        if isinstance(body, Command):
            return Reply(text=f"{body.text.split(' ')[0]} ok")
        return None

    def _forget(self, up_to: int) -> None:
        half = _SEQ_MODULUS // 2
        while self.unacknowledged and (up_to - self.unacknowledged[0][0]) % _SEQ_MODULUS < half:
            self.unacknowledged.popleft()


class SerialLinkReceiver:
    """The firmware and its cable, on the running loop."""

    def __init__(self, name: str, radios: Sequence[Radio], *, drift_ppm: float = 20.0) -> None:
        self.firmware = LinkFirmware(name, radios, drift_ppm=drift_ppm)
        self.frames_sent = 0
        self.frames_dropped = 0
        self._loop = asyncio.get_running_loop()
        self._booted_s = self._loop.time()
        self._framer = CobsFramer()
        self._cable = PseudoTerminal(self._told, self._host_closed, self._host_opened)
        self._timer = self._loop.call_later(STATUS_EVERY_S, self._tell_status)

    @property
    def device(self) -> str:
        """The path to open."""
        return self._cable.device

    @property
    def is_open(self) -> bool:
        """Whether a host has the port open."""
        return self._cable.is_open

    def hear(self, radio: Radio, packet: bytes, rssi_dbm: int) -> bool:
        """Send what a radio took; False where no host takes it now."""
        return self._send(self.firmware.packet(radio, packet, rssi_dbm))

    def unplug(self) -> None:
        """Leave the bus."""
        self._timer.cancel()
        self._cable.close()

    def _send(self, body: Body) -> bool:
        frame = self.firmware.frame(body, self._loop.time() - self._booted_s)
        taken = self._cable.send(cobs_encode(frame) + b"\0")
        self.frames_sent += taken
        self.frames_dropped += not taken
        return taken

    def _host_opened(self) -> None:
        self._send(self.firmware.hello())

    def _host_closed(self) -> None:
        self._framer.reset()

    def _told(self, chunk: bytes) -> None:
        for frame in self._framer.feed(chunk):
            answer = self.firmware.answer(frame)
            if answer is not None:
                self._send(answer)

    def _tell_status(self) -> None:
        self._send(self.firmware.status())
        self._timer = self._loop.call_later(STATUS_EVERY_S, self._tell_status)
