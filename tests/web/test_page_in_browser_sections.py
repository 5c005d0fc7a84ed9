"""Each section of the page in Chromium: small screens, accessibility, a week, ten thousand tags."""

import csv
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import PHONE, SECTIONS, SMALLEST, TABLET, OpenPage
from pseudo_terminals import PseudoRadio
from season import ANTENNAS, TAGS, write_week
from served_station import STATION, ServedStation, say, tag_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "</script><script>document.title='owned'</script>"


class Season:
    """A station that ran for a week, and runs now."""

    def __init__(self, folder: Path) -> None:
        self.radios = {name: PseudoRadio() for name in ANTENNAS}
        self.station = ServedStation(
            folder,
            {name: radio.device for name, radio in self.radios.items()},
            names={tag_of(0): "Rook", tag_of(1): "Lena", tag_of(2): HOSTILE},
            more=(
                '[[antennas]]\nname = "north"\nbearing_deg = 10\nkind = "yagi"\n'
                '[[antennas]]\nname = "south"\nbearing_deg = 200\nkind = "yagi"\n'
            ),
        )
        self.detections = write_week(self.station.store)
        self.station.start()

    def beep(self) -> None:
        """Let both radios hear a handful of tags."""
        for number in range(6):
            say(self.radios[ANTENNAS[number % 2]], number, -60 - 5 * number)

    def end(self) -> None:
        """Stop everything."""
        self.station.stop(signal.SIGKILL)
        for radio in self.radios.values():
            radio.unplug()


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Season]:
    """A station with a week in its store."""
    season = Season(tmp_path_factory.mktemp("season"))
    yield season
    season.end()


async def test_no_section_is_wider_than_a_phone_nor_its_table_than_a_tablet(
    season: Season, visit: OpenPage
) -> None:
    page = await visit(season.station.url, screen=PHONE)
    await page.go()
    season.beep()
    await page.wait_for_text("#live-rows", "Rook")
    too_wide = {}
    for section in SECTIONS:
        await page.go(section)
        await page.settled()
        await page.picture(f"phone-{section}")
        too_wide[section] = await page.overflow()
        await page.page.set_viewport_size(SMALLEST)
        too_wide[section] += await page.overflow()
        await page.page.set_viewport_size(PHONE)
    await page.page.set_viewport_size(TABLET)
    await page.go("live")
    too_wide["live"] += await page.overflow()
    await page.picture("tablet-live")
    assert too_wide == dict.fromkeys(SECTIONS, 0)


_SMALL = """() => [...document.querySelectorAll(
  'button, .button, nav a, input:not([type=checkbox]), select, summary, label.tick, .glance a')]
  .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 44)
  .map((each) => each.outerHTML.slice(0, 80))"""


async def test_touch_targets_on_a_phone_are_large(season: Season, visit: OpenPage) -> None:
    page = await visit(season.station.url, screen=PHONE)
    small = {}
    for section in SECTIONS:
        await page.go(section)
        await page.settled()
        small[section] = await page.page.evaluate(_SMALL)
    assert small == {section: [] for section in SECTIONS}


async def test_axe_finds_nothing_serious_in_any_section_by_day_or_night(
    season: Season, visit: OpenPage
) -> None:
    page = await visit(season.station.url, screen=PHONE)
    await page.go()
    season.beep()
    await page.wait_for_text("#live-rows", "Rook")
    found = {}
    for section in SECTIONS:
        await page.go(section)
        await page.settled()
        found[section] = await page.faults()
        await page.page.emulate_media(color_scheme="dark")
        found[f"{section}, dark"] = await page.faults(["color-contrast"])
        await page.page.emulate_media(color_scheme="light")
    assert {place: faults for place, faults in found.items() if faults} == {}


async def test_axe_finds_nothing_serious_where_a_desk_looks_different(
    season: Season, visit: OpenPage
) -> None:
    page = await visit(season.station.url)
    await page.go()
    season.beep()
    await page.wait_for_text("#live-rows", "Rook")
    found = {}
    for section in ("live", "tags", "station"):
        await page.go(section)
        await page.settled()
        found[section] = await page.faults()
    await page.picture("desk-station")
    assert {place: faults for place, faults in found.items() if faults} == {}


