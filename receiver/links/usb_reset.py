"""A radio reset on USB: what pulling it and plugging it in again does, without a hand.

The tty's device is an interface of a USB device; that one's `busnum` and `devnum` name its node
/dev/bus/usb/BBB/DDD, and an ioctl on that resets it. Source: Linux, Documentation/driver-api/usb
(USBDEVFS_RESET = _IO('U', 20)); sysfs-bus-usb. The node's group decides who may: root by default,
a udev rule gives it to the station's user.
"""

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from receiver.settings import Link, SerialLink

USBDEVFS_RESET: Final = ord("U") << 8 | 20


class UsbResetError(Exception):
    """A radio that cannot be reset; the message says why and what would help."""


def reset(
    device: str,
    *,
    sysfs: Path = Path("/sys/class/tty"),
    nodes: Path = Path("/dev/bus/usb"),
    ioctl: Callable[[int, int, int], object] = fcntl.ioctl,
) -> str:
    """Reset the USB device behind a serial port; return its bus and number, `001/004`.

    It may take a second or two: call it off the loop. The port hangs up and comes back.

    Raises:
        UsbResetError: the port is not there, not on USB, or may not be reset by this user.
    """
    name = Path(os.path.realpath(device)).name
    where = _usb_device(sysfs / name / "device", device)
    node = nodes / where
    try:
        descriptor = os.open(node, os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UsbResetError(
            f"{node}: {error.strerror}; a udev rule must let this user write to it"
        ) from error
    try:
        ioctl(descriptor, USBDEVFS_RESET, 0)
    except OSError as error:
        raise UsbResetError(f"{node}: the reset failed: {error.strerror}") from error
    finally:
        os.close(descriptor)
    return str(where)


def reset_of(link: Link) -> Callable[[], Awaitable[str]] | None:
    """Return what resets the radio of a link, off the loop; None where it has no port of its own.

    What is returned raises as `reset`.
    """
    if not isinstance(link, SerialLink):
        return None
    device = link.device

    async def reset_it() -> str:
        return await asyncio.to_thread(reset, device)

    return reset_it


def _usb_device(interface: Path, device: str) -> Path:
    """Return BBB/DDD of the USB device that a tty belongs to: the nearest one above it."""
    if not interface.exists():
        raise UsbResetError(f"{device}: it is not there")
    at = Path(os.path.realpath(interface))
    for folder in (at, *at.parents):
        try:
            bus = int((folder / "busnum").read_text(encoding="ascii"))
            number = int((folder / "devnum").read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        return Path(f"{bus:03d}") / f"{number:03d}"
    raise UsbResetError(f"{device}: it is not on USB")
