"""What a technician meets at a mast, by the page in Chromium: faults, no network, wrong clocks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import structlog
from browser import PHONE, PHONE_ASIDE, OpenPage, Visit
from page_rig import AT_NS, PageRig, serving

from protocols.records import Detection
from receiver.arrivals import Arrival, Source, Stamp
from receiver.health.snapshot import AlarmSnapshot, AntennaSnapshot, LinkSnapshot, SinkSnapshot
from receiver.log import configure

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOUR_NS = 3600 * 10**9


@pytest_asyncio.fixture(loop_scope="session")
async def rig(tmp_path: Path) -> AsyncIterator[PageRig]:
    """A page whose station the test turns."""
    async with serving(tmp_path) as rig:
        yield rig


async def phone(rig: PageRig, visit: OpenPage, section: str = "live") -> Visit:
    """Return a phone that looks at a section."""
    page = await visit(f"{rig.url}/", screen=PHONE)
    await page.go(section)
    return page


def alarms(number: int) -> tuple[AlarmSnapshot, ...]:
    """Return so many alarms, the first of them three days old."""
    return tuple(
        AlarmSnapshot(
            alarm="radio-silent",
            subject=f"radio {each}",
            since="2025-12-29T00:00:00Z" if each == 0 else "2025-12-31T23:50:00Z",
            message="radio silent for a while",
            do="look at its power, cable and plug",
        )
        for each in range(number)
    )


async def test_many_alarms_leave_room_for_the_station_until_somebody_reads_them(
    rig: PageRig, visit: OpenPage
) -> None:
    rig.told["alarms"] = alarms(11)
    page = await phone(rig, visit)
    strip = page.page.locator("#alarms")
    box = await strip.bounding_box()
    assert box is not None
    assert box["height"] < PHONE["height"] / 2
    assert all([await line.is_visible() for line in await strip.locator("strong").all()])
    do = strip.locator(".do").last
    assert await do.is_hidden()
    assert await page.faults() == []
    await page.picture("many-alarms")
    await strip.get_by_role("button", name="11 alarms: what to do").click()
    assert await do.is_visible()
    words = await strip.inner_text()
    assert "since 12-29 00:00, 3 d" in words
    assert "since 23:50:00, 10 min" in words


async def test_a_long_name_of_a_station_leaves_the_clock_its_line(
    rig: PageRig, visit: OpenPage
) -> None:
    rig.told["station"] = "Observatoire-de-la-migration-" * 4
    page = await phone(rig, visit)
    for screen in (PHONE, PHONE_ASIDE):
        await page.page.set_viewport_size(screen)
        box = await page.page.locator("#utc").bounding_box()
        assert box is not None
        assert box["height"] < 50
        assert await page.overflow() == 0
        top = await page.page.locator("header.top").bounding_box()
        assert top is not None
        assert top["height"] < 150


async def test_a_few_alarms_are_told_whole(rig: PageRig, visit: OpenPage) -> None:
    rig.told["alarms"] = alarms(2)
    page = await phone(rig, visit)
    assert await page.page.locator("#alarms .do").last.is_visible()
    assert await page.page.locator("#alarms button").is_hidden()


async def test_an_antenna_tells_what_it_heard_last_also_after_the_clock_was_set_back(
    rig: PageRig, visit: OpenPage
) -> None:
    rig.links = (LinkSnapshot(name="ch1", kind="serial", state="hearing"),)
    rig.antennas = (AntennaSnapshot(link="ch1", antenna="north"),)
    page = await phone(rig, visit, "antennas")
    ahead = Stamp(AT_NS + HOUR_NS, "unsynchronised", 1, "boot-a")
    record = Detection(protocol="ctt-434", tag_id="78664C33", integrity="verified", rssi_dbm=-70)
    rig.live.heard(Arrival(record, Source(link="ch1", decoder="ctt/1", antenna="north"), ahead))
    await page.wait_for_text(".card .last", "78664C33")
    rig.antennas = (
        AntennaSnapshot(
            link="ch1",
            antenna="north",
            last_heard="2026-01-01T00:00:00Z",
            last_tag_id="61780007",
            last_rssi_dbm=-80,
        ),
    )
    await page.wait_for_text(".card .last", "61780007")


@pytest.mark.parametrize(
    ("sinks", "how", "told"),
    [
        pytest.param([("up to date", None, 4)], "verified", "4 s ago", id="well"),
        pytest.param([("not yet", "too young", 4)], "verified", "4 s ago", id="waits on purpose"),
        pytest.param([("limited", "spent", 4)], "verified", "4 s ago", id="spent its bytes"),
        pytest.param(
            [("up to date", None, 4), ("away", "no route", 7200)],
            "warning",
            "2 h ago",
            id="one of two is away",
        ),
        pytest.param([("refused", "no", None)], "warning", "never", id="refused"),
        pytest.param([("no store", "gone", 4)], "warning", "4 s ago", id="no store"),
        pytest.param([("paused", "resume it", 4)], "warning", "4 s ago", id="paused"),
    ],
)
async def test_one_sees_at_once_whether_data_get_out(
    rig: PageRig,
    visit: OpenPage,
    sinks: list[tuple[str, str | None, int | None]],
    how: str,
    told: str,
) -> None:
    rig.told["sinks"] = tuple(
        SinkSnapshot(
            name=f"sink {place}",
            kind="http",
            state=state,
            reason=reason,
            is_paused=state == "paused",
            acknowledged_at=None if ago_s is None else _before(ago_s),
        )
        for place, (state, reason, ago_s) in enumerate(sinks)
    )
    page = await phone(rig, visit)
    tile = page.page.locator(f"#glance a[data-how={how}]").filter(has_text="Out")
    await tile.filter(has_text=told).wait_for()


def _before(seconds: int) -> str:
    """Return the time so long before the station's."""
    minutes, s = divmod(24 * 3600 - seconds, 60)
    return f"2025-12-31T{minutes // 60:02}:{minutes % 60:02}:{s:02}Z"


