"""The screen of `stopover status`: 80 columns, what matters first, nothing unescaped.

    north  78664C33 (Greta) -70 dBm at 2026-05-12T12:00:01Z
           |      ....▁▂▅█▃▁...     | 345 detections in 24 h

Of the 24 hours the current one is last; `.` listened and heard nothing, a gap did not listen.
"""

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from receiver.health.antennas import only_a_link
from receiver.health.snapshot import AntennaSnapshot, HostSnapshot, StationSnapshot
from receiver.log import escaped

_WIDTH: Final = 80
_LABEL: Final = 10
_UNKNOWN_SHAPES_SHOWN: Final = 5
"""A noisy line has hundreds of shapes: all of them are in --json."""

_BARS: Final = "▁▂▃▄▅▆▇█"
_LISTENED_PART: Final = 0.02
"""A minute of an hour: a restart is no listening."""

_TEN_YEARS_D: Final = 3650
_DAY_S: Final = 86_400
_HOUR_S: Final = 3600


def screen(status: Mapping[str, Any], now: StationSnapshot | None) -> Iterator[str]:
    """Yield the lines."""
    yield from _said("station", f"{status['station']}  ({status['store_uuid']})")
    yield from _said("daemon", _daemon(status, now))
    if now is not None:
        for alarm in now.alarms:
            what = " ".join(filter(None, (alarm.alarm, alarm.subject)))
            yield from _said("ALARM", f"{what}: {alarm.message} -> {alarm.do}")
    yield from _said("clock", _clock(status, now))
    yield from _said("store", _store(status))
    yield from _said("rows", ", ".join(f"{rows} {name}" for name, rows in status["rows"].items()))
    yield from _lost_rows(status)
    computer = _computer(status["host"])
    if computer:
        yield from _said("computer", computer)
    yield from _links(status, now)
    yield from _antennas(status, now)
    yield from _sinks(status, now)
    yield from _unknown(status["unknown_frames"])


