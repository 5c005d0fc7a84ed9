"""The service: started at boot, watched, its log kept, its version the one that is installed."""

import importlib.metadata
import os
from collections.abc import Iterator
from typing import Final

from receiver.doctor.findings import Finding
from receiver.doctor.site import Site

_UNIT: Final = "stopover.service"
_SHOWN: Final = ("LoadState", "UnitFileState", "ActiveState", "Type", "WatchdogUSec", "NRestarts")


def unit(site: Site) -> Iterator[Finding]:
    """Look whether systemd starts the station at boot and watches it."""
    told = site.command(("systemctl", "show", _UNIT, f"--property={','.join(_SHOWN)}"))
    values = dict(line.partition("=")[::2] for line in (told or "").splitlines())
    if values.get("LoadState") != "loaded":
        yield Finding(
            check="service",
            severity="note",
            subject=_UNIT,
            found="the station is no service of this computer",
            do="to have it start with the computer, install the package or deploy/systemd's unit",
        )
        return
    if values.get("UnitFileState") not in ("enabled", "enabled-runtime", "static"):
        yield Finding(
            check="service",
            severity="fault",
            subject=_UNIT,
            found=f"it does not start with the computer ({values.get('UnitFileState')})",
            do="`sudo systemctl enable --now stopover`",
        )
    if values.get("WatchdogUSec") in ("0", "infinity", "", None) or values.get("Type") != "notify":
        yield Finding(
            check="service",
            severity="warning",
            subject=_UNIT,
            found="systemd does not watch it: a station that hangs is not started anew",
            do="take Type=notify and WatchdogSec=120 from deploy/systemd/stopover.service",
        )
    restarts = values.get("NRestarts", "0")
    if restarts.isdecimal() and int(restarts):
        yield Finding(
            check="service",
            severity="warning",
            subject=_UNIT,
            found=f"it was started anew {restarts} times after it had failed",
            do="`journalctl -u stopover -p warning` tells why",
        )
    yield Finding(
        check="service",
        severity="ok",
        subject=_UNIT,
        found=f"{values.get('UnitFileState')}, {values.get('ActiveState')}",
    )


def journal(site: Site) -> Iterator[Finding]:
    """Look whether the system's log outlives a restart."""
    if site.at("/var/log/journal").is_dir():
        yield Finding(check="journal", severity="ok", subject="journald", found="keeps its log")
    elif site.at("/run/systemd/system").is_dir():
        yield Finding(
            check="journal",
            severity="note",
            subject="journald",
            found="its log is in memory: after a restart nobody knows what was before",
            do="to keep it, with little wear: `sudo mkdir -p /var/log/journal`, and"
            " SystemMaxUse=50M in /etc/systemd/journald.conf",
        )


def version(site: Site) -> Iterator[Finding]:
    """Look whether what runs is what is installed."""
    installed = importlib.metadata.version("stopover")
    running = site.snapshot.version if site.snapshot else installed
    if running != installed:
        yield Finding(
            check="version",
            severity="warning",
            subject="stopover",
            found=f"{running} runs, {installed} is installed",
            do="`sudo systemctl restart stopover`",
        )
    else:
        yield Finding(check="version", severity="ok", subject="stopover", found=installed)


def alarms(site: Site) -> Iterator[Finding]:
    """Tell the alarms that are on in the running station."""
    for alarm in site.snapshot.alarms if site.snapshot else ():
        yield Finding(
            check=f"alarm-{alarm.alarm}",
            severity="fault",
            subject=alarm.subject or "station",
            found=f"{alarm.message} (since {alarm.since})",
            do=alarm.do,
        )


def links(site: Site) -> Iterator[Finding]:
    """Tell which links of the running station do not hear."""
    for link in site.snapshot.links if site.snapshot else ():
        if link.state in ("failed", "silent"):
            yield Finding(
                check="link",
                severity="fault",
                subject=f"link {link.name}",
                found=f"{link.state}: {link.reason or 'nothing is known of why'}",
                do="unplug its radio and plug it in again; look at its port above"
                if link.kind == "serial"
                else "see that what it connects to is there",
            )
        else:
            yield Finding(
                check="link",
                severity="ok",
                subject=f"link {link.name}",
                found=" ".join(filter(None, (link.state, link.firmware))),
            )


def rights(site: Site) -> Iterator[Finding]:
    """Say what the doctor cannot see."""
    if not site.is_root:
        yield Finding(
            check="rights",
            severity="note",
            subject=str(os.geteuid()),
            found="other users' programs and the kernel's log cannot be seen from here",
            do="`sudo stopover doctor` sees everything",
        )
