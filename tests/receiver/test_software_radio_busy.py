"""A processor too slow for its stick: a real station and worker, given more than they can do.

The stick hands over seconds of samples at once, as they wait where a processor had something else
to do. No time is asserted: each step waits for what the station tells of the one before. There is
a packet in each second: so many were heard, so many seconds have been listened to.
"""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
from station_process import StationProcess, run_stopover
from structlog.testing import capture_logs

pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

from simulated_sticks import BYTES_PER_S

from protocols.ctt.packet import build_packet
from protocols.records import Detection, Pulse
from protocols.rtl_tcp import GREETING, TUNER_R820T
from receiver.health.snapshot import LinkSnapshot
from receiver.links.intake import LinkStatus
from receiver.links.software_radio import SoftwareRadio
from receiver.radio_settings import SoftwareRadioLink
from receiver.radio_worker.messages import Level
from receiver.web.local_client import LocalStation
from receiver.web.unix_address import socket_beside
from simulator.iq import Burst, IqTape, encoded, fsk_samples

LINK = """
[[links]]
kind = "software-radio"
name = "stick"
source = "rtl_tcp://127.0.0.1:{port}"
gain = 30
"""
SLOW = "processor cannot keep up"
THINNED = "tags are looked for on {} of 5 frequencies"
THINNEST = f"the processor cannot keep up: {THINNED.format(1)}"
LOOKS_AGAIN_S = 2.0
QUARTERS = 4
PACKET_IN = 2
"""In which quarter of each second the packet is."""
PATIENCE_S = 40.0


class PouringStick:
    """A stick that hands over samples as they come, and many of them at once when told to."""

    def __init__(self) -> None:
        self.packets = 0
        tape = IqTape(1)
        packet = fsk_samples(build_packet("78664C33"), offset_hz=50_000)
        tape.put(Burst((PACKET_IN + 0.5) / QUARTERS, packet, 20))
        self._second = encoded(tape.take(1.0), "cu8")
        self._client: asyncio.StreamWriter | None = None
        self._ends = asyncio.Event()

    async def serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Greet a client, and go on until it leaves."""
        self._client = writer
        writer.write(GREETING.build({"tuner": TUNER_R820T, "gains": 29}))
        quarter = 0
        with contextlib.suppress(ConnectionError):
            while not self._ends.is_set():
                begin = quarter * BYTES_PER_S // QUARTERS
                writer.write(self._second[begin : begin + BYTES_PER_S // QUARTERS])
                self.packets += quarter == PACKET_IN
                quarter = (quarter + 1) % QUARTERS
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ends.wait(), 1 / QUARTERS)
        writer.close()

    def pour(self, seconds: int) -> None:
        """Hand over so much at once."""
        assert self._client is not None
        self._client.write(self._second * seconds)
        self.packets += seconds

    def close(self) -> None:
        """End."""
        self._ends.set()


@contextlib.asynccontextmanager
async def pouring_stick() -> AsyncIterator[tuple[PouringStick, int]]:
    stick = PouringStick()
    server = await asyncio.start_server(stick.serve, "127.0.0.1", 0)
    try:
        yield stick, server.sockets[0].getsockname()[1]
    finally:
        stick.close()
        server.close()
        await server.wait_closed()


class Onlooker:
    """Looks at the station's status; what it sees must always be in the promised order."""

    def __init__(self, station: StationProcess) -> None:
        self._station = station
        self._local = LocalStation(socket_beside(station.store))

    def link(self) -> LinkSnapshot:
        """Return how the link is."""
        (link,) = self._local.status().links
        if link.rejects.get("samples_dropped"):
            assert link.reason == THINNEST, "no sample is dropped before the grid is thinnest"
        return link

    async def sees(self, is_true: Callable[[LinkSnapshot], bool]) -> None:
        """Wait until it is so."""
        give_up_at = time.monotonic() + PATIENCE_S
        while not is_true(link := self.link()):
            assert time.monotonic() < give_up_at, f"{link}\n{self._station.log()}"
            await asyncio.sleep(0.02)


class Nobody:
    """Takes what a radio tells, and keeps nothing."""

    def opened(self, radio: str, gain_db: float | None) -> None:
        """Take nothing."""

    def heard(self, record: Detection | Pulse, mono_ns: int) -> None:
        """Take nothing."""

    def level(self, measurements: Mapping[str, float], counted: Mapping[str, int]) -> None:
        """Take nothing."""


def test_what_comes_and_goes_with_each_report_is_told_once_and_once_when_it_is_over() -> None:
    link = SoftwareRadioLink(name="stick", source="rtl_tcp://pi")
    status = LinkStatus("stick")
    radio = SoftwareRadio(link, Nobody(), status)
    with capture_logs() as log:
        for place in range(40):
            is_bad = place < 10 and place % 2 == 0
            counted = {"samples_lost": 50_000} if is_bad else {}
            radio._take(Level({}, counted, "2 s of samples wait" if is_bad else None))
            if place == 9:
                assert status.reason == "the processor cannot keep up: 2 s of samples wait"
    assert status.reason is None
    assert [line["event"] for line in log] == [
        "processor cannot keep up",
        "samples lost on the way",
        "processor keeps up again",
        "no more samples lost",
    ]
    assert log[1]["seconds"] == 0.2


async def test_a_station_too_slow_for_its_stick_thins_its_grid_and_only_then_drops_samples(
    tmp_path: Path,
) -> None:
    async with pouring_stick() as (stick, port):
        station = StationProcess(tmp_path, [LINK.format(port=port)])
        try:
            await station.start_and_hear()
            onlooker = Onlooker(station)

            def is_up_to_date_or_slow(link: LinkSnapshot) -> bool:
                return 0 < link.frames >= stick.packets - 1 or station.told(SLOW) > 0

            await onlooker.sees(is_up_to_date_or_slow)
            while not station.told(SLOW):
                # More than may wait, unless it is thought to be from before the worker began.
                stick.pour(5)
                await onlooker.sees(is_up_to_date_or_slow)
            thinned_at = time.monotonic()
            (line,) = (each for each in station.log() if each["event"] == SLOW)
            assert line["level"] == "warning"
            assert line["so"] in (THINNED.format(3), THINNED.format(1))
            assert "smaller width_hz" in line["do"]
            # The worker looks again after two seconds; by then it may have caught up.
            await onlooker.sees(
                lambda link: (
                    link.reason == THINNEST or time.monotonic() > thinned_at + LOOKS_AGAIN_S
                )
            )
            if onlooker.link().reason != THINNEST:
                stick.pour(5)
            await onlooker.sees(lambda link: link.reason == THINNEST)
            stick.pour(30)
            await onlooker.sees(lambda link: link.rejects.get("samples_dropped", 0) > 0)
            assert onlooker.link().state in ("hearing", "quiet")
            assert station.told(SLOW) == 1
            station.send(signal.SIGTERM)
            assert await station.ended() == 0
        finally:
            station.kill()
    told = run_stopover("activity", "--db", station.store, "--format", "json", folder=tmp_path)
    rejects = [json.loads(line)["rejects"] for line in told.stdout.splitlines()]
    for counter, least in (("grid_thinned_s", LOOKS_AGAIN_S), ("samples_dropped", 250_000)):
        assert sum(counted.get(counter, 0) for counted in rejects) >= least, counter
