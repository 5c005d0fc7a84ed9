"""`stopover redecode`: newer decoders over kept raw bytes."""

from pathlib import Path

import click

from receiver.cli.options import UtcTime, db_option, explained


@click.command("redecode")
@db_option
@click.option("--since", type=UtcTime(), help="From this time on, UTC.")
@click.option("--until", type=UtcTime(), help="Before this time, UTC.")
@click.option("--link", help="Of this link only.")
@click.option("--decoder", help="Try this one on unknown frames, instead of each link's own.")
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
            with click.progressbar(length=redecoding.rows(), label="rows") as bar:
                redecoding.run(bar.update)
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
    if tally.without_decoder:
        click.echo(f"{tally.without_decoder} rows left: their decoder is not installed", err=True)
    if tally.cut:
        click.echo(f"{tally.cut} rows left: their raw bytes were cut when kept", err=True)
