"""`stopover replay`: what `stopover record` kept, decoded again."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.lost_output import NO_ROOM, print_to_nobody
from receiver.cli.options import Number, decoder_of, explained, no_strangers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from receiver.arrivals import Arrival
    from receiver.recording import RecordingError


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=no_strangers,
    help="Decode into this store; else print each record as one JSON object a line.",
)
@click.option(
    "--speed",
    type=Number(min=0),
    default=0.0,
    show_default=True,
    help="1 keeps the recorded pauses, 10 is ten times faster, 0 as fast as possible.",
)
@click.option(
    "--decoder",
    callback=decoder_of,
    help="Decode with this one, not with the one that the recording names.",
)
@explained
def replay_command(file: Path, db: Path | None, speed: float, decoder: str | None) -> None:
    """Decode the recording FILE again, into a store or onto the screen, under its recorded times.

    Replaying twice into one store stores twice. Exit status 1 where lines of the recording are
    damaged; the others are replayed all the same.

    Example:  stopover replay strange-radio.jsonl | head
    """
    from receiver.recording import RecordingError
    from receiver.store.database import Store

    damaged = 0

    def tell_damage(error: "RecordingError") -> None:
        nonlocal damaged
        damaged += 1
        click.echo(f"Damaged: {error}", err=True)

    try:
        if db is None:
            _replay(file, _print_arrivals, tell_damage, speed=speed, decoder=decoder)
        else:
            with Store.open(db) as store:
                batch = _Batch(store.append)
                try:
                    _replay(file, batch.add, tell_damage, speed=speed, decoder=decoder)
                finally:  # Ctrl-C ends a slow replay; what it decoded is kept.
                    batch.flush()
                click.echo(f"{file}: {batch.rows} records into {db}", err=True)
    except BrokenPipeError:
        print_to_nobody()
    except RecordingError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise  # Of what is printed: a recording is only read.
        raise click.ClickException(f"{file}: cannot be read: {error.strerror}") from error
    if damaged:
        raise click.ClickException(f"{file}: {damaged} damaged lines were left out")


def _replay(
    file: Path,
    take: "Callable[[Sequence[Arrival]], None]",
    on_damage: "Callable[[RecordingError], None]",
    *,
    speed: float,
    decoder: str | None,
) -> None:
    from receiver.links.replay import DecodingIntake, ReplayLink

    link = ReplayLink(
        file,
        lambda session: DecodingIntake(session.link, decoder or session.decoder, take),
        speed=speed,
        on_damage=on_damage,
    )
    asyncio.run(link.run())


class _Batch:
    """Arrivals that go into the store together: a transaction for each read would take hours."""

    def __init__(self, append: "Callable[[Sequence[Arrival]], None]") -> None:
        self._append = append
        self._waiting: list[Arrival] = []
        self.rows = 0

    def add(self, arrivals: "Sequence[Arrival]") -> None:
        from receiver.limits import MAX_BATCH_ROWS

        self._waiting += arrivals
        if len(self._waiting) >= MAX_BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        self._append(self._waiting)
        self.rows += len(self._waiting)
        self._waiting = []


def _print_arrivals(arrivals: "Sequence[Arrival]") -> None:
    import msgspec

    from receiver.utc_text import iso_utc

    for arrival in arrivals:
        row: dict[str, Any] = {
            "time": iso_utc(arrival.stamp.utc_ns),
            "time_quality": arrival.stamp.clock,
            "link": arrival.source.link,
            "record": type(arrival.record).__name__,
        }
        for name, value in msgspec.structs.asdict(arrival.record).items():
            row[name] = value.hex() if isinstance(value, bytes) else value
        sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")
    sys.stdout.flush()
