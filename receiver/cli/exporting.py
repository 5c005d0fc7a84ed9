"""`stopover export`."""

import contextlib
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import click

from receiver.cli.options import UtcTime, db_option, explained, in_order, tag_id_of
from receiver.cli.progress import shown
from receiver.confidence import CONFIDENCES, Confidence
from receiver.exports.formats import FORMATS, export
from receiver.exports.metadata import example, load
from receiver.exports.metadata_tables import Metadata
from receiver.exports.request import ExportError, Report, Request
from receiver.log import escaped
from receiver.store.queries import DetectionFilter, Reader

_FILES_SHOWN = 5


def _write_example(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None or ctx.resilient_parsing:
        return
    text = example()
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.ClickException(f"{path} is there already; name another file") from None
    except OSError as error:
        raise click.ClickException(f"{path}: cannot be written: {error.strerror}") from error
    click.echo(f"{path} is written. Fill it in, then:  stopover export FORMAT --metadata {path}")
    ctx.exit()


@click.command(
    "export",
    epilog="Formats: "
    + "; ".join(f"{name}, {each.about}" for name, each in FORMATS.items())
    + ". Example: stopover export motus --db station.db --out motus --metadata metadata.toml",
)
@click.argument("name", metavar="FORMAT", type=click.Choice(list(FORMATS)))
@db_option
@click.option(
    "--out",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the files; made where there is none.",
)
@click.option(
    "--metadata",
    "metadata_path",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What databases want to know beside the detections (TOML).",
)
@click.option(
    "--example-metadata",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_write_example,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a commented example of such a file, and nothing else.",
)
@click.option("--since", type=UtcTime(), callback=in_order, help="From this time on, UTC.")
@click.option("--until", type=UtcTime(), callback=in_order, help="Before this time, UTC.")
@click.option("--tag", "tag_id", callback=tag_id_of, help="Of this tag only.")
@click.option("--antenna", help="Of this antenna only.")
@click.option(
    "--min-confidence",
    type=click.Choice(CONFIDENCES),
    default="false",
    show_default=True,
    help="The least that is exported.",
)
@explained
def export_command(
    *,
    name: str,
    db: Path,
    out: Path,
    metadata_path: Path | None,
    since: int | None,
    until: int | None,
    tag_id: str | None,
    antenna: str | None,
    min_confidence: Confidence,
) -> None:
    """Write detections as files that databases take.

    FORMAT is motus, ctt, movebank, darwin-core, euring or csv. What a format needs of the metadata
    and does not find is named before anything is written. Files appear under their names when they
    are whole. What is left out is counted, with the reason.
    """
    metadata = load(metadata_path) if metadata_path else Metadata()
    wanted = DetectionFilter(
        since_utc_ns=since,
        until_utc_ns=until,
        tag_id=tag_id,
        antenna=antenna,
        min_confidence=min_confidence,
    )
    try:
        with (
            Reader(db) as reader,
            shown("exporting", lambda: _rows_of(name, reader), "rows") as on_progress,
            _ended_by_sigterm(),
        ):
            request = Request(
                reader=reader,
                metadata=metadata,
                wanted=wanted,
                now_ns=time.time_ns(),
                on_progress=on_progress,
            )
            report = export(name, request, out)
    except ExportError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{out}: {error.strerror}; nothing was exported") from error
    except sqlite3.Error as error:
        raise click.ClickException(f"{db}: {error}; nothing was exported") from error
    _summarise(report, out)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """End as at Ctrl-C, so that nothing half done is left behind."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _rows_of(name: str, reader: Reader) -> int:
    counts = reader.counts()
    return sum(counts[each] for each in FORMATS[name].tables)


def _summarise(report: Report, out: Path) -> None:
    for what, count in report.rows.items():
        click.echo(f"{count} {what}")
    for reason, count in report.left_out.most_common():
        click.echo(f"{count} left out: {escaped(reason)}")
    for note in report.notes:
        click.echo(f"note: {escaped(note)}")
    shown = report.files[:_FILES_SHOWN]
    for path in shown:
        click.echo(click.format_filename(path))
    if len(report.files) > len(shown):
        click.echo(f"… and {len(report.files) - len(shown)} more files in {out}")
    if not report.files:
        click.echo(f"nothing to write: no file in {out}")
