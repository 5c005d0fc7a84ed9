"""`stopover status`: how the station is, from its running daemon and from its store."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.options import explained
from receiver.cli.station import running_station, station_options, store_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from receiver.health.snapshot import StationSnapshot
    from receiver.health.store_facts import Day
    from receiver.store.queries import Reader


@click.command("status")
@station_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@explained
def status_command(db: Path | None, config_path: Path | None, *, as_json: bool) -> None:
    """Show how the station is: links, antennas, what was heard, clock, disk, uploads, alarms.

    A running daemon is asked; without one the store tells.

    Example:  stopover status --db stopover.db
    """
    import msgspec

    from receiver.store.queries import Reader

    store = store_of(db, config_path)
    now = _now(store)
    with Reader(store) as reader:
        status = _status(reader, now)
    if as_json:
        click.echo(msgspec.json.encode(status))
        return
    from receiver.cli.status_screen import screen

    for line in screen(status, now):
        click.echo(line)


def _now(store: Path) -> "StationSnapshot | None":
    """Return what the running daemon tells, None where none does."""
    from receiver.web.local_client import LocalStationError

    try:
        station = running_station(store)
        return None if station is None else station.status()
    except LocalStationError as error:
        click.echo(f"{error}; what follows is the store's", err=True)
        return None


def _status(reader: "Reader", now: "StationSnapshot | None") -> dict[str, Any]:
    """Return what `--json` prints; scripts depend on its keys."""
    import time

    from receiver.arrivals import Stamp
    from receiver.doctor.disk import store_bytes_per_day
    from receiver.health.host import read_host
    from receiver.health.store_facts import read_facts
    from receiver.store.lock import is_held
    from receiver.store.schema import CLOCK_QUALITIES
    from receiver.store.sink_queries import sink_backlogs
    from receiver.store.status_queries import (
        last_clock_sample,
        last_heard,
        radios,
        unknown_frame_groups,
    )
    from receiver.utc_text import iso_utc

    sample = last_clock_sample(reader)
    now_ns = time.time_ns()
    facts = read_facts(reader.path.absolute(), reader, (), now=Stamp(now_ns, "ntp"), session="")
    per_day = now.store.bytes_per_day if now else store_bytes_per_day(reader, now_ns / 1e9)
    days_left = now.store.days_left if now else per_day and facts.free_bytes / per_day
    reserve = reader.path.with_name(f"{reader.path.name}.reserve")
    return {
        "station": reader.station_id,
        "store_uuid": reader.store_uuid,
        "running": is_held(reader.path),
        "clock": sample
        and {
            "time": iso_utc(sample["utc_ns"]),
            "quality": CLOCK_QUALITIES[sample["clock"]],
            "reason": sample["reason"],
        },
        "store": click.format_filename(reader.path),
        "store_bytes": facts.file_bytes,
        "free_bytes": shutil.disk_usage(reader.path.absolute().parent).free,
        "bytes_per_day": per_day,
        "days_left": days_left or None,
        "reserve_bytes": reserve.stat().st_size if reserve.exists() else 0,
        "set_aside": facts.set_aside,
        "rows": reader.counts(),
        "rows_pruned": reader.rows_pruned(),
        "last_heard": last_heard(reader),
        "last_24_hours": _hours(facts.days),
        "sinks": sink_backlogs(reader),
        "radios": radios(reader),
        "unknown_frames": unknown_frame_groups(reader),
        "host": now.host if now else read_host(reader.path),
        "now": now,
    }


def _hours(days: "Mapping[tuple[str, str], Day]") -> list[dict[str, Any]]:
    """Return for each antenna the detections and the part listened of the last 24 hours."""
    return [
        {
            "link": link,
            "antenna": antenna or None,
            "detections": list(day.detections),
            "listening": list(day.listening),
        }
        for (link, antenna), day in sorted(days.items())
        if link != "station"
    ]
