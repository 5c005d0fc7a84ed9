"""A software radio on the page in Chromium: its noise in a unit of its own, told and plotted."""

import time
from pathlib import Path

import pytest
from browser import PHONE, OpenPage
from page_rig import serving

from protocols.records import StationHealth
from receiver.arrivals import Arrival, Source, Stamp
from receiver.health.snapshot import AntennaSnapshot, LinkSnapshot
from receiver.store.database import Store

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_noise_of_a_stick_is_told_against_full_scale_and_never_among_dbm(
    visit: OpenPage, tmp_path: Path
) -> None:
    async with serving(tmp_path) as rig:
        rig.links = (LinkSnapshot(name="stick", kind="software-radio", state="hearing"),)
        rig.antennas = (
            AntennaSnapshot(link="stick", antenna="roof", noise_dbfs=-19.25, gain_db=36.4),
            AntennaSnapshot(link="ch1", antenna="north", noise_dbm=-110.0),
        )
        told = {
            "roof": {"noise_dbfs": -19.25, "gain_db": 36.4},
            "north": {"noise_dbm": -110.0},
        }
        with Store.open(rig.store) as store:
            stamp = Stamp(time.time_ns() - 60 * 10**9, "ntp", 1, "boot-a")
            store.append(
                Arrival(
                    StationHealth(measurements=measured),
                    Source(link=antenna, decoder="radio-ctt/1", antenna=antenna),
                    stamp,
                )
                for antenna, measured in told.items()
            )
        page = await visit(f"{rig.url}/", screen=PHONE)
        await page.go("antennas")
        roof, north = (page.page.locator(".card").filter(has_text=name) for name in told)
        await roof.wait_for()
        words = await roof.inner_text()
        assert "\u221219.3 dB relative to full scale" in words
        assert "36.4 dB" in words
        assert "\u2212110 dBm" in await north.inner_text()
        await page.go("plots")
        plot = page.page.locator(".plot").filter(has_text="relative to full scale")
        await plot.wait_for()
        assert "roof \u221219.3 dBFS" in await plot.locator("figcaption").inner_text()
        (noise,) = await page.page.locator(".plot", has_text="north").all()
        said = await noise.locator("figcaption").inner_text()
        assert "north \u2212110 dBm" in said
        assert "roof" not in said
        gain = page.page.locator(".plot").filter(has_text="Gain of software radios")
        assert "roof 36.4 dB" in await gain.locator("figcaption").inner_text()
        assert await page.faults() == []
        await page.end()
