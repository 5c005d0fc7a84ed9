"""How the computer is fed: whether its voltage sags, and how high it is where a meter tells.

    /sys/class/hwmon/hwmonN/name             rpi_volt: the Raspberry Pi's own watch
        in0_lcrit_alarm                      1 where the voltage was below 4.63 V in the last 2 s
    /sys/devices/platform/…firmware/get_throttled
                                             hexadecimal, without 0x: the bits below
    vcgencmd get_throttled                   `throttled=0x50005`: the same, where no file tells
        bit 0   voltage too low now          bit 16  it was, since the start
        bit 2   slowed down now              bit 18  it was
    /sys/class/hwmon/hwmonN/name             ina…: a meter of Texas Instruments in the supply
        in1_input                            its bus voltage, mV
    /sys/class/power_supply/NAME/voltage_now µV: of a battery or a supply with a driver

Sources: linux/drivers/hwmon/raspberrypi-hwmon.c and Documentation/hwmon/ina2xx.rst,
Documentation/ABI/testing/sysfs-class-power; raspberrypi.com/documentation/computers/os.html
(get_throttled); drivers/firmware/raspberrypi.c of Raspberry Pi's kernel.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from receiver.health.sysfs import matching, number, text

_TOO_LOW: Final = 1 << 0
_THROTTLED: Final = 1 << 2
_WAS_TOO_LOW: Final = 1 << 16
_FIRMWARE_FILES: Final = ("*firmware/get_throttled", "soc*/*firmware/get_throttled")
_VCGENCMD_S: Final = 2.0
_MILLI: Final = 1e-3
_MICRO: Final = 1e-6


class Power(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the supply; None where nothing tells."""

    voltage_v: float | None = None
    undervoltage: bool | None = None
    undervoltage_since_boot: bool | None = None
    throttled: bool | None = None


def vcgencmd() -> str | None:
    """Return what Raspberry Pi's own command says; None where there is none, or it may not ask."""
    command = shutil.which("vcgencmd")
    if command is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603  A command of the system, without input.
            [command, "get_throttled"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VCGENCMD_S,
            check=True,
            text=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def read_power(root: Path, ask: Callable[[], str | None] = vcgencmd) -> Power:
    """Look at the supply of the computer whose files stand under `root`.

    `ask` is called only where no file tells.
    """
    sags = _sags(root)
    flags = _flags(root)
    if sags is None and flags is None:
        flags = _hexadecimal(ask() or "")
    return Power(
        voltage_v=_voltage(root),
        undervoltage=sags if flags is None else bool(flags & _TOO_LOW) or bool(sags),
        undervoltage_since_boot=None if flags is None else bool(flags & _WAS_TOO_LOW),
        throttled=None if flags is None else bool(flags & _THROTTLED),
    )


def _sags(root: Path) -> bool | None:
    for chip in matching(root / "sys/class/hwmon", "hwmon*"):
        if text(chip / "name") == "rpi_volt":
            alarm = number(chip / "in0_lcrit_alarm")
            return None if alarm is None else bool(alarm)
    return None


def _flags(root: Path) -> int | None:
    for pattern in _FIRMWARE_FILES:
        for file in matching(root / "sys/devices/platform", pattern):
            flags = _hexadecimal(text(file) or "")
            if flags is not None:
                return flags
    return None


def _hexadecimal(said: str) -> int | None:
    """Return the number of `50005`, `0x50005` or `throttled=0x50005`."""
    found = re.fullmatch(r"(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})", said.strip())
    return int(found[1], 16) if found else None


def _voltage(root: Path) -> float | None:
    for chip in matching(root / "sys/class/hwmon", "hwmon*"):
        if (text(chip / "name") or "").startswith("ina"):
            millivolts = number(chip / "in1_input")
            if millivolts is not None:
                return round(millivolts * _MILLI, 3)
    for supply in matching(root / "sys/class/power_supply", "*"):
        microvolts = number(supply / "voltage_now")
        if microvolts:
            return round(microvolts * _MICRO, 3)
    return None
