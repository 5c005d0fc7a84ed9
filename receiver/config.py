"""The configuration file: the example that explains it, and the check of what an owner wrote.

Both are made from the structs in `receiver.settings`; there is no second list of keys.
"""

import difflib
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Meta

from protocols import registry
from protocols.errors import UnknownDecoderError
from receiver.settings import Link, MqttLink, MqttTopic, SerialLink, Settings

_HEADER = """\
# The configuration of this station. Check it with:  stopover check -c FILE
# What is commented out stands at its default.
"""

_EXAMPLE_LINKS = """\
# Each radio is a link; name as many as there are.

{serial}
# Radios that publish over MQTT:

{mqtt}"""

_EXAMPLE_VALUES: Mapping[str, Mapping[str, object]] = {
    "SerialLink": {"name": "ch1", "device": "/dev/serial/by-path/…", "antenna": "north"},
    "MqttLink": {
        "name": "field",
        "broker": "mqtts://broker.example.org",
        "topics": [{"topic": "stopover/+/lines", "decoder": "ctt"}],
    },
}


class ConfigError(Exception):
    """A configuration that cannot be used; the message names file, key and what would be right."""


def example(station_id: str = Settings().station.id) -> str:
    """Return a commented configuration that `parse` accepts, every key with its help."""
    parts = [_HEADER]
    for section, struct in _sections():
        parts.append(f"\n[{section}]\n# {_summary(struct)}\n")
        chosen = {"id": station_id} if section == "station" else {}
        parts.append("".join(_key_lines(struct, chosen)))
    serial, mqtt = (_example_link(struct) for struct in (SerialLink, MqttLink))
    parts.append("\n" + _EXAMPLE_LINKS.format(serial=serial, mqtt=mqtt))
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
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: this is not TOML: {error}") from error
    complaints = list(_unknown_keys(tree, Settings, ""))
    if complaints:
        raise ConfigError("\n".join(_at_line(path, text, key, said) for key, said in complaints))
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        key, said = _where(str(error))
        raise ConfigError(_at_line(path, text, key, said)) from error
    for key, said in _contradictions(settings):
        raise ConfigError(_at_line(path, text, key, said))
    return _anchored(settings, path.absolute().parent)


def warnings(settings: Settings) -> Iterator[str]:
    """Yield what is allowed but is often a mistake."""
    for link in settings.links:
        if isinstance(link, SerialLink) and re.fullmatch(r"/dev/tty(USB|ACM)\d+", link.device):
            yield (
                f"link {link.name}: {link.device} may name another radio after a restart;"
                " take its by-path name from `stopover ports`"
            )


def _sections() -> Iterator[tuple[str, type[msgspec.Struct]]]:
    for field in msgspec.structs.fields(Settings):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield field.name, field.type


def _summary(struct: type) -> str:
    return (struct.__doc__ or "").splitlines()[0]


def _example_link(struct: type[msgspec.Struct]) -> str:
    kind = struct.__struct_config__.tag
    lines = [f"[[links]]\n# {_summary(struct)}\n", f'kind = "{kind}"\n']
    lines += _key_lines(struct, _EXAMPLE_VALUES[struct.__name__])
    return "".join(f"# {line}" for line in lines[0].splitlines(keepends=True) + lines[1:])


def _key_lines(struct: type[msgspec.Struct], chosen: Mapping[str, object]) -> Iterator[str]:
    hints = typing.get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        meta = _meta(hints[field.name])
        yield f"# {meta.description if meta else ''} {_allowed(hints[field.name])}".rstrip() + "\n"
        if field.name in chosen:
            yield f"{field.name} = {_toml(chosen[field.name])}\n"
        else:
            value = "" if field.default is None else _toml(field.default)
            yield f"# {field.name} = {value}".rstrip() + "\n"


def _meta(hint: Any) -> Meta | None:  # noqa: ANN401  A type hint has no type.
    metas = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Meta)]
    return next((each for each in reversed(metas) if each.description), None)


def _allowed(hint: Any) -> str:  # noqa: ANN401  A type hint has no type.
    """Return the allowed values or range of a setting in brackets, "" where anything goes."""
    inner = getattr(hint, "__origin__", hint)
    if typing.get_origin(inner) is typing.Literal:
        return f"[{' | '.join(value or '(empty)' for value in typing.get_args(inner))}]"
    for meta in getattr(hint, "__metadata__", ()):
        if meta.ge is not None and meta.le is not None:
            return f"[{meta.ge} to {meta.le}]"
    return ""


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return msgspec.json.encode(value).decode()


