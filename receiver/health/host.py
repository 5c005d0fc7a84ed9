"""How the computer is: heat, supply, memory, load, and the disk that the store lies on.

    /sys/class/thermal/thermal_zoneN/type, temp      m°C; the processor's zone is `cpu-thermal` on a
                                                     Raspberry Pi, `x86_pkg_temp` on a PC
    /proc/loadavg                                    field 1: the mean of a minute
    /proc/meminfo                                    MemTotal, MemAvailable, kB
    /proc/uptime                                     field 1: s
    /proc/self/statm                                 field 2: pages in memory

The supply is `receiver.health.power`'s, the disk `receiver.health.card`'s. All of it is a dozen
small files, 1 ms on a Pi Zero.

Sources: proc(5), linux/Documentation/driver-api/thermal/sysfs-api.rst.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from receiver.health import power
from receiver.health.card import read_card
from receiver.health.snapshot import HostSnapshot
from receiver.health.sysfs import matching, number, text, word

_PROCESSOR_ZONES: Final = ("cpu", "soc", "x86_pkg")
_MILLI: Final = 1e-3
_KIBIBYTE: Final = 1024


def read_host(
    store: Path,
    root: Path = Path("/"),
    *,
    vcgencmd: Callable[[], str | None] = power.vcgencmd,
) -> HostSnapshot:
    """Look at the computer whose files stand under `root`; call it in a thread.

    `store` is a path on the disk that counts.
    """
    supply = power.read_power(root, vcgencmd)
    card = read_card(root, store)
    memory = _memory(root)
    return HostSnapshot(
        temperature_c=_temperature(root),
        voltage_v=supply.voltage_v,
        undervoltage=supply.undervoltage,
        undervoltage_since_boot=supply.undervoltage_since_boot,
        throttled=supply.throttled,
        load_1min=word(root / "proc/loadavg", 0),
        memory_free_bytes=memory.get("MemAvailable"),
        memory_bytes=memory.get("MemTotal"),
        process_memory_bytes=_process_memory(root),
        uptime_s=word(root / "proc/uptime", 0),
        disk_written_bytes=card.written_bytes,
        disk_wear_percent=card.wear_percent,
        disk_end_of_life=card.end_of_life,
    )


def _temperature(root: Path) -> float | None:
    zones = matching(root / "sys/class/thermal", "thermal_zone*")
    processors = [
        zone for zone in zones if (text(zone / "type") or "").startswith(_PROCESSOR_ZONES)
    ]
    for zone in (*processors, *zones):
        millidegrees = number(zone / "temp")
        if millidegrees is not None:
            return round(millidegrees * _MILLI, 1)
    return None


def _memory(root: Path) -> dict[str, int]:
    """Return the sizes of /proc/meminfo that are told in kB, in bytes."""
    sizes = {}
    for line in (text(root / "proc/meminfo") or "").splitlines():
        name, _, size = line.partition(":")
        words = size.split()
        if len(words) == 2 and words[0].isdecimal():  # noqa: PLR2004  `1024 kB`.
            sizes[name] = int(words[0]) * _KIBIBYTE
    return sizes


def _process_memory(root: Path) -> int | None:
    pages = word(root / "proc/self/statm", 1)
    return None if pages is None else int(pages) * os.sysconf("SC_PAGE_SIZE")
