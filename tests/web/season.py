"""A store with a week in it, written as the daemon writes: ten thousand tags, two antennas."""

import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from served_station import STATION, tag_of

from protocols.records import Detection, StationHealth
from receiver.arrivals import ActivityRow, Arrival, Source, Stamp
from receiver.store.database import Store

TAGS: Final = 10_000
ANTENNAS: Final = ("north", "south")
DEAF_DAY: Final = 3
"""The south antenna did not listen on this day of the week."""

_DAYS: Final = 7
_HOUR_S: Final = 3600
_SEED: Final = 8
_FREQUENT: Final = 12
"""Tags that stay around; the others pass by once."""

_BATCH: Final = 5_000
_BOOT: Final = "a-week"
_HOST: Final = Source(link="station", decoder="host/1")


def write_week(path: Path) -> int:
    """Write the week that ends now; return the detections in it."""
    chance = random.Random(_SEED)
    end_s = int(time.time()) // _HOUR_S * _HOUR_S
    start_s = end_s - _DAYS * 24 * _HOUR_S
    arrivals = sorted(
        (*_detections(chance, start_s), *_health(start_s)), key=lambda each: each.stamp.utc_ns
    )
    with Store.open(path, station_id=STATION) as store:
        for first in range(0, len(arrivals), _BATCH):
            store.append(arrivals[first : first + _BATCH])
        with store.transaction():
            for row in _activity(start_s):
                store.put_activity(row)
    return sum(isinstance(each.record, Detection) for each in arrivals)


def _detections(chance: random.Random, start_s: int) -> Iterator[Arrival]:
    north, south = (Source(link=name, decoder="ctt/1", antenna=name) for name in ANTENNAS)
    times = [
        (start_s + chance.random() * _DAYS * 86_400, number) for number in range(_FREQUENT, TAGS)
    ]
    for number in range(_FREQUENT):
        came, went = sorted(chance.randrange(_DAYS * 24) for _ in range(2))
        for hour in range(came, went + 1):
            awake = max(0.1, 1 + math.sin((hour + number) / 24 * 2 * math.pi))
            times += [
                (start_s + (hour + chance.random()) * _HOUR_S, number)
                for _ in range(round(chance.gauss(12, 4) * awake))
            ]
    for time_s, number in times:
        is_south = chance.random() < (0.0 if _is_deaf(time_s - start_s) else 0.45)
        detection = Detection(
            protocol="ctt-434",
            tag_id=tag_of(number),
            integrity="verified",
            id_legal=True,
            rssi_dbm=round(chance.gauss(-88 + number % 12, 6)),
            noise_dbm=-112.0,
        )
        yield Arrival(detection, south if is_south else north, _stamp(time_s, start_s))


def _health(start_s: int) -> Iterator[Arrival]:
    for half_hour in range(_DAYS * 48):
        sun = math.sin(half_hour / 48 * 2 * math.pi)
        record = StationHealth(
            measurements={
                "temperature_c": 24 + 9 * sun,
                "voltage_v": 12.6 + 0.5 * sun,
                "disk_free_bytes": 21_000_000_000 - half_hour * 60_000,
                "waiting_motus": max(0, int(400 * -sun)),
            }
        )
        yield Arrival(record, _HOST, _stamp(start_s + half_hour * 1800, start_s))


def _activity(start_s: int) -> Iterator[ActivityRow]:
    for hour in range(_DAYS * 24):
        for name in ANTENNAS:
            is_deaf = name == ANTENNAS[1] and _is_deaf(hour * _HOUR_S)
            yield ActivityRow(
                hour_utc_s=start_s + hour * _HOUR_S,
                session="week",
                link=name,
                antenna=name,
                listening_s=0 if is_deaf else _HOUR_S,
                frames=0 if is_deaf else 90,
                detections=0 if is_deaf else 80,
                pulses=0,
                noise_dbm=None if is_deaf else -112 + math.sin(hour / 5),
                rejects={} if is_deaf else {"checksum": 4},
            )


def _is_deaf(since_start_s: float) -> bool:
    return int(since_start_s // 86_400) == DEAF_DAY


def _stamp(time_s: float, start_s: int) -> Stamp:
    return Stamp(int(time_s * 1e9), "gps", int((time_s - start_s) * 1e9) + 1, _BOOT)
