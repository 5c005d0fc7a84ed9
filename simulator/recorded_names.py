"""Who a station's and a node's files say they are from, and which number each radio has in them."""

from collections.abc import Iterator

from simulator.scenario import Scenario
from simulator.stations import Station
from simulator.truth import Receiver


def serial_of(station: Station) -> str:
    """Return a serial number as the station's kind would have, made of its name.

    A SensorGnome's has four digits, RPI4, four digits; a CTT station's twelve.
    """
    number = 0xCBF29CE484222325
    for byte in station.name.encode():  # FNV-1a: no two of a scenario's names meet in practice.
        number = (number ^ byte) * 0x100000001B3 % 2**64
    if station.records == "ctt":
        return f"V30{number % 16**9:09X}"
    return f"{number >> 16 & 0xFFFF:04X}RPI4{number & 0xFFFF:04X}"


def receivers(scenario: Scenario) -> Iterator[Receiver]:
    """Yield every radio and node of a scenario."""
    for station in scenario.stations:
        for port, radio in enumerate(station.radios, start=1):
            yield Receiver(
                station=station.name,
                receiver=radio.name,
                radio_kind=radio.kind,
                antenna=radio.antenna,
                port=port,
                recorded_as=serial_of(station),
                latitude=station.position.latitude,
                longitude=station.position.longitude,
            )
    for node in scenario.nodes:
        yield Receiver(
            station=None,
            receiver=node.node_id,
            radio_kind="node",
            antenna=None,
            port=0,
            recorded_as=f"node {node.node_id}",
            latitude=node.position.latitude,
            longitude=node.position.longitude,
        )
