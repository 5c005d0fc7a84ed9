"""The store: whole, ours, and handed on."""

import contextlib
import datetime as dt
import sqlite3
import time
from collections.abc import Iterator
from typing import Final

from receiver.arrivals import Stamp
from receiver.doctor.findings import Finding, Severity
from receiver.doctor.site import Site
from receiver.health.snapshot import SinkSnapshot
from receiver.health.store_facts import read_facts
from receiver.store.errors import StoreError, StoreForeignError, StoreMissingError
from receiver.store.lock import holder, is_held
from receiver.store.queries import Reader
from receiver.utc_text import iso_utc

_CHECK_S: Final = 10.0
"""How long the check of the store may take: 200 MB from a card; the daemon checks it at its start
as well."""

_STEPS_BETWEEN_LOOKS: Final = 100_000
"""Instructions of SQLite's machine between two looks at the time, about a millisecond."""


@contextlib.contextmanager
def store_reader(site: Site) -> Iterator[Reader | None]:
    """Open the store for reading; None where that is not possible, which `store` tells."""
    store = site.store
    try:
        reader = Reader(store) if store is not None else None
    except StoreError:
        reader = None
    try:
        yield reader
    finally:
        if reader is not None:
            reader.close()


def store(site: Site) -> Iterator[Finding]:
    """Look whether the store can be read and is whole."""
    path = site.store
    if path is None or site.settings is None:
        return
    try:
        with Reader(path) as reader:
            finding = _first_damage(reader.connection)
            station = reader.station_id
    except StoreMissingError:
        running = site.snapshot is not None
        yield Finding(
            check="store",
            severity="fault" if running else "note",
            subject=str(path),
            found="there is no store yet",
            do="restart the station: its store was taken away while it ran"
            if running
            else "the daemon makes it at its first start",
        )
        return
    except StoreForeignError as error:
        yield Finding(
            check="store",
            severity="fault",
            subject="store.path",
            found=str(error),
            do="change it in the configuration: else the daemon puts its tables among those",
        )
        return
    except (StoreError, sqlite3.Error) as error:
        finding, station = str(error), site.settings.station.id
    if finding:
        yield Finding(
            check="store",
            severity="fault",
            subject=str(path),
            found=f"it is damaged or cannot be read: {finding}",
            do="restart the station: it sets a damaged store aside, keeps it, and begins a new one",
        )
        return
    if station != site.settings.station.id:
        yield Finding(
            check="store",
            severity="fault",
            subject=str(path),
            found=f"it belongs to station {station}, not to {site.settings.station.id}",
            do=f"stop the daemon, `mv {path} {path}.{station}`, and start it again",
        )
        return
    yield Finding(check="store", severity="ok", subject=str(path), found="it is whole")


def _first_damage(connection: sqlite3.Connection) -> str:
    """Return what SQLite finds first, empty for nothing within the time."""
    until = time.monotonic() + _CHECK_S
    connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS_BETWEEN_LOOKS)
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
            return ""
        raise
    finally:
        connection.set_progress_handler(None, 0)
    return "" if found == "ok" else str(found)


def set_aside(site: Site) -> Iterator[Finding]:
    """Look for damaged stores that were moved aside: they hold rows that nobody has."""
    path = site.store
    if path is None or not path.parent.exists():
        return
    for name in read_facts(path, None, (), now=_now(site), session="").set_aside:
        yield Finding(
            check="set-aside",
            severity="warning",
            subject=str(path.with_name(name)),
            found="a store was moved aside here; its rows are in no other",
            do="copy it away; what can be read of it comes out with"
            f" `sqlite3 {path.with_name(name)} .recover | sqlite3 mended.db`",
        )


