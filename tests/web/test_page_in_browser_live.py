"""The page's live side in Chromium: what beeps shows, whatever happens to the daemon between."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from browser import PHONE, OpenPage, Visit
from pseudo_terminals import PseudoRadio
from served_station import ServedStation, say, tag_of

from simulator.demo import simulated_ports
from simulator.truth import Reception, Transmission
from simulator.truth_file import read_truth

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOWN_WITHIN_S = 2.0
ROWS_AT_MOST = 150
HOSTILE = "<img src=x onerror=document.title='owned'>"

_WATCH = """() => {
  window.seen = [];
  window.stoodStill = 0;
  let last = Date.now();
  setInterval(() => {
    window.stoodStill = Math.max(window.stoodStill, (Date.now() - last) / 1000 - 0.05);
    last = Date.now();
  }, 50);
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes)
      for (const row of addedNodes)
        window.seen.push([row.querySelector('.tag')?.dataset.tag, Date.now() / 1000]);
  }).observe(document.getElementById('live-rows'), { childList: true });
}"""

_MEASURE_FRAMES = """() => {
  window.longest = 0;
  let last = performance.now();
  const look = (now) => {
    window.longest = Math.max(window.longest, now - last);
    last = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""

_SEES_THAT_THE_TOP_IS_GONE = """() => new Promise((done) => {
  new IntersectionObserver(([top]) => top.isIntersecting || done())
    .observe(document.getElementById('live-top'));
})"""
"""Observers are told one after the other: this one after the page's own."""


@pytest.fixture(scope="module")
def radio() -> Iterator[PseudoRadio]:
    """The station's radio; each test lets it hear tags of its own."""
    plugged = PseudoRadio()
    yield plugged
    plugged.unplug()


@pytest.fixture(scope="module")
def station(
    tmp_path_factory: pytest.TempPathFactory, radio: PseudoRadio
) -> Iterator[ServedStation]:
    """A running station with one radio and a hostile name for tag 7."""
    folder = tmp_path_factory.mktemp("live")
    served = ServedStation(folder, {"north": radio.device}, names={tag_of(7): HOSTILE})
    served.start()
    yield served
    served.stop(signal.SIGKILL)


@pytest_asyncio.fixture(loop_scope="session")
async def page(station: ServedStation, visit: OpenPage) -> Visit:
    """The page, open at its live section."""
    page = await visit(station.url)
    await page.go("live")
    return page


async def test_a_simulated_tag_shows_within_two_seconds_of_its_beep(
    visit: OpenPage, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.jsonl"
    async with simulated_ports(truth=truth) as ports:
        station = ServedStation(tmp_path, {port.antenna: port.device for port in ports})
        await asyncio.to_thread(station.start)
        try:
            page = await visit(station.url)
            await page.go("live")
            await page.page.evaluate(_WATCH)
            begun_s = time.time()
            await page.until("window.seen.length >= 15")
            seen: list[tuple[str, float]] = await page.page.evaluate("window.seen")
            ended_s = time.time()
            # A machine that has others to serve first may be so much late.
            within_s = SHOWN_WITHIN_S + await page.page.evaluate("window.stoodStill")
            await page.picture("simulated")
            await page.end()
        finally:
            await asyncio.to_thread(station.stop)
    shown = {
        (tag, sent_s): any(
            other == tag and sent_s <= at_s < sent_s + within_s for other, at_s in seen
        )
        for tag, sent_s in _beeps(truth)
        if begun_s <= sent_s <= ended_s
    }
    missed = [(tag, at) for (tag, at), is_shown in shown.items() if not is_shown]
    assert sum(shown.values()) >= 3
    assert [at_s for _, at_s in missed if at_s < ended_s - within_s] == []


def _beeps(truth: Path) -> Iterator[tuple[str, float]]:
    """Yield tag and time of each beep that a radio printed as it was sent."""
    senders = {}
    for row in read_truth(truth):
        if isinstance(row, Transmission) and row.what == "beep":
            senders[row.number] = row.sender
        elif (
            isinstance(row, Reception)
            and row.transmission in senders
            and row.outcome == "printed"
            and row.line_fault is None
            and row.wrong_bits == 0
        ):
            yield senders[row.transmission], row.heard_at_unix_s


async def test_the_page_goes_on_after_the_daemon_was_killed_and_started_again(
    visit: OpenPage, tmp_path: Path
) -> None:
    radio = PseudoRadio()
    station = ServedStation(tmp_path, {"north": radio.device})
    await asyncio.to_thread(station.start)
    page = await visit(station.url)
    try:
        await page.go("live")
        for number in (1, 2, 3):
            say(radio, number)
        await page.wait_for_text("#live-rows", tag_of(3))
        page.expects_refusals = True
        await asyncio.to_thread(station.stop, signal.SIGKILL)
        await page.wait_for_text("#banner", "The station does not answer since")
        await page.picture("station-away")
        await asyncio.to_thread(station.start)
        await page.page.locator("#banner").wait_for(state="hidden")
        say(radio, 4)  # Its number is 1, as that of tag 1 was.
        await page.wait_for_text("#live-rows", tag_of(4))
        tags = await page.page.locator("#live-rows .tag").all_inner_texts()
        assert [tag.split()[0] for tag in tags] == [tag_of(number) for number in (4, 3, 2, 1)]
        await page.end()
    finally:
        await asyncio.to_thread(station.stop, signal.SIGKILL)
        radio.unplug()


async def test_hostile_names_are_shown_as_the_text_they_are(
    page: Visit, radio: PseudoRadio
) -> None:
    say(radio, 7)
    await page.wait_for_text("#live-rows .tag b", HOSTILE)
    assert await page.page.locator("#live-rows img").count() == 0
    assert "owned" not in await page.page.title()
    await page.go(f"walk/{tag_of(7)}")
    say(radio, 7)
    await page.wait_for_text("#view-walk .words", HOSTILE)
    await page.go("antennas")
    await page.wait_for_text(".card .last", HOSTILE)
    assert await page.page.locator("main img").count() == 0


async def test_fifty_detections_a_second_keep_the_table_bounded_and_the_page_quick(
    page: Visit, radio: PseudoRadio
) -> None:
    await page.page.evaluate(_MEASURE_FRAMES)
    for number in range(1000, 1200):
        say(radio, number)
        await asyncio.sleep(1 / 100)
    await page.wait_for_text("#live-rows", tag_of(1199))
    # A machine that stands still for a second meanwhile skips some: the newest hundred count.
    assert ROWS_AT_MOST - 50 <= await page.page.locator("#live-rows tr").count() <= ROWS_AT_MOST
    newest = await page.page.locator("#live-rows .tag").first.get_attribute("data-tag")
    assert newest == tag_of(1199)
    print(f"longest frame {await page.page.evaluate('window.longest'):.0f} ms")  # noqa: T201  A measurement.


async def test_somebody_who_reads_further_down_is_not_disturbed(
    station: ServedStation, visit: OpenPage, radio: PseudoRadio
) -> None:
    page = await visit(station.url, screen=PHONE)
    await page.go("live")
    for number in range(2000, 2040):
        say(radio, number)
    await page.wait_for_text("#live-rows", tag_of(2039))
    rows = page.page.locator("#live-rows tr")
    before = await rows.count()
    await page.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    await page.until("window.scrollY > 500")
    await page.page.evaluate(_SEES_THAT_THE_TOP_IS_GONE)
    say(radio, 2050)
    await page.wait_for_text("#live-held", "1 new detection")
    assert await rows.count() == before
    await page.page.locator("#live-held").click()
    await page.wait_for_text("#live-rows", tag_of(2050))
    assert await page.page.locator("#live-held").is_hidden()


async def test_the_filter_shows_one_tag_or_one_integrity(page: Visit, radio: PseudoRadio) -> None:
    for number in (3001, 3002, 3001, 3003):
        say(radio, number)
    await page.wait_for_text("#live-rows", tag_of(3003))
    rows = page.page.locator("#live-rows tr")
    before = await rows.count()
    await page.page.locator(f"#live-rows [data-tag='{tag_of(3001)}']").first.click()
    assert await rows.count() == 2
    say(radio, 3002)
    say(radio, 3001)
    await page.until("document.querySelectorAll('#live-rows tr').length === 3")
    await page.page.locator("#live-filters summary").click()
    await page.page.get_by_role("button", name="Show everything").click()
    assert await rows.count() == before + 2
    await page.page.get_by_label("verified", exact=True).uncheck()
    assert await rows.count() == 0
    assert "lets through" in await page.text("#live-empty")


async def test_a_paused_table_stands_still_and_counts_what_came(
    page: Visit, radio: PseudoRadio
) -> None:
    await page.page.locator("#live-pause").click()
    say(radio, 4001)
    await page.wait_for_text("#live-held", "1 new detection")
    assert tag_of(4001) not in await page.text("#live-rows")
    await page.page.locator("#live-pause").click()
    await page.wait_for_text("#live-rows", tag_of(4001))


async def test_a_hidden_page_closes_its_stream_and_misses_nothing(
    page: Visit, radio: PseudoRadio
) -> None:
    say(radio, 5001)
    await page.wait_for_text("#live-rows", tag_of(5001))
    opened = _streams(page)
    await page.put_aside()
    for number in range(5002, 5102):
        say(radio, number)
    await asyncio.sleep(0.6)
    assert tag_of(5002) not in await page.text("#live-rows")
    await page.take_up()
    await page.wait_for_text("#live-rows", tag_of(5101))
    assert _streams(page) == opened + 1
    shown = await page.text("#live-rows")
    assert all(tag_of(number) in shown for number in range(5001, 5102))


def _streams(page: Visit) -> int:
    return sum("/api/live" in url for url in page.requests)


async def test_a_station_with_no_room_for_more_streams_says_so(
    station: ServedStation, visit: OpenPage
) -> None:
    page = await visit(station.url)
    page.expects_refusals = True
    await page.page.route("**/api/live*", lambda route: route.fulfill(status=503))
    await page.page.goto(station.url)
    await page.wait_for_text("#banner", "Perhaps too many look at it")
    await page.page.unroute("**/api/live*")
    # It tries by itself as well: the button may be gone before a hand is there.
    await page.page.evaluate("document.getElementById('banner-retry').click()")
    await page.page.locator("#banner").wait_for(state="hidden")
