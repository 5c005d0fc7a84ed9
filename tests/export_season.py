"""A small season at one station, as its store holds it, for the tests of exports.

Three birds pass in May 2026: each is heard on several days, in the hours of its passage every 20 s,
now on one antenna, now on the other, now through a node. Around them is what a store also holds:
ids of noise, wrong checksums, other kinds of tags, pulses, fixes, health, a boot whose clock was
set late and one whose clock was never set.
"""

from collections import Counter
from pathlib import Path

import msgspec
from click.testing import CliRunner, Result

from protocols.ctt.lines import decode_ctt_line
from protocols.ctt.packet import build_packet
from protocols.records import Detection, GpsFix, Pulse, Record, Relay, RelayHealth
from receiver.arrivals import Arrival, ClockQuality, ClockSample, Source, Stamp
from receiver.cli.exporting import export_command
from receiver.cli.importing import import_command
from receiver.store.database import Store

FIELD_FILES = Path(__file__).parents[2] / "shared" / "data"

MAY_NS = 1_777_593_600 * 10**9  # 2026-05-01T00:00:00Z
HOUR_NS = 3600 * 10**9
RUFF, KNOT, GODWIT = "78664C33", "61337F34", "78554C33"
VISITS = {RUFF: (1, 2, 5, 6), KNOT: (2, 3), GODWIT: (5,)}
"""On which days of May."""
BEEPS = 60
NODE = "3796F5"

NORTH = Source(link="ch1", decoder="ctt/1", antenna="north")
SOUTH = Source(link="ch2", decoder="ctt/1", antenna="south")
NODES = Source(link="ch3", decoder="ctt/1")
NETWORK = Source(link="field", decoder="chirpstack/1")
GPSD = Source(link="gpsd", decoder="gpsd/1")

METADATA = """
[project]
title = "Waders of the marsh"
description = "Radio tags on waders, heard by one station."
id = "https://example.org/waders"
licence = "CC-BY-4.0"
publisher = "Marsh Observatory"
institution_code = "MO"

[contact]
given_name = "Ada"
family_name = "Example"
email = "ada@example.org"

[motus]
serial = "SG-1234RPI45678"
label = "marsh"

[ctt]
station_id = "V30300000001"

[[stations]]
id = "marsh"
name = "The marsh"
latitude = 53.253
longitude = 5.221
country_code = "NL"
euring_place_code = "NL--"

[[stations.antennas]]
label = "north"
port = 4

[[tags]]
id = "78664c3304"
animal = "RUFF-042"
taxon = "Calidris pugnax"
deployed_from = "2026-04-28T09:15Z"
ring_scheme = "NLA"
ring_number = "123456"
euring_species = "05170"
sex = "female"
frequency_mhz = 434.0

[[tags]]
id = "61337F34"
animal = "KNOT-7"
taxon = "Calidris canutus"
deployed_from = "2026-04-30"

[[tags]]
id = "78554C33"
animal = "GODWIT-1"
taxon = "Limosa limosa"
deployed_from = "2026-05-01"
ring_scheme = "NLA"
ring_number = "AB12345"
euring_species = "05320"
"""


KINGSBURG = """
[project]
title = "Kingsburg"
description = "Pulses of a test tag."
id = "kingsburg"
licence = "CC0-1.0"
publisher = "Marsh Observatory"

[contact]
family_name = "Example"
email = "ada@example.org"

[[stations]]
id = "4001BBBK2600"

[[tags]]
id = "kingsburg#1"
animal = "TEST-1"
taxon = "Calidris pusilla"
deployed_from = "2017-09-01"
"""
"""Metadata for the recording of a station whose position only its own GPS tells."""


class Season(msgspec.Struct):
    """A store and what went into it."""

    path: Path
    metadata: Path
    heard: Counter[str] = msgspec.field(default_factory=Counter)
    """Detections by what they are."""


