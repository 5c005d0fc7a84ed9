"""The configuration of a collector, in a TOML file of its own."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from receiver import toml_tables
from receiver.config import ConfigError

_Table = TypeVar("_Table", bound=msgspec.Struct)

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
    password_file: Annotated[
        str | None, Meta(description="File whose first line is the password.")
    ] = None
    ca_file: Annotated[
        str | None, Meta(description="Certificates to trust (PEM), else the system's.")
    ] = None
    certificate_file: Annotated[
        str | None, Meta(description="An own certificate (PEM), where asked for.")
    ] = None
    key_file: Annotated[str | None, Meta(description="The key of that certificate (PEM).")] = None


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


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is told while it runs."""

    format: Annotated[
        Literal["auto", "pretty", "journal", "json"],
        Meta(description="auto is journal under systemd, else pretty."),
    ] = "auto"
    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least that is told.")
    ] = "info"


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
        database=_with_paths(database, folder, "password_file"),
        mqtt=_with_paths(
            settings.mqtt, folder, "password_file", "ca_file", "certificate_file", "key_file"
        ),
        http=_with_paths(settings.http, folder, "tokens_file"),
    )


def is_postgres(url: str) -> bool:
    """Tell whether a database is PostgreSQL; else it is an SQLite file."""
    return url.startswith(("postgresql://", "postgres://"))


def _with_paths(table: _Table, folder: Path, *names: str) -> _Table:
    given = {name: getattr(table, name) for name in names}
    return msgspec.structs.replace(
        table, **{name: str(folder / path) for name, path in given.items() if path}
    )
