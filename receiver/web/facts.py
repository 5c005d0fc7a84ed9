"""What this station is made of: the answer of /api/facts. No secrets, nor where they are kept."""

import platform
import sqlite3
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from receiver.settings import Link, MqttLink, Settings
from receiver.sink_settings import Sink
from receiver.web.answers import answer
from receiver.web.parts import StationParts

_LICENCES: Final = {
    "stopover": "MIT",
    "uPlot": "MIT, Copyright (c) 2022 Leon Sorokin: static/uPlot-LICENSE.txt",
}
_TIME: Final = "All times are UTC."


class Facts:
    """The route of /api/facts."""

    def __init__(self, parts: StationParts) -> None:
        self._parts = parts

    async def show(self, _: web.Request) -> web.StreamResponse:
        """Answer GET."""
        settings = self._parts.settings()
        snapshot = self._parts.snapshot()
        configuration = self._parts.configuration
        return answer(
            {
                "station": settings.station.id,
                "version": snapshot.version,
                "python": platform.python_version(),
                "sqlite": sqlite3.sqlite_version,
                "machine": f"{platform.system()} {platform.release()}, {platform.machine()}",
                "boot": self._parts.boot,
                "started": snapshot.started,
                "store": {"path": str(self._parts.store), "store_uuid": snapshot.store.store_uuid},
                "configuration": None if configuration is None else str(configuration),
                "position": {
                    "latitude": snapshot.latitude,
                    "longitude": snapshot.longitude,
                    "configured": settings.station.latitude is not None,
                },
                "links": [_link(link) for link in settings.links],
                "antennas": [msgspec.to_builtins(antenna) for antenna in settings.antennas],
                "beacons": [msgspec.to_builtins(beacon) for beacon in settings.beacons],
                "sinks": [_sink(sink) for sink in settings.sinks],
                "tag_lists": _tag_lists(settings),
                "time": _TIME,
                "licences": _LICENCES,
            }
        )


def _link(link: Link) -> dict[str, Any]:
    told: dict[str, Any] = {"name": link.name, "kind": str(link.__struct_config__.tag)}
    if isinstance(link, MqttLink):
        told["broker"] = link.broker
        told["topics"] = [
            {"topic": each.topic, "decoder": each.decoder, "antenna": each.antenna}
            | _antennas(each.antennas)
            for each in link.topics
        ]
        return told
    for key in ("device", "path", "decoder", "antenna"):
        if hasattr(link, key):
            told[key] = getattr(link, key)
    return told | _antennas(getattr(link, "antennas", {}))


def _antennas(labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the labels of several radios; few links have them."""
    return {"antennas": dict(labels)} if labels else {}


def _sink(sink: Sink) -> dict[str, Any]:
    """Return a sink and where it sends; of an address only the host, since paths hold tokens."""
    told: dict[str, Any] = {
        "name": sink.name,
        "kind": str(sink.__struct_config__.tag),
        "automatic": sink.automatic,
    }
    for key in ("url", "broker", "folder"):
        place = getattr(sink, key, None)
        if isinstance(place, str):
            told["to"] = place if key == "folder" else urlsplit(place).hostname
    return told


def _tag_lists(settings: Settings) -> dict[str, Any]:
    tags = settings.tags
    return {
        "coded_ids": tags.coded_ids,
        "known_file": tags.known_file,
        "known": len(tags.known),
        "names_file": tags.names_file,
    }
