"""A walk with a test tag, led by the page: what each antenna hears, and marks in the store."""

import asyncio
import contextlib
from collections import OrderedDict
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from receiver.limits import WALK_ENDS_AFTER_S, WALKS
from receiver.live import told
from receiver.setting_types import Label
from receiver.settings import Latitude, Longitude
from receiver.walk_test import LONGEST_NOTE, SOURCE, PositionFrom, Walk, note
from receiver.web.answers import Refused, answer, body_of
from receiver.web.parts import StationParts

_LOOK_EVERY_S: Final = 1.0


class _Begin(msgspec.Struct, frozen=True):
    tag_id: Label


class _Here(msgspec.Struct, frozen=True):
    tag_id: Label
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    accuracy_m: Annotated[float, Meta(ge=0, le=1e7)] | None = None
    note: Annotated[str, Meta(max_length=LONGEST_NOTE)] = ""


class _Walking(msgspec.Struct):
    walk: Walk
    used_s: float


class WalkTests:
    """The routes of /api/walk-test."""

    def __init__(self, parts: StationParts) -> None:
        self._parts = parts
        self._walks: OrderedDict[str, _Walking] = OrderedDict()
        self._looked_at = parts.live.count
        self._looking: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """End all walks."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /api/walk-test: from now on the best levels of this tag are noted."""
        wanted = await body_of(request, _Begin)
        self._walking(wanted.tag_id)
        return answer({"walk_test": wanted.tag_id})

    async def mark(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /api/walk-test/mark: the tag is here now."""
        here = await body_of(request, _Here)
        if (here.latitude is None) != (here.longitude is None):
            raise Refused(400, "a position needs both latitude and longitude", "tell both, or none")
        latitude, longitude = here.latitude, here.longitude
        position_from: PositionFrom | None = "given" if here.accuracy_m is None else "phone"
        if latitude is None or longitude is None:
            snapshot = self._parts.snapshot()
            latitude, longitude = snapshot.latitude, snapshot.longitude
            position_from = None if latitude is None else "station"
        walking = self._walking(here.tag_id)
        self._look()
        mark = walking.walk.mark(
            latitude=latitude,
            longitude=longitude,
            accuracy_m=here.accuracy_m if position_from == "phone" else None,
            position_from=position_from,
            text=here.note,
        )
        record = note(mark)
        self._parts.keep(record, SOURCE)
        return answer({"walk_test": here.tag_id, "kept": record.message})

    def _walking(self, tag_id: str) -> _Walking:
        self._look()
        walking = self._walks.pop(tag_id, None) or _Walking(Walk(tag_id), 0.0)
        walking.used_s = asyncio.get_running_loop().time()
        self._walks[tag_id] = walking
        while len(self._walks) > WALKS:
            self._walks.popitem(last=False)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._keep_looking())
        return walking

    async def _keep_looking(self) -> None:
        """Follow what is heard while somebody walks: the ring of detections is short."""
        loop = asyncio.get_running_loop()
        while self._walks:
            await asyncio.sleep(_LOOK_EVERY_S)
            self._look()
            ended = loop.time() - WALK_ENDS_AFTER_S
            for tag_id in [tag for tag, each in self._walks.items() if each.used_s < ended]:
                del self._walks[tag_id]

    def _look(self) -> None:
        live = self._parts.live
        for heard in live.since(self._looked_at):
            walking = self._walks.get(getattr(heard.arrival.record, "tag_id", ""))
            if walking is not None:
                walking.walk.heard(told(heard, {}, frozenset()))
        self._looked_at = live.count
