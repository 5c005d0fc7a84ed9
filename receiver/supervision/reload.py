"""The configuration read again while the station runs, and what of it can be taken over then."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from receiver.config import ConfigError
from receiver.settings import Settings
from receiver.supervision.notify import Notifier

log = structlog.get_logger()

_LIVE_SECTIONS = frozenset(
    {"station", "store", "log", "clock", "tags", "page", "links", "alarms", "antennas", "beacons"}
)
_FIXED_KEYS = (("station", "id"), ("store", "path"), ("tags", "known"), ("tags", "known_file"))
"""They name the rows of the open store and the store itself; runs are judged by one list of known
tags while the station runs."""


def taken_over(old: Settings, new: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings in force from now on, and the keys that wait for a restart.

    A key that cannot change while the station runs keeps its old value.
    """
    waiting: list[str] = []
    for section, key in _FIXED_KEYS:
        before, after = getattr(old, section), getattr(new, section)
        if getattr(before, key) != getattr(after, key):
            waiting.append(f"{section}.{key}")
            kept = msgspec.structs.replace(after, **{key: getattr(before, key)})
            new = msgspec.structs.replace(new, **{section: kept})
    for section in Settings.__struct_fields__:
        if section not in _LIVE_SECTIONS and getattr(old, section) != getattr(new, section):
            waiting.append(section)
            new = msgspec.structs.replace(new, **{section: getattr(old, section)})
    return new, tuple(waiting)


class Reload:
    """Reads the configuration again whenever it is asked to; a wrong one changes nothing."""

    def __init__(
        self,
        load: Callable[[], Settings] | None,
        change: Callable[[Settings], Awaitable[None]],
        notifier: Notifier,
    ) -> None:
        """`load` is called in a thread; `change` is given what it returns."""
        self._load = load
        self._change = change
        self._notifier = notifier
        self._asked = asyncio.Event()

    @property
    def is_possible(self) -> bool:
        """Whether there is a configuration to read."""
        return self._load is not None

    @property
    def is_asked(self) -> bool:
        """Whether somebody asked since it last began to read."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask for it, from the loop."""
        self._asked.set()

    async def run(self) -> None:
        """Read again each time that it is asked for, and tell systemd; runs until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._notifier.reloading()
            try:
                await self._read_again()
            finally:
                self._notifier.ready()

    async def _read_again(self) -> None:
        if self._load is None:
            log.warning("there is no configuration to read again")
            return
        try:
            new = await asyncio.to_thread(self._load)
        except ConfigError as error:
            told = log.bind(reason=str(error))
            told.error("configuration refused; the old one goes on")
            return
        await self._change(new)
