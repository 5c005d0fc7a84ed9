"""chrony is asked what sets the clock, and believed as far as it can know."""

import asyncio
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import free_port
from hypothesis import given
from hypothesis import strategies as st

from receiver.arrivals import ClockQuality
from receiver.references.chrony import ChronyWatch, quality_of

CHRONYD = shutil.which("chronyd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def line(reference_id: str, name: str, stratum: int, leap: str = "Normal") -> str:
    """Return a line as `chronyc -c tracking` prints it."""
    numbers = ",".join(["1795351656.578", *["0.000000001"] * 8, "0.5"])
    return f"{reference_id},{name},{stratum},{numbers},{leap}\n"


@pytest.mark.parametrize(
    ("tracking", "quality"),
    [
        (line("50505300", "PPS", 1), "pps"),
        (line("50505330", "PPS0", 1), "pps"),
        (line("4E4D4541", "NMEA", 1), "gps"),
        (line("53484D30", "SHM0", 1), "gps"),
        (line("50484330", "PHC0", 1), "ntp"),
        (line("C0A80001", "192.168.0.1", 3), "ntp"),
        (line("C0A80001", "gps.example.org", 2), "ntp"),
        (line("C0A80001", "192.168.0.1", 3, "Insert second"), "ntp"),
        (line("7F7F0101", "", 10), "unsynchronised"),
        (line("00000000", "", 0, "Not synchronised"), "unsynchronised"),
        ("506 Cannot talk to daemon\n", None),
        ("", None),
    ],
)
def test_what_chrony_follows_is_told_by_name_and_stratum(
    tracking: str, quality: ClockQuality | None
) -> None:
    assert quality_of(tracking) == quality


@given(st.text())
def test_any_answer_is_a_quality_or_none(text: str) -> None:
    assert quality_of(text) in {"pps", "gps", "ntp", "unsynchronised", None}


async def test_a_machine_without_chronyc_is_asked_nothing() -> None:
    told: list[ClockQuality | None] = []
    await ChronyWatch(told.append, command=("no-such-program",)).run()
    assert told == []


async def test_a_chronyc_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.references.chrony.CHRONY_TIMEOUT_S", 0.05)
    watch = ChronyWatch(lambda _: None, command=("sh", "-c", "exec sleep 60"))
    assert await watch.ask() is None


async def test_a_chronyc_that_fails_says_nothing() -> None:
    watch = ChronyWatch(lambda _: None, command=("sh", "-c", "echo 506 Cannot talk; exit 1"))
    assert await watch.ask() is None


async def test_it_is_asked_again_and_again() -> None:
    told: asyncio.Queue[ClockQuality | None] = asyncio.Queue()
    answer = line("50505300", "PPS", 1).strip()
    watch = ChronyWatch(told.put_nowait, command=("sh", "-c", f"echo '{answer}'"), interval_s=0.001)
    running = asyncio.create_task(watch.run())
    assert [await told.get(), await told.get()] == ["pps", "pps"]
    running.cancel()


class Chronyd:
    """A real chronyd that leaves this machine's clock alone and follows what a test feeds it."""

    def __init__(self, folder: Path, reference: str) -> None:
        self.port = free_port()
        self._feed_path = folder / "refclock.sock"
        settings = folder / "chrony.conf"
        settings.write_text(
            f"refclock SOCK {self._feed_path} refid {reference} poll -1 filter 1 dpoll -2\n"
            f"port 0\ncmdport {self.port}\nbindcmdaddress 127.0.0.1\npidfile {folder}/pid\n",
            encoding="utf-8",
        )
        assert CHRONYD is not None
        self.process = subprocess.Popen(
            [CHRONYD, "-d", "-x", "-U", "-u", "root", "-f", str(settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._feed = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def feed(self) -> None:
        """Tell it that its clock is right. Layout: chrony's `struct sock_sample`."""
        now_ns = time.time_ns()
        sample = struct.pack(
            "=qqdiiii", now_ns // 10**9, now_ns % 10**9 // 1000, 0.0, 0, 0, 0, 0x534F434B
        )
        try:
            self._feed.sendto(sample, str(self._feed_path))
        except OSError:
            return  # It is not there yet.

    def end(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait()
        self._feed.close()


@pytest.fixture(params=["PPS", "NMEA"])
def chronyd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Chronyd]:
    if CHRONYD is None:
        pytest.skip("chrony is not installed: sudo apt-get install chrony")
    if os.geteuid() != 0:
        pytest.skip("chronyd starts as root only")
    daemon = Chronyd(tmp_path, request.param)
    yield daemon
    daemon.end()


async def test_a_real_chrony_says_what_it_follows(
    chronyd: Chronyd, request: pytest.FixtureRequest
) -> None:
    command = ("chronyc", "-h", "127.0.0.1", "-p", str(chronyd.port))
    watch = ChronyWatch(lambda _: None, command=command)
    async with asyncio.timeout(60):
        while (quality := await watch.ask()) in {None, "unsynchronised"}:
            assert chronyd.process.poll() is None
            chronyd.feed()
            await asyncio.sleep(0.05)
    expected = {"PPS": "pps", "NMEA": "gps"}[request.node.callspec.params["chronyd"]]
    assert quality == expected
