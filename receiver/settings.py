"""The one table of settings: each field with its type, bounds, default and one sentence of help.

`receiver.config` makes the example file, the checks and the documentation from these structs.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from protocols.payload_codec import PayloadField
from receiver.limits import STATION_LINK_TIME_S
from receiver.radio_settings import SoftwareRadioLink
from receiver.setting_types import (
    AntennaLabel,
    BrokerUrl,
    CaFile,
    CertificateFile,
    KeyFile,
    LinkName,
    PasswordFile,
)
from receiver.setting_types import Label as Label  # noqa: PLC0414  A part of this module's interface.
from receiver.setting_types import Name as Name  # noqa: PLC0414  Same.
from receiver.sink_settings import Sink
from receiver.watch_settings import AlarmSettings, AntennaSettings, BeaconSettings, PageSettings

Latitude: TypeAlias = Annotated[float, Meta(ge=-90, le=90)]
Longitude: TypeAlias = Annotated[float, Meta(ge=-180, le=180)]
FrequencyMhz: TypeAlias = Annotated[
    Annotated[float, Meta(ge=1, le=6000)] | None,
    Meta(
        description="MHz that it listens on, for `stopover spectrum` and `check`, where no preset "
        "tells; it tunes nothing."
    ),
]


Antennas: TypeAlias = Annotated[
    dict[str, Label],
    Meta(
        description="Your labels where one link has several radios, by the name that their frames "
        'give them: { 1 = "south" }.'
    ),
]


class StationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who and where this station is."""

    id: Annotated[
        Name, Meta(description="The station's id, in every row: letters, digits, '-', '_', '.'.")
    ] = "my-station"
    latitude: Annotated[
        Latitude | None, Meta(description="Degrees north, WGS 84, -90 to 90; none if it moves.")
    ] = None
    longitude: Annotated[
        Longitude | None, Meta(description="Degrees east, WGS 84, -180 to 180.")
    ] = None


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where detections are kept, and how soon they are safe."""

    path: Annotated[
        str, Meta(min_length=1, description="The store; beside this file unless absolute.")
    ] = "stopover.db"
    commit_interval: Annotated[
        float,
        Meta(
            ge=0.05,
            le=60,
            description="Seconds after which what was heard is on the disk: the most that a power "
            "cut can take.",
        ),
    ] = 2.0
    pulses: Annotated[
        Literal["used", "all"],
        Meta(
            description="Which VHF pulses are kept as rows: those used in a coded-ID tag's run, or "
            "all; hours count them all, and without `tags.coded_ids` all are kept."
        ),
    ] = "used"
    max_size_mb: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            description="Megabytes of rows beyond which the oldest acknowledged ones are deleted; "
            "0 sets no bound but the disk.",
        ),
    ] = 0
    delete_unacknowledged: Annotated[
        bool,
        Meta(
            description="Whether rows that no sink has handed on may be deleted too when the bound "
            "is reached or the disk is full; they are counted."
        ),
    ] = False


class TagsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tags this station knows of."""

    coded_ids: Annotated[
        str | None,
        Meta(
            description="List of coded-ID tags (CSV or SQLite, of find_tags, SensorGnome or "
            "Motus), read again when it changes; without it pulses stay pulses."
        ),
    ] = None
    known: Annotated[
        tuple[Label, ...],
        Meta(description="Ids of tags that are deployed somewhere: theirs is no noise."),
    ] = ()
    known_file: Annotated[
        str | None, Meta(description="File with more of them, one a line, # begins a comment.")
    ] = None
    names_file: Annotated[
        str | None,
        Meta(description="CSV with the columns tag_id and name: your names, shown beside the ids."),
    ] = None


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is told while it runs."""

    format: Annotated[
        Literal["auto", "pretty", "journal", "json"],
        Meta(description="auto is journal under systemd, else pretty."),
    ] = "auto"
    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least that is told.")
    ] = "info"


class ClockSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is asked about time and position, beside the kernel."""

    gpsd: Annotated[
        str,
        Meta(
            pattern=r"^(auto|(\[[0-9A-Fa-f:]+\]|[^\s:\[\]]+):[0-9]{1,5})?$",
            description="gpsd's HOST:PORT; auto looks on this machine, empty asks none.",
        ),
    ] = "auto"
    chrony: Annotated[
        Literal["auto", "never"],
        Meta(description="auto asks chrony, where it is installed, what sets the clock."),
    ] = "auto"