async def test_a_week_is_plotted_with_its_numbers_in_words_and_as_a_table(
    season: Season, visit: OpenPage
) -> None:
    page = await visit(season.station.url)
    await page.go("plots")
    await page.page.get_by_role("button", name="Week").click()
    await page.wait_for_text("#view-plots [role=status]", "1 h each")
    titles = await page.page.locator("#view-plots h3").all_inner_texts()
    assert {
        "Detections by antenna",
        "Detections by tag",
        "Levels",
        "Noise",
        "Listening",
        "Temperature",
    } <= set(titles)
    plot = page.page.locator(".plot").filter(has_text="Detections by antenna")
    await plot.locator("canvas").wait_for()
    assert await plot.locator("canvas").evaluate(_HAS_INK)
    words = await plot.locator("figcaption").inner_text()
    assert all(antenna in words for antenna in ANTENNAS)
    await plot.get_by_text("Numbers").click()
    await plot.locator("table").wait_for()
    cells = plot.locator("table td")
    texts = [text.replace("\u202f", "") for text in await cells.all_inner_texts()]
    counts = [int(text) for text in texts if text.isdecimal()]
    assert sum(counts) == pytest.approx(season.detections, rel=0.02)
    await page.picture("week")


_HAS_INK = """(canvas) => canvas.getContext('2d')
  .getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0)"""


async def test_every_period_is_plotted_and_one_may_go_back(season: Season, visit: OpenPage) -> None:
    page = await visit(season.station.url, screen=TABLET)
    await page.go("plots")
    for name, step in (("Hour", "1 min"), ("Day", "min"), ("Month", "6 h"), ("Week", "1 h")):
        await page.page.get_by_role("button", name=name, exact=True).click()
        await page.wait_for_text("#view-plots [role=status]", f"{step} each")
    assert await page.page.get_by_role("button", name="Later").is_disabled()
    before = await page.text("#view-plots [role=status]")
    await page.page.get_by_role("button", name="Earlier").click()
    await page.until(
        "before => !document.querySelector('#view-plots [role=status]').textContent"
        ".startsWith(before)",
        before[:10],
    )
    assert await page.page.get_by_role("button", name="Later").is_enabled()


async def test_ten_thousand_tags_are_found_by_id_and_name(season: Season, visit: OpenPage) -> None:
    page = await visit(season.station.url)
    await page.go("tags")
    await page.wait_for_text("#view-tags [role=status]", "of 10\u202f000 tags")
    assert await page.page.locator("#view-tags tbody tr").count() == 25
    await page.picture("tags")
    await page.page.get_by_role("button", name="Next page").click()
    await page.wait_for_text("#view-tags [role=status]", "26 to 50")
    await page.page.get_by_label("Search").fill("rook")
    await page.wait_for_text("#view-tags [role=status]", "of 1 tag")
    await page.wait_for_text("#view-tags tbody", tag_of(0))
    await page.page.get_by_label("Search").fill(tag_of(TAGS - 1))
    await page.wait_for_text("#view-tags tbody", tag_of(TAGS - 1))
    await page.page.get_by_role("link", name="Walk test with").click()
    await page.wait_for_text("#view-walk .words", f"Listening for {tag_of(TAGS - 1)}")


async def test_hostile_names_are_text_in_tags_and_plots(season: Season, visit: OpenPage) -> None:
    page = await visit(season.station.url)
    await page.go("tags")
    await page.page.get_by_label("Search").fill(tag_of(2))
    await page.wait_for_text("#view-tags tbody", HOSTILE)
    await page.go("plots")
    await page.page.get_by_role("button", name="Week").click()
    await page.wait_for_text(".legend button", HOSTILE)
    assert await page.page.locator("main script").count() == 0
    assert (
        await page.page.title() == f"{STATION} \u2013 Stopover"
        or STATION in await page.page.title()
    )


