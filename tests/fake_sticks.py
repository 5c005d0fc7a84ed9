"""An RTL-SDR stick that is a program: `rtl_tcp` with synthetic CTT packets on the air.

Source of the protocol: osmocom rtl-sdr, rtl_tcp: a greeting `RTL0`, tuner type and number of gains
(big-endian), then unsigned 8-bit I and Q for ever; commands of five bytes come the other way.
"""

import asyncio
import contextlib
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import pytest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = pytest.importorskip("numpy", reason="numpy is not installed: pip install numpy")

SAMPLES_PER_S = 250_000
BITS_PER_S = 25_000
DEVIATION_HZ = 25_000
GREETING = b"RTL0" + struct.pack(">II", 5, 29)
PREAMBLE = bytes.fromhex("AAAAAAD391")
_BLOCK_BYTES = 262_144
"""rtl_433 works in blocks of this size: what is in one that is not full is not looked at."""


def packet_iq(
    packet: bytes, *, offset_hz: float = 0, level: float = 0.4
) -> "NDArray[np.complex64]":
    """Return one packet, preamble and sync word before it, as 2-FSK: a 1 is the higher tone."""
    bits = np.unpackbits(np.frombuffer(PREAMBLE + packet, dtype=np.uint8))
    tones_hz = np.repeat((2.0 * bits - 1) * DEVIATION_HZ, SAMPLES_PER_S // BITS_PER_S) + offset_hz
    phase = 2 * np.pi * np.cumsum(tones_hz) / SAMPLES_PER_S
    packet_on_air: NDArray[np.complex64] = (level * np.exp(1j * phase)).astype(np.complex64)
    return packet_on_air


def recording(packets: Sequence[bytes], *, gap_s: float = 0.1, noise: float = 0.01) -> bytes:
    """Return packets with pauses between them and white noise over all, as a stick sends them."""
    dice = np.random.default_rng(7)
    pause = np.zeros(round(gap_s * SAMPLES_PER_S), dtype=np.complex64)
    parts = [pause]
    for packet in packets:
        parts += [packet_iq(packet), pause]
    signal = np.concatenate(parts)
    size = -(-len(signal) * 2 // _BLOCK_BYTES) * _BLOCK_BYTES // 2
    signal = np.concatenate([signal, np.zeros(size - len(signal), dtype=np.complex64)])
    hiss = dice.normal(0, noise, (size, 2))
    pairs = np.stack([signal.real, signal.imag], axis=1) + hiss
    return np.clip(np.round(127.4 + 127.5 * pairs), 0, 255).astype(np.uint8).tobytes()


class FakeStick:
    """Serves a recording once to whoever connects, and noise from then on."""

    def __init__(self, signal: bytes) -> None:
        self._signal = signal
        self._noise = recording([])
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        """Listen on a port of loopback."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, commands: asyncio.StreamReader, iq: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(commands, iq))
        self._serving.add(task)

    async def _serve(self, commands: asyncio.StreamReader, iq: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                iq.write(GREETING)
                await commands.readexactly(5)  # It is being tuned: whoever asks is ready.
                iq.write(self._signal)
                while True:
                    await iq.drain()
                    # Four times a stick's pace: noise costs the decoder time.
                    await asyncio.sleep(len(self._noise) / 2 / SAMPLES_PER_S / 4)
                    iq.write(self._noise)
        finally:
            iq.transport.abort()
