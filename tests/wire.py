"""The wire between a sink and its far end: a TCP proxy that can be cut, also in the middle."""

import asyncio
import contextlib
import ssl

from brokers import free_port


class Wire:
    """Forwards connections to one port of loopback."""

    def __init__(self, target_port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.port = free_port()
        self.connections = 0
        self.bytes_sent = 0
        """Towards the far end, since the start."""
        self._target_port = target_port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._cut_after: int | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def mend(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port, ssl=self._tls
        )

    async def cut(self) -> None:
        """End every connection, take no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.end_connections()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_after(self, more_bytes: int) -> None:
        """End the connections once, after so many more bytes towards the far end."""
        self._cut_after = self.bytes_sent + more_bytes

    def end_connections(self) -> None:
        """End every connection; new ones may be made."""
        for writer in self._open:
            writer.transport.abort()

    async def _connected(
        self, near_reader: asyncio.StreamReader, near_writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            near_writer.transport.abort()
            self._tasks.discard(task)
            return
        pair = {near_writer, far_writer}
        self._open |= pair
        directions = [
            asyncio.ensure_future(self._forward(near_reader, far_writer, is_outward=True)),
            asyncio.ensure_future(self._forward(far_reader, near_writer, is_outward=False)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            for writer in pair:
                writer.transport.abort()
            self._open -= pair
            self._tasks.discard(task)

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_outward: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(4096):
                if is_outward:
                    room = self._room(len(chunk))
                    self.bytes_sent += room
                    writer.write(chunk[:room])
                    if room < len(chunk):
                        await writer.drain()
                        return
                else:
                    writer.write(chunk)
                await writer.drain()

    def _room(self, wanted: int) -> int:
        """Return how many bytes still go through."""
        if self._cut_after is None or self.bytes_sent + wanted < self._cut_after:
            return wanted
        room = self._cut_after - self.bytes_sent
        self._cut_after = None
        return room
