"""What is heard: test tags that must be, antennas that were, frames that nobody can read."""

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from protocols import registry
from protocols.records import Ignored, LogLine, Unknown
from receiver.coded_ids.tag_lists import canonical
from receiver.doctor.findings import Finding, Severity
from receiver.doctor.site import Site
from receiver.doctor.store import store_reader
from receiver.radio_settings import SoftwareRadioLink
from receiver.settings import MqttLink, labels
from receiver.store.activity_queries import hours_listened
from receiver.store.queries import DetectionFilter, Reader
from receiver.store.status_queries import unknown_frame_groups
from receiver.watch_settings import BeaconSettings

_ROWS_SEARCHED: Final = 500_000
"""Newest detections among which a test tag is looked for: 0.4 s on a PC, 10 s on a Pi Zero."""

_HOUR_S: Final = 3600
_LOOKED_BACK_S: Final = 30 * 86_400
_SHORTEST_SILENCE_H: Final = 24
"""What is silent for less is a quiet day."""

_LONGER_THAN_USUAL: Final = 2
"""Times the longest silence of the last month."""

_SHAPES_TOLD: Final = 5
_MANY_UNKNOWN: Final = 0.5
"""The part of an hour's frames that is more than noise."""


def beacons(site: Site) -> Iterator[Finding]:
    """Look whether the test tags that stay at the station are heard."""
    if site.settings is None:
        return
    with store_reader(site) as reader:
        for beacon in site.settings.beacons:
            yield _beacon(site, reader, beacon)


def _beacon(site: Site, reader: Reader | None, beacon: BeaconSettings) -> Finding:
    (tag_id,) = canonical([beacon.tag])
    where = f" on {beacon.antenna}" if beacon.antenna else ""
    last_s = None if reader is None else _last_heard_s(reader, tag_id, beacon.antenna)
    subject = f"beacon {tag_id}"
    if last_s is not None and site.now_s - last_s <= beacon.within_hours * _HOUR_S:
        found = f"heard{where} {_ago(site.now_s - last_s)} ago"
        return Finding(check="beacon", severity="ok", subject=subject, found=found)
    found = f"not heard{where} within {beacon.within_hours:g} h"
    found += "" if last_s is None else f"; last {_ago(site.now_s - last_s)} ago"
    return Finding(
        check="beacon",
        severity="fault",
        subject=subject,
        found=found,
        do="is the tag there, and its battery good? Then look at antenna, cable and radio:"
        f" `stopover listen --walk-test {tag_id}`",
    )


def _last_heard_s(reader: Reader, tag_id: str, antenna: str | None) -> float | None:
    (newest,) = reader.connection.execute("SELECT max(seq) FROM detections").fetchone()
    row = reader.connection.execute(
        "SELECT max(time_ns) FROM readable_detections WHERE seq > ?1 AND tag_id = ?2"
        " AND (?3 IS NULL OR antenna = ?3)",
        ((newest or 0) - _ROWS_SEARCHED, tag_id, antenna),
    ).fetchone()
    return None if row[0] is None else float(row[0]) / 1e9


def silent_antennas(site: Site) -> Iterator[Finding]:
    """Look for antennas that are silent for longer than usual, and for those nobody listens on."""
    since = DetectionFilter(since_utc_ns=int((site.now_s - _LOOKED_BACK_S) * 1e9))
    with store_reader(site) as reader:
        rows = [] if reader is None else list(hours_listened(reader, since))
    places: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["link"] != "station":
            places.setdefault(row["antenna"] or row["link"], []).append(row)
    configured = _configured(site)
    for place, hours in places.items():
        if configured and place not in configured:
            continue
        yield _antenna(site, place, hours)


def _configured(site: Site) -> set[str]:
    names: set[str] = set()
    for link in site.settings.links if site.settings else ():
        if isinstance(link, MqttLink):
            told = [label for topic in link.topics for label in labels(topic)]
        elif isinstance(link, SoftwareRadioLink):
            told = [link.antenna]
        else:
            told = list(labels(link))
        names |= {label or link.name for label in told}
    return names


