"""A software radio: its samples are looked at in a process of its own, which this link looks after.

    stick ── rtl_tcp ──► worker ── reports ──► this link ──► pipeline
                           ▲ task, known tags ──┘

The link makes the connection and hands it on, so that a stick that is away costs nothing but a
connection refused. It tunes the stick at once, which streams while the worker loads. The worker
ends when its samples do; the link starts it again by the links' back-off. A worker that tells
nothing for half a minute is killed.
"""

import asyncio
import contextlib
import importlib.util
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import structlog

from protocols.records import Detection, Pulse
from protocols.rtl_tcp import rate_and_frequency
from receiver.limits import (
    LINK_QUIET_AFTER_S,
    RADIO_CONNECT_S,
    RADIO_KNOWN_TAGS_S,
    RADIO_LEVEL_S,
    RADIO_STALL_S,
    RADIO_WORKER_SILENT_S,
    RADIO_WORKER_STOP_S,
)
from receiver.links.availability import Availability
from receiver.links.backoff import Backoff
from receiver.links.intake import LinkState, LinkStatus
from receiver.links.quiet import QuietWatch
from receiver.links.spell import Spell
from receiver.radio_settings import SoftwareRadioLink as Settings
from receiver.radio_worker.messages import (
    LONGEST_LINE_BYTES,
    HeardDetection,
    HeardPulse,
    KnownTags,
    Level,
    Lost,
    Opened,
    Report,
    Task,
    line_of,
    report_of,
)

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from structlog.typing import FilteringBoundLogger

_ONE_THREAD: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
"""numpy would start a thread for each core, of some megabytes each, and use none of them here."""
LOSS_DO: Final = "a shorter USB cable, a powered hub, a port of its own"
SLOW_DO: Final = "give it less to do: a smaller width_hz, fewer sticks, a faster computer"
_OVER_AFTER_LEVELS: Final = 12
"""A minute of a worker's reports without it: what comes and goes every few seconds is one thing."""
_FAULT_DO: Final = "see the log; it is started again"


class RadioIntake(Protocol):
    """Takes what a software radio tells; one for each link."""

    def opened(self, radio: str, gain_db: float | None) -> None:
        """Take what receives."""
        ...

    def heard(self, record: Detection | Pulse, mono_ns: int) -> None:
        """Take a packet or pulse that was at a moment of CLOCK_BOOTTIME."""
        ...

    def level(self, measurements: Mapping[str, float], counted: Mapping[str, int]) -> None:
        """Take noise and counters."""
        ...


