"""Software radios: their sticks, what serves them, and what decodes their samples."""

import importlib.util
import socket
from collections.abc import Iterator, Sequence
from typing import Final

from receiver.doctor.findings import Finding
from receiver.doctor.site import Site
from receiver.health.snapshot import LinkSnapshot
from receiver.links.software_radio import LOSS_DO, SLOW_DO
from receiver.radio_settings import SoftwareRadioLink

_MAGIC: Final = b"RTL0"
"""How rtl_tcp greets. Source: rtl-sdr, src/rtl_tcp.c."""

_TELEVISION: Final = ("dvb_usb_rtl28xxu", "rtl2832_sdr")
_HERE: Final = ("localhost", "127.0.0.1", "::1")


def software_radios(site: Site) -> Iterator[Finding]:
    """Look whether numpy is there, each stick served, and what its samples came to.

    A stick serves one listener only: while the daemon runs, its link tells how it is.
    """
    links = site.settings.links if site.settings else ()
    radios = [link for link in links if isinstance(link, SoftwareRadioLink)]
    if radios and importlib.util.find_spec("numpy") is None:
        yield Finding(
            check="software-radio",
            severity="fault",
            subject="numpy",
            found="it is not installed, and samples cannot be decoded without it",
            do="`pip install 'stopover[sdr]'`, or the Debian package, which has it",
        )
    for link in radios:
        if link.is_stick and site.snapshot is None:
            yield _stick(site, link)
        elif site.snapshot is not None:
            yield from _samples(link, site.snapshot.links)


def _samples(link: SoftwareRadioLink, told: Sequence[LinkSnapshot]) -> Iterator[Finding]:
    """Yield what was given up, and what never arrived, since the daemon started."""
    rejects = next((each.rejects for each in told if each.name == link.name), {})
    thinned_s = rejects.get("grid_thinned_s", 0)
    dropped_s = rejects.get("samples_dropped", 0) / link.rate_hz
    lost_s = rejects.get("samples_lost", 0) / link.rate_hz
    if thinned_s or dropped_s:
        yield Finding(
            check="software-radio",
            severity="warning",
            subject=f"link {link.name}",
            found="the processor could not keep up: since the start it listened to fewer"
            f" frequencies for {thinned_s} s and dropped {dropped_s:.1f} s of samples",
            do=SLOW_DO,
        )
    if lost_s:
        yield Finding(
            check="software-radio",
            severity="warning",
            subject=f"link {link.name}",
            found=f"{lost_s:.1f} s of samples were lost on the way since the start",
            do=LOSS_DO if link.is_stick else "see the program that writes them",
        )


def _stick(site: Site, link: SoftwareRadioLink) -> Finding:
    host, port = link.address
    subject = f"link {link.name}"
    try:
        with socket.create_connection((host, port), timeout=site.patience_s) as connection:
            greeting = connection.recv(len(_MAGIC))
    except TimeoutError:
        greeting = b""
    except OSError as error:
        return Finding(
            check="software-radio",
            severity="fault",
            subject=subject,
            found=f"{link.source}: {error.strerror or error}",
            do=f"is the stick plugged in? `sudo systemctl start stopover-rtl-tcp@{port}`",
        )
    if greeting != _MAGIC:
        return Finding(
            check="software-radio",
            severity="fault",
            subject=subject,
            found=f"{link.source}: does not greet as rtl_tcp does",
            do="has another program the stick? rtl_tcp serves one at a time: end that one",
        )
    return Finding(
        check="software-radio", severity="ok", subject=subject, found=f"{link.source} is served"
    )


def television_driver(site: Site) -> Iterator[Finding]:
    """Look whether the kernel takes sticks for televisions, so that rtl_tcp cannot have them."""
    links = site.settings.links if site.settings else ()
    if not any(
        isinstance(link, SoftwareRadioLink) and link.is_stick and link.address[0] in _HERE
        for link in links
    ):
        return
    loaded = {line.split()[0] for line in (site.text("/proc/modules") or "").splitlines()}
    if loaded.intersection(_TELEVISION):
        yield Finding(
            check="television-driver",
            severity="fault",
            subject="kernel",
            found="its television driver takes the stick",
            do="`sudo cp deploy/modprobe/stopover-rtl-sdr.conf /etc/modprobe.d/`, then"
            " `sudo modprobe -r dvb_usb_rtl28xxu` or a restart",
        )
