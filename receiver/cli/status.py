"""`stopover status`: how the station is, from its store."""

import shutil
from pathlib import Path
from typing import Any

import click

from receiver.cli.options import db_option, explained
from receiver.log import escaped

_UNKNOWN_SHAPES_SHOWN = 20
"""A noisy line has hundreds of shapes: all of them are in --json."""


@click.command("status")
@db_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@explained
def status_command(db: Path, *, as_json: bool) -> None:
    """Show how the station is: running, last heard, rows kept, clock, disk, unknown frames.

    Example:  stopover status --db stopover.db
    """
    import msgspec

    from receiver.store.queries import Reader

    with Reader(db) as reader:
        status = _status(reader)
    if as_json:
        click.echo(msgspec.json.encode(status))
        return
    _say("station", f"{status['station']}  ({status['store_uuid']})")
    _say("daemon", "running" if status["running"] else "not running")
    clock = status["clock"]
    _say("clock", f"{clock['quality']} at {clock['time']}" if clock else "-")
    megabytes, free_gb = status["store_bytes"] / 1e6, status["free_bytes"] / 1e9
    _say("store", f"{db}  {megabytes:.1f} MB, {free_gb:.1f} GB free")
    _say("rows", ", ".join(f"{rows} {name}" for name, rows in status["rows"].items()))
    for heard in status["last_heard"]:
        level = _level(heard["rssi_dbm"])
        place = heard["antenna"] or heard["link"]
        _say("heard", f"{place}: {heard['tag_id']} {level} at {heard['time']}")
    for sink in status["sinks"]:
        rests = ", paused" if sink["paused"] else ""
        _say(
            "sink",
            f"{sink['sink']}: {sink['waiting']} detections wait, the last acknowledged at"
            f" {sink['acknowledged_at']}{rests}",
        )
    for radio in status["radios"]:
        told = " ".join(filter(None, (radio["name"], radio["firmware"]))) or "unnamed"
        _say("radio", f"{_place(radio)}: {told}")
    unknown_frames = status["unknown_frames"]
    for unknown in unknown_frames[:_UNKNOWN_SHAPES_SHOWN]:
        _say(
            "unknown",
            f"{unknown['link']}: {unknown['kept']} kept for {unknown['reason']},"
            f" like {unknown['shape']}; newest {unknown['raw'][:64]}",
        )
    if len(unknown_frames) > _UNKNOWN_SHAPES_SHOWN:
        _say("unknown", f"and {len(unknown_frames) - _UNKNOWN_SHAPES_SHOWN} rarer shapes")


def _say(what: str, told: str) -> None:
    """Print one line; names and frames come from the air and stay text."""
    click.echo(f"{what:<10}{escaped(told)}")


def _place(heard: dict[str, Any]) -> str:
    places = (heard["link"], heard["antenna"])
    return " ".join(place for place in places if place)


def _status(reader: Any) -> dict[str, Any]:  # noqa: ANN401  Its module is imported by the command.
    from receiver.store.lock import is_held
    from receiver.store.queries import iso_utc
    from receiver.store.schema import CLOCK_QUALITIES
    from receiver.store.sink_queries import sink_backlogs

    sample = reader.last_clock_sample()
    files = [reader.path.with_name(reader.path.name + end) for end in ("", "-wal")]
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
        "store_bytes": sum(file.stat().st_size for file in files if file.exists()),
        "free_bytes": shutil.disk_usage(reader.path.absolute().parent).free,
        "rows": reader.counts(),
        "last_heard": reader.last_heard(),
        "sinks": sink_backlogs(reader),
        "radios": reader.radios(),
        "unknown_frames": reader.unknown_frames(),
    }


def _level(rssi_dbm: float | None) -> str:
    return "-" if rssi_dbm is None else f"{rssi_dbm} dBm"