class SoftwareRadio:
    """Runs one worker after another, for ever.

    `run` never raises for what the world or the worker does; cancelling it lets the worker tell its
    last packets and ends it.
    """

    def __init__(
        self,
        settings: Settings,
        intake: RadioIntake,
        status: LinkStatus,
        known_tags: Callable[[], frozenset[str]] = frozenset,
        *,
        backoff: Backoff | None = None,
        quiet_after_s: float = LINK_QUIET_AFTER_S,
        silent_after_s: float = RADIO_WORKER_SILENT_S,
        stall_s: float = RADIO_STALL_S,
        level_s: float = RADIO_LEVEL_S,
    ) -> None:
        """`known_tags` may read files; it is called off the loop."""
        self._settings = settings
        self._intake = intake
        self.status = status
        self._known_tags = known_tags
        self._log: FilteringBoundLogger = structlog.get_logger().bind(link=settings.name)
        self._backoff = backoff or Backoff()
        self._availability = Availability(status, self._log)
        self._quiet_watch = QuietWatch(status, quiet_after_s)
        self._silent_after_s = silent_after_s
        self._stall_s = stall_s
        self._level_s = level_s
        self._slow = Spell(_OVER_AFTER_LEVELS)
        self._losing = Spell(_OVER_AFTER_LEVELS)
        self._told_known_tags: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Listen, and begin again whenever the samples end."""
        while True:
            end = await self._listen_once()
            if end.is_over:
                self.status.state = LinkState.QUIET
                self.status.reason = f"{end.reason}: {end.do}"
                self._log.info("recording is over", reason=end.reason, do=end.do)
                await asyncio.Event().wait()
            self._availability.lost(end.reason, end.do)
            if end.is_silent:
                self.status.state = LinkState.SILENT
            await asyncio.sleep(self._backoff.failed())

    async def _listen_once(self) -> Lost:
        """Listen until the samples end; return why they did."""
        self._slow = Spell(_OVER_AFTER_LEVELS)
        if importlib.util.find_spec("numpy") is None:
            self._backoff.refused()
            return Lost("numpy is not installed", "pip install 'stopover[sdr]'")
        connection: socket.socket | None = None
        if self._settings.is_stick:
            found = await self._connected()
            if isinstance(found, Lost):
                return found
            connection = found
        elif not await asyncio.to_thread(Path(self._settings.file_path).exists):
            return Lost(f"{self._settings.file_path}: there is nothing", "check the link's source")
        try:
            worker = await self._started(connection)
        except OSError as error:
            return Lost(f"its process cannot be started: {error.strerror}", "free some memory")
        finally:
            if connection is not None:
                connection.close()
        try:
            return await self._follow(worker)
        finally:
            self.status.listening(now=False)
            self._quiet_watch.stop()
            await self._ended(worker)

    async def _connected(self) -> socket.socket | Lost:
        """Return a connection to rtl_tcp."""
        host, port = self._settings.address
        where = f"rtl_tcp at {host}:{port}"
        try:
            async with asyncio.timeout(RADIO_CONNECT_S):
                connection = await _first_connection(host, port)
        except TimeoutError:
            return Lost(
                f"{where}: no answer within {RADIO_CONNECT_S:g} s", "check host and network"
            )
        except socket.gaierror as error:
            return Lost(f"{where}: {error.strerror}", "check the host in the link's source")
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            return Lost(
                f"{where}: {reason}",
                "is the stick plugged in, does rtl_tcp run (`systemctl status stopover-rtl-tcp@*`),"
                " is this its port?",
            )
        tuned = rate_and_frequency(
            frequency_hz=self._settings.tuned_hz,
            rate_hz=self._settings.rate_hz,
            ppm=self._settings.ppm,
        )
        # A few bytes into an empty buffer; a server that has left already is noticed by the worker.
        with contextlib.suppress(OSError):
            connection.send(b"".join(tuned))
        return connection

    async def _started(self, connection: socket.socket | None) -> "Process":
        self._told_known_tags = await asyncio.to_thread(self._known_tags)
        known_tags = tuple(sorted(self._told_known_tags))
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "receiver.radio_worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, **_ONE_THREAD},
                limit=LONGEST_LINE_BYTES,
                pass_fds=() if connection is None else (connection.fileno(),),
            )
        )
        try:
            worker = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # It is half made; left alone, it would have nobody to end it.
            await self._ended(await starting)
            raise
        number = None if connection is None else connection.fileno()
        self._write(
            worker, line_of(Task(self._settings, number, known_tags, self._stall_s, self._level_s))
        )
        return worker

    async def _follow(self, worker: "Process") -> Lost:
        """Take the worker's reports until its last one."""
        assert worker.stdout is not None  # noqa: S101  It was asked for.
        looking = asyncio.create_task(self._keep_known_tags(worker))
        try:
            while True:
                try:
                    async with asyncio.timeout(self._silent_after_s):
                        line = await worker.stdout.readline()
                except TimeoutError:
                    return Lost(
                        f"its process told nothing for {self._silent_after_s:g} s", _FAULT_DO
                    )
                except ValueError:
                    return Lost("its process tells what is no report", _FAULT_DO)
                if not line:
                    return Lost("its process has ended", _FAULT_DO)
                try:
                    report = report_of(line)
                except msgspec.MsgspecError:
                    return Lost("its process tells what is no report", _FAULT_DO)
                if isinstance(report, Lost):
                    return report
                self._take(report)
        finally:
            looking.cancel()

    def _take(self, report: Report) -> None:
        if isinstance(report, HeardDetection):
            self._quiet_watch.heard()
            self._intake.heard(report.detection, report.mono_ns)
        elif isinstance(report, HeardPulse):
            self._quiet_watch.heard()
            self._intake.heard(report.pulse, report.mono_ns)
        elif isinstance(report, Level):
            self._intake.level(report.measurements, report.counted)
            self._tell_straits(report.straits)
            self._tell_loss(report.counted)
        elif isinstance(report, Opened):
            self.status.firmware = report.radio
            self._availability.found(radio=report.radio, source=self._settings.source)
            self._backoff.works()
            self._intake.opened(report.radio, report.gain_db)

    def _tell_straits(self, straits: str | None) -> None:
        """Say once that the processor does not keep up, and once that it does again."""
        if straits is not None:
            self.status.reason = f"the processor cannot keep up: {straits}"
        news = self._slow.look(is_so=straits is not None)
        if news == "begins":
            self._log.warning("processor cannot keep up", so=straits, do=SLOW_DO)
        elif news == "ends":
            self.status.reason = None
            self._log.warning("processor keeps up again")

    def _tell_loss(self, counted: Mapping[str, int]) -> None:
        """Say once that samples are lost, and once that they are no more."""
        lost = counted.get("samples_lost", 0)
        news = self._losing.look(is_so=lost > 0)
        if news == "begins":
            self._log.warning(
                "samples lost on the way",
                seconds=round(lost / self._settings.rate_hz, 2),
                do=LOSS_DO if self._settings.is_stick else "see the program that writes them",
            )
        elif news == "ends":
            self._log.warning("no more samples lost")

    async def _keep_known_tags(self, worker: "Process") -> None:
        """Tell the worker when the station's lists change."""
        while True:
            await asyncio.sleep(RADIO_KNOWN_TAGS_S)
            known_tags = await asyncio.to_thread(self._known_tags)
            if known_tags != self._told_known_tags:
                self._told_known_tags = known_tags
                self._write(worker, line_of(KnownTags(tuple(sorted(known_tags)))))

    @staticmethod
    def _write(worker: "Process", line: bytes) -> None:
        """Write to a worker; one that has ended tells so by its reports' end."""
        assert worker.stdin is not None  # noqa: S101  It was asked for.
        with contextlib.suppress(ConnectionError):
            worker.stdin.write(line)

    async def _ended(self, worker: "Process") -> None:
        """Let a worker tell its last packets, and end it."""
        assert worker.stdin is not None  # noqa: S101  It was asked for.
        assert worker.stdout is not None  # noqa: S101  Same.
        worker.stdin.close()
        try:
            async with asyncio.timeout(RADIO_WORKER_STOP_S):
                while line := await worker.stdout.readline():
                    report = report_of(line)
                    if isinstance(report, HeardDetection | HeardPulse | Level):
                        self._take(report)
                await worker.wait()
        except (TimeoutError, ValueError, msgspec.MsgspecError):
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()


async def _first_connection(host: str, port: int) -> socket.socket:
    """Return a connection to the first address of a host that takes one.

    Raises:
        OSError: the host is not known, or none does.
    """
    loop = asyncio.get_running_loop()
    refused: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)  # noqa: FBT003  The library's own signature.
        try:
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            refused = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise refused or OSError("it has no address")
