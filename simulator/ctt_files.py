"""Files of a CTT station and of its nodes' SD cards, as `protocols.ctt.files` describes them.

    CTT-<id>-raw-data.<rotated>.csv.gz      Time,RadioId,TagId,TagRSSI,NodeId,Validated    CR LF
    CTT-<id>-node-health.<rotated>.csv.gz   Time,RadioId,NodeId,NodeRSSI,Battery,Celsius,…
    <node id>/beep_0.csv                    time,id,rssi                                   LF
    <node id>/434_mhz_beep_0.csv            time,tag_id,rssi                               LF, V3
    <node id>/2p4_ghz_beep_0.csv            time,tag_id,sync,family,payload_version,…      LF, V3

Whole seconds. A station's rows carry its own time, but for beeps that a node relayed: those carry
the node's.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from protocols.ctt.blu import BEACON, Beacon
from protocols.ctt.lines import decode_ctt_line
from protocols.ctt.packet import ID_BYTES, PACKET_BYTES
from protocols.ctt.readings import PROTOCOL_2G4
from protocols.layouts import parse
from protocols.records import Detection, RelayHealth
from simulator.firmware import believed_crc
from simulator.hourly_file import ZippedFile
from simulator.recorded_names import serial_of
from simulator.relaying import NodeLife
from simulator.scenario import Scenario
from simulator.station_life import StationLife
from simulator.truth import Reception, TruthRow
from simulator.world import Emission

_ROTATION_S: Final = 3600

_BEEPS: Final = b"Time,RadioId,TagId,TagRSSI,NodeId,Validated\r\n"
_HEALTH: Final = (
    b"Time,RadioId,NodeId,NodeRSSI,Battery,Celsius,RecordedAt,Firmware,SolarVolts,SolarCurrent,"
    b"CumulativeSolarCurrent,Latitude,Longitude\r\n"
)
_CARD: Final = b"time,id,rssi\n"
_CARD_V3: Final = b"time,tag_id,rssi\n"
_CARD_2G4: Final = b"time,tag_id,sync,family,payload_version,payload,rssi\n"
_V3: Final = 3


class CttStationFiles:
    """The files of one CTT station, rotated each hour."""

    def __init__(self, folder: Path, life: StationLife) -> None:
        self.paths: list[Path] = []
        self.records = 0
        self._folder = folder
        self._life = life
        self._open: dict[str, tuple[int, ZippedFile]] = {}

    def send(self, emission: Emission) -> bool:
        """Record what a radio prints; False where these files hold nothing of it.

        Blu tags have files of their own, which are not written.
        """
        taken = emission.reception
        if emission.radio.kind != "ctt" or taken.line_fault is not None:
            return False
        heard = decode_ctt_line(emission.wire.strip())
        port = emission.station.radios.index(emission.radio) + 1
        now = _station_time(self._life.clock_unix_s(emission.time_s))
        if isinstance(heard, Detection):
            if heard.protocol == PROTOCOL_2G4:
                return False
            self._write("raw-data", _BEEPS, emission.time_s, _beep_cells(heard, port, now))
        elif isinstance(heard, RelayHealth):
            self._write("node-health", _HEALTH, emission.time_s, _health_cells(heard, port, now))
        else:
            return False
        self.records += 1
        return True

    def close(self) -> None:
        """Close all files."""
        for _, file in self._open.values():
            file.close()
        self._open.clear()

    def _write(self, suffix: str, header: bytes, time_s: float, cells: Iterable[object]) -> None:
        hour = int(time_s // _ROTATION_S)
        begun = self._open.get(suffix)
        if begun is None or begun[0] != hour:
            if begun is not None:
                begun[1].close()
            # A file is named after the moment of its rotation.
            rotated = self._life.clock_unix_s((hour + 1) * _ROTATION_S)
            stamp = f"{datetime.fromtimestamp(rotated, UTC):%Y-%m-%d_%H%M%S}"
            name = f"CTT-{serial_of(self._life.station)}-{suffix}.{stamp}.csv.gz"
            path = self._folder / name
            self.paths.append(path)
            begun = self._open[suffix] = (hour, ZippedFile(path))
            begun[1].write(header)
        row = ",".join("" if cell is None else str(cell) for cell in cells)
        begun[1].write(row.encode() + b"\r\n")


class NodeCards:
    """The SD cards of all nodes that have one: a folder each, named after the node."""

    def __init__(self, folder: Path, scenario: Scenario) -> None:
        self.paths: list[Path] = []
        self.records = 0
        self._folder = folder
        self._lives = {
            node.node_id: NodeLife(node, scenario.start_unix_s)
            for node in scenario.nodes
            if node.has_card
        }
        self._start_unix_s = scenario.start_unix_s
        self._open: dict[str, ZippedFile] = {}

    def witness(self, row: TruthRow) -> None:
        """Write down a beep that a node keeps."""
        if not isinstance(row, Reception) or row.outcome != "buffered" or row.received is None:
            return
        life = self._lives.get(row.receiver)
        if life is None:
            return
        packet = bytes.fromhex(row.received)
        at = life.clock_unix_s(round((row.heard_at_unix_s - self._start_unix_s) * 1e6))
        time = f"{datetime.fromtimestamp(int(at), UTC):%Y-%m-%dT%H:%M:%SZ}"
        is_v3 = life.node.generation == _V3
        # Of a 434 MHz packet a node takes five bytes; a 2.4 GHz beacon has eight and more.
        if len(packet) > PACKET_BYTES:
            name, header, cells = "2p4_ghz_beep_0", _CARD_2G4, _beacon_cells(packet)
        else:
            name, header = ("434_mhz_beep_0", _CARD_V3) if is_v3 else ("beep_0", _CARD)
            shown = packet if believed_crc(packet) is not None else packet[:ID_BYTES]
            cells = shown.hex().upper()
        file = self._file(f"{row.receiver}/{name}.csv.gz", header)
        file.write(f"{time},{cells},{row.rssi_dbm}\n".encode())
        self.records += 1

    def close(self) -> None:
        """Close all files."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _file(self, name: str, header: bytes) -> ZippedFile:
        if name not in self._open:
            path = self._folder / name
            path.parent.mkdir(exist_ok=True)
            self.paths.append(path)
            self._open[name] = ZippedFile(path)
            self._open[name].write(header)
        return self._open[name]


def _beacon_cells(packet: bytes) -> str:
    beacon: Beacon = parse(BEACON, packet)
    tag_id, payload = beacon.tag_id.hex().upper(), beacon.payload.hex().upper()
    return f"{tag_id},{beacon.sync},{beacon.family},{beacon.revision},{payload}"


def _station_time(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(int(unix_s), UTC):%Y-%m-%d %H:%M:%S}"


def _beep_cells(heard: Detection, port: int, now: str) -> tuple[object, ...]:
    relay = heard.relay
    is_dated = relay is not None and relay.recorded_at_unix_s is not None
    time = _station_time(relay.recorded_at_unix_s or 0) if relay and is_dated else now
    return (
        time,
        port,
        heard.tag_id,
        heard.rssi_dbm,
        relay.relay_id if relay else None,
        int(heard.integrity == "verified"),
    )


def _health_cells(health: RelayHealth, port: int, now: str) -> tuple[object, ...]:
    told = health.measurements or {}
    sent = health.sent_at_unix_s
    return (
        now,
        port,
        health.relay_id,
        health.relay_rssi_dbm,
        health.battery_v,
        health.temperature_c,
        None if sent is None else _station_time(sent),
        health.firmware,
        health.solar_v,
        health.solar_ma,
        told.get("solar_ma_total"),
        health.latitude,
        health.longitude,
    )
