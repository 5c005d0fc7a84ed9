"""`stopover import`."""

import contextlib
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocols.coded_id import TagList
from receiver.cli.options import Number, no_strangers
from receiver.coded_ids.importing import Decoded, decode_imported
from receiver.coded_ids.tag_lists import TagListError, read_known_tags, read_tag_list
from receiver.importing.importer import FileReport, Importer, expand
from receiver.importing.ledger import as_recorded
from receiver.importing.one_at_a_time import one_at_a_time
from receiver.importing.recorded_kinds import station_of
from receiver.importing.rows import rows_told
from receiver.importing.sample_files import Told, is_sample_file, moment_ns
from receiver.run_index import index_runs
from receiver.store.database import Store
from receiver.store.errors import StoreError
from receiver.store.lock import is_held

if TYPE_CHECKING:
    from receiver.importing.sample_importer import SampleImporter


def _moment(_: click.Context, option: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else moment_ns(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is no time: write it as 2026-05-12T04:30:00Z", param=option
        ) from None


@click.command(
    "import",
    epilog="Example: stopover import /media/card/SGdata *.csv.gz --db station.db",
)
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path)
)
@click.option(
    "--db",
    required=True,
    metavar="DB",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=no_strangers,
    help="The store; made where there is none.",
)
@click.option(
    "--station",
    metavar="ID",
    help="The station's id, for a new store; else taken from the files' names.",
)
@click.option(
    "--tags",
    metavar="LIST",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Coded-ID tags (CSV or SQLite, of find_tags, SensorGnome or Motus) to look for in pulses.",
)
@click.option("--rate-hz", type=click.IntRange(min=1), help="Samples: how many a second.")
@click.option("--frequency-mhz", type=Number(1, 6000), help="Samples: the frequency in the middle.")
@click.option(
    "--channel-mhz",
    type=Number(1, 6000),
    help="Samples: the frequency of the tags; else 434 or the middle.",
)
@click.option(
    "--start",
    metavar="TIME",
    callback=_moment,
    help="Samples: when the first was, such as 2026-05-12T04:30:00Z.",
)
@click.option(
    "--hears",
    type=click.Choice(["ctt-434", "coded-id"]),
    help="Samples: what to listen for; else ctt-434 around 434 MHz.",
)
@click.option(
    "--known",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Samples: ids of tags, one a line, to believe where a packet is weak or has no CRC.",
)
@click.option("--unsynchronised", is_flag=True, help="Samples: their clock was not set.")
def import_command(
    files: Sequence[Path],
    db: Path,
    station: str | None,
    tags: Path | None,
    **of_samples: Any,  # noqa: ANN401  As the options say.
) -> None:
    """Put recorded files of any known kind into a store.

    FILE is a SensorGnome file (-all, -ctt; .txt, .txt.gz), a CTT station's file (raw-data, data,
    node-health, gps, telemetry, log), a file of a CTT node's card, a recording of `stopover
    record`, or a folder of such files. The node of a card's file is the name of its folder.
    Importing again, in another order, or a longer copy of a file adds only what is new.

    With --tags the VHF pulses of the files are searched for the tags of the list, together with
    those of the same station that were imported before. A tag whose code is heard at another
    interval than the list's is named.

    Files of I/Q samples (.cu8, .cs16, .cf32, .sigmf-data, gqrx's .raw) are decoded as a software
    radio would. What they are is read from a .sigmf-meta beside them and from their names
    (_434M_250k), unless it is told. Tags that send no CRC, PowerTags and the first LifeTags, are
    told of the ids in --known alone.

    A damaged file is named, with the place, and what can be read of it is kept; the exit status is
    then 1, as it is where a FILE is of no known kind.
    """
    tag_list = None if tags is None else _tag_list(tags)
    paths, left_alone = expand(files)
    told_station = station or next(filter(None, map(station_of, map(as_recorded, paths))), None)
    try:
        with (
            one_at_a_time(db, lambda: _tell_waiting(db)),
            Store.open(db, station_id=told_station) as store,
        ):
            reports = _import_all(store, paths, of_samples)
            decoded = None if tag_list is None else _decode(store, tag_list, reports)
            if not is_held(db):  # A running daemon sorts them itself.
                index_runs(store)
    except (StoreError, sqlite3.Error) as error:
        raise click.ClickException(
            f"{error}. What was imported before this is kept: mend it and run the same again."
        ) from error
    _summarise(reports, left_alone)
    if decoded is not None:
        _summarise_coded_ids(decoded)
    # A stranger in a folder is no failure, one that was named is.
    if any(report.damage or (report.is_foreign and report.path in files) for report in reports):
        sys.exit(1)


