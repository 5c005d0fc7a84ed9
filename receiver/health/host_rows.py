"""The computer's readings as rows of the store: for plots, and for how fast the disk fills.

Every ten minutes a `StationHealth` of the link `station` and the decoder `host/1`, with what there
is of `temperature_c`, `voltage_v`, `undervoltage`, `load_1min`, `memory_free_bytes`,
`process_memory_bytes`, `disk_free_bytes`, `store_used_bytes`, `disk_written_bytes`, and `waiting_`
with a sink's name for its rows that wait. A row takes about 330 bytes: 48 kB a day.
"""

import sqlite3
from typing import TYPE_CHECKING, Final

import msgspec

from protocols.records import StationHealth
from receiver.arrivals import Source, Stamp
from receiver.health.growth import DiskSample
from receiver.health.moment import Moment, age_s
from receiver.health.snapshot import HostSnapshot
from receiver.health.store_facts import StoreFacts
from receiver.limits import EVENTS_LOOKED_BACK
from receiver.whereabouts import STATION_LINK

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE: Final = Source(link=STATION_LINK, decoder="host/1")

_A_DAY_OF_ROWS: Final = 150
_DAY_S: Final = 86_400.0


def host_row(host: HostSnapshot, facts: StoreFacts) -> StationHealth:
    """Return the record of these readings; what is not known is left out."""
    measured: dict[str, float | int | bool | None] = {
        "temperature_c": host.temperature_c,
        "voltage_v": host.voltage_v,
        "undervoltage": host.undervoltage,
        "load_1min": host.load_1min,
        "memory_free_bytes": host.memory_free_bytes,
        "process_memory_bytes": host.process_memory_bytes,
        "disk_free_bytes": facts.free_bytes,
        "store_used_bytes": facts.used_bytes,
        "disk_written_bytes": host.disk_written_bytes,
        **{f"waiting_{sink}": backlog.rows for sink, backlog in facts.backlogs.items()},
    }
    return StationHealth(
        measurements={name: value for name, value in measured.items() if value is not None}
    )


def disk_sample(facts: StoreFacts, now_s: float) -> DiskSample | None:
    """Return what lies on the disk now; None while the store cannot be read."""
    if facts.used_bytes is None:
        return None
    return DiskSample(now_s, facts.used_bytes, facts.free_bytes)


def read_samples(connection: sqlite3.Connection, now_s: float, now: Stamp) -> list[DiskSample]:
    """Return the samples of the last day that earlier lives of the daemon kept, oldest first.

    Raises:
        sqlite3.Error: the store cannot be read now.
    """
    rows = connection.execute(
        "SELECT body, time_ns, time_quality, boot, mono_ns FROM readable_events WHERE id IN ("
        " SELECT id FROM events WHERE source IN"
        " (SELECT id FROM sources WHERE link = ?1 AND decoder = ?2)"
        " AND id > (SELECT coalesce(max(id), 0) FROM events) - ?3 ORDER BY id DESC LIMIT ?4)"
        " ORDER BY id",
        (SOURCE.link, SOURCE.decoder, EVENTS_LOOKED_BACK, _A_DAY_OF_ROWS),
    )
    samples = []
    for body, utc_ns, quality, boot, mono_ns in rows:
        measured: Mapping[str, float] = msgspec.json.decode(body).get("measurements", {})
        age = age_s(Moment(utc_ns=utc_ns, quality=quality, boot=boot, mono_ns=mono_ns), now)
        used, free = measured.get("store_used_bytes"), measured.get("disk_free_bytes")
        if age is None or age > _DAY_S or used is None or free is None:
            continue
        samples.append(DiskSample(now_s - age, int(used), int(free)))
    return sorted(samples, key=lambda sample: sample.at_s)
