"""Which subscription a message belongs to."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from paho.mqtt.matcher import MQTTMatcher

_Route = TypeVar("_Route")


class TopicRoutes(Generic[_Route]):
    """Routes by topic filter (`+` and `#` as in MQTT); of several that match the first one wins."""

    def __init__(self, routes: Sequence[tuple[str, _Route]]) -> None:
        self._routes = [route for _, route in routes]
        self._matcher = MQTTMatcher()
        for place, (pattern, _) in reversed(list(enumerate(routes))):
            self._matcher[pattern] = place

    def route(self, topic: str) -> _Route | None:
        """Return the route of a message, None where no filter matches."""
        places = list(self._matcher.iter_match(topic))
        return self._routes[min(places)] if places else None
