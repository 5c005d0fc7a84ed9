"""The supply, the heat, and what the kernel says of USB and of the card."""

import re
from collections.abc import Iterator
from typing import Final

from receiver.doctor.findings import Finding, Severity
from receiver.doctor.site import Site
from receiver.health.host import read_host

_HOT_C: Final = 80.0
"""A Raspberry Pi slows down from here on. Source: raspberrypi.com, frequency management."""

_TOO_HOT_C: Final = 85.0

_LATEST_LINES: Final = 3


def supply(site: Site) -> Iterator[Finding]:
    """Look whether the voltage sags: radios then vanish from USB and cards are damaged."""
    host = read_host(site.store or site.root, site.root, vcgencmd=lambda: _throttled(site))
    do = "a supply of 5.1 V and 3 A, a short thick cable, and a hub with its own supply for radios"
    if host.undervoltage:
        yield Finding(
            check="undervoltage",
            severity="fault",
            subject="computer",
            found="its voltage is too low now",
            do=do,
        )
    elif host.undervoltage_since_boot:
        yield Finding(
            check="undervoltage",
            severity="warning",
            subject="computer",
            found="its voltage was too low since the start",
            do=do,
        )
    elif host.undervoltage is not None:
        yield Finding(
            check="undervoltage", severity="ok", subject="computer", found="its voltage holds"
        )
    if host.throttled:
        yield Finding(
            check="throttled",
            severity="warning",
            subject="computer",
            found="it slows itself down now, for heat or voltage",
            do="give it shade, air or a heat sink; see also undervoltage",
        )
    celsius = host.temperature_c
    if celsius is not None:
        is_hot = celsius >= _HOT_C
        severity: Severity = "fault" if celsius >= _TOO_HOT_C else "warning" if is_hot else "ok"
        yield Finding(
            check="temperature",
            severity=severity,
            subject="computer",
            found=f"{celsius:.0f} °C",
            do="give it shade, air or a heat sink" if is_hot else "",
        )


def _throttled(site: Site) -> str | None:
    return site.command(("vcgencmd", "get_throttled"))


_KERNEL_SAYS: Final[tuple[tuple[str, str, Severity, str, str], ...]] = (
    (
        "usb-over-current",
        r"over-?current",
        "fault",
        "a USB port gave out: something on it takes too much",
        "a hub with its own supply for the radios; look for a wet or crushed cable",
    ),
    (
        "undervoltage-log",
        r"under-?voltage detected",
        "warning",
        "the voltage was too low",
        "a better supply and a short thick cable",
    ),
    (
        "usb-errors",
        r"usb .*(device descriptor read.*error|device not accepting address|unable to enumerate)",
        "warning",
        "a USB device does not come up",
        "change its cable and its hub's socket; a hub with its own supply",
    ),
    (
        "card-errors",
        r"(mmc\d+: .*(error|timeout)|I/O error, dev|EXT4-fs error|Buffer I/O error)",
        "fault",
        "the card or its file system has errors",
        "copy the data away now, change the card",
    ),
    (
        "out-of-memory",
        r"Out of memory: Killed process",
        "warning",
        "the kernel ended a program for want of memory",
        "see which in the kernel's log; stop what the station does not need",
    ),
)
"""(check, what the kernel prints, severity, found, do). Source: drivers/usb/core/hub.c,
drivers/hwmon/raspberrypi-hwmon.c, drivers/mmc, fs/ext4/super.c, mm/oom_kill.c of Linux."""


def kernel_log(site: Site) -> Iterator[Finding]:
    """Look for what the kernel says of USB, voltage and the card since the start."""
    log = site.command(("dmesg",))
    if not log:
        log = site.command(("journalctl", "-k", "-b", "-o", "cat", "--no-pager"))
    if not log:
        yield Finding(
            check="kernel-log",
            severity="note",
            subject="computer",
            found="its kernel's log cannot be read",
            do="run the doctor as root to see USB, voltage and card errors: `sudo stopover doctor`",
        )
        return
    lines = log.splitlines()
    for check, pattern, severity, found, do in _KERNEL_SAYS:
        said = [line for line in lines if re.search(pattern, line, re.IGNORECASE)]
        if said:
            newest = "; ".join(line.strip() for line in said[-_LATEST_LINES:])
            yield Finding(
                check=check,
                severity=severity,
                subject="kernel",
                found=f"{found} ({len(said)} times since the start): {newest}",
                do=do,
            )
