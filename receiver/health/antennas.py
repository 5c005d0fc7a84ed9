"""What one antenna hears, as the snapshot tells it: this hour's counts and the last day's rows."""

from collections.abc import Mapping
from typing import Final

from protocols.records import Detection
from receiver.activity import AntennaActivity, LinkActivity
from receiver.health.snapshot import AntennaSnapshot
from receiver.health.store_facts import HOURS, Day
from receiver.health.tags_heard import Place
from receiver.health.totals import AntennaTotal
from receiver.live import Heard
from receiver.utc_text import iso_utc
from receiver.watch_settings import AntennaSettings

_HOUR_S: Final = 3600
_NO_DAY: Final = Day(0, (0,) * HOURS, (0.0,) * HOURS)


def antenna_snapshot(
    place: Place,
    total: AntennaTotal,
    current: AntennaActivity,
    *,
    day: Day | None,
    now_utc_s: int,
    label: AntennaSettings | None,
    newest: Heard | None,
    names: Mapping[str, str],
    tags: int,
) -> AntennaSnapshot:
    """Return how an antenna is.

    Args:
        place: its link and label.
        total: its counts since the start.
        current: its counts of the hour that is not over.
        day: what it did in the last hours, without this daemon's current one.
        now_utc_s: the time.
        label: what the owner says of it.
        newest: the newest detection.
        names: the owner's names for tags.
        tags: different ids in the last hour.
    """
    detections, listening = _by_hour(day or _NO_DAY, current, now_utc_s)
    last = newest.arrival.record if newest else None
    heard = last if isinstance(last, Detection) else None
    return AntennaSnapshot(
        link=place[0],
        antenna=place[1],
        bearing_deg=label.bearing_deg if label else None,
        kind=label.kind if label else None,
        last_heard=iso_utc(newest.arrival.stamp.utc_ns) if newest else None,
        last_tag_id=heard.tag_id if heard else None,
        last_tag_name=names.get(heard.tag_id) if heard else None,
        last_rssi_dbm=heard.rssi_dbm if heard else None,
        last_snr_db=heard.snr_db if heard else None,
        detections=total.detections,
        tags=tags,
        detections_by_hour=detections,
        listening_by_hour=listening,
        frames=current.frames,
        rejects=dict(current.rejects),
        noise_dbm=total.noise_dbm,
        noise_dbfs=total.noise_dbfs,
        gain_db=total.gain_db,
    )


def only_a_link(antenna: str | None, detections: int, antennas: int) -> bool:
    """Tell whether a place is no antenna: a link, one of whose `antennas` radios hear in its stead.

    Radios that name themselves are antennas of their own; what the link counts without a name, its
    frames and how long it listened, is of the receiver.
    """
    return antenna is None and detections == 0 and antennas > 1


def this_hour(link: LinkActivity | None, antenna: str | None) -> AntennaActivity:
    """Return an antenna's counts of the current hour, zeros where there are none."""
    counts = link.antennas.get(antenna or "") if link else None
    return counts or AntennaActivity()


def _by_hour(
    day: Day, current: AntennaActivity, now_utc_s: int
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the detections of the last 24 hours, and the part of each that was listened."""
    now_hour = now_utc_s // _HOUR_S * _HOUR_S
    # The day was read up to a minute ago; after a step of the clock it says nothing.
    since = (now_hour - day.last_hour_utc_s) // _HOUR_S
    if not 0 <= since < HOURS:
        day, since = _NO_DAY, 0
    detections = (*day.detections[since:], *(0,) * since)
    listening = (*day.listening[since:], *(0.0,) * since)
    elapsed_s = max(1, now_utc_s - now_hour)
    listened_s = listening[-1] * _HOUR_S + current.listening_s
    return (
        (*detections[:-1], detections[-1] + current.detections),
        (*listening[:-1], round(min(1.0, listened_s / elapsed_s), 3)),
    )
