"""The serial ports that links name: there, free, and open to the daemon; and the radios on them."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from receiver.doctor.findings import Finding
from receiver.doctor.site import Site
from receiver.serial_ports import KNOWN_USB_DEVICES, SerialDevice
from receiver.settings import SerialLink, SocketLink
from receiver.store.lock import holder

_RULES: Final = ("/etc/udev/rules.d", "/lib/udev/rules.d", "/usr/lib/udev/rules.d")
_MODEM_MANAGER_IS_TOLD: Final = "ID_MM_DEVICE_IGNORE"
_BRLTTY_PROGRAMS: Final = ("brltty",)
_GROUP: Final = "dialout"


def serial_links(site: Site) -> list[SerialLink]:
    """Return the links that are on a serial port."""
    links = site.settings.links if site.settings else ()
    return [link for link in links if isinstance(link, SerialLink)]


def port_missing(site: Site) -> Iterator[Finding]:
    """Look whether each port is there."""
    for link in serial_links(site):
        if not Path(link.device).exists():
            plugged = ", ".join(device.steady_name for device in site.devices()) or "none"
            yield Finding(
                check="port-missing",
                severity="fault",
                subject=f"link {link.name}",
                found=f"{link.device} is not there; plugged in: {plugged}",
                do="look at the radio's plug, cable and hub; if it moved to another socket, take"
                " its by-path name from `stopover ports`",
            )


def port_permission(site: Site) -> Iterator[Finding]:
    """Look whether the daemon may open each port."""
    user = site.identity.user
    for link in serial_links(site):
        path = Path(link.device)
        if path.exists() and not site.identity.may(path.resolve(), os.R_OK | os.W_OK):
            yield Finding(
                check="port-permission",
                severity="fault",
                subject=f"link {link.name}",
                found=f"{user} may not open {path}",
                do=f"`sudo usermod -aG {_GROUP} {user}`, then restart the station; see also"
                " deploy/udev/60-stopover.rules",
            )


def sockets(site: Site) -> Iterator[Finding]:
    """Look whether each program that serves a radio on a socket is there, and lets us in."""
    for link in site.settings.links if site.settings else ():
        if not isinstance(link, SocketLink):
            continue
        path = Path(link.path)
        if not path.is_socket():
            found = f"{path} is not there"
            do = "start the program that serves the radio, or correct the link's path"
        elif not site.identity.may(path, os.W_OK):
            found = f"{site.identity.user} may not open {path}"
            do = f"let {site.identity.user} into the group of the socket and of its folders, then"
            do += " restart the station"
        else:
            continue
        yield Finding(
            check="socket", severity="fault", subject=f"link {link.name}", found=found, do=do
        )


def port_held(site: Site) -> Iterator[Finding]:
    """Look whether another program has a port open: it takes bytes away from the daemon."""
    ports = {
        os.path.realpath(link.device): link
        for link in serial_links(site)
        if Path(link.device).exists()
    }
    own = {os.getpid(), holder(site.store) if site.store else None}
    names = dict(site.programs())
    for folder in sorted(site.at("/proc").glob("[0-9]*")):
        pid = int(folder.name)
        if pid in own:
            continue
        for device in sorted(_open_files(folder) & ports.keys()):
            name = names.get(pid, "a program")
            yield Finding(
                check="port-held",
                severity="fault",
                subject=f"link {ports[device].name}",
                found=f"{name} (process {pid}) has {device} open as well",
                do=f"end it: `sudo kill {pid}`, and keep it from starting again",
            )


def _open_files(process: Path) -> set[str]:
    files = set()
    try:
        for descriptor in (process / "fd").iterdir():
            try:
                files.add(str(descriptor.readlink()))
            except OSError:
                continue  # It was closed meanwhile.
    except OSError:
        return set()  # Of another user.
    return files


def modem_manager(site: Site) -> Iterator[Finding]:
    """Look whether ModemManager may write to radios, which hangs old dongles."""
    if not site.runs("ModemManager"):
        return
    if any(_MODEM_MANAGER_IS_TOLD in text for text in _rules(site, "*stopover*")):
        yield Finding(
            check="modem-manager",
            severity="ok",
            subject="ModemManager",
            found="runs, and is kept off the radios by a udev rule",
        )
    else:
        yield Finding(
            check="modem-manager",
            severity="warning",
            subject="ModemManager",
            found="runs and writes to every new serial port; old dongles hang by it",
            do="copy deploy/udev/60-stopover.rules to /etc/udev/rules.d/ and plug the radios in"
            " again; without a modem, `sudo systemctl disable --now ModemManager`",
        )


def brltty(site: Site) -> Iterator[Finding]:
    """Look whether the braille driver takes CP2102 and FTDI adapters for a braille display."""
    claims = [text for text in _rules(site, "*brltty*") if "10c4" in text or "0403" in text]
    if site.runs(*_BRLTTY_PROGRAMS) or claims:
        yield Finding(
            check="brltty",
            severity="warning",
            subject="brltty",
            found="is installed and takes USB serial adapters for braille displays",
            do="`sudo apt-get remove brltty`, and plug the radios in again",
        )


def unused_radios(site: Site) -> Iterator[Finding]:
    """Look for radios that are plugged in and that no link uses."""
    used = {os.path.realpath(link.device) for link in serial_links(site)}
    for device in site.devices():
        if device.usb_id in KNOWN_USB_DEVICES and os.path.realpath(device.device) not in used:
            yield Finding(
                check="unused-radio",
                severity="note",
                subject=device.steady_name,
                found=f"{_what(device)} is plugged in and no link uses it",
                do="`stopover commission` adds it, if it is a radio",
            )


def usb_autosuspend(site: Site) -> Iterator[Finding]:
    """Look whether the kernel may put a radio's USB device to sleep."""
    for link in serial_links(site):
        device = Path(os.path.realpath(link.device)).name
        at = site.at(f"/sys/class/tty/{device}/device")
        if not at.exists():
            continue
        real = at.resolve()
        for folder in (real, *real.parents):
            control = folder / "power" / "control"
            if (folder / "busnum").exists() and control.exists():
                if control.read_text(encoding="ascii", errors="replace").strip() == "auto":
                    name = shlex.quote(f"/sys/bus/usb/devices/{folder.name}/power/control")
                    yield Finding(
                        check="usb-autosuspend",
                        severity="warning",
                        subject=f"link {link.name}",
                        found=f"the kernel may put USB device {folder.name} to sleep",
                        do=f"now: `echo on | sudo tee {name}`; for ever: add"
                        ' ATTR{power/control}="on" to a udev rule, or boot with'
                        " usbcore.autosuspend=-1",
                    )
                break


def _rules(site: Site, pattern: str) -> Iterator[str]:
    for folder in _RULES:
        for rule in sorted(site.at(folder).glob(pattern)):
            text = site.text(str(Path(folder) / rule.name))
            if text:
                yield "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def _what(device: SerialDevice) -> str:
    return " ".join(filter(None, (device.what, device.product)))
