"""The configuration file: the example that explains it, and the check of what an owner wrote.

Both are made from the structs in `receiver.settings`; there is no second list of keys.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from protocols import registry
from protocols.errors import UnknownDecoderError
from receiver import payload_codecs, radio_settings, sink_tables, toml_tables
from receiver.radio_settings import SoftwareRadioLink
from receiver.setting_types import LOGIN_FILES
from receiver.settings import Codec, Link, MqttLink, SerialLink, Settings, SocketLink
from receiver.spectrum import tuning
from receiver.watch_settings import AntennaSettings, BeaconSettings

_HEADER = """\
# The configuration of this station. Check it with:  stopover check -c FILE
# What is commented out stands at its default.
"""

_EXAMPLE_LINKS = """\
# Each radio is a link; name as many as there are.

{serial}
# Radios that publish over MQTT:

{mqtt}
# Radios behind a driver of their own:

{socket}
# Software radios (pip install "stopover[sdr]"; deploy/sdr.md tells of sticks and amplifiers):

{software_radio}
# Antennas, where they point; and a test tag that stays near them:

{antenna}
{beacon}
# Payloads of data tags, where you know what they mean:

{codec}"""

_EXAMPLE_VALUES: Mapping[str, Mapping[str, object]] = {
    "SerialLink": {"name": "ch1", "device": "/dev/serial/by-path/…", "antenna": "north"},
    "MqttLink": {
        "name": "field",
        "broker": "mqtts://broker.example.org",
        "topics": [{"topic": "stopover/+/lines", "decoder": "ctt"}],
    },
    "SocketLink": {
        "name": "driver1",
        "path": "/run/ctt/radios/ch1.sock",
        "decoder": "ctt-driver",
    },
    "SoftwareRadioLink": {"name": "stick1", "source": "rtl_tcp://127.0.0.1", "antenna": "north"},
    "AntennaSettings": {"name": "north", "bearing_deg": 0.0, "kind": "yagi"},
    "BeaconSettings": {"tag": "78664C33", "antenna": "north"},
    "Codec": {
        "protocol": "ctt-434",
        "format": 5,
        "fields": [
            {"name": "temperature_c", "type": "i16le", "scale": 0.01},
            {"name": "battery_v", "type": "u16le", "scale": 0.001},
        ],
    },
}


class ConfigError(Exception):
    """A configuration that cannot be used; the message names file, key and what would be right."""


def example(station_id: str = Settings().station.id) -> str:
    """Return a commented configuration that `parse` accepts, every key with its help."""
    parts = [_HEADER]
    for section, struct in toml_tables.sections(Settings):
        parts.append(f"\n[{section}]\n# {toml_tables.summary(struct)}\n")
        chosen = {"id": station_id} if section == "station" else {}
        parts.append("".join(toml_tables.key_lines(struct, chosen)))
    parts.append(sink_tables.example())
    serial, mqtt, socket = (_example_link(each) for each in (SerialLink, MqttLink, SocketLink))
    tables = {
        "software_radio": _example_link(SoftwareRadioLink),
        "antenna": _example_table("antennas", AntennaSettings),
        "beacon": _example_table("beacons", BeaconSettings),
        "codec": _example_table("codecs", Codec),
    }
    parts.append("\n" + _EXAMPLE_LINKS.format(serial=serial, mqtt=mqtt, socket=socket, **tables))
    return "".join(parts)


def load(path: Path) -> Settings:
    """Read and check the configuration at `path`.

    Paths in it that are not absolute are taken from the folder it stands in.

    Raises:
        ConfigError: it cannot be read, or anything in it is wrong; every wrong key is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file; `stopover init {path}` writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Settings:
    """Check the text of a configuration; `path` stands in messages and anchors relative paths.

    Raises:
        ConfigError: as `load`.
    """
    settings = toml_tables.checked(text, path, Settings, ConfigError, _in_words_of_links)
    for key, said in _contradictions(settings):
        raise ConfigError(toml_tables.at_line(path, text, key, said))
    return _anchored(settings, path.absolute().parent)


