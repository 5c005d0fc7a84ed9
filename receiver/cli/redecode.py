"""`stopover redecode`: newer decoders over kept raw bytes."""

from pathlib import Path

import click

from receiver.cli.options import UtcTime, db_option, decoder_of, explained, in_order
from receiver.cli.progress import shown


def _decoder_of(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """Refuse a decoder that is not there; a software radio's is, though no link may name it."""
    if value is None:
        return None
    from receiver.redecoding import PACKETS_DECODER

    return value if value == PACKETS_DECODER else decoder_of(context, parameter, value)


@click.command("redecode")
@db_option
@click.option("--since", type=UtcTime(), callback=in_order, help="From this time on, UTC.")
@click.option("--until", type=UtcTime(), callback=in_order, help="Before this time, UTC.")
@click.option("--link", help="Of this link only.")
@click.option(
    "--decoder",
    callback=_decoder_of,
    help="Try this one on unknown frames, instead of each link's own.",
)
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Take [[codecs]] from this configuration, and read payloads by them.",
)
@explained
def redecode_command(
    *,
    db: Path,
    since: int | None,
    until: int | None,
    link: str | None,
    decoder: str | None,
    config_path: Path | None,
) -> None:
    """Read kept raw bytes again with the decoders of today.

    Unknown frames that a decoder knows now become detections, with the time at which they came.
    Detections stay as they are; where a newer decoder reads them otherwise, both can be seen:
    stopover detections --format json --redecoded. Doing it again adds nothing. The daemon may run.
    Of a software radio's packets the bytes are read again; score, levels and frequency stay.

    Example:  stopover redecode --db stopover.db --since 2026-05-12
    """
    import sqlite3

    from receiver import config, payload_codecs
    from receiver.redecoding import Redecoding, Wanted
    from receiver.store.database import Store, explained

    payloads = payload_codecs.declared(config.load(config_path).codecs) if config_path else ()
    wanted = Wanted(
        since_utc_ns=since, until_utc_ns=until, link=link, decoder=decoder, payloads=payloads
    )
    with Store.open(db, create=False) as store:
        redecoding = Redecoding(store, wanted)
        try:
            with shown("reading again", redecoding.rows, "rows") as on_progress:
                redecoding.run(on_progress)
        except sqlite3.Error as error:
            raise explained(db, error) from error
    tally = redecoding.tally
    click.echo(
        f"{tally.frames_read} unknown frames read: {tally.frames_known_now} known now,"
        f" {tally.rows_made} rows made of them"
    )
    click.echo(
        f"{tally.detections_read} detections read: {tally.detections_differing} read otherwise now"
    )
    for number, of_what, why in (
        (tally.of_today, "rows", "the decoders of today made them"),
        (tally.without_decoder, "rows", "their decoder is not installed"),
        (tally.cut, "rows", "their raw bytes were cut when kept"),
        (tally.without_raw, "detections", "no raw bytes of them were kept"),
        (tally.coded_ids, "detections of coded IDs", "each was found in many pulses together"),
        (tally.pulses, "pulses", "they were measured; import recordings or kept samples again"),
    ):
        if number:
            click.echo(f"{number} {of_what} left: {why}", err=True)
