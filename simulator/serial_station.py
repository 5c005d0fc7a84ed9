"""All radios of a world that have a serial port, on pseudo-terminals."""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from simulator.blu_receiver import BluReceiver
from simulator.link_firmware import SerialLinkReceiver
from simulator.pulse_stream import PulseStream
from simulator.serial_radio import SerialRadio
from simulator.stations import Radio
from simulator.world import Emission, World


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """A simulated radio, or a receiver of several, as a station's owner meets it."""

    name: str
    device: str
    """The path to open."""
    antenna: str
    preset: str
    """What to set so that it hears what its world lets it hear: `fsktag`, `node3` or nothing."""
    has_replies: bool
    """Whether it answers commands at all."""
    decoder: str = "ctt"
    """What it speaks: `ctt`, `ctt-blu`, `station-link` or `sensorgnome`."""


class SerialStation:
    """An outlet: all that is plugged into the world's stations. Needs the running loop.

    Each CTT radio has a port of its own; the 2.4 GHz radios of a station share a receiver, as do
    those with open firmware, and the VHF receivers a stream of pulses. Sticks and gateways are on
    no serial port.
    """

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
            if radio.kind == "ctt"
        }
        self.blu_receivers: dict[str, BluReceiver] = {}
        self.link_receivers: dict[str, SerialLinkReceiver] = {}
        self.pulse_streams: dict[str, PulseStream] = {}
        for station in world.scenario.stations:
            blu = [radio for radio in station.radios if radio.kind == "blu"]
            linked = [radio for radio in station.radios if radio.kind == "station-link"]
            if blu:
                self.blu_receivers[station.name] = BluReceiver(blu)
            if linked:
                self.link_receivers[station.name] = SerialLinkReceiver(station.name, linked)
            if any(radio.kind == "pulses" for radio in station.radios):
                self.pulse_streams[station.name] = PulseStream()
        self._has_one_station = len(world.scenario.stations) == 1

    def ports(self) -> tuple[Port, ...]:
        """Return where each is; with several stations a name has the station's before it."""
        ports = [
            Port(
                name=self._name(station, radio),
                device=serial.device,
                antenna=serial.radio.antenna,
                preset=_preset(serial.radio),
                has_replies=serial.has_replies,
            )
            for (station, radio), serial in self.radios.items()
        ]
        shared: tuple[
            tuple[str, Mapping[str, BluReceiver | SerialLinkReceiver | PulseStream]], ...
        ] = (
            ("ctt-blu", self.blu_receivers),
            ("station-link", self.link_receivers),
            ("sensorgnome", self.pulse_streams),
        )
        for decoder, plugged in shared:
            ports += [
                Port(
                    name=self._name(station, decoder),
                    device=each.device,
                    antenna="",
                    preset="",
                    has_replies=decoder != "sensorgnome",
                    decoder=decoder,
                )
                for station, each in plugged.items()
            ]
        return tuple(ports)

    def send(self, emission: Emission) -> bool:
        """Print at the radio's port; False where nobody took it."""
        station, radio = emission.station.name, emission.radio
        rssi_dbm = emission.reception.rssi_dbm
        if radio.kind == "ctt":
            return self.radios[station, radio.name].send(emission.wire)
        if radio.kind == "blu":
            return self.blu_receivers[station].hear(radio, emission.wire, rssi_dbm)
        if radio.kind == "station-link":
            return self.link_receivers[station].hear(radio, emission.wire, rssi_dbm)
        if radio.kind == "pulses":
            return self.pulse_streams[station].send(emission.wire)
        return False

    def _name(self, station: str, radio: str) -> str:
        return radio if self._has_one_station else f"{station}-{radio}"

    @property
    def lines_sent(self) -> int:
        """Lines that hosts took, or will find in the kernel's buffer."""
        return sum(each.lines_sent for each in self._printers())

    @property
    def lines_dropped(self) -> int:
        """Lines that nobody took."""
        return sum(each.lines_dropped for each in self._printers())

    def _printers(self) -> Iterator[SerialRadio | PulseStream]:
        yield from self.radios.values()
        yield from self.pulse_streams.values()

    def unplug(self) -> None:
        """Take all radios off the bus."""
        for radio in self.radios.values():
            radio.unplug()
        for blu in self.blu_receivers.values():
            blu.unplug()
        for linked in self.link_receivers.values():
            linked.unplug()
        for pulses in self.pulse_streams.values():
            pulses.unplug()


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
