"""Is the configuration usable, and are the files that it names?"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from receiver import config
from receiver.commissioning.places import places
from receiver.doctor.findings import Finding
from receiver.doctor.site import Site
from receiver.settings import Settings, StationSettings

_SHORTEST_PASSWORD: Final = 8
"""Characters: the page refuses fast guessing, so that eight are enough and can be typed."""


def configuration(site: Site) -> Iterator[Finding]:
    """Look whether the file can be used, and for what is allowed but often a mistake."""
    if site.settings is None:
        for problem in site.configuration_problem.splitlines():
            yield Finding(
                check="configuration",
                severity="fault",
                subject=str(site.config_path),
                found=problem,
                do=f"mend what it names; `stopover check -c {site.config_path}` says when it is"
                " good",
            )
        return
    settings = site.settings
    if not settings.links:
        yield Finding(
            check="configuration",
            severity="fault",
            subject=str(site.config_path),
            found="no link is configured: the station hears nothing",
            do="`stopover commission` leads through it; `stopover ports` shows the radios",
        )
    if settings.station.id == StationSettings().id:
        yield Finding(
            check="configuration",
            severity="warning",
            subject="station.id",
            found=f"the station has the example's id, {settings.station.id}",
            do="give it one of its own: two stations of one id cannot be told apart",
        )
    for warning in config.warnings(settings):
        yield Finding(
            check="configuration",
            severity="warning",
            subject=str(site.config_path),
            found=warning,
            do="change it in the configuration; what it says is then gone",
        )
    yield Finding(
        check="configuration",
        severity="ok",
        subject=str(site.config_path),
        found=f"station {settings.station.id}, {len(settings.links)} links,"
        f" {len(settings.sinks)} sinks",
    )


def antennas(site: Site) -> Iterator[Finding]:
    """Look for radios whose antenna has no label: ports change, and rows are for ever.

    What a broker passes on bears the names of its own receivers.
    """
    if site.settings is None:
        return
    for place in places(site.settings, site.snapshot):
        if place.antenna is None and place.topic is None:
            yield Finding(
                check="antenna-label",
                severity="note",
                subject=f"radio {place.key}",
                found=f"its antenna has no label: rows call it {place.heard_as}",
                do="`stopover commission` asks for one; in the configuration it is"
                + (
                    " `antenna`"
                    if place.radio is None
                    else f' `antennas = {{ {place.radio} = "…" }}`'
                )
                + " of the link",
            )


def files(site: Site) -> Iterator[Finding]:
    """Look whether the daemon may read the files that its configuration names."""
    if site.settings is None:
        return
    for key, name in named_files(site.settings):
        path = Path(name)
        if not path.exists():
            found, do = "it is not there", "write it, or correct its name in the configuration"
        elif not site.identity.may(path, os.R_OK):
            found = f"{site.identity.user} may not read it"
            do = f"`sudo chgrp {site.identity.user} {path}; sudo chmod 640 {path}`, and look at"
            do += " its folders"
        elif path.stat().st_mode & stat.S_IROTH and key.endswith(("password_file", "token_file")):
            yield Finding(
                check="files",
                severity="warning",
                subject=f"{key}: {path}",
                found="everybody on this computer can read the secret in it",
                do=f"`sudo chmod o= {path}`",
            )
            continue
        else:
            continue
        yield Finding(check="files", severity="fault", subject=f"{key}: {path}", found=found, do=do)


def named_files(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield (key, path) of every file that the configuration names for reading."""
    tables: list[tuple[str, object]] = [
        ("tags", settings.tags),
        ("page", settings.page),
        ("alarms", settings.alarms),
        *((f"links {link.name}", link) for link in settings.links),
        *((f"sinks {sink.name}", sink) for sink in settings.sinks),
    ]
    for name, table in tables:
        for key in _FILE_KEYS:
            path = getattr(table, key, None)
            if path:
                yield f"{name}.{key}", path


_FILE_KEYS: Final = (
    "coded_ids",
    "known_file",
    "names_file",
    "password_file",
    "webhook_token_file",
    "ca_file",
    "certificate_file",
    "key_file",
    "token_file",
)


def page_password(site: Site) -> Iterator[Finding]:
    """Look whether the page has a password, and one that cannot be guessed."""
    if site.settings is None or not site.settings.page.port:
        return
    name = site.settings.page.password_file
    if name is None:
        yield Finding(
            check="page-password",
            severity="note",
            subject="page.password_file",
            found="no password is set: the page shows the station and changes nothing",
            do="to walk-test and commission from a phone, name a file with a password",
        )
        return
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return  # `files` tells it.
    password = lines[0] if lines else ""
    if len(password) < _SHORTEST_PASSWORD:
        yield Finding(
            check="page-password",
            severity="fault" if not password else "warning",
            subject=name,
            found=f"the page's password has {len(password)} characters",
            do=f"write one of {_SHORTEST_PASSWORD} or more as the first line of {name}",
        )
    else:
        yield Finding(check="page-password", severity="ok", subject=name, found="a password is set")
