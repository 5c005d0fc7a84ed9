"""The configuration of a collector, in a TOML file of its own."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from receiver import toml_tables
from receiver.config import ConfigError
from receiver.setting_types import LOGIN_FILES, CaFile, CertificateFile, KeyFile, PasswordFile
from receiver.settings import LogSettings

_HEADER = """\
# The configuration of a collector: stopover collect -c FILE
# What is commented out stands at its default.
"""


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where rows are kept."""

    url: Annotated[
        str,
        Meta(
            min_length=1,
            description="postgresql://USER@HOST/DATABASE, or the path of an SQLite file, which "
            "needs nothing else.",
        ),
    ] = "collected.db"
    password_file: Annotated[
        str | None, Meta(description="File whose first line is the password for PostgreSQL.")
    ] = None
    partitions: Annotated[
        Literal["months", "none"],
        Meta(
            description="PostgreSQL: a partition for each month of stamped time; none where "
            "TimescaleDB cuts the tables itself."
        ),
    ] = "months"


class MqttSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Stations that send through a broker."""

    broker: Annotated[
        str,
        Meta(
            pattern=r"^(mqtts?://[^/\s:@]+(:[0-9]{1,5})?)?$",
            description="mqtt://HOST[:PORT], or mqtts:// for TLS; empty takes nothing over MQTT.",
        ),
    ] = ""
    group: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_.-]{1,64}$",
            description="Collectors of one group share the work.",
        ),
    ] = "collectors"
    username: Annotated[str | None, Meta(description="User at the broker.")] = None
    password_file: PasswordFile = None
    ca_file: CaFile = None
    certificate_file: CertificateFile = None
    key_file: KeyFile = None


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Stations that send over HTTP."""

    port: Annotated[
        int, Meta(ge=0, le=65_535, description="Where it listens; 0 takes nothing over HTTP.")
    ] = 0
    host: Annotated[
        str, Meta(description="Address it listens at; others need a proxy that speaks TLS.")
    ] = "127.0.0.1"
    tokens_file: Annotated[
        str | None,
        Meta(
            description="Lines of STATION TOKEN: a station then needs its token; without the file "
            "everybody who reaches the port may send."
        ),
    ] = None


class CollectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole configuration."""

    database: DatabaseSettings = DatabaseSettings()
    mqtt: MqttSettings = MqttSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()


def example() -> str:
    """Return a commented configuration that `parse` accepts, every key with its help."""
    parts = [_HEADER]
    for section, struct in toml_tables.sections(CollectorSettings):
        parts.append(f"\n[{section}]\n# {toml_tables.summary(struct)}\n")
        parts.append("".join(toml_tables.key_lines(struct, {})))
    return "".join(parts)


def load(path: Path) -> CollectorSettings:
    """Read and check the configuration at `path`; paths in it are taken from its folder.

    Raises:
        ConfigError: it cannot be read, or anything in it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read: {error}; `stopover collect --example` prints one"
        ) from error
    return anchored(
        toml_tables.checked(text, path, CollectorSettings, ConfigError), path.absolute().parent
    )


def anchored(settings: CollectorSettings, folder: Path) -> CollectorSettings:
    """Return the settings with relative paths taken from `folder`."""
    database = settings.database
    if not is_postgres(database.url):
        database = msgspec.structs.replace(database, url=str(folder / database.url))
    return msgspec.structs.replace(
        settings,
        database=toml_tables.anchored(database, ("password_file",), folder),
        mqtt=toml_tables.anchored(settings.mqtt, LOGIN_FILES, folder),
        http=toml_tables.anchored(settings.http, ("tokens_file",), folder),
    )


def is_postgres(url: str) -> bool:
    """Tell whether a database is PostgreSQL; else it is an SQLite file."""
    return url.startswith(("postgresql://", "postgres://"))
