"""The settings of sinks: the part of the configuration's table that says where data go."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from receiver.setting_types import (
    BrokerUrl,
    CaFile,
    CertificateFile,
    KeyFile,
    Label,
    Name,
    PasswordFile,
)

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


class SinkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
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


class _LoginSettings(SinkSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A sink that logs in somewhere."""

    username: Annotated[str | None, Meta(description="User at the far end.")] = None
    password_file: PasswordFile = None
    ca_file: CaFile = None
    certificate_file: CertificateFile = None
    key_file: KeyFile = None
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

    broker: BrokerUrl
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
    SinkSettings,
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
