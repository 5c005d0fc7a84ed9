"""Rules of alarms about what is heard: radios, what they say, and the beacons."""

from collections.abc import Iterator
from typing import Final

from receiver.decode_watch import FAILS_FROM
from receiver.health.alarm_notes import Key
from receiver.health.alarms import Finding
from receiver.health.moment import age_s
from receiver.health.situation import FrameCounts, Lasting, Situation, in_words
from receiver.health.tags_heard import beacon_id
from receiver.health.unknown_rise import UnknownFrames
from receiver.limits import DECODE_WINDOW_FRAMES, LINK_DOWN_ALARM_S
from receiver.links.intake import LinkState
from receiver.watch_settings import BeaconSettings

RADIO_SILENT: Final = "radio-silent"
BEACON_MISSING: Final = "beacon-missing"
UNREADABLE_LINK: Final = "unreadable-link"
UNKNOWN_RISING: Final = "unknown-frames-rising"

_WORKS: Final = (LinkState.HEARING, LinkState.QUIET)
_LOOK_AT_IT: Final = "somebody must look: power, cable, hub, then the radio itself"


class RadioSilent:
    """A radio that does not answer, or a link that cannot be opened, for some minutes.

    How long a radio may be silent is judged by `receiver.supervision`, which tells the log.
    """

    def __init__(self) -> None:
        self._down = Lasting()

    def __call__(self, now: Situation) -> Iterator[Finding]:
        """Yield a finding for each link that does not work."""
        for link in now.links:
            is_down = link.state not in _WORKS
            down_s = self._down.so(link.name, now.now_s, is_so=is_down)
            silent = now.silent.get(link.name)
            if silent is not None:
                yield Finding(
                    alarm=RADIO_SILENT,
                    subject=link.name,
                    message=f"radio {silent.removeprefix(f'{link.name}: ')}",
                    do=_LOOK_AT_IT,
                    is_logged=True,
                )
            elif is_down:
                why = f": {link.reason}" if link.reason else ""
                yield Finding(
                    alarm=RADIO_SILENT,
                    subject=link.name,
                    message=f"{link.state} for {in_words(down_s)}{why}",
                    do=_LOOK_AT_IT,
                    raises=down_s >= LINK_DOWN_ALARM_S,
                )


class UnreadableLink:
    """A link that could be read and cannot be any more: `receiver.decode_watch` tells the log.

    After a restart nobody knows that it could be read once: the alarm stays on until half can be.
    """

    def __call__(self, now: Situation) -> Iterator[Finding]:
        """Yield a finding for each link that cannot be read."""
        for name, frames in now.frames.items():
            fails = name in now.unreadable
            if fails or ((UNREADABLE_LINK, name) in now.on and _is_unreadable(frames)):
                yield Finding(
                    alarm=UNREADABLE_LINK,
                    subject=name,
                    message="hears what it cannot read any more",
                    do="see `stopover status`: has its radio other firmware, its line a fault?",
                    raises=fails,
                    is_logged=fails,
                )


class UnknownFramesRising:
    """More frames that no decoder knows than there used to be: see `receiver.health.unknown_rise`.

    A link that cannot be read at all has its own alarm and needs none of these.
    """

    def __init__(self) -> None:
        self._links: dict[str, UnknownFrames] = {}

    def __call__(self, now: Situation) -> Iterator[Finding]:
        """Yield a finding for each link with a rise."""
        known, self._links = self._links, {}
        for name, frames in now.frames.items():
            watched = self._links[name] = known.get(name) or UnknownFrames()
            rise = watched.look(frames.unknown, now.now_s)
            if name in now.unreadable or not rise.keeps:
                continue
            yield Finding(
                alarm=UNKNOWN_RISING,
                subject=name,
                message=f"{rise.lately} unknown frames in the last 10 min,"
                f" {rise.usual or 0:.0f} are usual",
                do="see `stopover status` for what they look like: new firmware, a new tag, noise?",
                raises=rise.raises,
            )


class BeaconMissing:
    """A test tag that was not heard for too long: counted over restarts, by the store's rows."""

    def __call__(self, now: Situation) -> Iterator[Finding]:
        """Yield a finding for each beacon that is missing."""
        for beacon in now.settings.beacons:
            key = beacon_key(beacon)
            missing_s = _missing_s(beacon, key, now)
            longest_s = beacon.within_hours * 3600
            if missing_s is not None and missing_s < longest_s:
                continue
            has_been = "" if missing_s is None else f" for {in_words(missing_s)}"
            yield Finding(
                alarm=BEACON_MISSING,
                subject=key[1],
                message=f"not heard{has_been}; at least every {in_words(longest_s)} is expected",
                do="is the test tag alive and in its place? Then antenna, cable, radio",
                raises=missing_s is not None,
            )


def beacon_key(beacon: BeaconSettings) -> Key:
    """Return the alarm that a beacon's absence is."""
    where = f" at {beacon.antenna}" if beacon.antenna else ""
    return BEACON_MISSING, f"{beacon_id(beacon)}{where}"


def _missing_s(beacon: BeaconSettings, key: Key, now: Situation) -> float | None:
    """Return the seconds since it was heard or first expected; None where no clock can tell."""
    expected = now.expected.get(key)
    heard = now.beacons.get(beacon)
    expected_s = age_s(expected, now.stamp) if expected else 0.0
    if heard is None:
        return expected_s
    heard_s = age_s(heard, now.stamp)
    if heard_s is None:
        return None
    return heard_s if expected_s is None else min(heard_s, expected_s)


def _is_unreadable(frames: FrameCounts) -> bool:
    if frames.records < DECODE_WINDOW_FRAMES:
        return True
    return frames.unknown / frames.records >= FAILS_FROM
