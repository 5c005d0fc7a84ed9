"""`stopover detections`, `tags` and `activity`: rows out of the store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from receiver.cli.options import UtcTime, db_option, explained, in_order, tag_id_of
from receiver.cli.tables import OutputFormat, print_rows
from receiver.confidence import CONFIDENCES, Confidence

_Command = TypeVar("_Command", bound=Callable[..., Any])

_DETECTION_COLUMNS = (
    "seq",
    "time",
    "time_quality",
    "antenna",
    "tag_id",
    "integrity",
    "confidence",
    "run",
    "rssi_dbm",
    "snr_db",
    "relay_id",
    "link",
)
_TAG_COLUMNS = (
    "tag_id",
    "protocol",
    "detections",
    "verified",
    "first",
    "last",
    "best_rssi_dbm",
    "antennas",
)
_RUN_COLUMNS = (
    "run",
    "tag_id",
    "place",
    "first",
    "last",
    "detections",
    "verified",
    "interval_s",
    "confidence",
    "confidence_reason",
)
_ACTIVITY_COLUMNS = (
    "hour",
    "link",
    "antenna",
    "listening_s",
    "frames",
    "detections",
    "pulses",
    "noise_dbm",
    "noise_dbfs",
    "occupied",
    "rejects",
)


def _filters(*, tag: bool) -> Callable[[_Command], _Command]:
    """Add the options that choose rows."""
    options = [
        db_option,
        click.option("--since", type=UtcTime(), callback=in_order, help="From this time on, UTC."),
        click.option("--until", type=UtcTime(), callback=in_order, help="Before this time, UTC."),
        click.option("--antenna", help="Of this antenna only."),
        click.option(
            "--format",
            "output_format",
            type=click.Choice(["table", "json", "csv"]),
            default="table",
            show_default=True,
            help="json: one object a line.",
        ),
    ]
    if tag:
        options.append(
            click.option("--tag", "tag_id", callback=tag_id_of, help="Of this tag only.")
        )

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_min_confidence = click.option(
    "--min-confidence",
    type=click.Choice(CONFIDENCES),
    default="false",
    show_default=True,
    help="The least that is printed; nothing is ever deleted for it.",
)


@click.command("detections")
@_filters(tag=True)
@_min_confidence
@click.option(
    "--redecoded", is_flag=True, help="With json: what `stopover redecode` made of the raw bytes."
)
@explained
def detections_command(
    *,
    db: Path,
    since: int | None,
    until: int | None,
    antenna: str | None,
    output_format: OutputFormat,
    tag_id: str | None,
    min_confidence: Confidence,
    redecoded: bool,
) -> None:
    """Print detections, in the order they were kept.

    Times are UTC, corrected where the clock was set later; time_stamped (json, csv) is as stamped.

    Example:  stopover detections --since 2026-05-12 --tag 78664C33 --format csv
    """
    from receiver.store.detection_rows import DETECTION_KEYS
    from receiver.store.queries import DetectionFilter, Reader

    wanted = DetectionFilter(
        since_utc_ns=since,
        until_utc_ns=until,
        tag_id=tag_id,
        antenna=antenna,
        min_confidence=min_confidence,
    )
    if redecoded and output_format != "json":
        raise click.UsageError("--redecoded goes with --format json")
    columns = _DETECTION_COLUMNS if output_format == "table" else DETECTION_KEYS
    with Reader(db) as reader:
        rows = reader.detections(wanted)
        if redecoded:
            columns = (*columns, "redecoded")
            rows = (row | {"redecoded": reader.verdicts(row["seq"])} for row in rows)
        print_rows(rows, columns, output_format)


@click.command("runs")
@_filters(tag=True)
@_min_confidence
@explained
def runs_command(
    *,
    db: Path,
    since: int | None,
    until: int | None,
    antenna: str | None,
    output_format: OutputFormat,
    tag_id: str | None,
    min_confidence: Confidence,
) -> None:
    """Print runs: detections of one tag at one antenna that follow each other.

    A run of the last minute of a running station may not be there yet.

    Example:  stopover runs --since 2026-05-12 --min-confidence likely
    """
    from receiver.store.queries import DetectionFilter, Reader
    from receiver.store.run_queries import RUN_KEYS, runs

    wanted = DetectionFilter(
        since_utc_ns=since,
        until_utc_ns=until,
        tag_id=tag_id,
        antenna=antenna,
        min_confidence=min_confidence,
    )
    columns = _RUN_COLUMNS if output_format == "table" else RUN_KEYS
    with Reader(db) as reader:
        print_rows(runs(reader, wanted), columns, output_format)


@click.command("tags")
@_filters(tag=True)
@explained
def tags_command(
    *,
    db: Path,
    since: int | None,
    until: int | None,
    antenna: str | None,
    output_format: OutputFormat,
    tag_id: str | None,
) -> None:
    """Print the tags heard: how often, when, on which antennas, how strong.

    Example:  stopover tags --since 2026-05-12
    """
    from receiver.store.queries import DetectionFilter, Reader

    wanted = DetectionFilter(since_utc_ns=since, until_utc_ns=until, tag_id=tag_id, antenna=antenna)
    with Reader(db) as reader:
        print_rows(reader.tags(wanted), _TAG_COLUMNS, output_format)


@click.command("activity")
@_filters(tag=False)
@explained
def activity_command(
    *,
    db: Path,
    since: int | None,
    until: int | None,
    antenna: str | None,
    output_format: OutputFormat,
) -> None:
    """Print the hours listened, silent ones included: "no birds" is not "not listening".

    rejects counts what came to nothing, by reason. noise_dbfs, relative to full scale, and
    occupied, the part of the time in which something was on the channel, are of software radios.

    Example:  stopover activity --antenna north --format csv
    """
    from receiver.store.activity_queries import hours_listened
    from receiver.store.hourly_noise import with_radio_noise
    from receiver.store.queries import DetectionFilter, Reader

    wanted = DetectionFilter(since_utc_ns=since, until_utc_ns=until, antenna=antenna)
    with Reader(db) as reader:
        hours = with_radio_noise(hours_listened(reader, wanted), reader.connection, since)
        print_rows(hours, _ACTIVITY_COLUMNS, output_format)
