"""Rules of alarms about the station itself, and all rules together."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from receiver.health import radio_rules
from receiver.health.alarm_notes import Key
from receiver.health.alarms import Finding
from receiver.health.growth import JUDGED_AFTER_S
from receiver.health.moment import age_s
from receiver.health.situation import Lasting, Situation, in_words
from receiver.limits import STORE_FAILING_ALARM_S, UNDERVOLTAGE_KEPT_S
from receiver.store.writer import StoreState

CLOCK_LOST: Final = "clock-lost"
DISK_LOW: Final = "disk-low"
DISK_FULL: Final = "disk-full"
STORE_FAILING: Final = "store-failing"
BACKLOG_GROWING: Final = "backlog-growing"
UNDERVOLTAGE: Final = "undervoltage"
STANDSTILL: Final = "standstill"

Rule: TypeAlias = Callable[[Situation], Iterator[Finding]]

_BAD_CLOCKS: Final = ("unsynchronised", "implausible")
_MORE: Final = 1.1
"""An alarm about an amount ends when the amount is a tenth better than what raised it."""


def all_rules() -> Sequence[Rule]:
    """Return the rules; they remember what they saw, so a station keeps its own."""
    return (
        radio_rules.RadioSilent(),
        radio_rules.UnreadableLink(),
        radio_rules.UnknownFramesRising(),
        radio_rules.BeaconMissing(),
        ClockLost(),
        disk_low,
        StoreFailing(),
        store_taken_away,
        backlog_growing,
        Undervoltage(),
        standstill,
    )


class ClockLost:
    """Nobody disciplines the clock for too long: rows cannot be placed in time."""

    def __init__(self) -> None:
        self._bad = Lasting()

    def __call__(self, now: Situation) -> Iterator[Finding]:
        """Yield a finding while the clock is bad."""
        longest_s = now.settings.alarms.clock_minutes * 60
        is_bad = now.stamp.clock in _BAD_CLOCKS
        bad_s = self._bad.so("clock", now.now_s, is_so=is_bad)
        if is_bad and longest_s:
            yield Finding(
                alarm=CLOCK_LOST,
                message=f"the clock is {now.stamp.clock} for {in_words(bad_s)}",
                do="see `timedatectl` and `chronyc sources`: network or GPS must reach the station",
                raises=bad_s >= longest_s,
            )


def disk_low(now: Situation) -> Iterator[Finding]:
    """Yield a finding where little is free, or it is going to be soon."""
    facts, growth, settings = now.facts, now.growth, now.settings.alarms
    least_bytes = settings.disk_free_mb * 1e6
    days = growth.days_left if growth.watched_s >= JUDGED_AFTER_S else None
    is_low = facts.free_bytes < least_bytes or (days is not None and days < settings.disk_days)
    keeps = facts.free_bytes < _MORE * least_bytes or (
        growth.days_left is not None and growth.days_left < _MORE * settings.disk_days
    )
    if is_low or keeps:
        lasts = "" if days is None else f", {days:.1f} days at the present rate"
        yield Finding(
            alarm=DISK_LOW,
            message=f"{facts.free_bytes / 1e6:.0f} MB free{lasts}",
            do="free space on the store's disk, or set store.max_size_mb and let a sink take rows",
            raises=is_low,
        )


class StoreFailing:
    """The store cannot be written; the writer tells the log."""

    _ALARMS: Final = {
        StoreState.DISK_FULL: (DISK_FULL, "the disk is full", "free space on the store's disk"),
        StoreState.FAILING: (
            STORE_FAILING,
            "the store cannot be written",
            "check the disk and the permissions; the log has the reason",
        ),
    }

    def __init__(self) -> None:
        self._bad = Lasting()

    def __call__(self, now: Situation) -> Iterator[Finding]:
        """Yield a finding while rows wait in memory for a disk."""
        for state, (alarm, message, do) in self._ALARMS.items():
            is_so = now.store_state is state
            bad_s = self._bad.so(state, now.now_s, is_so=is_so)
            if is_so:
                yield Finding(
                    alarm=alarm,
                    message=f"{message}; what is heard waits in memory",
                    do=do,
                    raises=bad_s >= STORE_FAILING_ALARM_S,
                    is_logged=True,
                )


def store_taken_away(now: Situation) -> Iterator[Finding]:
    """Yield a finding while the daemon writes a file that nobody finds at its place any more."""
    if now.lost_store:
        yield Finding(
            alarm=STORE_FAILING,
            subject=now.lost_store,
            message="the store was moved, deleted or replaced while the station runs; what is heard"
            " goes on into the file that was there",
            do="put the same file back with `mv`, or restart the station, which begins a new store;"
            " rows in a deleted file end with the restart",
        )


def backlog_growing(now: Situation) -> Iterator[Finding]:
    """Yield a finding for each sink that has not handed on rows for too long."""
    longest_s = now.settings.alarms.backlog_hours * 3600
    for sink in now.settings.sinks:
        backlog = now.facts.backlogs.get(sink.name)
        if not (longest_s and sink.automatic and backlog and backlog.oldest):
            continue
        expected = now.expected.get(sink_key(sink.name))
        expected_s = age_s(expected, now.stamp) if expected else 0.0
        waits_s = age_s(backlog.oldest, now.stamp)
        if waits_s is not None and expected_s is not None:
            waits_s = min(waits_s, expected_s)
        if waits_s is not None and waits_s * _MORE < longest_s:
            continue
        since = "" if waits_s is None else f", the oldest for {in_words(waits_s)}"
        paused = "; somebody paused this sink" if backlog.is_paused else ""
        yield Finding(
            alarm=BACKLOG_GROWING,
            subject=sink.name,
            message=f"{backlog.rows} rows wait{since}{paused}",
            do=f"`stopover upload --resume {sink.name}`"
            if backlog.is_paused
            else "see the sink's reason in `stopover status`: network, far end, password",
            raises=waits_s is not None and waits_s >= longest_s,
        )


def sink_key(name: str) -> Key:
    """Return the alarm that a sink's backlog is."""
    return BACKLOG_GROWING, name


class Undervoltage:
    """The supply sags: now, or since the last look, where the computer remembers it."""

    def __init__(self) -> None:
        self._seen_s: float | None = None
        self._was_before: bool | None = None

    def __call__(self, now: Situation) -> Iterator[Finding]:
        """Yield a finding while it sags, and for some minutes after."""
        host = now.host
        was = host.undervoltage_since_boot
        sags = bool(host.undervoltage) or bool(was and self._was_before is False)
        self._was_before = was
        if sags:
            self._seen_s = now.now_s
        if self._seen_s is not None and now.now_s - self._seen_s < UNDERVOLTAGE_KEPT_S:
            volts = "" if host.voltage_v is None else f": {host.voltage_v:g} V"
            yield Finding(
                alarm=UNDERVOLTAGE,
                message=f"the supply voltage is too low{volts}",
                do="a stronger supply, a shorter and thicker cable, fewer things on USB",
                raises=sags,
            )


def standstill(now: Situation) -> Iterator[Finding]:
    """Yield a finding while the station makes no progress; the daemon tells the log."""
    if now.standstill is not None:
        yield Finding(
            alarm=STANDSTILL,
            message=now.standstill,
            do="systemd restarts the station; keep its log: `journalctl -u stopover`",
            is_logged=True,
        )