def _tell_waiting(db: Path) -> None:
    click.echo(f"{click.format_filename(db)}: waiting for another import", err=True)


def _tag_list(path: Path) -> TagList:
    try:
        tag_list = read_tag_list(path)
    except TagListError as error:
        raise click.BadParameter(str(error), param_hint="--tags") from error
    for warning in tag_list.warnings:
        click.echo(f"{click.format_filename(path)}: {warning}", err=True)
    return tag_list


def _decode(store: Store, tag_list: TagList, reports: Sequence[FileReport]) -> Decoded:
    import_ids = {import_id for report in reports for import_id in report.import_ids}
    decoded = decode_imported(store, tag_list, import_ids)
    for antenna, told in ((each.antenna, each.told) for each in decoded.mismatches):
        listed = ", ".join(f"{interval_s:g} s" for interval_s in told.listed_intervals_s)
        click.echo(
            f"antenna {antenna}: code seen, interval does not match the list:"
            f" {', '.join(told.labels)} is heard every {told.measured_interval_s:g} s,"
            f" the list says {listed}",
            err=True,
        )
    return decoded


def _import_all(
    store: Store, paths: Sequence[Path], of_samples: Mapping[str, Any]
) -> list[FileReport]:
    reports = []
    with _progress(paths) as (on_progress, on_file_done):
        importer = Importer(store, now_ns=time.time_ns(), on_progress=on_progress)
        samples: Importer | SampleImporter | None = None
        for path in paths:
            if is_sample_file(path):
                samples = samples or _sample_importer(store, of_samples, on_progress)
                report = samples.import_file(path)
            else:
                report = importer.import_file(path)
            on_file_done(path)
            for message in [*report.damage, *report.notes]:
                click.echo(f"{click.format_filename(path)}: {message}", err=True)
            reports.append(report)
    return reports


def _sample_importer(
    store: Store, told: Mapping[str, Any], on_progress: Callable[[int], None]
) -> "SampleImporter":
    try:
        from receiver.importing.sample_importer import SampleImporter
    except ImportError as error:
        raise click.ClickException(
            f"files of samples need numpy ({error}): pip install 'stopover[sdr]'"
        ) from error
    try:
        known = frozenset() if told["known"] is None else read_known_tags(told["known"])
    except TagListError as error:
        raise click.BadParameter(str(error), param_hint="--known") from error
    frequency, channel = told["frequency_mhz"], told["channel_mhz"]
    return SampleImporter(
        store,
        Told(
            rate_hz=told["rate_hz"],
            frequency_hz=None if frequency is None else round(frequency * 1e6),
            channel_hz=None if channel is None else round(channel * 1e6),
            hears=told["hears"],
            start_ns=told["start"],
            is_synchronised=False if told["unsynchronised"] else None,
        ),
        now_ns=time.time_ns(),
        known_tags=known,
        on_progress=on_progress,
    )


@contextlib.contextmanager
def _progress(
    paths: Sequence[Path],
) -> Iterator[tuple[Callable[[int], None], Callable[[Path], None]]]:
    """Show a bar where someone watches; else nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None, lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    sizes = {path: _size_bytes(path) for path in paths}
    columns = ("importing", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("importing", total=sum(sizes.values()))
        done = 0

        def on_progress(read_bytes: int) -> None:
            bar.update(task, completed=done + read_bytes)

        def on_file_done(path: Path) -> None:
            nonlocal done
            done += sizes[path]
            bar.update(task, completed=done)

        yield on_progress, on_file_done


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _summarise(reports: Sequence[FileReport], left_alone: int) -> None:
    rows: Counter[str] = Counter()
    for report in reports:
        rows.update(report.outcome.rows)
    unknown = sum(report.outcome.unknown.total() for report in reports)
    rows.pop("unknown_frames", None)
    known = sum(report.is_known for report in reports)
    already_there = sum(report.already_there for report in reports)
    damaged = sum(bool(report.damage) for report in reports)
    foreign = sum(report.is_foreign for report in reports)
    click.echo(f"{len(reports)} files: {rows_told(rows)} added")
    for count, told in (
        (known, "files were imported before: nothing new in them"),
        (already_there, "lines were there already"),
        (unknown, "lines could not be read"),
        (damaged, "files are damaged or not readable: see the messages"),
        (foreign, "files are of no known kind: see the messages"),
        (left_alone, "other files in the folders were left alone"),
    ):
        if count:
            click.echo(f"{count} {told}")


def _summarise_coded_ids(decoded: Decoded) -> None:
    click.echo(
        f"{decoded.bursts} bursts of coded-ID tags in {decoded.runs} runs: {decoded.added} added"
    )
    if decoded.removed:
        click.echo(f"{decoded.removed} earlier ones were replaced: more of their pulses are known")
