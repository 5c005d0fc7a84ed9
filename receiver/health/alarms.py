"""Alarms: one state machine for all of them, whatever their cause.

The rules say at each look what they find wrong. A finding that `raises` puts its alarm on; one that
does not only keeps an alarm that is on (the radio answers again, but only since a moment). An alarm
without a finding is over after a while that grows with each time that it came back: see
`ALARM_OVER_AFTER_S`. Each is told in the log once, and once when it is over, at one level.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import structlog

from receiver.health.alarm_notes import Key
from receiver.health.snapshot import AlarmSnapshot
from receiver.limits import ALARM_FLAPS_WITHIN_S, ALARM_OVER_AFTER_S, ALARM_OVER_LONGEST_S

log = structlog.get_logger()

MOST_ON: Final = 100
"""Alarms that are on at once; twelve links, sinks and beacons have 60 at the very worst."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a rule finds wrong now."""

    alarm: str
    subject: str = ""
    message: str
    do: str
    raises: bool = True
    """Whether it is reason enough for an alarm; else it only keeps one that is on."""
    is_logged: bool = False
    """Whether what watches over it tells the log itself, of its end too."""

    @property
    def key(self) -> Key:
        """The alarm that it is about."""
        return self.alarm, self.subject


class AlarmChange(msgspec.Struct, frozen=True):
    """An alarm that is on now, or over."""

    alarm: AlarmSnapshot
    is_on: bool


class _On:
    """One alarm that is on."""

    def __init__(self, told: AlarmSnapshot, *, is_logged: bool) -> None:
        self.told = told
        self.is_logged = is_logged
        self.clear_since_s: float | None = None


class Alarms:
    """All alarms of a station; `look` takes what the rules find."""

    def __init__(self) -> None:
        self._on: dict[Key, _On] = {}
        self._raised_s: dict[Key, list[float]] = {}

    @property
    def on(self) -> tuple[AlarmSnapshot, ...]:
        """The alarms that are on, the oldest first."""
        return tuple(each.told for each in self._on.values())

    @property
    def keys(self) -> frozenset[Key]:
        """Which ones are on."""
        return frozenset(self._on)

    @property
    def not_told_elsewhere(self) -> tuple[AlarmSnapshot, ...]:
        """Those on of which nothing but this tells."""
        return tuple(each.told for each in self._on.values() if not each.is_logged)

    def go_on_with(self, earlier: Mapping[Key, AlarmSnapshot]) -> None:
        """Take alarms that were on when the station was stopped: they are told already."""
        for key, alarm in earlier.items():
            self._on.setdefault(key, _On(alarm, is_logged=False))

    def look(self, findings: Iterable[Finding], now_s: float, now: str) -> list[AlarmChange]:
        """Take what is wrong now; return what has changed.

        `now_s` are seconds of a steady clock, `now` is the time as it is shown.
        """
        changes = []
        found: set[Key] = set()
        for finding in findings:
            known = self._on.get(finding.key)
            if known is not None:
                found.add(finding.key)
                self._goes_on(known, finding)
            elif finding.raises and len(self._on) < MOST_ON:
                found.add(finding.key)
                changes.append(self._begins(finding, now_s, now))
        for key in [key for key in self._on if key not in found]:
            alarm = self._on[key]
            if alarm.clear_since_s is None:
                alarm.clear_since_s = now_s
            if now_s - alarm.clear_since_s >= self._over_after_s(key, now_s):
                changes.append(self._ends(key))
        return changes

    def _goes_on(self, alarm: _On, finding: Finding) -> None:
        alarm.clear_since_s = None
        alarm.is_logged = alarm.is_logged or (finding.is_logged and finding.raises)
        told = alarm.told
        if (told.message, told.do) != (finding.message, finding.do):
            alarm.told = msgspec.structs.replace(told, message=finding.message, do=finding.do)

    def _begins(self, finding: Finding, now_s: float, now: str) -> AlarmChange:
        told = AlarmSnapshot(
            alarm=finding.alarm,
            subject=finding.subject,
            since=now,
            message=finding.message,
            do=finding.do,
        )
        self._on[finding.key] = _On(told, is_logged=finding.is_logged)
        self._raised_s[finding.key] = [*self._lately(finding.key, now_s), now_s]
        if not finding.is_logged:
            log.warning(
                "alarm",
                alarm=finding.alarm,
                **_about(finding.subject),
                reason=finding.message,
                do=finding.do,
            )
        return AlarmChange(told, is_on=True)

    def _ends(self, key: Key) -> AlarmChange:
        alarm = self._on.pop(key)
        told = alarm.told
        if not alarm.is_logged:
            log.warning("alarm over", alarm=told.alarm, **_about(told.subject), since=told.since)
        return AlarmChange(told, is_on=False)

    def _over_after_s(self, key: Key, now_s: float) -> float:
        again = len(self._lately(key, now_s)) - 1
        doubled = ALARM_OVER_AFTER_S * 2.0 ** min(max(0, again), 10)
        return min(doubled, ALARM_OVER_LONGEST_S)

    def _lately(self, key: Key, now_s: float) -> list[float]:
        raised_s = self._raised_s.get(key, [])
        return [at_s for at_s in raised_s if now_s - at_s < ALARM_FLAPS_WITHIN_S]


def _about(subject: str) -> dict[str, str]:
    return {"subject": subject} if subject else {}
