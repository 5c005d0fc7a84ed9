"""What changes the station, by the page in Chromium: signing in, walk tests, commissioning."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import PHONE, OpenPage, Visit
from pseudo_terminals import PseudoRadio
from served_station import PASSWORD, ServedStation, say, tag_of

from receiver.store.queries import Reader

pytestmark = pytest.mark.asyncio(loop_scope="session")

CARRIED = 77


@pytest.fixture(scope="module")
def radio() -> Iterator[PseudoRadio]:
    """The station's radio."""
    plugged = PseudoRadio()
    yield plugged
    plugged.unplug()


@pytest.fixture(scope="module")
def station(
    tmp_path_factory: pytest.TempPathFactory, radio: PseudoRadio
) -> Iterator[ServedStation]:
    """A running station with one radio."""
    served = ServedStation(
        tmp_path_factory.mktemp("changes"), {"north": radio.device}, names={tag_of(CARRIED): "Test"}
    )
    served.start()
    yield served
    served.stop(signal.SIGKILL)


async def sign_in(page: Visit, password: str = PASSWORD) -> None:
    """Sign in where the page asks for the password now."""
    panel = page.page.locator(".session:visible").first
    await panel.get_by_label("Password of the station").fill(password)
    await panel.get_by_role("button", name="Sign in").click()


async def test_a_wrong_password_is_told_and_the_right_one_signs_in_until_signed_out(
    station: ServedStation, visit: OpenPage
) -> None:
    page = await visit(station.url)
    page.expects_refusals = True
    await page.go("station")
    await sign_in(page, "kingfisher")
    await page.page.locator(".session .failure").wait_for()
    await page.picture("wrong-password")
    await sign_in(page)
    await page.wait_for_text("#session-link", "Signed in")
    await page.page.reload()
    await page.wait_for_text("#session-link", "Signed in")
    await page.page.get_by_role("button", name="Sign out").click()
    await page.wait_for_text("#session-link", "Sign in")
    kept = await page.page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]")
    assert kept == ["", 0, 0]


async def test_a_walk_test_shows_the_level_large_and_keeps_marks_in_the_store(
    station: ServedStation, visit: OpenPage, radio: PseudoRadio
) -> None:
    page = await visit(station.url, screen=PHONE)
    await page.go("walk")
    await page.page.get_by_label("Tag to carry").fill(tag_of(CARRIED).lower())
    await page.page.get_by_role("button", name="Start").click()
    assert await page.page.get_by_role("button", name="Mark").is_hidden()
    await sign_in(page)
    await page.page.get_by_role("button", name="Mark").wait_for()
    await page.page.get_by_role("button", name="Sound").click()
    say(radio, CARRIED, -52)
    await page.wait_for_text(".readout .big", "\u221252 dBm")
    say(radio, CARRIED, -91)
    await page.wait_for_text(".readout .big", "\u221291 dBm")
    await page.wait_for_text(".readout .best", "Best so far \u221252 dBm on north")
    large = await page.page.locator(".readout .big").evaluate(
        "each => parseFloat(getComputedStyle(each).fontSize)"
    )
    assert large >= 56
    assert await page.overflow() == 0
    await page.page.get_by_label("Latitude").fill("54.4801")
    await page.page.get_by_label("Longitude").fill("8.3102")
    await page.page.get_by_label("Note").fill("<b>north bank</b>")
    await page.page.get_by_role("button", name="Mark").click()
    await page.wait_for_text(".marks li", "<b>north bank</b>")
    await page.picture("walk-test")
    page.expects_refusals = True
    await page.page.context.clear_cookies()  # As when the session is over.
    await page.page.get_by_role("button", name="Mark").click()
    await page.page.locator("#view-walk").get_by_label("Password of the station").wait_for()
    kept = await _notes(station, "north bank")
    assert "54.480100,8.310200" in kept
    assert "-91 dBm" in kept


async def _notes(station: ServedStation, words: str) -> str:
    """Return the station's own note with these words, once it is in the store."""
    async with asyncio.timeout(60):
        while True:
            with Reader(station.store) as reader:
                bodies = reader.connection.execute("SELECT body FROM readable_events").fetchall()
            for (body,) in bodies:
                if words in body:
                    return str(body)
            await asyncio.sleep(0.05)


async def test_the_phones_own_position_may_be_taken(
    station: ServedStation, visit: OpenPage
) -> None:
    page = await visit(station.url, screen=PHONE)
    await page.page.context.grant_permissions(["geolocation"])
    await page.page.context.set_geolocation({"latitude": 54.5, "longitude": 8.25, "accuracy": 12})
    await page.go("station")
    await sign_in(page)
    await page.go(f"walk/{tag_of(CARRIED)}")
    await page.page.get_by_role("button", name="Use this device's position").click()
    await page.wait_for_text("#view-walk [role=status]", "good to 12 m")
    assert await page.page.get_by_label("Latitude").input_value() == "54.500000"


