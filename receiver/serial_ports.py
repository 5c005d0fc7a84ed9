"""The serial devices of this machine: their lasting names, and what each may be."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from serial.tools.list_ports import comports

KNOWN_USB_DEVICES: Final[Mapping[str, str]] = {
    "239a:800c": "Feather 32u4: CTT radio, Motus Adapter V2",
    "239a:000c": "Feather 32u4 in its bootloader: being flashed, or without firmware",
    "10c4:ea60": "CP2102: Motus Adapter V1 (hangs when written to), or any serial adapter",
    "0403:6001": "FT232: CTT or Cornell dongle (may hang when written to), or any serial adapter",
    "0403:6010": "FT2232: radios built into a SensorStation, or any serial adapter",
    "0403:6015": "FT231X: CTT BluSeries receiver (230400 baud), or any serial adapter",
    "067b:2303": "PL2303: mostly a GPS",
}
"""What a USB vendor and product id means in this field. Source: SensorGnome's device table and
CTT's station software; chips of serial adapters are in many things, so these are guesses."""


class SerialDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One serial device that is plugged in or built in."""

    device: str
    """Its name of today, `/dev/ttyACM0`."""
    by_path: tuple[str, ...] = ()
    """Names that stay with the socket it is plugged into."""
    by_id: tuple[str, ...] = ()
    """Names that stay with the device, where its serial number is its own."""
    usb_id: str | None = None
    """Vendor and product, `239a:800c`; None where it is not on USB."""
    product: str | None = None
    """What it calls itself."""
    serial_number: str | None = None

    @property
    def what(self) -> str:
        """What it may be, for people."""
        if self.usb_id is None:
            return "built-in port"
        return KNOWN_USB_DEVICES.get(self.usb_id, "unknown")

    @property
    def steady_name(self) -> str:
        """The name to configure: antennas belong to sockets, so by-path first."""
        return (*self.by_path, *self.by_id, self.device)[0]


def serial_devices(
    *,
    ports: Callable[[], Iterable[Any]] = comports,
    names: Path = Path("/dev/serial"),
) -> tuple[SerialDevice, ...]:
    """Return the serial devices there are now, in order of their steady names."""
    by_path, by_id = _links_in(names / "by-path"), _links_in(names / "by-id")
    found = [
        SerialDevice(
            device=port.device,
            by_path=by_path.get(port.device, ()),
            by_id=by_id.get(port.device, ()),
            usb_id=None if port.vid is None else f"{port.vid:04x}:{port.pid:04x}",
            product=port.product,
            serial_number=port.serial_number,
        )
        for port in ports()
    ]
    return tuple(sorted(found, key=lambda each: each.steady_name))


def _links_in(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the symbolic links of a folder by the device that they lead to."""
    links: dict[str, tuple[str, ...]] = {}
    try:
        entries = sorted(folder.iterdir())
    except OSError:  # udev makes the folder with the first device.
        return links
    for link in entries:
        device = str(link.resolve())
        links[device] = (*links.get(device, ()), str(link))
    return links
