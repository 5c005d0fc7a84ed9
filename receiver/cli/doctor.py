"""`stopover doctor`: what is wrong with the station, and what to do about it."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.options import explained
from receiver.cli.station import running_station, usual_configuration

if TYPE_CHECKING:
    from receiver.doctor.findings import Finding
    from receiver.doctor.site import Site
    from receiver.health.snapshot import StationSnapshot
    from receiver.settings import Settings

_MARKS = {"ok": "ok", "note": "note", "warning": "WARN", "fault": "FAULT"}
_COLOURS = {"ok": "green", "note": "cyan", "warning": "yellow", "fault": "red"}


@click.command("doctor")
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The station's configuration.  [default: ./stopover.toml, then"
    " /etc/stopover/stopover.toml]",
)
@click.option("--all", "show_all", is_flag=True, help="Show also what is good.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@explained
def doctor_command(config_path: Path | None, *, show_all: bool, as_json: bool) -> None:
    """Look for what is wrong: ports, permissions, clock, disk, power, network, tags, silence.

    It changes nothing, and works whether the station runs or not. Each finding says what to do.
    Exit status: 0 no fault, 1 some fault.

    Example:  sudo stopover doctor
    """
    site = _site(config_path or usual_configuration())
    findings = _found(site, is_quiet=as_json)
    if as_json:
        _print_json(findings)
    else:
        _print_text(findings, show_all=show_all)
    if any(finding.severity == "fault" for finding in findings):
        raise click.exceptions.Exit(1)


def examined(config_path: Path) -> "list[Finding]":
    """Return all that the doctor finds at the station of a configuration."""
    return _found(_site(config_path), is_quiet=True)


def _site(config_path: Path) -> "Site":
    from receiver import config
    from receiver.doctor.site import site_of
    from receiver.store.lock import holder

    settings: Settings | None = None
    snapshot: StationSnapshot | None = None
    problem = ""
    try:
        settings = config.load(config_path)
    except config.ConfigError as error:
        problem = str(error)
    pid = None
    if settings is not None:
        store = Path(settings.store.path)
        pid, snapshot = holder(store), _snapshot(store)
    return site_of(config_path, settings, problem, snapshot, pid)


def _snapshot(store: Path) -> "StationSnapshot | None":
    from receiver.web.local_client import LocalStationError

    try:
        station = running_station(store)
        return None if station is None else station.status()
    except LocalStationError:
        return None  # The check of the daemon tells it.


def _found(site: "Site", *, is_quiet: bool) -> "list[Finding]":
    from receiver import log
    from receiver.doctor.examination import CHECKS, examine

    # What the libraries below would log is what the findings tell.
    log.configure("pretty", "critical")
    if is_quiet or not sys.stderr.isatty():
        return list(examine(site))
    findings: list[Finding] = []
    with click.progressbar(length=len(CHECKS), label="looking", file=sys.stderr) as bar:
        for check in CHECKS:
            findings += examine(site, [check])
            bar.update(1)
    return findings


def _print_json(findings: "Sequence[Finding]") -> None:
    import msgspec

    from receiver.doctor.findings import SEVERITIES

    counts = {name: sum(each.severity == name for each in findings) for name in SEVERITIES}
    click.echo(msgspec.json.encode({"counts": counts, "findings": findings}))


def _print_text(findings: "Sequence[Finding]", *, show_all: bool) -> None:
    from receiver.doctor.findings import SEVERITIES

    shown = sorted(
        (each for each in findings if show_all or each.severity != "ok"),
        key=lambda each: -SEVERITIES.index(each.severity),
    )
    for finding in shown:
        _print(finding)
    good = sum(finding.severity == "ok" for finding in findings)
    bad = len(findings) - good
    words = f"{bad} findings, {good} checks are good" if bad else f"all {good} checks are good"
    click.echo(words + ("" if show_all or not good else "  (--all shows them)"))


def _print(finding: "Finding") -> None:
    mark = click.style(_MARKS[finding.severity].ljust(6), fg=_COLOURS[finding.severity], bold=True)
    first, *rest = _lines(f"{finding.subject}: {finding.found}", 74)
    click.echo(mark + first)
    for line in rest:
        click.echo(f"{'':6}{line}")
    for number, line in enumerate(_lines(finding.do, 71) if finding.do else ()):
        click.echo(f"{'':6}{'-> ' if number == 0 else '   '}{line}")


def _lines(words: str, width: int) -> Iterator[str]:
    """Yield words in lines; what comes from the air or from files stays text."""
    import textwrap

    from receiver.log import escaped

    yield from textwrap.wrap(escaped(words), width) or [""]