def _unknown_keys(tree: object, wanted: Any, at: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Yield (key, complaint) for every key that no struct knows, with the nearest one that does."""
    if isinstance(tree, list):
        elements = typing.get_args(wanted)
        for number, each in enumerate(tree if elements else ()):
            yield from _unknown_keys(each, elements[0], f"{at}[{number}]")
        return
    struct = _struct_for(tree, wanted)
    if struct is None or not isinstance(tree, dict):
        return
    fields = {
        field.name: _bare(hint)
        for field, hint in zip(
            msgspec.structs.fields(struct), typing.get_type_hints(struct).values(), strict=True
        )
    }
    for key, value in tree.items():
        where = f"{at}.{key}" if at else key
        if key in fields:
            yield from _unknown_keys(value, fields[key], where)
        elif key != struct.__struct_config__.tag_field:
            near = difflib.get_close_matches(key, [*fields, *_keys_in_sections()], n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(fields)}"
            yield where, f"there is no such key; {hint}"


def _bare(hint: Any) -> Any:  # noqa: ANN401  A type hint has no type.
    return hint.__origin__ if hasattr(hint, "__metadata__") else hint


def _keys_in_sections() -> Iterator[str]:
    for section, struct in _sections():
        for field in msgspec.structs.fields(struct):
            yield f"{section}.{field.name}"


def _struct_for(tree: object, wanted: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401
    """Return the struct that a piece of the tree is to become; a link is told by its kind."""
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return wanted
    if isinstance(wanted, types.UnionType) and isinstance(tree, dict):
        structs: tuple[type[msgspec.Struct], ...] = typing.get_args(wanted)
        for each in structs:
            if issubclass(each, msgspec.Struct) and each.__struct_config__.tag == tree.get("kind"):
                return each
    return None


def _where(message: str) -> tuple[str, str]:
    """Return (key, complaint) of one of msgspec's messages, with the setting's own help."""
    match = re.fullmatch(r"(?P<said>.*) - at `\$\.?(?P<key>.*)`", message, re.DOTALL)
    key, said = (match["key"], match["said"]) if match else ("", message)
    if key.endswith("kind"):
        said += ": a link is of kind serial or mqtt"
    if "required field `kind`" in said:
        said = 'say what it is: kind = "serial" or kind = "mqtt"'
    last = key.rsplit(".", 1)[-1]
    for struct in (*(each for _, each in _sections()), SerialLink, MqttLink, MqttTopic):
        hint = typing.get_type_hints(struct, include_extras=True).get(last)
        meta = _meta(hint)
        if meta:
            said = re.sub(r" matching regex '.*'", " of another form", said)
            return key, f"{said}: {meta.description} {_allowed(hint)}".rstrip()
    return key, said


def _at_line(path: Path, text: str, key: str, said: str) -> str:
    """Return the complaint with the file, the line where the key seems to stand, and the key."""
    last = re.sub(r"\[\d+\]", "", key).rsplit(".", 1)[-1]
    index = int(found[-1]) if (found := re.findall(r"links\[(\d+)\]", key)) else 0
    pattern = re.compile(rf"^\s*(\[*\s*)?{re.escape(last)}\s*[=\].]", re.MULTILINE)
    matches = list(pattern.finditer(text)) if last else []
    line = ""
    if matches:
        match = matches[min(index, len(matches) - 1)]
        line = f"{text.count(chr(10), 0, match.end()) + 1}:"
    return f"{path}:{line} {key or 'configuration'}: {said}"


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


def _wrong_decoders(link: Link, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(link, SerialLink):
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
            if isinstance(link, SerialLink) and entry.framing == "message":
                yield key, f"{name!r} decodes messages, not a serial stream"


def _anchored(settings: Settings, folder: Path) -> Settings:
    """Return the settings with relative paths taken from `folder`."""
    store = msgspec.structs.replace(settings.store, path=str(folder / settings.store.path))
    files = ("password_file", "ca_file", "certificate_file", "key_file")
    links: list[Link] = []
    for link in settings.links:
        if isinstance(link, MqttLink):
            given = {name: getattr(link, name) for name in files}
            anchored = {name: str(folder / file) for name, file in given.items() if file}
            links.append(msgspec.structs.replace(link, **anchored))
        else:
            links.append(link)
    return msgspec.structs.replace(settings, store=store, links=tuple(links))
