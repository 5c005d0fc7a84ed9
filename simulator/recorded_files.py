"""What the stations of a world would have recorded: files as an owner finds them on the card.

A SensorGnome writes, one pair an hour, and anew after each start and each setting of its clock:

    name    <label>-<serial>-<boot>-YYYY-MM-DDTHH-MM-SS.ssss<clock code>-<ctt|all>.txt.gz
    ctt     T<port>,<unix time, 3 decimals>,<id, with the CRC where the radio prints one>[,<RSSI>]
    all     p<port>,… the pulses of VHF receivers; G,… its GPS, every five minutes, on a ship

Ports are counted from 1 in the order of the station's radios. A SensorGnome records what radios
hear themselves, nothing that comes through nodes, and skips lines that it cannot read. Its times
are those of its own clock. CTT stations and nodes' cards: `ctt_files.py`.

Source: tve/sensorgnome-control, datasaver.js, cornelltagxcvr.js and gps.js.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from protocols.ctt.lines import decode_ctt_line
from protocols.ctt.packet import ID_BYTES
from protocols.records import Detection
from simulator.ctt_files import CttStationFiles, NodeCards
from simulator.firmware import believed_crc
from simulator.hourly_file import ZippedFile
from simulator.recorded_names import serial_of
from simulator.station_life import StationLife
from simulator.truth import TruthRow
from simulator.world import Emission, World

ROTATION_S: Final = 3600
"""A new file each hour."""

_GPS_EVERY_S: Final = 300.0


class RecordedFiles:
    """An outlet that writes what every station and node would have, as a context manager."""

    def __init__(self, folder: Path, world: World) -> None:
        """Write into `folder`, which is made where it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._stations: dict[str, SensorGnomeFiles | CttStationFiles] = {
            name: CttStationFiles(folder, life)
            if life.station.records == "ctt"
            else SensorGnomeFiles(folder, life)
            for name, life in world.stations.items()
        }
        self._cards = NodeCards(folder, world.scenario)

    def send(self, emission: Emission) -> bool:
        """Record what a radio prints; False where the station keeps nothing of it."""
        return self._stations[emission.station.name].send(emission)

    def witness(self, row: TruthRow) -> None:
        """Record what nodes heard on their cards."""
        self._cards.witness(row)

    @property
    def records(self) -> int:
        """Rows written."""
        return self._cards.records + sum(each.records for each in self._stations.values())

    @property
    def paths(self) -> list[Path]:
        """The files written, in order."""
        return [
            *(path for each in self._stations.values() for path in each.paths),
            *self._cards.paths,
        ]

    def close(self) -> None:
        """Close all files."""
        for each in self._stations.values():
            each.close()
        self._cards.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SensorGnomeFiles:
    """The files of one SensorGnome."""

    def __init__(self, folder: Path, life: StationLife) -> None:
        self.paths: list[Path] = []
        self.records = 0
        self._folder = folder
        self._life = life
        self._open: dict[str, tuple[tuple[int, int, bool], ZippedFile]] = {}
        self._next_gps_s = 0.0

    def send(self, emission: Emission) -> bool:
        """Record what a radio prints; False where a SensorGnome keeps nothing of it."""
        if self._life.moves:
            self._write_gps(emission.time_s)
        if emission.radio.kind == "pulses":
            self._file("all", emission.time_s).write(emission.wire)
            self.records += emission.wire.count(b"\n")
            return True
        line = self._tag_line(emission)
        if line is None:
            return False
        self._file("ctt", emission.time_s).write(line)
        self.records += 1
        return True

    def close(self) -> None:
        """Close all files."""
        for _, file in self._open.values():
            file.close()
        self._open.clear()

    def _tag_line(self, emission: Emission) -> bytes | None:
        taken = emission.reception
        if emission.radio.kind != "ctt" or taken.line_fault is not None or taken.received is None:
            return None
        heard = decode_ctt_line(emission.wire.strip())
        if not isinstance(heard, Detection) or heard.relay is not None:
            return None
        port = emission.station.radios.index(emission.radio) + 1
        packet = _printed_packet(bytes.fromhex(taken.received), emission.radio.generation)
        level = "" if emission.radio.generation == "G0" else f",{taken.rssi_dbm}"
        stamped = self._life.clock_unix_s(emission.time_s)
        return f"T{port},{stamped:.3f},{packet.hex().upper()}{level}\n".encode()

    def _write_gps(self, time_s: float) -> None:
        while self._next_gps_s <= time_s:
            at_s = self._next_gps_s
            self._next_gps_s += _GPS_EVERY_S
            if not self._life.is_on(at_s):
                continue
            latitude, longitude = self._life.place_at(at_s)
            # A GPS tells its own time, which is right whatever the station's clock says.
            unix_s = self._life.true_unix_s(at_s)
            self._file("all", at_s).write(
                f"G,{unix_s:.3f},{latitude:.6f},{longitude:.6f},12\n".encode()
            )
            self.records += 1

    def _file(self, source: str, time_s: float) -> ZippedFile:
        life = self._life
        now = (int(time_s // ROTATION_S), life.boot(time_s), life.is_synchronised(time_s))
        if source in self._open:
            begun, file = self._open[source]
            if begun == now:
                return file
            file.close()
        path = self._folder / self._name(source, time_s, now)
        self.paths.append(path)
        file = ZippedFile(path)
        self._open[source] = (now, file)
        return file

    def _name(self, source: str, time_s: float, now: tuple[int, int, bool]) -> str:
        hour, boot, is_synchronised = now
        # A file begins with the hour, but for the first after a start or a setting of the clock.
        is_first_of_kind = all(
            begun[1:] != (boot, is_synchronised) for begun, _ in self._open.values()
        )
        begins_s = time_s if is_first_of_kind and hour else hour * ROTATION_S
        began = datetime.fromtimestamp(self._life.clock_unix_s(begins_s), UTC)
        code = "Z" if is_synchronised else "P"
        stamp = f"{began:%Y-%m-%dT%H-%M-%S}.{began.microsecond // 100:04d}{code}"
        label = self._life.station.name.replace("-", "_")
        return f"{label}-{serial_of(self._life.station)}-{boot:06}-{stamp}-{source}.txt.gz"


def _printed_packet(packet: bytes, generation: str) -> bytes:
    has_crc = generation == "G2" or (
        generation in ("G4", "G5") and believed_crc(packet) is not None
    )
    return packet if has_crc else packet[:ID_BYTES]
