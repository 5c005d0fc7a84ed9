"""The report of a site visit: HTML to print, text to mail, one line for the store.

The HTML is one file without scripts and without anything from elsewhere; whatever came from the air
or from a person is text in it.
"""

import datetime as dt
import html as markup
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from receiver.commissioning.progress import Progress
from receiver.commissioning.state import CommissioningState
from receiver.commissioning.steps import required_places
from receiver.health.snapshot import StationSnapshot
from receiver.log import escaped
from receiver.settings import Settings

_WIDTH: Final = 80
_CLEAR: Final = 3
"""Cells of a row of text that need no names before them."""

_STYLE: Final = """\
body { font: 11pt/1.4 system-ui, sans-serif; color: #111; max-width: 46em; margin: 2em auto; \
padding: 0 1em; }
h1 { font-size: 1.5em; margin-bottom: 0; } h2 { font-size: 1.1em; margin: 1.5em 0 .3em; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; }
th, td { text-align: left; vertical-align: top; padding: .25em .6em .25em 0; \
border-bottom: 1px solid #bbb; overflow-wrap: anywhere; }
.waiting { font-weight: bold; } .sign { margin-top: 3em; border-top: 1px solid #111; width: 20em; }
@media print { body { margin: 0; } tr { break-inside: avoid; } }
"""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a report tells."""

    made: dt.datetime
    begun: dt.datetime
    state: CommissioningState
    settings: Settings
    snapshot: StationSnapshot | None
    progress: Progress
    findings: tuple[str, ...] = ()
    """The doctor's, a line each."""


class _Table(msgspec.Struct, frozen=True):
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def line(state: CommissioningState, progress: Progress) -> str:
    """Return the visit in one line."""
    counts = {
        kind: sum(step.progress == kind for step in state.steps)
        for kind in ("ok", "skipped", "waiting")
    }
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    who = f" by {progress.technician}" if progress.technician else ""
    remarks = f" - {progress.remarks}" if progress.remarks else ""
    return f"commissioning of {state.station}{who}: {told}{remarks}"


def text(facts: Facts) -> str:
    """Return the report as text."""
    lines = [f"Station {facts.state.station}", f"Site visit {_when(facts)}", ""]
    for table in _tables(facts):
        lines += [table.title, "-" * len(table.title)]
        for row in table.rows:
            lines += _wrapped(row if len(row) <= _CLEAR else _named(table.head, row))
        lines.append("")
    return "\n".join(lines)


def html(facts: Facts) -> str:
    """Return the report as one HTML file."""
    parts = []
    parts.append(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Site visit: {_safe(facts.state.station)}</title>\n"
        f"<style>\n{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Station {_safe(facts.state.station)}</h1>\n<p>Site visit {_safe(_when(facts))}</p>\n"
    )
    for table in _tables(facts):
        parts.append(f"<h2>{_safe(table.title)}</h2>\n<table>\n<thead><tr>")
        parts += (f'<th scope="col">{_safe(name)}</th>' for name in table.head)
        parts.append("</tr></thead>\n<tbody>\n")
        for row in table.rows:
            mark = ' class="waiting"' if "waiting" in row else ""
            cells = "".join(f"<td>{_safe(cell)}</td>" for cell in row)
            parts.append(f"<tr{mark}>{cells}</tr>\n")
        parts.append("</tbody>\n</table>\n")
    parts.append('<p class="sign">Signature</p>\n</body>\n</html>\n')
    return "".join(parts)


def _tables(facts: Facts) -> Iterator[_Table]:
    yield _Table("The station", ("what", "found"), tuple(_station(facts)))
    yield _Table("Steps", ("step", "state", "found"), tuple(_steps(facts)))
    antennas = tuple(_antennas(facts))
    if antennas:
        head = ("antenna", "bearing", "kind", "packets of the test tag", "best level")
        yield _Table("Antennas", head, antennas)
    if facts.snapshot is not None:
        yield _Table(
            "Radios",
            ("link", "kind", "state", "firmware"),
            tuple(
                (each.name, each.kind, each.state, each.firmware or "")
                for each in facts.snapshot.links
            ),
        )
        alarms = facts.snapshot.alarms
        if alarms:
            rows = tuple((each.alarm, each.subject, each.message) for each in alarms)
            yield _Table("Alarms that were on", ("alarm", "about", "found"), rows)
    if facts.findings:
        yield _Table("What the doctor found", ("finding",), tuple((f,) for f in facts.findings))


def _station(facts: Facts) -> Iterator[tuple[str, str]]:
    settings, snapshot, progress = facts.settings.station, facts.snapshot, facts.progress
    yield "id", settings.id
    place = (
        "it moves" if settings.latitude is None else f"{settings.latitude}, {settings.longitude}"
    )
    yield "latitude, longitude (WGS 84)", place
    yield "configuration", facts.state.configuration
    if progress.technician:
        yield "visited by", progress.technician
    if progress.remarks:
        yield "remarks", progress.remarks
    if snapshot is None:
        yield "daemon", "not running"
        return
    yield "version", snapshot.version
    yield "store", f"{snapshot.store.path} ({snapshot.store.store_uuid})"
    yield "detections in it", str(snapshot.store.detections)
    yield "clock", f"{snapshot.clock.quality}, {snapshot.clock.time}"
    host = snapshot.host
    if host.temperature_c is not None:
        yield "temperature of the computer", f"{host.temperature_c:.0f} °C"
    if host.voltage_v is not None:
        yield "voltage", f"{host.voltage_v:.2f} V"
    if facts.state.needs_restart:
        yield "waits for a restart", ", ".join(facts.state.needs_restart)


def _steps(facts: Facts) -> Iterator[tuple[str, str, str]]:
    for step in facts.state.steps:
        why = f" (skipped: {step.reason})" if step.progress == "skipped" else ""
        yield step.title, step.progress, step.found + why


def _antennas(facts: Facts) -> Iterator[tuple[str, ...]]:
    told = {antenna.name: antenna for antenna in facts.settings.antennas}
    names: Sequence[str] = list(
        dict.fromkeys(
            (*required_places(facts.settings, facts.snapshot), *told, *facts.progress.heard)
        )
    )
    for name in names:
        antenna, heard = told.get(name), facts.progress.heard.get(name)
        bearing = antenna.bearing_deg if antenna else None
        yield (
            name,
            "" if bearing is None else f"{bearing:g}°",
            (antenna.kind if antenna else None) or "",
            str(heard.packets) if heard else "0",
            heard.best if heard else "",
        )


def _when(facts: Facts) -> str:
    offset = facts.made.astimezone().isoformat()[-6:]
    begun, made = f"{facts.begun:%Y-%m-%d %H:%M}", f"{facts.made:%H:%M}"
    return f"{begun} to {made} UTC (local time is UTC{offset})"


def _safe(words: str) -> str:
    return markup.escape(escaped(words))


def _named(head: Sequence[str], row: Sequence[str]) -> tuple[str, str]:
    """Return a row of many cells as its first and the others after their names."""
    told = zip(head[1:], row[1:], strict=True)
    return row[0], ", ".join(f"{name} {cell}" for name, cell in told if cell)


def _wrapped(row: Sequence[str]) -> Iterator[str]:
    """Yield a row as lines of 80 columns: its cells one after another, the rest indented."""
    import textwrap  # noqa: PLC0415  Reports are made once in a while.

    words = "  ".join(escaped(cell) for cell in row if cell)
    yield from textwrap.wrap(words, _WIDTH, subsequent_indent="    ") or [""]
