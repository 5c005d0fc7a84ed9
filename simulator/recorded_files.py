"""What a SensorGnome would have recorded of a world: `-ctt.txt.gz` files.

    name    <label>-<serial>-<boot>-YYYY-MM-DDTHH-MM-SS.ssss<clock code>-ctt.txt.gz
    record  T<port>,<unix time, 3 decimals>,<id, with the CRC where the radio prints one>[,<RSSI>]

Ports are counted from 1 in the order of the station's radios. A SensorGnome records what radios
hear themselves, nothing that comes through nodes, and skips lines that it cannot read.

Source: tve/sensorgnome-control, datasaver.js and cornelltagxcvr.js.
"""

import gzip
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from protocols.ctt.lines import decode_ctt_line
from protocols.ctt.packet import ID_BYTES
from protocols.records import Detection
from simulator.firmware import believed_crc
from simulator.stations import Station
from simulator.world import Emission

ROTATION_S: Final = 3600
"""A new file each hour."""

_CLOCK_CODE: Final = "Z"
"""The clock is right to a second or better."""
_BOOT: Final = "000001"


class SensorGnomeFiles:
    """An outlet that writes one file an hour for each station, as a context manager."""

    def __init__(self, folder: Path, start_unix_s: float) -> None:
        """Write into `folder`, which is made where it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        self.paths: list[Path] = []
        self.records = 0
        self._folder = folder
        self._start_unix_s = start_unix_s
        self._open: dict[str, _HourFile] = {}

    def send(self, emission: Emission) -> bool:
        """Record what a radio prints; False where a SensorGnome keeps nothing of it."""
        taken = emission.reception
        heard = decode_ctt_line(emission.wire.strip())
        is_own_beep = isinstance(heard, Detection) and heard.relay is None
        if not is_own_beep or taken.line_fault is not None or taken.received is None:
            return False
        port = emission.station.radios.index(emission.radio) + 1
        packet = _printed_packet(bytes.fromhex(taken.received), emission.radio.generation)
        time_s = self._start_unix_s + emission.time_s
        level = "" if emission.radio.generation == "G0" else f",{taken.rssi_dbm}"
        line = f"T{port},{time_s:.3f},{packet.hex().upper()}{level}\n"
        self._file(emission.station, emission.time_s).write(line.encode())
        self.records += 1
        return True

    def close(self) -> None:
        """Close all files."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _file(self, station: Station, time_s: float) -> "_HourFile":
        hour = int(time_s // ROTATION_S)
        file = self._open.get(station.name)
        if file is None or file.hour != hour:
            if file is not None:
                file.close()
            path = self._folder / self._name(station, hour)
            self.paths.append(path)
            file = self._open[station.name] = _HourFile(path, hour)
        return file

    def _name(self, station: Station, hour: int) -> str:
        began = datetime.fromtimestamp(self._start_unix_s + hour * ROTATION_S, UTC)
        stamp = f"{began:%Y-%m-%dT%H-%M-%S}.{began.microsecond // 100:04d}{_CLOCK_CODE}"
        label = station.name.replace("-", "_")
        return f"{label}-{_serial(station)}-{_BOOT}-{stamp}-ctt.txt.gz"


class _HourFile:
    """One compressed file; no name and no time inside, so the same world gives the same bytes."""

    def __init__(self, path: Path, hour: int) -> None:
        self.hour = hour
        self._file = path.open("wb")
        self._zipped = gzip.GzipFile(filename="", mode="wb", fileobj=self._file, mtime=0)

    def write(self, line: bytes) -> None:
        self._zipped.write(line)

    def close(self) -> None:
        self._zipped.close()
        self._file.close()


def _printed_packet(packet: bytes, generation: str) -> bytes:
    has_crc = generation == "G2" or (
        generation in ("G4", "G5") and believed_crc(packet) is not None
    )
    return packet if has_crc else packet[:ID_BYTES]


def _serial(station: Station) -> str:
    """Return a serial number as a Raspberry Pi would have, made of the station's name."""
    number = int.from_bytes(station.name.encode()[-4:], "big")
    return f"{number >> 16 & 0xFFFF:04X}RPI4{number & 0xFFFF:04X}"
