"""All radios of a world on pseudo-terminals."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from simulator.serial_radio import SerialRadio
from simulator.stations import Radio
from simulator.world import Emission, World


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """A simulated radio as a station's owner meets it."""

    name: str
    device: str
    """The path to open."""
    antenna: str
    preset: str
    """What to set so that it hears what its world lets it hear: `fsktag`, `node3` or nothing."""
    has_replies: bool
    """Whether it answers commands at all."""


class SerialStation:
    """An outlet: each radio of the world has a port of its own. Needs the running loop."""

    def __init__(self, world: World, *, aliases: Path | None = None) -> None:
        """Plug all radios in; `aliases` is a folder for lasting names of the devices."""
        self.radios: dict[tuple[str, str], SerialRadio] = {
            (station.name, radio.name): SerialRadio(
                radio,
                on_tuned=functools.partial(world.tune, station.name, radio.name),
                alias=None if aliases is None else aliases / f"{station.name}-{radio.name}",
            )
            for station in world.scenario.stations
            for radio in station.radios
        }
        self._has_one_station = len(world.scenario.stations) == 1

    def ports(self) -> tuple[Port, ...]:
        """Return where each radio is; with several stations a name has the station's before it."""
        return tuple(
            Port(
                name=radio if self._has_one_station else f"{station}-{radio}",
                device=serial.device,
                antenna=serial.radio.antenna,
                preset=_preset(serial.radio),
                has_replies=serial.has_replies,
            )
            for (station, radio), serial in self.radios.items()
        )

    def send(self, emission: Emission) -> bool:
        """Print at the radio's port; False where nobody took it."""
        return self.radios[emission.station.name, emission.radio.name].send(emission.wire)

    @property
    def lines_sent(self) -> int:
        """Lines that hosts took, or will find in the kernel's buffer."""
        return sum(radio.lines_sent for radio in self.radios.values())

    @property
    def lines_dropped(self) -> int:
        """Lines that nobody took."""
        return sum(radio.lines_dropped for radio in self.radios.values())

    def unplug(self) -> None:
        """Take all radios off the bus."""
        for radio in self.radios.values():
            radio.unplug()


@contextmanager
def serial_station(world: World, *, aliases: Path | None = None) -> Iterator[SerialStation]:
    """Return a world's radios on pseudo-terminals, unplugged at the end."""
    station = SerialStation(world, aliases=aliases)
    try:
        yield station
    finally:
        station.unplug()


def _preset(radio: Radio) -> str:
    if radio.generation in ("G0", "G1", "G2"):
        return ""
    return {"tags": "fsktag", "nodes": "node3", "neither": ""}[radio.channel]