async def test_commissioning_takes_answers_and_ends_with_a_report(
    station: ServedStation, visit: OpenPage, radio: PseudoRadio
) -> None:
    page = await visit(station.url)
    await page.go("station")
    await page.page.get_by_role("button", name="Put this station into service").click()
    steps = page.page.locator(".steps li")
    await steps.first.wait_for()
    assert await page.page.locator(".steps form").count() == 0
    await sign_in(page)
    visitor = steps.filter(has_text="Who was here")
    await visitor.get_by_label("Who is here").fill("Ada & <i>Ben</i>")
    await visitor.get_by_role("button", name="Take").click()
    await page.wait_for_text(".steps [data-progress=ok]", "Ada & <i>Ben</i>")
    tag = steps.filter(has_text="The test tag on each antenna")
    await tag.get_by_label("The id of the tag in your hand").fill(tag_of(CARRIED))
    await tag.get_by_role("button", name="Take").click()
    await page.wait_for_text(".steps", "north: nothing yet")
    for _ in range(3):
        say(radio, CARRIED, -60)
    await page.wait_for_text(".steps [data-progress=ok]", "3 packets, best -60 dBm")
    assert await page.faults() == []
    await page.picture("commissioning")
    report = await page.page.context.request.get(f"{station.url}api/commission/report.html")
    assert "Ada &amp; &lt;i&gt;Ben" in await report.text()


async def test_a_mark_is_kept_from_a_tab_beside_which_somebody_signed_in_anew(
    station: ServedStation, visit: OpenPage
) -> None:
    page = await visit(station.url)
    page.expects_refusals = True
    await page.go("station")
    await sign_in(page)
    await page.wait_for_text("#session-link", "Signed in")
    beside = Visit(await page.page.context.new_page(), station.url)
    beside.expects_refusals = True
    await beside.go(f"walk/{tag_of(CARRIED)}")
    mark = beside.page.get_by_role("button", name="Mark")
    await mark.wait_for()
    await page.page.get_by_role("button", name="Sign out").click()
    await sign_in(page)
    await page.wait_for_text("#session-link", "Signed in")
    await beside.page.get_by_label("Note").fill("beside")
    await mark.click()
    await beside.wait_for_text(".marks li", "beside")


async def test_answers_outlive_a_session_that_ends_while_they_are_written(
    station: ServedStation, visit: OpenPage
) -> None:
    page = await visit(station.url, screen=PHONE)
    page.expects_refusals = True
    await page.go("station")
    await sign_in(page)
    await page.wait_for_text("#session-link", "Signed in")
    await page.page.get_by_role("button", name="Put this station into service").click()
    step = page.page.locator(".steps li").filter(has_text="Who was here")
    await step.wait_for()
    if await step.locator("summary").count():  # Another test may have answered it.
        await step.locator("summary").click()
    remarks = step.get_by_label("Anything for those who come next")
    await remarks.fill("the ladder is loose")
    await page.page.context.clear_cookies()
    await (
        step.get_by_role("button", name="Take")
        .or_(step.get_by_role("button", name="Change"))
        .click()
    )
    await sign_in(page)
    await page.wait_for_text("#session-link", "Signed in")
    await remarks.wait_for()
    assert await remarks.input_value() == "the ladder is loose"


async def test_a_configuration_that_cannot_be_written_is_there_to_be_saved_by_hand(
    station: ServedStation, visit: OpenPage
) -> None:
    page = await visit(station.url)
    page.expects_refusals = True
    refusal = {"error": "it is read-only", "do": "save it", "text_to_save": "[station]\nid = 'x'"}
    await page.page.route(
        "**/api/commission/station", lambda route: route.fulfill(status=409, json=refusal)
    )
    await page.go("station")
    await sign_in(page)
    await page.wait_for_text("#session-link", "Signed in")
    await page.page.get_by_role("button", name="Put this station into service").click()
    step = page.page.locator(".steps li").first
    await step.locator("summary").click()
    await step.get_by_role("button", name="Change").click()
    await page.wait_for_text(".steps .failure", "it is read-only")
    await page.wait_for_text(".steps pre", "id = 'x'")


async def test_a_page_that_asks_for_the_password_shows_nothing_before(
    visit: OpenPage, tmp_path: Path, plug_in: Callable[[], PseudoRadio]
) -> None:
    station = ServedStation(tmp_path, {"north": plug_in().device}, page='read = "password"\n')
    await asyncio.to_thread(station.start)
    try:
        page = await visit(station.url)
        page.expects_refusals = True
        await page.page.goto(station.url)
        await page.page.get_by_label("Password of the station").wait_for()
        assert await page.page.locator("nav").is_hidden()
        await sign_in(page)
        await page.page.locator("nav").wait_for()
        await page.go("live")
        await page.page.locator("#banner").wait_for(state="hidden")
        await page.end()
    finally:
        await asyncio.to_thread(station.stop, signal.SIGKILL)