def _antenna(site: Site, place: str, hours: list[Mapping[str, Any]]) -> Finding:
    heard = [_hour_s(hour) for hour in hours if hour["detections"] or hour["pulses"]]
    listened_s = sum(
        hour["listening_s"] for hour in hours if _hour_s(hour) > site.now_s - 24 * _HOUR_S
    )
    subject = f"antenna {place}"
    if not heard:
        total_h = sum(hour["listening_s"] for hour in hours) / _HOUR_S
        return Finding(
            check="silent-antenna",
            severity="warning" if total_h >= _SHORTEST_SILENCE_H else "note",
            subject=subject,
            found=f"has heard nothing in {total_h:.0f} h of listening",
            do="walk around it with a test tag: `stopover listen --walk-test TAG`",
        )
    silent_h = (site.now_s - heard[-1]) / _HOUR_S - 1
    gaps = [later - earlier for earlier, later in itertools.pairwise(heard)]
    usual_h = max(gaps, default=0) / _HOUR_S
    if silent_h > max(_SHORTEST_SILENCE_H, _LONGER_THAN_USUAL * usual_h):
        listened = f"listened for {listened_s / _HOUR_S:.0f} of the last 24 h"
        return Finding(
            check="silent-antenna",
            severity="warning",
            subject=subject,
            found=f"silent for {silent_h:.0f} h, at most {usual_h:.0f} h before; {listened}",
            do="walk around it with a test tag, and look at its cable and plugs for water",
        )
    return Finding(
        check="silent-antenna",
        severity="ok",
        subject=subject,
        found=f"heard something {_ago(max(0.0, site.now_s - heard[-1]))} ago",
    )


def unknown_frames(site: Site) -> Iterator[Finding]:
    """Look at the frames that no decoder could read, and what they may be."""
    since = DetectionFilter(since_utc_ns=int((site.now_s - 24 * _HOUR_S) * 1e9))
    with store_reader(site) as reader:
        if reader is None:
            return
        groups = unknown_frame_groups(reader)
        shares = _unknown_shares(reader, since, {group["reason"] for group in groups})
    for group in groups[:_SHAPES_TOLD]:
        link = group["link"]
        share = shares.get(link, 0.0)
        severity: Severity = "warning" if share >= _MANY_UNKNOWN else "note"
        guess = _what_may_it_be(bytes.fromhex(group["raw"]), link, site)
        yield Finding(
            check="unknown-frames",
            severity=severity,
            subject=f"link {link}",
            found=f"{group['kept']} kept for {group['reason']}, like {group['shape']!r};"
            f" {share:.0%} of the last day's frames were unreadable",
            do=guess,
        )


def _unknown_shares(reader: Reader, since: DetectionFilter, reasons: set[str]) -> dict[str, float]:
    """Return for each link the part of its frames that came to nothing for these reasons."""
    frames: dict[str, int] = {}
    rejects: dict[str, int] = {}
    for hour in hours_listened(reader, since):
        link = hour["link"]
        frames[link] = frames.get(link, 0) + hour["frames"]
        lost = sum(count for reason, count in hour["rejects"].items() if reason in reasons)
        rejects[link] = rejects.get(link, 0) + lost
    return {link: min(1.0, rejects[link] / count) for link, count in frames.items() if count}


def _what_may_it_be(raw: bytes, link_name: str, site: Site) -> str:
    """Return what a frame that its link's decoder cannot read may be, and what to do."""
    links = site.settings.links if site.settings else ()
    link = next((each for each in links if each.name == link_name), None)
    is_message = isinstance(link, MqttLink)
    readers = list(_readers_of(raw, is_message=is_message))
    if readers:
        return f'the decoder {" or ".join(readers)} reads them: set decoder = "{readers[0]}"'
    if raw.startswith((b"$GP", b"$GN", b"$GL")):
        return "this is a GPS receiver: give its port to gpsd, and the link the radio's port"
    printable = sum(byte in _PRINTABLE for byte in raw) / max(1, len(raw))
    if printable < _TEXT_PART and not is_message:
        return "no text: a wrong baud_rate, noise on the line, or another kind of radio"
    return (
        "perhaps newer firmware, or a line that is garbled: record some minutes with `stopover"
        f" record {link_name} FILE` and report them; kept frames are read by `stopover redecode`"
        " once a decoder can"
    )


def _readers_of(raw: bytes, *, is_message: bool) -> Iterator[str]:
    """Yield the decoders that find a meaning in a frame."""
    for name, entry in registry.entries().items():
        if (entry.framing == "message") is is_message:
            records = entry.made().decode(raw)
            if not any(isinstance(each, _NO_MEANING) for each in records):
                yield name


_NO_MEANING: Final = (Unknown, Ignored, LogLine)
_PRINTABLE: Final = range(0x20, 0x7F)
_TEXT_PART: Final = 0.7
"""Random bytes have 37 %."""


def _hour_s(hour: Mapping[str, Any]) -> float:
    return dt.datetime.fromisoformat(hour["hour"]).timestamp()


def _ago(seconds: float) -> str:
    if seconds < _HOUR_S:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / _HOUR_S:.0f} h"