async def test_a_section_wanted_out_of_reach_says_so_and_comes_when_the_station_is_back(
    rig: PageRig, visit: OpenPage
) -> None:
    page = await phone(rig, visit)
    page.expects_refusals = True
    await page.page.context.set_offline(True)
    await page.page.evaluate("location.hash = 'tags'")
    await page.wait_for_text("#view-tags .failure", "could not be fetched")
    await page.page.locator("#banner").wait_for()
    await page.picture("out-of-reach")
    await page.page.context.set_offline(False)
    await page.page.locator("#view-tags h2").wait_for()
    await page.page.locator("#view-tags .failure").wait_for(state="detached")


async def test_the_log_has_what_was_told_while_the_phone_was_in_a_pocket(
    rig: PageRig, visit: OpenPage
) -> None:
    configure("json", "info")
    log = structlog.get_logger()
    page = await phone(rig, visit, "log")
    log.warning("before")
    await page.wait_for_text(".log .event", "before")
    await page.put_aside()
    log.warning("meanwhile")
    await page.take_up()
    await page.wait_for_text(".log .event", "meanwhile")
    events = await page.page.locator(".log .event").all_inner_texts()
    assert [each for each in events if each in {"before", "meanwhile"}] == ["before", "meanwhile"]


async def test_a_device_that_slept_asks_the_station_at_once(rig: PageRig, visit: OpenPage) -> None:
    page = await visit(f"{rig.url}/", screen=PHONE)
    async with page.page.expect_request("**/api/live*"):
        await page.go()
    async with page.page.expect_request("**/api/live*"):
        await page.page.evaluate(
            "(() => { const now = Date.now; Date.now = () => now() + 36e5 })()"
        )
    await page.page.locator("#banner").wait_for(state="hidden")


async def test_a_tag_is_carried_by_its_owners_name_too(rig: PageRig, visit: OpenPage) -> None:
    rig.names = {"78664C33": "Rook"}
    page = await phone(rig, visit)
    rig.hear("78664C33", -52)
    await page.wait_for_text("#live-rows", "Rook")
    await page.go("walk")
    await page.page.get_by_label("Tag to carry").fill("rook")
    await page.page.get_by_role("button", name="Start").click()
    rig.hear("78664C33", -60)
    await page.wait_for_text(".readout .big", "\u221260 dBm")


async def test_a_tag_touched_by_mistake_is_undone_with_one_touch(
    rig: PageRig, visit: OpenPage
) -> None:
    page = await phone(rig, visit)
    rig.hear("78664C33")
    rig.hear("61780007")
    rows = page.page.locator("#live-rows tr")
    await rows.nth(1).wait_for()
    assert await page.page.get_by_role("button", name="Show everything").is_hidden()
    await rows.first.locator(".tag").click()
    assert await rows.count() == 1
    await page.page.get_by_role("button", name="Show everything").click()
    assert await rows.count() == 2