def sparkline(detections: Sequence[int], listening: Sequence[float]) -> str:
    """Return hours as one character each: a bar, `.` for silence, a gap for not listening."""
    most = max(detections, default=0)
    cells = []
    for count, part in zip(detections, listening, strict=True):
        if count:
            cells.append(_BARS[(len(_BARS) * count - 1) // most])
        else:
            cells.append("." if part >= _LISTENED_PART else " ")
    return "".join(cells)


def _said(label: str, told: str) -> Iterator[str]:
    """Yield a line, and what does not fit below it; names and frames come from the air."""
    yield from textwrap.wrap(
        escaped(told),
        _WIDTH,
        initial_indent=label.ljust(_LABEL),
        subsequent_indent=" " * _LABEL,
        break_on_hyphens=False,
    ) or [label]


def _daemon(status: Mapping[str, Any], now: StationSnapshot | None) -> str:
    if now is None:
        return "running, but it does not answer" if status["running"] else "not running"
    return f"running for {_span(now.uptime_s)}, version {now.version}"


def _clock(status: Mapping[str, Any], now: StationSnapshot | None) -> str:
    if now is not None:
        steps = f"{now.clock.steps} steps since the start" if now.clock.steps else ""
        told = (f"{now.clock.quality} at {_second(now.clock.time)}", now.clock.gps, steps)
        return "; ".join(filter(None, told))
    clock = status["clock"]
    return f"{clock['quality']} at {_second(clock['time'])}" if clock else "-"


def _store(status: Mapping[str, Any]) -> str:
    megabytes, free_gb = status["store_bytes"] / 1e6, status["free_bytes"] / 1e9
    told = [f"{status['store']}  {megabytes:.1f} MB", f"{free_gb:.1f} GB free"]
    days = status["days_left"]
    if days is not None:
        told.append(f"{days:.0f} days left" if days < _TEN_YEARS_D else "ten years left and more")
    if not status["reserve_bytes"]:
        told.append("no reserve")
    return ", ".join(told)


def _lost_rows(status: Mapping[str, Any]) -> Iterator[str]:
    pruned = [
        f"{counts[kind]} {kind} {table}"
        for table, counts in status["rows_pruned"].items()
        for kind in ("acknowledged", "unacknowledged")
        if counts[kind]
    ]
    if pruned:
        yield from _said("deleted", ", ".join(pruned))
    for name in status["set_aside"]:
        yield from _said("aside", f"{name}: a damaged store, kept here; see `stopover doctor`")


def _computer(host: HostSnapshot) -> str:
    told = [
        None if host.temperature_c is None else f"{host.temperature_c:.0f} °C",
        None if host.voltage_v is None else f"{host.voltage_v:.2f} V",
        "undervoltage now" if host.undervoltage else None,
        "undervoltage since the start"
        if host.undervoltage_since_boot and not host.undervoltage
        else None,
        "slowed down" if host.throttled else None,
        None if host.load_1min is None else f"load {host.load_1min:.2f}",
        None
        if host.memory_free_bytes is None
        else f"{host.memory_free_bytes / 1e9:.2f} GB memory free",
        None if host.uptime_s is None else f"up for {_span(host.uptime_s)}",
    ]
    return ", ".join(filter(None, told))


def _links(status: Mapping[str, Any], now: StationSnapshot | None) -> Iterator[str]:
    if now is None:
        for radio in status["radios"]:
            told = " ".join(filter(None, (radio["name"], radio["firmware"]))) or "unnamed"
            yield from _said("radio", f"{_place(radio)}: {told}")
        return
    for link in now.links:
        heard = "" if link.last_heard_s is None else f"heard {_span(link.last_heard_s)} ago"
        unread = f"{link.unknown_frames} of {link.frames} unreadable" if link.unknown_frames else ""
        told = ", ".join(filter(None, (link.state, link.reason, link.firmware, heard, unread)))
        yield from _said("link", f"{link.name}: {told}")


def _antennas(status: Mapping[str, Any], now: StationSnapshot | None) -> Iterator[str]:
    names = {(each.last_tag_id): each.last_tag_name for each in now.antennas} if now else {}
    antennas = {(each.link, each.antenna): each for each in now.antennas} if now else {}
    hours = {
        (row["link"], row["antenna"]): (row["detections"], row["listening"])
        for row in status["last_24_hours"]
    }
    if now is not None:
        hours |= {
            (each.link, each.antenna): (each.detections_by_hour, each.listening_by_hour)
            for each in now.antennas
            if each.detections_by_hour
        }
    heard = {(row["link"], row["antenna"]): row for row in status["last_heard"]}
    places = dict.fromkeys((*hours, *heard))
    radios = Counter(link for link, _ in places)
    for place in places:
        counted = sum(hours[place][0]) if place not in heard else 1
        if only_a_link(place[1], counted, radios[place[0]]):
            continue
        yield from _said("antenna", _newest(place, heard.get(place), names))
        if place in hours:
            detections, listening = hours[place]
            line = sparkline(detections, listening)
            yield f"{'':{_LABEL}}|{line}| {sum(detections)} detections in 24 h"
        if place in antennas:
            noise = _noise(antennas[place])
            if noise:
                yield f"{'':{_LABEL}}{noise}"


def _newest(
    place: tuple[str, str | None], row: Mapping[str, Any] | None, names: Mapping[Any, str | None]
) -> str:
    label = place[1] or place[0]
    if row is None:
        return f"{label}: nothing heard yet"
    name = names.get(row["tag_id"])
    tag = f"{row['tag_id']} ({name})" if name else row["tag_id"]
    level = "-"
    if row["rssi_dbm"] is not None:
        level = f"{row['rssi_dbm']} dBm"
    elif row["snr_db"] is not None:
        level = f"{row['snr_db']:.0f} dB over noise"
    return f"{label}: {tag} {level} at {_second(row['time'])}"


def _noise(antenna: AntennaSnapshot) -> str:
    """Return the noise, in dBm where it is known; a software radio knows its own scale at least."""
    if antenna.noise_dbm is not None:
        told = f"noise {antenna.noise_dbm:.1f} dBm"
    elif antenna.noise_dbfs is not None:
        told = f"noise {antenna.noise_dbfs:.1f} dB relative to full scale"
    else:
        return ""
    return told if antenna.gain_db is None else f"{told}, gain {antenna.gain_db:.1f} dB"


def _sinks(status: Mapping[str, Any], now: StationSnapshot | None) -> Iterator[str]:
    if now is not None and now.sinks:
        for sink in now.sinks:
            at = _second(sink.acknowledged_at) if sink.acknowledged_at else "never"
            told = [
                f"{sink.name}: {sink.state}",
                sink.reason,
                f"{sink.waiting_rows} rows wait",
                f"acknowledged last {at}",
                f"{sink.rows_refused} rows refused" if sink.rows_refused else None,
                f"-> {sink.advice}" if sink.advice else None,
            ]
            yield from _said("sink", ", ".join(filter(None, told)))
        return
    for row in status["sinks"]:
        rests = ", paused" if row["paused"] else ""
        yield from _said(
            "sink",
            f"{row['sink']}: {row['waiting']} detections wait,"
            f" acknowledged last {_second(row['acknowledged_at'])}{rests}",
        )


def _unknown(unknown_frames: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for unknown in unknown_frames[:_UNKNOWN_SHAPES_SHOWN]:
        yield from _said(
            "unknown",
            f"{unknown['link']}: {unknown['kept']} kept for {unknown['reason']},"
            f" like {unknown['shape']}; newest {unknown['raw'][:32]}",
        )
    if len(unknown_frames) > _UNKNOWN_SHAPES_SHOWN:
        rarer = len(unknown_frames) - _UNKNOWN_SHAPES_SHOWN
        yield from _said("unknown", f"and {rarer} rarer shapes: see --json and `stopover doctor`")


def _place(radio: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (radio["link"], radio["antenna"])))


def _second(moment: str) -> str:
    """Return a time without its fraction."""
    return moment[:19] + "Z"


def _span(seconds: float) -> str:
    """Return a time span in its largest unit."""
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (60, "min")):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