async def test_a_period_is_downloaded_as_a_table(
    season: Season, visit: OpenPage, tmp_path: Path
) -> None:
    page = await visit(season.station.url)
    await page.go("files")
    await page.page.get_by_role("button", name="Last day").click()
    async with page.page.expect_download() as coming:
        await page.page.get_by_role("button", name="Download").click()
    download = await coming.value
    path = tmp_path / "detections.csv"
    await download.save_as(path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == pytest.approx(season.detections / 7, rel=0.5)
    assert len({row["tag_id"] for row in rows}) > TAGS / 7 / 2


async def test_an_export_that_lacks_something_says_what_to_do(
    season: Season, visit: OpenPage
) -> None:
    page = await visit(season.station.url)
    page.expects_refusals = True
    await page.go("files")
    await page.page.get_by_role("combobox", name="As", exact=True).select_option("darwin-core")
    await page.page.get_by_role("button", name="Download").click()
    failure = page.page.locator("#view-files .failure")
    await failure.wait_for()
    assert len(await failure.inner_text()) > 20


async def test_a_table_that_is_refused_is_told_in_the_words_of_the_station(
    season: Season, visit: OpenPage
) -> None:
    page = await visit(season.station.url)
    page.expects_refusals = True
    await page.go("files")
    gone = json.dumps({"error": "the store is gone", "do": "restart the station"})
    await page.page.route(
        "**/api/download/detections.csv*", lambda route: route.fulfill(status=503, body=gone)
    )
    await page.page.get_by_role("button", name="Download").click()
    failure = page.page.locator("#view-files .failure")
    await failure.wait_for()
    assert "the store is gone" in await failure.inner_text()


async def test_the_log_shows_its_tail_as_text(season: Season, visit: OpenPage) -> None:
    page = await visit(season.station.url)
    await page.go("log")
    await page.wait_for_text(".log", "station starts")
    await page.page.get_by_label("Show").select_option("error")
    visible = await page.page.locator(".log li[data-level='info']:visible").count()
    assert visible == 0


async def test_a_hostile_line_of_the_log_is_text(season: Season, visit: OpenPage) -> None:
    line = {"n": 1, "time": "2026-05-01T10:00:00.000Z", "level": HOSTILE, "event": HOSTILE}
    told = {"lines": [line | {"text": f"tag={HOSTILE}"}]}
    page = await visit(season.station.url)
    await page.page.route("**/api/log*", lambda route: route.fulfill(json=told))
    await page.go("log")
    await page.wait_for_text(".log .text", f"tag={HOSTILE}")
    assert await page.page.locator(".log script").count() == 0


async def test_antennas_are_told_by_a_compass_in_words_too(season: Season, visit: OpenPage) -> None:
    page = await visit(season.station.url, screen=TABLET)
    await page.go("antennas")
    season.beep()
    await page.wait_for_text("#antenna-cards .card .age", "heard a tag")
    words = await page.text("#compass figcaption")
    assert "north (10°)" in words
    assert "south (200°)" in words
    assert await page.page.locator("#compass .petal").count() == 2
    line = await page.page.locator(".card .spark").first.get_attribute("aria-label")
    assert line is not None
    assert line.startswith("Last 24 hours:")
    await page.picture("antennas")


async def test_a_desk_shows_what_is_heard_beside_what_hears_it(
    season: Season, visit: OpenPage
) -> None:
    page = await visit(season.station.url)
    await page.go("live")
    live = await page.page.locator("#view-live").bounding_box()
    antennas = await page.page.locator("#view-antennas").bounding_box()
    assert live is not None
    assert antennas is not None
    assert antennas["x"] > live["x"] + live["width"] > 0
    await page.picture("desk-live")
    await page.page.set_viewport_size(PHONE)
    assert await page.page.locator("#view-antennas").is_hidden()


async def test_the_keyboard_reaches_the_content_and_the_sections(
    season: Season, visit: OpenPage
) -> None:
    page = await visit(season.station.url)
    await page.go()
    await page.page.keyboard.press("Tab")
    assert await page.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await page.page.keyboard.press("Enter")
    assert await page.page.evaluate("document.activeElement.id") == "main"
    await page.page.get_by_role("link", name="Antennas").focus()
    await page.page.keyboard.press("Enter")
    await page.wait_for_text("nav [aria-current=page]", "Antennas")
