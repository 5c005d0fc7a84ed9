"""A server that looks like `rtl_tcp`: a stick on the network, whose samples are simulated.

What goes over the line is drawn in `protocols.rtl_tcp`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, NamedTuple

from protocols.rtl_tcp import COMMAND, GREETING, TUNER_R820T

_GAINS: Final = 29


class Command(NamedTuple):
    """What a client asked for."""

    number: int
    argument: int


class RtlTcpServer:
    """One stick. Each client hears the samples from their beginning."""

    def __init__(
        self, blocks: Callable[[], Iterable[bytes]], *, bytes_per_s: float | None = None
    ) -> None:
        """Serve what `blocks` returns, at `bytes_per_s` (twice the sample rate), else at once."""
        self.commands: list[Command] = []
        self.clients = 0
        self._blocks = blocks
        self._bytes_per_s = bytes_per_s
        self._clients: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk with one client until it or the samples end; then keep the line open."""
        self.clients += 1
        task = asyncio.current_task()
        if task is not None:
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
        listening = asyncio.create_task(self._listen(reader))
        try:
            writer.write(GREETING.build({"tuner": TUNER_R820T, "gains": _GAINS}))
            await self._play(writer)
            await listening
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
            writer.close()

    async def hang_up(self) -> None:
        """End the talk with every client."""
        for task in tuple(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        sent = 0
        for block in self._blocks():
            sent += len(block)
            if self._bytes_per_s is not None:
                # Samples are handed over once they are made.
                await asyncio.sleep(max(0.0, begun_s + sent / self._bytes_per_s - loop.time()))
            writer.write(block)
            await writer.drain()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                asked = COMMAND.parse(await reader.readexactly(COMMAND.sizeof()))
                self.commands.append(Command(asked.number, asked.argument))


@contextlib.asynccontextmanager
async def rtl_tcp_server(
    blocks: Callable[[], Iterable[bytes]],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    bytes_per_s: float | None = None,
) -> AsyncIterator[tuple[RtlTcpServer, int]]:
    """Serve samples on a TCP port, any free one by default; yield the server and its port."""
    stick = RtlTcpServer(blocks, bytes_per_s=bytes_per_s)
    server = await asyncio.start_server(stick.serve, host, port)
    try:
        yield stick, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await stick.hang_up()
        await server.wait_closed()