class SerialLink(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="serial"
):
    """A radio on a serial port."""

    name: LinkName
    device: Annotated[
        str,
        Meta(
            min_length=1,
            description="The port; a by-path name stays with the socket: see `stopover ports`.",
        ),
    ]
    antenna: AntennaLabel = None
    antennas: Antennas = {}
    decoder: Annotated[str, Meta(description="What the radio speaks.")] = "ctt"
    baud_rate: Annotated[
        Annotated[int, Meta(ge=300, le=4_000_000)] | None,
        Meta(description="Bits a second, 8N1; else 115200, or 230400 where decoder is ctt-blu."),
    ] = None
    preset: Annotated[
        Literal["", "fsktag", "node3", "ooktag"],
        Meta(
            description="What a CTT radio listens for: fsktag (tags), node3 (nodes), ooktag (old "
            "tags); empty leaves it as it is."
        ),
    ] = ""
    talk: Annotated[
        Literal["auto", "always", "never"],
        Meta(
            description="auto asks for the version and falls silent if nothing answers; never "
            "writes nothing, for old dongles that hang when written to."
        ),
    ] = "auto"
    poll_interval: Annotated[
        Annotated[float, Meta(ge=5, le=86_400)] | None,
        Meta(
            description="Seconds between polls that a radio must answer; else 60, or 10 where "
            "decoder is ctt-blu or station-link."
        ),
    ] = None
    silent_after: Annotated[
        float,
        Meta(
            ge=0,
            le=31_536_000,
            description="Seconds without anything heard after which it counts as silent, for "
            "radios that answer no poll; 0 is never.",
        ),
    ] = 0.0
    frequency_mhz: FrequencyMhz = None

    @property
    def bits_per_second(self) -> int:
        """The line's speed: as told, or as radios of this decoder have it."""
        return self.baud_rate or _BAUD_RATES.get(self.decoder, _USUAL_BAUD_RATE)

    @property
    def poll_interval_s(self) -> float:
        """Seconds between polls: as told, or as radios of this decoder need it."""
        return self.poll_interval or _POLL_INTERVALS_S.get(self.decoder, _USUAL_POLL_INTERVAL_S)


_USUAL_BAUD_RATE = 115_200
_USUAL_POLL_INTERVAL_S = 60.0
_BAUD_RATES = {"ctt-blu": 230_400}
_POLL_INTERVALS_S = {"ctt-blu": 10.0, "station-link": STATION_LINK_TIME_S}


class SocketLink(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="socket"
):
    """A program on this computer that serves a radio on a Unix socket."""

    name: LinkName
    path: Annotated[str, Meta(min_length=1, description="The socket, /run/ctt/radios/ch1.sock.")]
    decoder: Annotated[
        str, Meta(description="What comes out: ctt-driver, ctt-blu-driver or any other of streams.")
    ]
    antenna: AntennaLabel = None
    antennas: Antennas = {}
    frequency_mhz: FrequencyMhz = None


class MqttTopic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One subscription and what its messages mean."""

    topic: Annotated[
        str, Meta(min_length=1, max_length=1024, description="A topic filter, + and # as in MQTT.")
    ]
    decoder: Annotated[str, Meta(description="What its messages are.")]
    antenna: Annotated[Label | None, Meta(description="Your label for the antenna behind it.")] = (
        None
    )
    antennas: Antennas = {}
    frequency_mhz: FrequencyMhz = None


class MqttLink(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="mqtt"
):
    """Radios that publish to an MQTT broker."""

    name: LinkName
    broker: BrokerUrl
    topics: Annotated[
        tuple[MqttTopic, ...],
        Meta(
            min_length=1,
            description="Subscriptions, each with its decoder; `antenna` and `frequency_mhz` too.",
        ),
    ]
    username: Annotated[str | None, Meta(description="User at the broker.")] = None
    password_file: PasswordFile = None
    ca_file: CaFile = None
    certificate_file: CertificateFile = None
    key_file: KeyFile = None
    client_id: Annotated[
        Label | None,
        Meta(description="Name of the session that the broker keeps, else stopover-STATION-LINK."),
    ] = None
    silent_after: Annotated[
        float,
        Meta(
            ge=0,
            le=31_536_000,
            description="Seconds without anything heard after which it counts as silent, for "
            "stations that tell of themselves; 0 is never.",
        ),
    ] = 0.0


def labels(radios: SerialLink | SocketLink | MqttTopic) -> tuple[str | None, ...]:
    """Return the owner's labels of the antennas behind a link or topic; None is its only one."""
    told = tuple(radios.antennas.values())
    return told if radios.antenna is None and told else (radios.antenna, *told)


Link: TypeAlias = SerialLink | SocketLink | MqttLink | SoftwareRadioLink


class Codec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the payload of your own data tags means."""

    protocol: Annotated[
        str, Meta(min_length=1, description="As detections name it: ctt-434, ctt-2g4 or lorawan.")
    ]
    format: Annotated[
        Annotated[int, Meta(ge=0, le=255)] | None,
        Meta(description="ctt-434: the packet's format, 1 to 15; ctt-2g4: the payload's revision."),
    ] = None
    subformat: Annotated[
        Annotated[int, Meta(ge=0, le=15)] | None,
        Meta(description="ctt-434: only packets of this sub-format."),
    ] = None
    profile: Annotated[
        str | None,
        Meta(description="lorawan: only devices of this profile (TTN: model or application id)."),
    ] = None
    f_port: Annotated[
        Annotated[int, Meta(ge=1, le=223)] | None, Meta(description="lorawan: only this fPort.")
    ] = None
    codec: Annotated[
        str | None, Meta(description="A codec that is built in: opencollar; or else fields.")
    ] = None
    fields: Annotated[
        tuple[PayloadField, ...],
        Meta(
            description="One after another from the first byte: value = number * scale + offset; "
            "an empty name passes over it; types are u8, i8, u16le, i16be … f32be."
        ),
    ] = ()


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration."""

    station: StationSettings = StationSettings()
    store: StoreSettings = StoreSettings()
    log: LogSettings = LogSettings()
    clock: ClockSettings = ClockSettings()
    tags: TagsSettings = TagsSettings()
    page: PageSettings = PageSettings()
    alarms: AlarmSettings = AlarmSettings()
    links: tuple[Link, ...] = ()
    antennas: tuple[AntennaSettings, ...] = ()
    beacons: tuple[BeaconSettings, ...] = ()
    codecs: tuple[Codec, ...] = ()
    sinks: tuple[Sink, ...] = ()
