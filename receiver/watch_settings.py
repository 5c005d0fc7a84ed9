"""Settings of what watches over the station: its page, its alarms, what is expected of it."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from receiver.setting_types import Label

Bearing: TypeAlias = Annotated[float, Meta(ge=0, lt=360)]
Hours: TypeAlias = Annotated[float, Meta(gt=0, le=8760)]


class PageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The station's page, for a phone or a desk."""

    port: Annotated[
        int,
        Meta(
            ge=0,
            le=65_535,
            description="http://STATION:PORT/ shows the station; /metrics on it is for Prometheus "
            "on this machine; 0 serves no page.",
        ),
    ] = 8434
    address: Annotated[
        str,
        Meta(description="Address it listens on; empty is every one, 127.0.0.1 this machine only."),
    ] = ""
    password_file: Annotated[
        str | None,
        Meta(
            description="File whose first line is the password for whatever changes the station; "
            "without it nothing can be changed on the page."
        ),
    ] = None
    read: Annotated[
        Literal["network", "password"],
        Meta(
            description="Who may look: network is everybody on the station's own (private) "
            "networks, password only who knows it."
        ),
    ] = "network"


class AlarmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When somebody must be told, beside the log, the page and the MQTT status."""

    webhook: Annotated[
        Annotated[str, Meta(pattern=r"^https?://\S+$")] | None,
        Meta(
            description="URL that each alarm is posted to as JSON, once and once when it is over.",
        ),
    ] = None
    webhook_token_file: Annotated[
        str | None,
        Meta(description="File whose first line is sent along as `Authorization: Bearer …`."),
    ] = None
    disk_days: Annotated[
        float, Meta(ge=0, le=3650, description="Days left on the disk below which it is low.")
    ] = 14.0
    disk_free_mb: Annotated[
        int, Meta(ge=0, description="Megabytes free below which the disk is low, in any case.")
    ] = 500
    backlog_hours: Annotated[
        float,
        Meta(
            ge=0,
            le=8760,
            description="Hours after which rows that a sink has not handed on are too old; "
            "0 never.",
        ),
    ] = 24.0
    clock_minutes: Annotated[
        float,
        Meta(
            ge=0, le=525_600, description="Minutes without a good clock that are too many; 0 never."
        ),
    ] = 30.0


class AntennaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An antenna of this station, as the page's compass shows it."""

    name: Annotated[Label, Meta(description="The label that links and rows have.")]
    bearing_deg: Annotated[
        Bearing | None, Meta(description="Where it points, degrees clockwise from true north.")
    ] = None
    kind: Annotated[Label | None, Meta(description="yagi, omni…")] = None


class BeaconSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A test tag that stays at the station, so that silence can be told from deafness."""

    tag: Annotated[Label, Meta(description="Its id.")]
    antenna: Annotated[
        Label | None, Meta(description="Antenna that must hear it; else any one.")
    ] = None
    within_hours: Annotated[
        Hours, Meta(description="It must be heard at least so often; else it is an alarm.")
    ] = 24.0
