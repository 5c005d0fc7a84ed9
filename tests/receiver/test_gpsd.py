"""gpsd is read for time and position, and nothing that it says can do harm."""

import asyncio
import datetime as dt
import os
import pty
import shutil
import subprocess
import time
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from brokers import free_port
from conftest import Until
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing import MAX_LINE_BYTES
from protocols.gpsd import WATCH, fix_of
from protocols.records import GpsFix, Ignored, Unknown
from receiver.clock import Clock
from receiver.links.backoff import Backoff
from receiver.references.clock_watch import ClockWatch
from receiver.references.gpsd import GpsdClient
from receiver.settings import ClockSettings

GPSD = shutil.which("gpsd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

TPV = (
    b'{"class":"TPV","device":"/dev/pts/15","mode":3,"time":"2026-11-22T12:47:30.000Z",'
    b'"ept":0.005,"lat":53.500000000,"lon":8.200000000,"altHAE":60.0000,"altMSL":15.0000,'
    b'"alt":15.0000,"epv":27.600,"track":90.0000,"speed":5.144,"eph":17.100}'
)
"""As gpsd 3.22 printed it."""
TPV_NS = 1_795_351_650 * 10**9
NO_FIX = b'{"class":"TPV","device":"/dev/ttyUSB0","mode":1}'


def test_a_report_of_gpsd_is_a_fix_with_time_position_and_accuracy() -> None:
    assert fix_of(TPV) == GpsFix(
        latitude=53.5,
        longitude=8.2,
        altitude_m=15.0,
        accuracy_m=17.1,
        fix_mode=3,
        gps_unix_s=1_795_351_650.0,
        measurements={"speed_m_s": 5.144},
    )


def test_older_gpsds_tell_the_accuracy_in_two_parts_and_the_altitude_as_alt() -> None:
    fix = fix_of(b'{"class":"TPV","mode":3,"lat":1.5,"lon":2.5,"alt":7,"epx":3.0,"epy":4.0}')
    assert fix == GpsFix(latitude=1.5, longitude=2.5, altitude_m=7, accuracy_m=5, fix_mode=3)


def test_a_two_dimensional_fix_has_no_altitude() -> None:
    fix = fix_of(b'{"class":"TPV","mode":2,"lat":1.5,"lon":2.5,"alt":7}')
    assert fix == GpsFix(latitude=1.5, longitude=2.5, fix_mode=2)


@pytest.mark.parametrize(
    "line",
    [
        NO_FIX,
        b'{"class":"TPV","mode":1,"time":"1999-08-22T00:00:00.000Z","lat":1.0,"lon":2.0}',
        b'{"class":"TPV","mode":3,"time":"2026-11-22T12:47:30.000Z"}',
        b'{"class":"TPV","mode":3,"lat":91.0,"lon":2.0}',
        b'{"class":"TPV","mode":3,"lat":1.0,"lon":-180.5}',
    ],
)
def test_a_report_without_a_fix_tells_neither_time_nor_position(line: bytes) -> None:
    assert fix_of(line) == GpsFix(fix_mode=1)


def test_other_reports_are_ignored_and_what_is_none_is_unknown() -> None:
    assert fix_of(b'{"class":"SKY","satellites":[]}') == Ignored(reason="other-report")
    for line in (b"", b"{}", b"[" * 100_000, b'{"class":3}', b'{"class":"TPV","lat":"x"}', b"\xff"):
        assert fix_of(line) == Unknown(reason="not-a-report", raw=line)


@given(st.binary())
def test_any_bytes_are_a_record(line: bytes) -> None:
    assert isinstance(fix_of(line), GpsFix | Ignored | Unknown)


class FakeGpsd:
    """The far end of one address: says what a test says, keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> str:
        """Listen; return the address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        while line := await reader.readline():
            self.asked.append(line)

    def say(self, text: bytes) -> None:
        """Say something to whoever came last."""
        self._writers[-1].write(text)

    def hang_up(self) -> None:
        """Close the last connection."""
        self._writers[-1].close()

    async def end(self) -> None:
        """Listen no more."""
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()


class Listener:
    """What a client heard."""

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self.fixes: list[GpsFix] = []

    def gps_said(self, gps_utc_ns: int) -> None:
        """Take a time, as the clock does."""
        self.times_ns.append(gps_utc_ns)


@pytest.fixture
async def gpsd() -> AsyncIterator[FakeGpsd]:
    fake = FakeGpsd()
    yield fake
    await fake.end()


@pytest.fixture
async def running() -> AsyncIterator[Callable[[GpsdClient], None]]:
    tasks: list[asyncio.Task[None]] = []
    yield lambda client: tasks.append(asyncio.create_task(client.run()))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def client_of(address: str, listener: Listener, **more: float) -> GpsdClient:
    return GpsdClient(
        address,
        listener,
        listener.fixes.append,
        backoff=Backoff(first_s=0.001, longest_s=0.002),
        **more,  # type: ignore[arg-type]
    )


async def test_each_fix_is_taken_and_its_time_told_to_the_clock(
    gpsd: FakeGpsd, running: Callable[[GpsdClient], None], until: Until
) -> None:
    listener = Listener()
    client = client_of(await gpsd.start(), listener)
    running(client)
    await until(lambda: gpsd.asked)
    assert gpsd.asked == [WATCH]
    gpsd.say(b'{"class":"VERSION","release":"3.22"}\r\n' + TPV + b"\r\n")
    await until(lambda: listener.fixes)
    assert listener.times_ns == [TPV_NS]
    assert client.status.state == "hearing"
    gpsd.say(NO_FIX + b"\r\n")
    await until(lambda: len(listener.fixes) == 2)
    assert listener.times_ns == [TPV_NS]
    assert str(client.status.state) == "quiet"
    assert client.unreadable_lines == 0


async def test_garbage_and_endless_lines_cost_a_count_and_no_fix(
    gpsd: FakeGpsd, running: Callable[[GpsdClient], None], until: Until
) -> None:
    listener = Listener()
    client = client_of(await gpsd.start(), listener)
    running(client)
    await until(lambda: gpsd.connections)
    gpsd.say(b"\x00\xff{{{[1e999\r\n" + b"x" * (50 * MAX_LINE_BYTES) + b"\n" + TPV + b"\n")
    await until(lambda: listener.fixes)
    assert client.unreadable_lines == 1
    assert gpsd.connections == 1


async def test_a_gpsd_that_goes_away_is_found_again(
    gpsd: FakeGpsd, running: Callable[[GpsdClient], None], until: Until
) -> None:
    listener = Listener()
    client = client_of(await gpsd.start(), listener)
    running(client)
    for connection in (1, 2, 3):
        await until(lambda: gpsd.connections == connection)  # noqa: B023  Called at once.
        gpsd.say(TPV + b"\n")
        await until(lambda: len(listener.fixes) == connection)  # noqa: B023  Called at once.
        gpsd.hang_up()
    await until(lambda: gpsd.connections == 4)


async def test_a_gpsd_that_falls_silent_is_asked_and_then_left(
    gpsd: FakeGpsd, running: Callable[[GpsdClient], None], until: Until
) -> None:
    client = client_of(await gpsd.start(), Listener(), silent_after_s=0.02)
    running(client)
    await until(lambda: gpsd.connections == 2)
    assert gpsd.asked[:2] == [WATCH, b"?VERSION;\n"]


async def test_where_none_is_expected_none_is_missed(
    running: Callable[[GpsdClient], None], until: Until, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = Listener()
    tried: list[float] = []

    class Counting(Backoff):
        def failed(self) -> float:
            tried.append(0)
            return 0.001

    address = f"127.0.0.1:{free_port()}"
    running(
        GpsdClient(address, listener, listener.fixes.append, expected=False, backoff=Counting())
    )
    await until(lambda: len(tried) >= 3)
    assert "link lost" not in capsys.readouterr().out
    running(GpsdClient(address, listener, listener.fixes.append, expected=True, backoff=Counting()))
    await until(lambda: "link lost" in capsys.readouterr().out)


def sentence(body: str) -> bytes:
    """Return an NMEA 0183 sentence with its checksum."""
    checksum = 0
    for byte in body.encode():
        checksum ^= byte
    return f"${body}*{checksum:02X}\r\n".encode()


class Receiver:
    """A GPS receiver on a pseudo-terminal: 53.5 north, 8.2 east, at this time, with a fix."""

    def __init__(self) -> None:
        self._end, port = pty.openpty()
        tty.setraw(port)
        self._port = port
        self.device = os.ttyname(port)
        Path(self.device).chmod(0o666)  # gpsd gives up its rights before it opens it again.

    def report(self) -> None:
        """Report the fix of this moment."""
        now = dt.datetime.now(dt.UTC)
        clock, day = now.strftime("%H%M%S.00"), now.strftime("%d%m%y")
        os.write(
            self._end,
            sentence(f"GPGGA,{clock},5330.000,N,00812.000,E,1,08,0.9,15.0,M,45.0,M,,")
            + sentence("GPGSA,A,3,01,02,03,04,05,06,07,08,,,,,1.5,0.9,1.2")
            + sentence(f"GPRMC,{clock},A,5330.000,N,00812.000,E,000.0,090.0,{day},,,A"),
        )

    def end(self) -> None:
        """Unplug it."""
        os.close(self._end)
        os.close(self._port)


@pytest.fixture
def real_gpsd() -> Iterator[tuple[Receiver, str]]:
    if GPSD is None:
        pytest.skip("gpsd is not installed: sudo apt-get install gpsd")
    receiver = Receiver()
    port = free_port()
    process = subprocess.Popen(
        [GPSD, "-N", "-n", "-b", "-S", str(port), receiver.device],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield receiver, f"127.0.0.1:{port}"
    process.terminate()
    process.wait()
    receiver.end()


async def test_a_real_gpsd_tells_where_the_station_is_and_vouches_for_its_clock(
    real_gpsd: tuple[Receiver, str],
) -> None:
    receiver, address = real_gpsd
    kept: list[GpsFix] = []
    offset_ns = time.time_ns() - time.monotonic_ns()
    clock = Clock(
        utc_ns=lambda: time.monotonic_ns() + offset_ns,
        mono_ns=time.monotonic_ns,
        quality=lambda: "ntp",
        boot="a",
    )
    watch = ClockWatch(clock, kept.append)
    client = GpsdClient(
        address, clock, watch._take_fix, backoff=Backoff(first_s=0.05, longest_s=0.1)
    )
    running = asyncio.create_task(client.run())
    deadline = time.monotonic() + 60
    while not kept:
        assert time.monotonic() < deadline
        receiver.report()
        await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    (fix,) = kept
    assert fix.latitude == pytest.approx(53.5)
    assert fix.longitude == pytest.approx(8.2)
    assert fix.accuracy_m is None or fix.accuracy_m > 0
    assert clock.references._gps_agrees
    assert clock.references.gps_disagrees_s is None


async def test_settings_that_do_not_change_leave_the_watch_alone(until: Until) -> None:
    fake = FakeGpsd()
    address = await fake.start()
    watch = ClockWatch(Clock(quality=lambda: "ntp"), lambda _: None)
    settings = ClockSettings(gpsd=address, chrony="never")
    assert watch.gps is None
    await watch.change(settings)
    await until(lambda: fake.connections)
    await watch.change(ClockSettings(gpsd=address, chrony="never"))
    fake.say(TPV + b"\n")
    await until(lambda: watch.gps == "gps fix")
    assert fake.connections == 1
    await watch.change(ClockSettings(gpsd="", chrony="never"))
    assert watch.gps is None
    await fake.end()
