"""The one table of settings: each field with its type, bounds, default and one sentence of help.

`receiver.config` makes the example file, the checks and the documentation from these structs.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

Name: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
]

Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Latitude: TypeAlias = Annotated[float, Meta(ge=-90, le=90)]
Longitude: TypeAlias = Annotated[float, Meta(ge=-180, le=180)]


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

    name: Annotated[Name, Meta(description="This link's name in rows and logs.")]
    device: Annotated[
        str,
        Meta(
            min_length=1,
            description="The port; a by-path name stays with the socket: see `stopover ports`.",
        ),
    ]
    antenna: Annotated[
        Label | None, Meta(description="Your label for the antenna on this radio.")
    ] = None
    decoder: Annotated[str, Meta(description="What the radio speaks.")] = "ctt"
    baud_rate: Annotated[int, Meta(ge=300, le=4_000_000, description="Bits a second, 8N1.")] = (
        115_200
    )
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
        float, Meta(ge=5, le=86_400, description="Seconds between polls that a radio must answer.")
    ] = 60.0


class MqttTopic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One subscription and what its messages mean."""

    topic: Annotated[
        str, Meta(min_length=1, max_length=1024, description="A topic filter, + and # as in MQTT.")
    ]
    decoder: Annotated[str, Meta(description="What its messages are.")]
    antenna: Annotated[Label | None, Meta(description="Your label for the antenna behind it.")] = (
        None
    )


class MqttLink(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="mqtt"
):
    """Radios that publish to an MQTT broker."""

    name: Annotated[Name, Meta(description="This link's name in rows and logs.")]
    broker: Annotated[
        str,
        Meta(
            pattern=r"^mqtts?://[^/\s:@]+(:[0-9]{1,5})?$",
            description="mqtt://HOST[:PORT], or mqtts:// for TLS (ports 1883 and 8883).",
        ),
    ]
    topics: Annotated[
        tuple[MqttTopic, ...],
        Meta(min_length=1, description="Subscriptions, each with its decoder."),
    ]
    username: Annotated[str | None, Meta(description="User at the broker.")] = None
    password_file: Annotated[
        str | None, Meta(description="File whose first line is the password.")
    ] = None
    ca_file: Annotated[
        str | None, Meta(description="Certificates to trust (PEM), else the system's.")
    ] = None
    certificate_file: Annotated[
        str | None, Meta(description="This station's own certificate (PEM), where asked for.")
    ] = None
    key_file: Annotated[str | None, Meta(description="The key of that certificate (PEM).")] = None
    client_id: Annotated[
        Label | None,
        Meta(description="Name of the session that the broker keeps, else stopover-STATION-LINK."),
    ] = None


Link: TypeAlias = SerialLink | MqttLink

RowKind: TypeAlias = Literal[
    "gps_fixes",
    "relay_health",
    "clock_samples",
    "activity",
    "events",
    "pulses",
    "unknown_frames",
]

SinkUrl: TypeAlias = Annotated[str, Meta(pattern=r"^https?://[^/\s@]+(/\S*)?$")]


class _SinkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every sink can be told."""

    name: Annotated[Name, Meta(description="This sink's name in logs and commands.")]
    automatic: Annotated[
        bool,
        Meta(
            description="Whether the running station sends by itself; if not, `stopover upload "
            "--sink NAME` does."
        ),
    ] = True
    also: Annotated[
        tuple[RowKind, ...],
        Meta(
            description="What is sent beside the detections. pulses and unknown_frames are large: "
            "a noisy antenna makes a gigabyte of pulses a month."
        ),
    ] = ("gps_fixes", "relay_health", "clock_samples", "activity", "events")
    interval: Annotated[
        float,
        Meta(
            ge=0.02,
            le=86_400,
            description="Seconds between batches once the far end has everything; longer ones cost "
            "fewer bytes.",
        ),
    ] = 60.0
    batch_rows: Annotated[
        int, Meta(ge=1, le=50_000, description="Rows in a batch at most; refused ones are halved.")
    ] = 2_000
    bytes_per_second: Annotated[
        int, Meta(ge=0, le=10**9, description="Bytes a second on average; 0 sets no bound.")
    ] = 0
    bytes_per_day: Annotated[
        int, Meta(ge=0, le=10**12, description="Bytes in a UTC day, for cellular; 0 sets no bound.")
    ] = 0
    compression: Annotated[
        Literal["gzip", "zstd", "none"],
        Meta(description="zstd is smaller and faster; it needs stopover[zstd] at both ends."),
    ] = "gzip"


class _LoginSettings(_SinkSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A sink that logs in somewhere."""

    username: Annotated[str | None, Meta(description="User at the far end.")] = None
    password_file: Annotated[
        str | None, Meta(description="File whose first line is the password.")
    ] = None
    ca_file: Annotated[
        str | None, Meta(description="Certificates to trust (PEM), else the system's.")
    ] = None
    certificate_file: Annotated[
        str | None, Meta(description="This station's own certificate (PEM), where asked for.")
    ] = None
    key_file: Annotated[str | None, Meta(description="The key of that certificate (PEM).")] = None
    timeout: Annotated[
        float,
        Meta(ge=0.1, le=3600, description="Seconds the far end may take to store a batch."),
    ] = 120.0


class HttpSink(
    _LoginSettings,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="http",
):
    """A web service that takes batches, such as `stopover collect`."""

    url: Annotated[SinkUrl, Meta(description="Where batches are posted: https://HOST[:PORT]/PATH.")]
    token_file: Annotated[
        str | None, Meta(description="File whose first line is a bearer token.")
    ] = None


class MqttSink(
    _LoginSettings,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="mqtt",
):
    """Collectors behind an MQTT broker."""

    broker: Annotated[
        str,
        Meta(
            pattern=r"^mqtts?://[^/\s:@]+(:[0-9]{1,5})?$",
            description="mqtt://HOST[:PORT], or mqtts:// for TLS (ports 1883 and 8883).",
        ),
    ]
    client_id: Annotated[
        Label | None, Meta(description="Name at the broker, else stopover-STATION-SINK.")
    ] = None
    live: Annotated[
        bool,
        Meta(
            description="Whether each detection is also published at once, for dashboards, on "
            "stopover/STATION/live."
        ),
    ] = False


class FolderSink(
    _SinkSettings,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="folder",
):
    """Files in a folder: a USB stick, a network share."""

    folder: Annotated[str, Meta(min_length=1, description="Where the files go.")]
    mark_file: Annotated[
        str | None,
        Meta(
            description="A file that must be in the folder: without it no stick is plugged in, and "
            "nothing is written."
        ),
    ] = None


class MotusSink(
    _LoginSettings,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="motus",
):
    """motus.org, the way SensorGnome stations send: undocumented, so read the guide first."""

    project: Annotated[int, Meta(ge=1, description="Your project's number at Motus.")]
    serial: Annotated[
        str,
        Meta(
            pattern=r"^SG-[0-9A-Z]{12}(_[0-9])?$",
            description="The receiver's serial number as it is registered at Motus.",
        ),
    ]
    url: Annotated[SinkUrl, Meta(description="Where Motus is.")] = "https://motus.org"


Sink: TypeAlias = HttpSink | MqttSink | FolderSink | MotusSink


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration."""

    station: StationSettings = StationSettings()
    store: StoreSettings = StoreSettings()
    log: LogSettings = LogSettings()
    clock: ClockSettings = ClockSettings()
    links: tuple[Link, ...] = ()
    sinks: tuple[Sink, ...] = ()
