"""Stations, their radios, and the nodes that relay to them: fixed values, no behaviour."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from protocols.ctt.printed_lines import Generation
from simulator.air import Band
from simulator.antennas import Antenna
from simulator.positions import Position
from simulator.tracks import Track

Name: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
        description="Letters, digits, '-', '_', '.'; at most 64.",
    ),
]
Level: TypeAlias = Annotated[float, Meta(ge=-200, le=60, description="dBm.")]

Channel: TypeAlias = Literal["tags", "nodes", "neither"]
"""A radio hears either tags (434.000 MHz) or nodes (433.25 MHz); on `neither` it hears what no
simulated thing sends (the first, on-off keyed tags)."""

RadioKind: TypeAlias = Literal["ctt", "blu", "station-link", "rtl433", "lorawan", "pulses"]
"""`ctt`: a CTT radio or dongle of some generation. `blu`: a CTT 2.4 GHz receiver. `station-link`: a
receiver with open firmware. `rtl433`: a stick with rtl_433. `lorawan`: a gateway. `pulses`: a VHF
receiver of a SensorGnome."""

BAND_OF: Final[Mapping[RadioKind, Band]] = {
    "ctt": "434",
    "blu": "2g4",
    "station-link": "434",
    "rtl433": "434",
    "lorawan": "lora",
    "pulses": "vhf",
}

NodeGeneration: TypeAlias = Literal[1, 2, 3]

NODE_BANDS: Final[Mapping[NodeGeneration, tuple[Band, ...]]] = {
    1: ("434",),
    2: ("434",),
    3: ("434", "2g4"),
}
"""Where nodes hear tags."""

ViceKind: TypeAlias = Literal["hangs-on-write", "stops-talking", "floods", "unplugs"]


class Vice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bad radio does on a serial port.

    `hangs-on-write`: says nothing more once it was written to, until the port is opened anew (Motus
    Adapters V1). `stops-talking`: falls silent `after_s` seconds after it was plugged in, until it
    is plugged in again. `floods`: prints diagnostics all the time, 135 lines a second (bench
    firmware 5.0.0). `unplugs`: leaves the bus `after_s` seconds after it was plugged in, and comes
    back `back_after_s` later, or never.
    """

    kind: ViceKind
    after_s: Annotated[float, Meta(ge=0, description="Seconds after it was plugged in.")] = 0.0
    back_after_s: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="Seconds until it is back; else never."),
    ] = None