def one_daemon(site: Site) -> Iterator[Finding]:
    """Look whether one daemon has the store, and answers."""
    path = site.store
    if path is None:
        return
    if site.snapshot is not None:
        yield Finding(
            check="daemon",
            severity="ok",
            subject="daemon",
            found=f"runs since {site.snapshot.started}",
        )
    elif is_held(path):
        pid = holder(path)
        yield Finding(
            check="daemon",
            severity="warning",
            subject="daemon",
            found=f"process {pid or 'unknown'} has the store and does not answer on its socket",
            do="are you allowed to ask it? `sudo stopover doctor`; if it hangs,"
            " `sudo systemctl restart stopover`",
        )
    else:
        yield Finding(
            check="daemon",
            severity="fault",
            subject="daemon",
            found="no daemon has this store: nothing is heard",
            do="`sudo systemctl start stopover`, or `stopover run -c FILE`; `journalctl -u"
            " stopover` tells why it ended",
        )
    others = [pid for pid in _daemons(site) if pid != holder(path)]
    if others and is_held(path):
        yield Finding(
            check="two-daemons",
            severity="warning",
            subject="daemon",
            found=f"another `stopover run` is there (process {', '.join(map(str, others))})",
            do="if it is not another station's, stop it: two daemons take each other's ports",
        )


def _daemons(site: Site) -> Iterator[int]:
    for folder in site.at("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            names = [argument.rsplit(b"/", 1)[-1] for argument in arguments[:3]]
            if any(
                each == b"stopover" and following == b"run"
                for each, following in zip(names, arguments[1:4], strict=False)
            ):
                yield int(folder.name)


def backlog(site: Site) -> Iterator[Finding]:
    """Look whether rows have waited for too long to be handed on, and why."""
    if site.settings is None:
        return
    hours = site.settings.alarms.backlog_hours
    for sink in site.snapshot.sinks if site.snapshot else _sinks_at_rest(site):
        oldest_h = None
        if sink.oldest_waiting is not None:
            oldest_s = dt.datetime.fromisoformat(sink.oldest_waiting).timestamp()
            oldest_h = (site.now_s - oldest_s) / 3600
        waits = f"{sink.waiting_rows} rows wait"
        waits += "" if oldest_h is None else f", the oldest for {oldest_h:.0f} h"
        found = "; ".join(filter(None, (sink.state, sink.reason, waits)))
        if sink.is_paused:
            do = f"`stopover upload --resume {sink.name}`, when it shall send again"
            severity: Severity = "warning"
        elif sink.state == "refused" or (hours and oldest_h is not None and oldest_h > hours):
            do = sink.advice or "see that the network is there and the far end up"
            severity = "fault"
        else:
            do, severity = "", "ok"
        yield Finding(
            check="backlog", severity=severity, subject=f"sink {sink.name}", found=found, do=do
        )


def _sinks_at_rest(site: Site) -> Iterator[SinkSnapshot]:
    """Yield how each sink is while no daemon runs."""
    if site.settings is None or site.store is None:
        return
    with store_reader(site) as reader:
        if reader is None:
            return
        facts = read_facts(site.store, reader, site.settings.sinks, now=_now(site), session="")
    for sink in site.settings.sinks:
        waiting = facts.backlogs[sink.name]
        oldest = waiting.oldest
        yield SinkSnapshot(
            name=sink.name,
            kind=str(sink.__struct_config__.tag),
            state="paused" if waiting.is_paused else "at rest",
            waiting_rows=waiting.rows,
            oldest_waiting=iso_utc(oldest.utc_ns) if oldest else None,
            is_paused=waiting.is_paused,
        )


def _now(site: Site) -> Stamp:
    return Stamp(int(site.now_s * 1e9), "ntp")


def rows_lost(site: Site) -> Iterator[Finding]:
    """Look whether rows were deleted or turned away that nobody has."""
    with store_reader(site) as reader:
        pruned = {} if reader is None else reader.rows_pruned()
    for table, counts in pruned.items():
        if counts["unacknowledged"]:
            yield Finding(
                check="rows-lost",
                severity="warning",
                subject=table,
                found=f"{counts['unacknowledged']} rows were deleted that no sink had handed on",
                do="free the disk or raise store.max_size_mb; see that the sinks reach their far"
                " ends",
            )
    if site.snapshot is not None and site.snapshot.store.dropped_rows:
        yield Finding(
            check="rows-lost",
            severity="fault",
            subject=site.snapshot.store.state,
            found=f"{site.snapshot.store.dropped_rows} rows found no room while the store was away",
            do="see the log for why the store could not be written: `journalctl -u stopover`",
        )
