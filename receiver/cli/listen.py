"""`stopover listen`: what the station hears now, packet by packet."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.lost_output import print_to_nobody
from receiver.cli.options import Number, explained
from receiver.cli.station import station_options, store_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from receiver.cli.live_feed import Event
    from receiver.live import LiveDetection

_INTEGRITIES = ("failed", "unverified", "repaired", "verified")
"""From the worst to the best."""


class PlaceOnEarth(click.ParamType[tuple[float, float]]):
    """A position: degrees north and east, 52.1234,4.5678."""

    name = "LAT,LON"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """Return (latitude, longitude) in degrees."""
        try:
            latitude, longitude = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no position; write 52.1234,4.5678", param, ctx)
        if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # noqa: PLR2004  Degrees.
            self.fail(f"{value!r} is not on Earth; write north first, then east", param, ctx)
        return latitude, longitude


@click.command("listen")
@station_options
@click.option("--tag", "tag_id", help="Only this tag.")
@click.option("--antenna", help="Only this antenna.")
@click.option("--link", help="Only this link.")
@click.option(
    "--min-integrity",
    type=click.Choice(_INTEGRITIES),
    default="failed",
    show_default=True,
    help="The least that is shown.",
)
@click.option(
    "--known-only", is_flag=True, help="Only tags that are on one of the station's lists."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--no-colour", "--no-color", "no_colour", is_flag=True, help="Plain text.")
@click.option(
    "--walk-test",
    "walk_tag",
    metavar="TAG",
    help="Walk with this tag: its level large, a beep that quickens with it, the best so far.",
)
@click.option("--quiet", is_flag=True, help="With --walk-test: no beep.")
@click.option(
    "--mark", is_flag=True, help="With --walk-test: keep one mark in the store once heard, and end."
)
@click.option("--note", "note", default="", help="Words that are kept with marks.")
@click.option("--at", "at", type=PlaceOnEarth(), help="Where you are; else the station's position.")
@click.option(
    "--for", "seconds", type=Number(min=0.1), metavar="SECONDS", help="End after so long."
)
@explained
def listen_command(
    *,
    db: Path | None,
    config_path: Path | None,
    tag_id: str | None,
    antenna: str | None,
    link: str | None,
    min_integrity: str,
    known_only: bool,
    as_json: bool,
    no_colour: bool,
    walk_tag: str | None,
    quiet: bool,
    mark: bool,
    note: str,
    at: tuple[float, float] | None,
    seconds: float | None,
) -> None:
    """Show what the running station hears, as it comes: it is asked, no port is opened.

    With --walk-test the key m keeps a mark in the store: where you are and how each antenna hears
    the tag; n a mark with words, q ends.

    Example:  stopover listen --walk-test 78664C33
    """
    store = store_of(db, config_path)
    if walk_tag is None and (mark or note or at or quiet):
        raise click.UsageError("--mark, --note, --at and --quiet go with --walk-test TAG")
    try:
        if walk_tag is not None:
            from receiver.cli.walking import WalkScreen

            walked = _named(walk_tag, "--walk-test")
            _hint(store, tag_id=walked)
            screen = WalkScreen(store, walked, at=at, words=note, beeps=not quiet, plain=no_colour)
            screen.run(seconds=seconds, mark_and_end=mark)
            return

        def wanted(detection: "LiveDetection") -> bool:
            return (
                _INTEGRITIES.index(detection.integrity) >= _INTEGRITIES.index(min_integrity)
                and (not known_only or detection.is_known)
                and link in (None, detection.link)
            )

        asked = None if tag_id is None else _named(tag_id, "--tag")
        _hint(store, tag_id=asked, antenna=antenna, link=link)
        from receiver.cli.live_feed import events

        feed = _until(seconds, events(store, tag=asked, antenna=antenna))
        _print(feed, wanted, as_json=as_json, no_colour=no_colour)
    except KeyboardInterrupt:
        click.echo(err=True)
    except BrokenPipeError:
        print_to_nobody()


def _named(told: str, option: str) -> str:
    """Return a tag's id as rows have it."""
    from receiver.coded_ids.tag_lists import canonical

    for tag_id in canonical([told]):
        return tag_id
    raise click.UsageError(f"{option} names no tag")


def _hint(store: Path, **named: str | None) -> None:
    """Say what the filters name that the station does not have."""
    if not any(named.values()):
        return
    from receiver.cli.listening_hints import hints
    from receiver.cli.live_feed import must_run

    for hint in hints(must_run(store), store, **named):
        click.echo(f"-- {hint}", err=True)


def _until(seconds: float | None, feed: "Iterable[Event]") -> "Iterable[Event]":
    """Yield events until so many seconds are over."""
    import time

    ends_s = None if seconds is None else time.monotonic() + seconds
    for event in feed:
        yield event
        if ends_s is not None and time.monotonic() >= ends_s:
            return


def _print(
    feed: "Iterable[Event]",
    wanted: "Callable[[LiveDetection], bool]",
    *,
    as_json: bool,
    no_colour: bool,
) -> None:
    import datetime as dt

    import msgspec
    from rich.console import Console

    from receiver.cli import packet_line
    from receiver.cli.live_feed import FoundAgain, Lost

    columns = packet_line.columns_for()
    console = Console(no_color=no_colour or None, highlight=False, soft_wrap=True)
    if not as_json:
        local = dt.datetime.now().astimezone()
        offset = local.isoformat()[-6:]
        click.echo(f"Times are UTC; here it is UTC{offset} ({local:%Z}). Ctrl-C ends.", err=True)
        click.echo(packet_line.heading(columns))
    for event in feed:
        if isinstance(event, Lost):
            click.echo(f"-- {event.reason}; waiting for the station", err=True)
        elif isinstance(event, FoundAgain):
            click.echo("-- the station is back", err=True)
        elif event is not None and wanted(event):
            if as_json:
                sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
            else:
                console.print(packet_line.line(event, columns))
            sys.stdout.flush()
