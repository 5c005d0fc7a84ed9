"""What antennas are on: the radios that a configuration knows, and those that were heard with."""

from collections.abc import Iterator, Mapping

import msgspec

from receiver.arrivals import FIRST_RADIO
from receiver.health.snapshot import StationSnapshot
from receiver.radio_settings import SoftwareRadioLink
from receiver.settings import MqttLink, Settings


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an antenna is on: one radio of a link, or of a subscription."""

    key: str
    """`ch1`, or `field#0` for the first subscription of an MQTT link; `ch1/2` for a radio that the
    frames of its link call 2: the answers' own name."""
    link: str
    topic: int | None = None
    radio: str | None = None
    """As frames name it; None where it is the only one, or the first."""
    antenna: str | None
    heard_as: str
    """What detections name it by while it has no label."""

    @property
    def name(self) -> str:
        """What it is called: its antenna, or what detections call it until it has a name."""
        return self.antenna or self.heard_as


def places(settings: Settings, snapshot: StationSnapshot | None = None) -> tuple[Place, ...]:
    """Return every place that an antenna may be on.

    Those are the radios that the configuration knows, and those that links with several have heard
    with since the daemon started. Receivers number their radios; of several subscriptions it is not
    told whose radio it was.
    """
    seen: dict[str, set[str]] = {}
    for each in snapshot.antennas if snapshot else ():
        if each.antenna is not None and each.antenna.isdecimal():
            seen.setdefault(each.link, set()).add(each.antenna)
    found: list[Place] = []
    for link in settings.links:
        radios = seen.get(link.name, set())
        if isinstance(link, MqttLink):
            for number, topic in enumerate(link.topics):
                its = radios if len(link.topics) == 1 else set()
                found += _places(link.name, number, topic.antenna, topic.antennas, its)
        elif isinstance(link, SoftwareRadioLink):
            found += _places(link.name, None, link.antenna, {}, set())
        else:
            found += _places(link.name, None, link.antenna, link.antennas, radios)
    return tuple(found)


def _places(
    link: str, topic: int | None, antenna: str | None, labels: Mapping[str, str], seen: set[str]
) -> Iterator[Place]:
    """Yield the places behind a link or a subscription; `seen` are radios that have heard."""
    key = link if topic is None else f"{link}#{topic}"
    unnamed = seen - labels.keys()
    others = sorted(unnamed - {FIRST_RADIO}, key=int)
    if antenna is not None or FIRST_RADIO in unnamed or not (labels or others):
        heard_as = FIRST_RADIO if FIRST_RADIO in unnamed else link
        yield Place(key=key, link=link, topic=topic, antenna=antenna, heard_as=heard_as)
    for radio in (*labels, *others):
        yield Place(
            key=f"{key}/{radio}",
            link=link,
            topic=topic,
            radio=radio,
            antenna=labels.get(radio),
            heard_as=radio,
        )
