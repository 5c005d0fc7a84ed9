"""Tags: who they are, how often they beep, and what they send."""

import functools
from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from protocols.ctt.blu import BEACON, Beacon
from protocols.ctt.extended import DATA_BYTES_BY_FORMAT, build_extended_packet
from protocols.ctt.packet import build_packet, id_bytes_of
from protocols.layouts import build
from protocols.opencollar import build_payload
from simulator.air import Band
from simulator.energy import Supply
from simulator.positions import Position
from simulator.tracks import Track

TagKind: TypeAlias = Literal[
    "life-tag", "power-tag", "hybrid-tag", "data-tag", "blu-tag", "coded-tag", "lora-tag"
]
"""Solar LifeTags and HybridTags send a CRC behind their id, PowerTags send none; data tags send the
extended packet. Blu tags send at 2.4 GHz, coded tags VHF pulses, LoRa tags OpenCollar positions.

Source: CTT tag guide: PowerTags are never shown as validated.
"""

TAG_BAND: Final[Mapping[TagKind, Band]] = {
    "life-tag": "434",
    "power-tag": "434",
    "hybrid-tag": "434",
    "data-tag": "434",
    "blu-tag": "2g4",
    "coded-tag": "vhf",
    "lora-tag": "lora",
}

BIT_US: Final = 40
"""One bit at 25 kbit/s."""
PREAMBLE_AND_SYNC_BITS: Final = 32
AIRTIME_US: Final = 2_880
"""Nine bytes (preamble 2, sync 2, id 4, CRC 1) at 25 kbit/s."""

_AIRTIME_US: Final[Mapping[Band, int]] = {"2g4": 400, "vhf": 2_500, "lora": 62_000}
"""A Bluetooth advertisement, the last pulse of a burst, 16 bytes at spreading factor 7."""

_ALWAYS_THE_SAME: Final = ("life-tag", "power-tag", "hybrid-tag")
_DATA_FORMAT: Final = 5
_DATA_BYTES: Final = DATA_BYTES_BY_FORMAT[_DATA_FORMAT]
LORA_PORT: Final = 13
"""OpenCollar's short position."""


class Tag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tag on one animal, which stays at its position or follows its track."""

    tag_id: Annotated[
        str,
        Meta(
            min_length=1,
            description="Eight hex digits; coded tags project#id, LoRa tags sixteen hex digits.",
        ),
    ]
    position: Annotated[Position | None, Meta(description="Where it stays.")] = None
    track: Annotated[Track | None, Meta(description="Where it goes.")] = None
    kind: Annotated[TagKind, Meta(description="What it sends.")] = "life-tag"
    interval_s: Annotated[
        float,
        Meta(
            gt=0,
            le=86_400,
            description="Seconds between beeps: LifeTags 5, others as ordered, 15 to 43 measured.",
        ),
    ] = 5.0
    jitter_s: Annotated[
        float, Meta(ge=0, le=60, description="Each gap differs from the interval by at most this.")
    ] = 0.01
    first_beep_s: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="When it beeps first; else any time within the first interval."),
    ] = None
    power_dbm: Annotated[
        float, Meta(ge=-60, le=40, description="Radiated power, dBm; a small tag's antenna is bad.")
    ] = 10.0
    height_m: Annotated[
        Annotated[float, Meta(ge=0, le=10_000)] | None,
        Meta(description="Metres above ground where it stays; else not regarded."),
    ] = None
    supply: Annotated[
        Supply | None, Meta(description="What it is fed by; else its battery lasts for ever.")
    ] = None
    gaps_ms: Annotated[
        tuple[float, float, float] | None, Meta(description="The code of a coded tag.")
    ] = None
    offset_hz: Annotated[
        float, Meta(ge=-50_000, le=50_000, description="How far it sends from its frequency, 20 °C")
    ] = 0.0
    hz_per_degree: Annotated[
        float, Meta(ge=-1000, le=1000, description="How its frequency follows the temperature.")
    ] = -10.0

    @property
    def band(self) -> Band:
        """Where it sends."""
        return TAG_BAND[self.kind]

    @property
    def sends_crc(self) -> bool:
        """Whether a checksum follows its id."""
        return self.kind not in ("power-tag", "coded-tag")

    def packet(self, number: int = 0, place: Position | None = None, unix_s: float = 0.0) -> bytes:
        """Return what follows the sync word: five bytes with the CRC, four without.

        `number` counts this tag's transmissions, `place` is where it is: data, Blu and LoRa tags
        tell of them. A coded tag sends no packet, only pulses.

        Raises:
            EncodeError: the id is not eight hex digits.
        """
        if self.kind in _ALWAYS_THE_SAME:
            return _same_packet(self.kind, self.tag_id)
        if self.kind == "data-tag":
            told = (number % 2**32).to_bytes(_DATA_BYTES, "little")
            return build_extended_packet(self.tag_id, form=_DATA_FORMAT, payload=told)
        if self.kind == "blu-tag":
            supply_mv, temperature_cdeg = 2_188, 2_512
            payload = supply_mv.to_bytes(2, "little") + temperature_cdeg.to_bytes(2, "little")
            beacon = Beacon(
                tag_id=id_bytes_of(self.tag_id),
                sync=number % 2**16,
                family=0,
                revision=0,
                payload=payload,
            )
            return build(BEACON, beacon)
        if self.kind == "lora-tag":
            here = place or self.position or Position(0, 0)
            return _short_position(here, unix_s)
        return b""

    def airtime_us(self, packet: bytes) -> int:
        """Return how long a packet of this tag is on the air, microseconds."""
        if self.kind == "data-tag":
            return BIT_US * (PREAMBLE_AND_SYNC_BITS + 8 * len(packet))
        if self.gaps_ms is not None and self.kind == "coded-tag":
            return round(1000 * sum(self.gaps_ms)) + _AIRTIME_US["vhf"]
        return _AIRTIME_US.get(self.band, AIRTIME_US)

    def first_beep(self, drawn_s: float) -> float:
        """Return when it beeps first: as told, else as drawn."""
        return drawn_s if self.first_beep_s is None else self.first_beep_s

    def gap_s(self, off_s: float) -> float:
        """Return the time to the next beep, which cannot begin before this one ends."""
        return max(self.interval_s + off_s, AIRTIME_US / 1e6)


@functools.lru_cache(maxsize=8192)
def _same_packet(kind: TagKind, tag_id: str) -> bytes:
    return id_bytes_of(tag_id) if kind == "power-tag" else build_packet(tag_id)


def _short_position(here: Position, unix_s: float) -> bytes:
    return build_payload(
        LORA_PORT,
        {
            "fix_at_unix_s": int(unix_s),
            "latitude_1e7": round(here.latitude * 1e7),
            "longitude_1e7": round(here.longitude * 1e7),
            "accuracy_m": 12,
        },
    )
