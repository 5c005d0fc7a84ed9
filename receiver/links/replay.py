"""A recording as a link: the same bytes in the same portions, at any speed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

from protocols import registry
from protocols.errors import UnknownDecoderError
from protocols.framing import framer
from protocols.records import Record
from receiver.arrivals import Arrival, Source, Stamp
from receiver.links.intake import FrameListener, StreamIntake
from receiver.recording import Interruption, RecordingError, Session, read_recording

_CHUNKS_WITHOUT_PAUSE = 8
"""As fast as possible still lets the loop run: 8 chunks of 4 KiB take about 10 ms to decode."""


class RecordedIntake(StreamIntake, Protocol):
    """An intake that also takes bytes which were read at another time than now."""

    def received_at(self, chunk: bytes, stamp: Stamp) -> Sequence[Record]:
        """Take a chunk with its recorded time; else as `received`."""
        ...


class ReplayLink:
    """Feeds a recording to an intake.

    `speed` 1 keeps the recorded pauses, 10 makes them ten times shorter, 0 leaves them out. Pauses
    between the sessions of one file are left out always.
    """

    def __init__(
        self,
        path: Path,
        intake_for: Callable[[Session], RecordedIntake],
        *,
        speed: float = 1.0,
        with_recorded_times: bool = True,
        on_damage: Callable[[RecordingError], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._path = path
        self._intake_for = intake_for
        self._speed = speed
        self._with_recorded_times = with_recorded_times
        self._on_damage = on_damage
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Replay all of it.

        Raises:
            RecordingError: as `read_recording`.
            OSError: it cannot be read.
        """
        session: Session | None = None
        intake: RecordedIntake | None = None
        started_at = 0.0
        chunks = 0
        for recorded in read_recording(self._path, self._on_damage):
            if isinstance(recorded, Session):
                if intake is not None:
                    intake.interrupted()
                session, intake = recorded, self._intake_for(recorded)
                started_at = self._clock()
                continue
            assert session is not None  # noqa: S101  `read_recording` yields a session first.
            assert intake is not None  # noqa: S101  Same.
            if self._speed:
                due = started_at + (recorded.t_ns - session.t_ns) / 1e9 / self._speed
                await self._sleep(max(0.0, due - self._clock()))
            elif chunks % _CHUNKS_WITHOUT_PAUSE == 0:
                await self._sleep(0)
            chunks += 1
            if isinstance(recorded, Interruption):
                intake.interrupted()
            elif self._with_recorded_times:
                intake.received_at(recorded.received, session.stamp(recorded.t_ns))
            else:
                intake.received(recorded.received)
        if intake is not None:
            intake.interrupted()


class DecodingIntake:
    """Frames and decodes a recorded stream and hands the arrivals on, without a running station."""

    def __init__(
        self,
        link: str,
        decoder: str,
        take: Callable[[Sequence[Arrival]], None],
        listener: FrameListener | None = None,
    ) -> None:
        """Raise `UnknownDecoderError` where there is no such decoder of streams.

        A `listener` sees each frame, and is never told that anything is durable.
        """
        entry = registry.entry(decoder)
        if entry.framing == "message":
            raise UnknownDecoderError(f"{decoder!r} reads messages of a broker, not a stream")
        self._source = Source(link=link, decoder=entry.identity)
        self._framer = framer(entry.framing)
        self._decode = entry.make().decode
        self._take = take
        self._listener = listener

    def received(self, chunk: bytes) -> Sequence[Record]:
        """Take a chunk as if it were read now, by a clock of which nothing is known."""
        return self.received_at(chunk, Stamp(time.time_ns(), "unsynchronised"))

    def received_at(self, chunk: bytes, stamp: Stamp) -> Sequence[Record]:
        """Take a chunk with its recorded time."""
        frames = self._framer.feed(chunk)
        if self._listener is not None:
            for frame in frames:
                self._listener(frame, stamp)
        records = [record for frame in frames for record in self._decode(frame)]
        if records:
            self._take([Arrival(record, self._source, stamp) for record in records])
        return records

    def interrupted(self) -> None:
        """Forget an unfinished frame."""
        self._framer.reset()