def warnings(settings: Settings) -> Iterator[str]:
    """Yield what is allowed but is often a mistake."""
    for link in settings.links:
        if isinstance(link, SerialLink) and re.fullmatch(r"/dev/tty(USB|ACM)\d+", link.device):
            yield (
                f"link {link.name}: {link.device} may name another radio after a restart;"
                " take its by-path name from `stopover ports`"
            )
    yield from tuning.misfits(settings)


def _example_link(struct: type[msgspec.Struct]) -> str:
    return _example_table("links", struct, f'kind = "{struct.__struct_config__.tag}"\n')


def _example_table(array: str, struct: type[msgspec.Struct], first: str = "") -> str:
    lines = [f"[[{array}]]\n# {toml_tables.summary(struct)}\n", first]
    lines += toml_tables.key_lines(struct, _EXAMPLE_VALUES[struct.__name__])
    return "".join(f"# {line}" for line in "".join(lines).splitlines(keepends=True))


def _in_words_of_links(key: str, said: str) -> str:
    if key.startswith("sinks"):
        return sink_tables.in_words(key, said)
    if "required field `kind`" in said:
        return 'say what it is: kind = "serial", "socket", "mqtt" or "software-radio"'
    if key.endswith("kind"):
        return said + ": a link is of kind serial, socket, mqtt or software-radio"
    return said


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield (key, complaint) for what types cannot say."""
    if (settings.station.latitude is None) != (settings.station.longitude is None):
        yield "station.latitude", "a position needs both latitude and longitude"
    names: dict[str, int] = {}
    devices: dict[str, int] = {}
    for number, link in enumerate(settings.links):
        at = f"links[{number}]"
        if link.name in names:
            yield f"{at}.name", f"two links are called {link.name!r}: rename one of them"
        names[link.name] = number
        if isinstance(link, SerialLink):
            if link.device in devices:
                yield f"{at}.device", f"two links use {link.device}: a port serves one link"
            devices[link.device] = number
        yield from _wrong_decoders(link, at)
    told: set[str] = set()
    for number, antenna in enumerate(settings.antennas):
        if antenna.name in told:
            yield f"antennas[{number}].name", f"two antennas are called {antenna.name!r}"
        told.add(antenna.name)
    if settings.page.read == "password" and not settings.page.password_file:
        yield "page.read", "a page for who knows the password needs page.password_file"
    yield from payload_codecs.contradictions(settings.codecs)
    yield from sink_tables.contradictions(settings.sinks)


def _wrong_decoders(link: Link, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(link, SoftwareRadioLink):
        for key, said in radio_settings.contradictions(link):
            yield f"{at}.{key}", said
        return
    if isinstance(link, SerialLink | SocketLink):
        wanted = [(f"{at}.decoder", link.decoder)]
    else:
        wanted = [
            (f"{at}.topics[{place}].decoder", topic.decoder)
            for place, topic in enumerate(link.topics)
        ]
    for key, name in wanted:
        try:
            entry = registry.entry(name)
        except UnknownDecoderError as error:
            yield key, str(error)
        else:
            if not isinstance(link, MqttLink) and entry.framing == "message":
                yield key, f"{name!r} decodes messages, not a stream"


def _anchored(settings: Settings, folder: Path) -> Settings:
    """Return the settings with relative paths taken from `folder`."""
    store = toml_tables.anchored(settings.store, ("path",), folder)
    tags = toml_tables.anchored(settings.tags, ("coded_ids", "known_file", "names_file"), folder)
    page = toml_tables.anchored(settings.page, ("password_file",), folder)
    alarms = toml_tables.anchored(settings.alarms, ("webhook_token_file",), folder)
    links: list[Link] = []
    for link in settings.links:
        if isinstance(link, MqttLink):
            links.append(toml_tables.anchored(link, LOGIN_FILES, folder))
        elif isinstance(link, SocketLink):
            links.append(toml_tables.anchored(link, ("path",), folder))
        elif isinstance(link, SoftwareRadioLink):
            links.append(radio_settings.anchored(link, folder))
        else:
            links.append(link)
    sinks = sink_tables.anchored(settings.sinks, folder)
    return msgspec.structs.replace(
        settings, store=store, tags=tags, page=page, alarms=alarms, links=tuple(links), sinks=sinks
    )
