"""What the running station hears, packet by packet, over its restarts: for commands that look on.

Nothing but the daemon's socket is opened: no port, no store. What the daemon does is not changed.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import click
import msgspec

from receiver.cli.station import running_station
from receiver.live import LiveDetection
from receiver.web.local_client import LocalStation, LocalStationError

_TRY_AGAIN_S: Final = 1.0


class Lost(msgspec.Struct, frozen=True):
    """The daemon has ended or does not answer; it is waited for."""

    reason: str


class FoundAgain(msgspec.Struct, frozen=True):
    """The daemon is back."""


Event: TypeAlias = LiveDetection | Lost | FoundAgain | None
"""None comes about once a second while nothing else does, so that screens can be drawn anew."""


def must_run(store: Path) -> LocalStation:
    """Return the daemon that has this store.

    Raises:
        ClickException: none runs, or this user may not ask it.
    """
    try:
        station = running_station(store)
    except LocalStationError as error:
        raise click.ClickException(f"{error}: {error.do}") from error
    if station is None:
        raise click.ClickException(
            f"no daemon runs with the store {store}: start it with `sudo systemctl start stopover`"
            " or `stopover run -c FILE`, or name its configuration with -c"
        )
    return station


def events(
    store: Path,
    *,
    tag: str | None = None,
    antenna: str | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[Event]:
    """Yield what is heard from now on, beginning with the newest fifty, for ever.

    Raises:
        ClickException: no daemon runs at the begin; later on it is waited for.
    """
    station: LocalStation | None = must_run(store)
    newest, life = 0, ""
    is_lost = False
    while True:
        try:
            if station is not None:
                began = station.status().started
                if began != life:  # Another daemon numbers from 1.
                    newest, life = 0, began
                if is_lost:
                    is_lost = False
                    yield FoundAgain()
                for detection in station.live(newest, tag, antenna):
                    if detection is not None:
                        newest = detection.number
                    yield detection
        except LocalStationError as error:
            if not is_lost:
                is_lost = True
                yield Lost(str(error))
        wait(_TRY_AGAIN_S)
        yield None
        station = _found(store)


def _found(store: Path) -> LocalStation | None:
    try:
        return running_station(store)
    except LocalStationError:
        return None
