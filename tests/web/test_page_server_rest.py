"""What the page lets go of once nobody asks for plots and downloads any more."""

import asyncio
import threading
from pathlib import Path

import pytest
from conftest import Until
from page_rig import AT_NS, PageRig, serving, takes_nothing

from protocols.records import Detection
from receiver.arrivals import Arrival, Source, Stamp
from receiver.returned_memory import give_back
from receiver.store.database import Store
from receiver.web import app
from receiver.web.plots.sidecar import plots_beside


@pytest.fixture
def given_back(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Count how often memory is given back; the page rests at once."""
    times: list[bool] = []

    def give() -> None:
        give_back()
        times.append(True)

    monkeypatch.setattr(app, "give_back", give)
    monkeypatch.setattr(app, "PAGE_RESTS_AFTER_S", 0.0)
    return times


def plots_are_open(rig: PageRig) -> bool:
    return rig.page._plotting._plots._connection is not None


async def test_plots_are_closed_and_memory_is_given_back_until_somebody_asks_again(
    tmp_path: Path, given_back: list[bool], until: Until
) -> None:
    async with serving(tmp_path) as rig:
        for times in (1, 2):
            assert (await rig.get("/api/history?period=day"))["period"] == "day"
            await until(lambda: len(given_back) == times)  # noqa: B023  Awaited at once.
            assert not plots_are_open(rig)
            assert plots_beside(rig.store).exists()


async def test_what_is_asked_all_the_time_does_not_disturb(
    tmp_path: Path, given_back: list[bool]
) -> None:
    async with serving(tmp_path) as rig:
        for path in ("/api/status", "/api/log", "/api/facts"):
            await rig.get(path)
            assert rig.page._rest._timer is None
    assert given_back == []


async def test_nothing_rests_while_a_download_is_under_way(
    tmp_path: Path, given_back: list[bool], until: Until
) -> None:
    async with serving(tmp_path) as rig:
        with Store.open(rig.store) as store:
            record = Detection(
                protocol="ctt-434", tag_id="78664C33", integrity="verified", raw=bytes(2_000)
            )
            source, stamp = Source(link="ch1", decoder="ctt/1"), Stamp(AT_NS, "ntp", 1, "boot-a")
            store.append([Arrival(record, source, stamp)] * 4_000)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(rig.url.split(":")[-1]))
        takes_nothing(writer)
        writer.write(b"GET /api/download/detections.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await until(lambda: rig.page._downloads._under_way)
        await rig.get("/api/history?period=day")
        assert (rig.page._rest._timer, rig.page._rest._resting) == (None, None)
        writer.transport.abort()
        await until(lambda: given_back)
        assert not plots_are_open(rig)
        del reader


async def test_the_page_ends_at_once_while_rest_waits_behind_long_counting(
    tmp_path: Path, given_back: list[bool], until: Until
) -> None:
    counted = threading.Event()
    async with serving(tmp_path) as rig:
        rig.page._plotting._thread.submit(counted.wait)
        rig.page._rest._begin()
        await until(rig.page._plotting._thread._work_queue.qsize)
        try:
            async with asyncio.timeout(5):
                await rig.page._rest.close()
        finally:
            counted.set()
    assert given_back == []
