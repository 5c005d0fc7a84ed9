"""`stopover score`: a store beside the truth of the simulated world that it was filled from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.options import db_option, explained
from receiver.cli.progress import counted, shown

if TYPE_CHECKING:
    from receiver.scoring.score import Score, Tally

_EXAMPLE = """
\b
Example:
  stopover simulate night-migration --files recordings --truth truth.jsonl
  stopover import recordings --db night.db
  stopover score --truth truth.jsonl --db night.db
"""

_COLUMNS = (
    "name",
    "could_be_heard",
    "in_store",
    "efficiency",
    "kept",
    "false",
    "median_ms",
    "p99_ms",
    "losses",
)


@click.command("score", epilog=_EXAMPLE)
@click.option(
    "--truth",
    "truth_path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What was really sent and received, as `stopover simulate --truth` writes it.",
)
@db_option
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="json: one object with everything.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.svg",
    help="Draw what became of all that each antenna could hear.",
)
@explained
def score_command(*, truth_path: Path, db: Path, output_format: str, plot: Path | None) -> None:
    """Tell how well a store agrees with the truth of a simulated world.

    Detection efficiency, false detections, time errors and losses by cause, for each antenna and
    each tag. A transmission could be heard where its mean level reached the receiver's sensitivity;
    `kept` is the share of what radios took rightly that the store has, and should be 1. What a
    software radio has of tags that the simulated radio lost counts as heard.
    """
    import msgspec

    from receiver.scoring.plot import score_svg
    from receiver.scoring.score import score
    from receiver.scoring.truth_rows import TruthError, read_truth
    from receiver.store.queries import DetectionFilter, Reader

    if plot is not None and plot.suffix != ".svg":
        raise click.UsageError(f"--plot {plot}: draws SVG only: call it {plot.stem}.svg")
    try:
        truth = read_truth(truth_path)
        with (
            Reader(db) as reader,
            shown("scoring", lambda: reader.counts()["detections"], "detections") as on_progress,
        ):
            detections = reader.detections(DetectionFilter())
            told = score(truth, counted(detections, on_progress))
        if plot is not None:
            plot.write_text(score_svg(told), encoding="utf-8")
    except TruthError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or plot}: {error.strerror}") from error
    if output_format == "json":
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        sys.stdout.flush()
    else:
        _tell(told)


def _tell(told: Score) -> None:
    from receiver.cli.tables import print_rows

    click.echo(
        f"{told.transmissions} transmissions of tags, {told.out_of_reach} of them out of reach;"
        f" {told.detections} detections in the store\n"
    )
    antennas = [each for each in told.antennas if each.could_be_heard or each.false_detections]
    print_rows([_row(each) for each in (told.total, *antennas)], _COLUMNS, "table")
    click.echo("")
    tags = [each for each in told.tags if each.could_be_heard or each.false_detections]
    print_rows([_row(each) for each in tags], _COLUMNS, "table")
    click.echo(f"\nfalse detections by cause: {_counts(told.false_by_cause)}")
    click.echo(f"false detections by confidence: {_counts(told.false_by_confidence)}")
    click.echo(
        f"tags that were never sent, at likely or better: {told.never_sent_believed} detections"
    )


def _row(tally: Tally) -> dict[str, Any]:
    return {
        "name": tally.name,
        "could_be_heard": tally.could_be_heard,
        "in_store": tally.in_store,
        "efficiency": _percent(tally.efficiency),
        "kept": _percent(tally.kept),
        "false": tally.false_detections,
        "median_ms": tally.time_error.median_ms,
        "p99_ms": tally.time_error.p99_ms,
        "losses": _counts(tally.losses),
    }


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"