def _beep(tag_id: str, rssi_dbm: int, *, crc: bool = True, flip: int = 0) -> Record:
    packet = bytearray(build_packet(tag_id))
    packet[flip // 8] ^= 1 << flip % 8 if flip else 0
    digits = bytes(packet if crc else packet[:4]).hex().upper()
    return decode_ctt_line(f"{digits},{rssi_dbm}".encode())


def _at(
    record: Record,
    source: Source,
    at_ns: int,
    *,
    boot: str = "boot-b",
    clock: ClockQuality = "ntp",
    began_ns: int = MAY_NS - 10 * HOUR_NS,
) -> Arrival:
    return Arrival(record, source, Stamp(at_ns, clock, at_ns - began_ns, boot))


def make_season(folder: Path) -> Season:
    """Write a season's store and its metadata into a folder."""
    season = Season(path=folder / "season.db", metadata=folder / "metadata.toml")
    season.metadata.write_text(METADATA, encoding="utf-8")
    with Store.open(season.path, station_id="marsh") as store:
        with store.transaction():
            store.add_clock_sample(
                ClockSample("boot-a", 5, MAY_NS - 20 * HOUR_NS, "unsynchronised", "start")
            )
            store.add_clock_sample(
                ClockSample("boot-b", 5, MAY_NS - 10 * HOUR_NS + 5, "ntp", "start")
            )
        began_ns = MAY_NS - 20 * HOUR_NS
        early = [
            _at(
                _beep(RUFF, -80),
                NORTH,
                began_ns + number * 10**9,
                boot="boot-a",
                clock="unsynchronised",
                began_ns=began_ns,
            )
            for number in range(5)
        ]
        season.heard["clock not set"] += len(early)
        later = _rest(season)
        for tag_id, days in VISITS.items():
            for day in days:
                later += _visit(season, tag_id, MAY_NS + (day - 1) * 24 * HOUR_NS)
        store.append([*early, *sorted(later, key=lambda each: each.stamp.utc_ns)])
    return season


def _visit(season: Season, tag_id: str, midnight_ns: int) -> list[Arrival]:
    arrivals = []
    began_ns = midnight_ns + 4 * HOUR_NS + 1_234_567_890
    for number in range(BEEPS):
        at_ns = began_ns + number * 20 * 10**9
        level = -70 - number % 30
        if number % 10 == 9:
            relay = Relay(
                relay_id=NODE, relay_rssi_dbm=-60, recorded_at_unix_s=(at_ns - 5 * 10**9) / 1e9
            )
            heard = _beep(tag_id, level)
            assert isinstance(heard, Detection)
            arrivals.append(_at(msgspec.structs.replace(heard, relay=relay), NODES, at_ns))
            season.heard["relayed"] += 1
        else:
            heard = _beep(tag_id, level, crc=number % 7 != 0, flip=3 if number % 11 == 5 else 0)
            arrivals.append(_at(heard, NORTH if number % 3 else SOUTH, at_ns))
            season.heard["direct"] += 1
    return arrivals


def _rest(season: Season) -> list[Arrival]:
    at_ns = MAY_NS + 30 * HOUR_NS
    noise = [_beep("1E4C3433", -101, crc=False), _beep("00071955", -99, flip=31)]
    fixed = Detection(
        protocol="lorawan",
        tag_id=GODWIT,
        integrity="verified",
        rssi_dbm=-110.5,
        snr_db=-3.25,
        measurements={"latitude": 53.5, "longitude": 5.75, "battery_v": 3.8},
        raw=b"{}",
    )
    others: list[tuple[Record, Source]] = [
        (Detection(protocol="ctt-2g4", tag_id="AABBCCDD", integrity="unverified"), NORTH),
        (Detection(protocol="coded-id", tag_id="Marsh#1.1", integrity="unverified"), SOUTH),
        (fixed, NETWORK),
    ]
    rest: list[tuple[Record, Source]] = [
        *((each, NORTH) for each in noise),
        *others,
        (
            Pulse(frequency_offset_hz=2637, signal_db=-38.87, noise_db=-53.61, antenna="vhf"),
            SOUTH,
        ),
        (GpsFix(latitude=53.2530001, longitude=5.221, altitude_m=3.5, fix_mode=3), GPSD),
        (
            RelayHealth(
                relay_id=NODE,
                relay_rssi_dbm=-61,
                latitude=53.26,
                longitude=5.23,
                battery_v=3.98,
                temperature_c=21,
                firmware="2.0,1",
            ),
            NODES,
        ),
    ]
    season.heard["direct"] += len(noise)
    season.heard["other protocols"] += len(others)
    return [
        _at(record, source, at_ns + number * 10**9) for number, (record, source) in enumerate(rest)
    ]


def export(name: str, db: Path, out: Path, *more: object) -> Result:
    """Run `stopover export` in this process."""
    args = [name, "--db", db, "--out", out, *more]
    return CliRunner().invoke(export_command, [str(each) for each in args])


def empty_store(folder: Path) -> Path:
    """Make a store in which nothing was heard."""
    path = folder / "empty.db"
    Store.open(path, station_id="marsh").close()
    return path


def imported(db: Path, *files: object, damaged: bool = False) -> Path:
    """Import files into a new store."""
    result = CliRunner().invoke(import_command, [*map(str, files), "--db", str(db)])
    assert result.exit_code == int(damaged), result.output
    return db