class Radio(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One receiver of a station."""

    name: Name
    kind: Annotated[RadioKind, Meta(description="What it is.")] = "ctt"
    generation: Annotated[Generation, Meta(description="Of a CTT radio.")] = "G4"
    antenna: Annotated[
        str, Meta(min_length=1, description="The owner's label for what it hears through.")
    ]
    channel: Annotated[
        Channel, Meta(description="What a CTT radio listens to when it is plugged in.")
    ] = "tags"
    gain_dbi: Annotated[
        float, Meta(ge=-30, le=60, description="Gain besides that of the antenna, dB.")
    ] = 0.0
    sensitivity_dbm: Annotated[
        Level,
        Meta(
            description="What arrives weaker is not heard; with errors_from_level half of the "
            "packets at this level are lost. dBm."
        ),
    ] = -106.0
    server: Annotated[
        Literal["chirpstack", "ttn"], Meta(description="To which server a LoRaWAN gateway belongs.")
    ] = "chirpstack"
    vice: Vice | None = None

    @property
    def band(self) -> Band:
        """What it can hear at all."""
        return BAND_OF[self.kind]


class StationClock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a station's clock goes."""

    offset_s: Annotated[
        float, Meta(description="How far it is ahead when the world begins, seconds.")
    ] = 0.0
    drift_ppm: Annotated[
        float, Meta(ge=-10_000, le=10_000, description="How much too fast it goes.")
    ] = 0.0
    is_synchronised: Annotated[
        bool, Meta(description="Whether the station believes that its clock is right.")
    ] = True


class PowerCut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The station is off for a while; then its clock is behind by that long until it is set."""

    at_s: Annotated[float, Meta(ge=0, description="Seconds since the world began.")]
    off_s: Annotated[float, Meta(gt=0, description="Seconds.")]
    clock_set_after_s: Annotated[
        float, Meta(ge=0, description="Seconds from the return of power to a right clock.")
    ] = 60.0


class SiteNoise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a site's own noise adds in one band, all the time."""

    band: Annotated[Band, Meta(description="Which band.")] = "434"
    level_dbm: Annotated[Level, Meta(description="In a receiver's bandwidth, dBm.")]


class Interference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A neighbour that disturbs one band now and then."""

    band: Annotated[Band, Meta(description="Which band.")] = "434"
    bursts_per_hour: Annotated[float, Meta(gt=0, le=36_000, description="On average.")] = 60.0
    burst_s: Annotated[float, Meta(gt=0, le=3600, description="How long one lasts on average.")] = (
        1.0
    )
    level_dbm: Annotated[Level, Meta(description="In a receiver's bandwidth, dBm.")] = -90.0


class Station(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A base station."""

    name: Name
    position: Position
    radios: Annotated[tuple[Radio, ...], Meta(min_length=1, description="What it hears with.")]
    antennas: Annotated[
        tuple[Antenna, ...],
        Meta(description="What the radios hear through; those not named hear all around alike."),
    ] = ()
    clock: StationClock = StationClock()
    noise: tuple[SiteNoise, ...] = ()
    interference: tuple[Interference, ...] = ()
    noise_packets_per_hour: Annotated[
        float,
        Meta(ge=0, le=360_000, description="How often noise looks like a packet to a 434 radio."),
    ] = 0.0
    power_cuts: tuple[PowerCut, ...] = ()
    records: Annotated[
        Literal["sensorgnome", "ctt"], Meta(description="Whose files it writes.")
    ] = "sensorgnome"
    track: Annotated[
        Track | None, Meta(description="Where it goes, as a ship; else it stays in its place.")
    ] = None

    def antenna_of(self, radio: Radio) -> Antenna | None:
        """Return the antenna that a radio hears through; None where none is described."""
        return next((each for each in self.antennas if each.name == radio.antenna), None)


class Node(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A relay: hears tags on 434.000 MHz, passes them on in bursts on 433.25 MHz.

    V3 nodes hear Blu tags at 2.4 GHz too; of these they relay the id, not the payload.
    Nobody acknowledges what a node sends; what a station misses stays missed.
    """

    node_id: Annotated[
        str,
        Meta(
            pattern=r"^[0-9A-F]{3,8}$",
            description="As it is printed: V1 3 hex digits, V2 6, V3 up to 8.",
        ),
    ]
    generation: Annotated[NodeGeneration, Meta(description="1, 2 or 3.")]
    position: Position
    relay_interval_s: Annotated[
        float,
        Meta(ge=1, description="Seconds; it sends as well whenever it holds 50 beeps."),
    ] = 60.0
    health_interval_s: Annotated[float, Meta(ge=1, description="Seconds.")] = 300.0
    clock_offset_s: Annotated[float, Meta(description="How far its clock is ahead, seconds.")] = 0.0
    clock_drift_ppm: Annotated[
        float, Meta(ge=-10_000, le=10_000, description="How much too fast it goes.")
    ] = 0.0
    power_dbm: Level = 13.0
    sensitivity_dbm: Level = -106.0
    sensitivity_2g4_dbm: Annotated[
        float, Meta(ge=-200, le=60, description="Of a V3 node's 2.4 GHz receiver, dBm.")
    ] = -97.0
    has_card: Annotated[
        bool, Meta(description="Whether files hold what is on its SD card as well.")
    ] = False
