"""What commissioning finds, in words."""

from receiver.commissioning.places import Place
from receiver.health.snapshot import LinkSnapshot, SinkSnapshot, StationSnapshot
from receiver.serial_ports import SerialDevice
from receiver.settings import Settings


def sink_words(name: str, sink: SinkSnapshot | None) -> str:
    """Return how one sink is."""
    if sink is None:
        return f"{name}: not started"
    acknowledged = sink.acknowledged_at or "never"
    reason = f" ({sink.reason})" if sink.reason else ""
    return (
        f"{name}: {sink.state}{reason}, {sink.waiting_rows} rows wait,"
        f" last acknowledged {acknowledged}"
    )


def link_words(name: str, snapshot: StationSnapshot | None) -> str:
    """Return how one link is, as far as it is known."""
    found = next((each for each in snapshot.links if each.name == name), None) if snapshot else None
    if found is None:
        return name
    return " ".join(filter(None, (name, found.state, found.firmware, found.reason)))


def link_advice(link: LinkSnapshot) -> str:
    """Return what helps a link that does not hear."""
    if link.state == "silent":
        return f"{link.name} does not answer: unplug its radio and plug it in again"
    if link.state == "failed":
        return f"{link.name} cannot be opened: see `stopover ports` and `stopover doctor`"
    return f"{link.name} is being opened: wait"


def antenna_words(place: Place, settings: Settings) -> str:
    """Return what an antenna is and where it points."""
    if place.antenna is None:
        return f"{place.key}: no name yet"
    antenna = next((each for each in settings.antennas if each.name == place.antenna), None)
    if antenna is None:
        return f"{place.key}: {place.antenna}"
    bearing = "all around" if antenna.bearing_deg is None else f"to {antenna.bearing_deg:g}°"
    return " ".join(filter(None, (f"{place.key}:", antenna.name, antenna.kind, bearing)))


def device_words(device: SerialDevice) -> str:
    """Return what a serial device may be."""
    return " ".join(filter(None, (device.device, device.what, device.product)))


def number(value: float | None) -> str:
    """Return a number as people write it, empty where there is none."""
    return "" if value is None else f"{value:.7f}".rstrip("0").rstrip(".")
