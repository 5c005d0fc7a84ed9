"""Links kept running: each by itself, whatever happens to the others, through changes of settings.

A link that fails by a fault in the program is started again by the links' back-off; its fault is
told once, and never reaches another link. A change of the configuration touches only the links
that it changes: the others keep their object, their port and their connection.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from receiver.limits import LINK_STOP_S
from receiver.links.backoff import Backoff
from receiver.links.intake import LinkState, LinkStatus
from receiver.settings import Link
from receiver.supervision.escalation import Escalation
from receiver.supervision.expectation import Expectation

log = structlog.get_logger()


class RunsForEver(Protocol):
    """A link, as far as it is supervised."""

    async def run(self) -> None:
        """Run until cancelled."""
        ...


class LinkChanges(msgspec.Struct, frozen=True):
    """What a change of the configuration did to the links, by name."""

    kept: tuple[str, ...]
    stopped: tuple[str, ...]
    started: tuple[str, ...]


class _Supervised:
    """One link with its settings, its status and its task."""

    def __init__(self, settings: Link, status: LinkStatus, escalation: Escalation) -> None:
        self.settings = settings
        self.status = status
        self.escalation = escalation
        within_s = getattr(settings, "silent_after", 0.0)
        self.expectation = Expectation(status, within_s, self.reopen)
        self.task: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._is_to_reopen = False

    def reopen(self) -> None:
        """Close its port or connection and open it again."""
        if self._opening is not None:
            self._is_to_reopen = True
            self._opening.cancel()

    async def run(self, runner: RunsForEver) -> bool:
        """Run it until it ends or is to be opened again; return whether it is."""
        self._is_to_reopen = False
        self._opening = asyncio.create_task(runner.run())
        try:
            await asyncio.wait({self._opening})
        finally:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        if not self._opening.cancelled():
            self._opening.result()
        return self._is_to_reopen


class Supervision:
    """All links of the station."""

    def __init__(
        self,
        make: Callable[[Link, LinkStatus], RunsForEver],
        *,
        reset_of: Callable[[Link], Callable[[], Awaitable[str]] | None] = lambda _link: None,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        """`make` makes a link; `reset_of` returns what resets its radio on USB, if anything can."""
        self._make = make
        self._reset_of = reset_of
        self._backoff = backoff
        self._links: list[_Supervised] = []

    @property
    def statuses(self) -> list[LinkStatus]:
        """How each link is, in the order of the configuration."""
        return [link.status for link in self._links]

    @property
    def alarms(self) -> list[str]:
        """Which radios need somebody to come, and why."""
        return [link.escalation.alarm for link in self._links if link.escalation.alarm]

    def dead(self) -> list[str]:
        """Return the links whose task has ended, which none ever should."""
        return [
            link.status.name for link in self._links if link.task is not None and link.task.done()
        ]

    async def change(self, wanted: Sequence[Link]) -> LinkChanges:
        """Run these links and no others; links with the same settings run on untouched.

        What is to stop has stopped before anything new starts: a port may change its link.
        """
        known = {link.settings.name: link for link in self._links}
        same = {
            settings.name: known[settings.name]
            for settings in wanted
            if settings.name in known and known[settings.name].settings == settings
        }
        stopped = [link for link in self._links if link.status.name not in same]
        await self._stop(stopped)
        started = []
        links = []
        for settings in wanted:
            link = same.get(settings.name)
            if link is None:
                link = self._start(settings)
                started.append(settings.name)
            links.append(link)
        self._links = links
        return LinkChanges(tuple(same), tuple(link.status.name for link in stopped), tuple(started))

    async def stop(self) -> None:
        """Stop every link."""
        await self._stop(self._links)

    async def look(self, now_s: float) -> None:
        """Do what is due about radios that do not answer; `now_s` is of a steady clock."""
        for link in self._links:
            link.expectation.look(now_s)
            await link.escalation.look(now_s)

    def _start(self, settings: Link) -> _Supervised:
        status = LinkStatus(settings.name)
        link = _Supervised(settings, status, Escalation(status, self._reset_of(settings)))
        link.task = asyncio.create_task(self._watched(link), name=settings.name)
        return link

    async def _watched(self, link: _Supervised) -> None:
        """Run one link for ever; a fault in it must not end the others, whatever it is."""
        settings, status = link.settings, link.status
        backoff = self._backoff()
        told: str | None = None
        runner: RunsForEver | None = None
        while True:
            backoff.works()
            try:
                runner = runner or self._make(settings, status)
                if await link.run(runner):
                    continue
                fault = "it ended by itself"
            except Exception as error:
                fault = f"{type(error).__name__}: {error}"
                if fault != told:
                    log.exception("link failed by a fault in the program", link=settings.name)
            told = fault
            status.state = LinkState.FAILED
            status.reason = f"a fault in the program: {fault}"
            status.listening(now=False)
            await asyncio.sleep(backoff.failed())

    async def _stop(self, links: Sequence[_Supervised]) -> None:
        tasks = {link.task for link in links if link.task is not None}
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        _, running = await asyncio.wait(tasks, timeout=LINK_STOP_S)
        for task in running:
            log.error("link does not stop", link=task.get_name())
        for link in links:
            link.status.listening(now=False)
