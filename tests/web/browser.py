"""A visit to the station's page in a real browser: Debian's Chromium, led by Playwright."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    async_playwright,
)

CHROMIUM: Final = shutil.which("chromium")

SECTIONS: Final = ("live", "antennas", "walk", "plots", "tags", "files", "log", "station")

PHONE: Final = ViewportSize(width=360, height=740)
PHONE_ASIDE: Final = ViewportSize(width=740, height=360)
SMALLEST: Final = ViewportSize(width=320, height=568)
"""What WCAG's criterion of reflow asks for."""
TABLET: Final = ViewportSize(width=768, height=1024)
DESK: Final = ViewportSize(width=1440, height=900)

FLAGS: Final = (
    "--no-sandbox",  # Chromium refuses root without it, and containers run as root.
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

REPORTS: Final = Path(__file__).parents[1] / "reports"
"""What runs leave behind; git ignores it."""

PATIENCE_MS: Final = 60_000

_AXE: Final = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
_SERIOUS: Final = ("serious", "critical")
_HIDE: Final = """(isHidden) => {
  Object.defineProperty(document, 'hidden', { value: isHidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""

Scheme: TypeAlias = Literal["light", "dark"]


class Visit:
    """One visitor with a browser of their own: no cookies of others, nothing cached."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        """What the browser's console complained of, and exceptions of the page."""
        self.expects_refusals = False
        """Whether answers that fail are part of the test: Chromium complains of each."""
        self.requests: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.on("request", self._count)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not (
            self.expects_refusals and message.text.startswith("Failed to load resource")
        ):
            self.complaints.append(f"{message.type}: {message.text}")

    def _count(self, request: Request) -> None:
        self.requests.append(request.url)

    @property
    def strangers(self) -> list[str]:
        """Requests to anybody but the station."""
        station = urlsplit(self.url).netloc
        own = ("data", "blob")
        return [
            url
            for url in self.requests
            if urlsplit(url).scheme not in own and urlsplit(url).netloc != station
        ]

    async def go(self, section: str = "live") -> None:
        """Open the page at a section, or go to it; return when its heading and the status show."""
        if self.page.url.startswith(self.url):
            await self.page.evaluate("section => { location.hash = section }", section)
        else:
            await self.page.goto(f"{self.url}#{section}")
        name = section.partition("/")[0]
        await self.page.locator(f"#view-{name} h2").wait_for()
        await self.page.locator("#view-station h2, #glance b:not(:empty)").first.wait_for(
            state="attached"
        )

    async def text(self, selector: str) -> str:
        """Return the text of the first element that a selector finds."""
        return await self.page.locator(selector).first.inner_text()

    async def wait_for_text(self, selector: str, text: str) -> None:
        """Wait until an element that a selector finds shows a text."""
        await self.page.locator(selector).filter(has_text=text).first.wait_for()

    async def until(self, expression: str, argument: object = None) -> None:
        """Wait until an expression (or function of the argument) is true in the page.

        Playwright's own `wait_for_function` evaluates text, which the page's policy forbids.
        """
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while not await self.page.evaluate(expression, argument):  # noqa: ASYNC110  The page announces nothing to us.
                await asyncio.sleep(0.02)

    async def settled(self) -> None:
        """Wait until what the section asked the station for is shown."""
        await self.page.wait_for_load_state("load")
        await self.until("!document.querySelector('main [aria-busy=true]')")

    async def put_aside(self) -> None:
        """Tell the page what a browser does when another tab is chosen, or a phone pocketed."""
        await self.page.evaluate(_HIDE, True)  # noqa: FBT003  The function's own argument.

    async def take_up(self) -> None:
        """Tell the page what a browser does when it is looked at again."""
        await self.page.evaluate(_HIDE, False)  # noqa: FBT003  Same.

    async def overflow(self) -> int:
        """Return by how many pixels the page is wider than the screen."""
        return int(
            await self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
        )

    async def faults(self, rules: Sequence[str] = ()) -> list[str]:
        """Return what axe finds serious or worse, a line for each element; all rules by default."""
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(_AXE)
        only: Mapping[str, object] = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
        found: Mapping[str, Any] = await self.page.evaluate(
            "options => axe.run(document, { resultTypes: ['violations'], ...options })", only
        )
        return [
            f"{fault['id']} ({fault['impact']}): {' '.join(map(str, node['target']))}"
            f" {node['failureSummary']}"
            for fault in found["violations"]
            if fault["impact"] in _SERIOUS
            for node in fault["nodes"]
        ]

    async def picture(self, name: str) -> Path:
        """Keep a screenshot in `tests/reports`; return its file."""
        REPORTS.mkdir(exist_ok=True)
        path = REPORTS / f"page-{name}.png"
        await self.page.screenshot(path=path)
        return path

    async def end(self) -> None:
        """Close the page; it must have asked no stranger, and the browser have nothing to say.

        Safe to call again.
        """
        await self.page.context.close()
        assert self.strangers == []
        assert self.complaints == []


OpenPage: TypeAlias = Callable[..., Awaitable[Visit]]


@asynccontextmanager
async def launched(chromium: str) -> AsyncIterator[Browser]:
    """Run a browser without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        await browser.close()


async def new_visit(
    browser: Browser,
    url: str,
    *,
    screen: ViewportSize = DESK,
    scheme: Scheme = "light",
    pixels: float = 1,
) -> Visit:
    """Return a visit that has not opened the page yet; `pixels` are device pixels per CSS pixel."""
    context = await browser.new_context(
        viewport=screen,
        color_scheme=scheme,
        reduced_motion="reduce",
        locale="en-GB",
        device_scale_factor=pixels,
    )
    return Visit(await context.new_page(), url)
