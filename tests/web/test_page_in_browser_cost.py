"""What the page costs: bytes and time of its first load, and what it does while nothing happens."""

import asyncio
import gzip
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser import PHONE, OpenPage
from playwright.async_api import CDPSession
from pseudo_terminals import PseudoRadio
from served_station import ServedStation, say, tag_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST_LOAD_BYTES = 200_000
FIRST_LOAD_S = 1.0
SLOWER = 4
"""So much slower than this machine is a phone in the field, by common practice."""

IDLE_S = 2
IDLE_CPU = 0.02
"""Part of one processor: a clock that ticks each second is all that moves."""

STATIC = Path(__file__).parents[2] / "receiver" / "web" / "static"


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
    served = ServedStation(tmp_path_factory.mktemp("cost"), {"north": radio.device})
    served.start()
    yield served
    served.stop(signal.SIGKILL)


async def test_the_first_load_is_small(
    station: ServedStation, visit: OpenPage, radio: PseudoRadio
) -> None:
    page = await visit(station.url, screen=PHONE)
    sizes: dict[str, int] = {}
    urls: dict[str, str] = {}
    cdp = await page.page.context.new_cdp_session(page.page)
    cdp.on(
        "Network.responseReceived",
        lambda told: urls.update({told["requestId"]: told["response"]["url"]}),
    )
    cdp.on(
        "Network.loadingFinished",
        lambda told: sizes.update({told["requestId"]: int(told["encodedDataLength"])}),
    )
    await cdp.send("Network.enable")
    say(radio, 1)
    await page.go()
    await page.wait_for_text("#live-rows", tag_of(1))
    loaded = [urls[request] for request in sizes]
    names = {Path(urlsplit(url).path).name or "index.html" for url in loaded}
    plain = sum((STATIC / name).stat().st_size for name in names if (STATIC / name).is_file())
    sent = sum(sizes.values())
    _tell(f"first load: {sent} bytes sent, {plain} unpacked, {len(loaded)} requests")
    assert sent < FIRST_LOAD_BYTES
    assert plain < FIRST_LOAD_BYTES
    assert len(names) >= 15
    loaded = [name for name in loaded if "uPlot" in name]
    assert loaded == []  # The plots' library comes when somebody looks at plots.


def _tell(measured: str) -> None:
    """Print a measurement, for `pytest -s`."""
    print(f"\n{measured}")  # noqa: T201  Numbers for whoever asks.


async def test_everything_the_page_ever_loads_is_below_the_limit_when_packed() -> None:
    packed = sum(len(gzip.compress(path.read_bytes())) for path in STATIC.iterdir())
    assert packed < FIRST_LOAD_BYTES


async def test_the_first_load_takes_less_than_a_second_of_a_slow_phone(
    station: ServedStation, visit: OpenPage, radio: PseudoRadio
) -> None:
    say(radio, 2)
    page = await visit(station.url, screen=PHONE)
    cdp = await page.page.context.new_cdp_session(page.page)
    # Processor time of the page's own thread: what else this machine does is not the page's cost.
    await cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
    await page.page.add_init_script(_WHEN_SHOWN)
    before_s = await busy_s(cdp)
    await page.page.goto(station.url)
    await page.until("window.shownAt > 0")
    used_s = await busy_s(cdp) - before_s
    shown_s = await page.page.evaluate("window.shownAt / 1000")
    _tell(f"first detections after {shown_s:.2f} s, {used_s:.2f} s of them of the processor")
    assert used_s * SLOWER < FIRST_LOAD_S


_WHEN_SHOWN = """window.shownAt = 0; const look = () => {
  if (document.querySelector('#live-rows tr') && document.querySelector('.card')) {
    window.shownAt = performance.now();
  } else requestAnimationFrame(look);
}; requestAnimationFrame(look);"""


@pytest.mark.parametrize("section", ["live", "plots"])
async def test_an_idle_page_costs_next_to_nothing(
    station: ServedStation, visit: OpenPage, section: str
) -> None:
    page = await visit(station.url, screen=PHONE)
    await page.go(section)
    await page.settled()
    cdp = await page.page.context.new_cdp_session(page.page)
    await cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
    before_s = await busy_s(cdp)
    await asyncio.sleep(IDLE_S)
    used = (await busy_s(cdp) - before_s) / IDLE_S
    _tell(f"idle at {section}: {used:.2%} of a processor")
    assert used < IDLE_CPU


async def busy_s(cdp: CDPSession) -> float:
    """Return how long the page's thread has worked so far."""
    told = await cdp.send("Performance.getMetrics")
    metrics = {each["name"]: each["value"] for each in told["metrics"]}
    return float(metrics["TaskDuration"])
