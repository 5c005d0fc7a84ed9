"""Alarms on the page in Chromium: what is wrong, since when, what to do, and when it is over."""

import asyncio
import signal
from pathlib import Path

import pytest
from browser import PHONE, OpenPage
from pseudo_terminals import PseudoRadio
from served_station import STATION, ServedStation

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_alarm_is_a_strip_that_says_what_to_do_until_it_is_over(
    visit: OpenPage, tmp_path: Path
) -> None:
    radio = PseudoRadio()
    station = ServedStation(
        tmp_path, {"north": radio.device}, more="[alarms]\ndisk_free_mb = 2_000_000_000\n"
    )
    await asyncio.to_thread(station.start)
    try:
        page = await visit(station.url, screen=PHONE)
        await page.go()
        strip = page.page.locator("#alarms li").first
        await strip.wait_for()
        what, message, do = await strip.locator("p").all_inner_texts()
        assert what.startswith("Disk low since ")
        assert "MB free" in message
        assert len(do) > 10
        assert await page.page.title() == f"(1) {STATION} \u2013 Stopover"
        assert await page.page.locator("#alarms").get_attribute("aria-live") == "polite"
        assert await page.faults() == []
        await page.picture("alarm")
        page.expects_refusals = True
        await asyncio.to_thread(station.stop)
        station.configure("disk_free_mb = 2_000_000_000", "disk_free_mb = 0")
        station.forget()  # Alarms end some minutes after their cause.
        await asyncio.to_thread(station.start)
        await page.page.locator("#alarms").wait_for(state="hidden")
        assert await page.page.title() == f"{STATION} \u2013 Stopover"
        await page.end()
    finally:
        await asyncio.to_thread(station.stop, signal.SIGKILL)
        radio.unplug()
