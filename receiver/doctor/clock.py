"""Is the time right, who sets it, and will it be right after the next power cut?"""

from collections.abc import Iterator
from typing import Final

from receiver.doctor.findings import Finding
from receiver.doctor.site import Site
from receiver.doctor.store import store_reader

_TIME_PROGRAMS: Final = ("chronyd", "systemd-timesyncd", "ntpd", "ntpsec", "openntpd")
_SETS_TIME: Final = (
    "see that the station reaches the internet, or `sudo apt-get install chrony gpsd`"
)

_NEWEST_ROWS: Final = 20_000
"""Rows whose clock is looked at: a day of a busy station, 20 ms to read."""

_WRONG: Final = ("unsynchronised", "implausible")


def clock_now(site: Site) -> Iterator[Finding]:
    """Look whether the clock is right now."""
    quality = site.snapshot.clock.quality if site.snapshot else site.clock_quality()
    if quality in _WRONG:
        yield Finding(
            check="clock",
            severity="warning",
            subject="system clock",
            found="the time cannot be right"
            if quality == "implausible"
            else "nobody vouches for the time",
            do=f"{_SETS_TIME}; rows are corrected by themselves once it is right in this boot",
        )
    else:
        yield Finding(check="clock", severity="ok", subject="system clock", found=quality)


def clock_source(site: Site) -> Iterator[Finding]:
    """Look who sets the clock: nobody, somebody, or several that pull at it."""
    running = site.runs(*_TIME_PROGRAMS)
    gpsd = " and gpsd" if site.runs("gpsd") else ""
    if not running:
        yield Finding(
            check="clock-source",
            severity="warning",
            subject="system clock",
            found=f"no program that sets the clock runs{' (gpsd alone does not)' if gpsd else ''}",
            do="`sudo apt-get install chrony`, or `sudo systemctl enable --now systemd-timesyncd`",
        )
    elif len(running) > 1:
        yield Finding(
            check="clock-source",
            severity="warning",
            subject="system clock",
            found=f"{' and '.join(running)} pull at it both",
            do=f"keep one: `sudo systemctl disable --now {_unit(running[-1])}`",
        )
    else:
        yield Finding(
            check="clock-source", severity="ok", subject="system clock", found=running[0] + gpsd
        )


def gpsd(site: Site) -> Iterator[Finding]:
    """Look whether the gpsd that the configuration names runs."""
    if site.settings is None:
        return
    wanted = site.settings.clock.gpsd
    here = wanted.startswith(("localhost:", "127.0.0.1:", "[::1]:"))
    if here and not site.runs("gpsd"):
        yield Finding(
            check="gpsd",
            severity="warning",
            subject="clock.gpsd",
            found=f"{wanted} is configured, and no gpsd runs here",
            do="`sudo systemctl enable --now gpsd`, or set clock.gpsd to an empty text",
        )
    elif wanted and site.snapshot is not None and site.snapshot.clock.gps == "no gps fix":
        yield Finding(
            check="gps-fix",
            severity="note",
            subject="clock.gpsd",
            found="gpsd answers, and its receiver has no fix",
            do="give its antenna a view of the sky; `cgps` shows satellites, and a cold receiver"
            " takes 15 minutes",
        )


def real_time_clock(site: Site) -> Iterator[Finding]:
    """Look for a clock with a battery, which knows the time after a power cut."""
    if any(site.at("/sys/class/rtc").glob("rtc*")):
        yield Finding(
            check="real-time-clock", severity="ok", subject="computer", found="it has one"
        )
    elif not site.runs("gpsd"):
        yield Finding(
            check="real-time-clock",
            severity="note",
            subject="computer",
            found="no clock with a battery: after a power cut the time is wrong until somebody"
            " tells it",
            do="where the network is poor, add an RTC (DS3231) or a GPS receiver",
        )


def clock_of_rows(site: Site) -> Iterator[Finding]:
    """Look how far the times of the newest rows can be believed."""
    with store_reader(site) as reader:
        rows = (
            {} if reader is None else dict(reader.connection.execute(_QUALITIES, (_NEWEST_ROWS,)))
        )
    total = sum(rows.values())
    wrong = sum(rows.get(quality, 0) for quality in _WRONG)
    if not total:
        return
    if wrong:
        yield Finding(
            check="clock-of-rows",
            severity="warning",
            subject="store",
            found=f"the times of {wrong} of the newest {total} detections cannot be believed",
            do="those of the boot that runs now are corrected once its clock is right; for the next"
            " power cut, add an RTC or a GPS receiver",
        )
    else:
        told = ", ".join(f"{count} {quality}" for quality, count in sorted(rows.items()))
        yield Finding(check="clock-of-rows", severity="ok", subject="store", found=told)


_QUALITIES: Final = (
    "SELECT time_quality, count(*) FROM readable_detections"
    " WHERE seq > (SELECT max(seq) FROM detections) - ? AND import_id IS NULL"
    " GROUP BY time_quality"
)


def _unit(program: str) -> str:
    return {"chronyd": "chrony", "ntpd": "ntp"}.get(program, program)
