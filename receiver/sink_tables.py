"""The [[sinks]] tables of the configuration: their example, and what types cannot check."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from receiver import toml_tables
from receiver.setting_types import LOGIN_FILES
from receiver.sink_settings import FolderSink, HttpSink, MotusSink, MqttSink, Sink

_EXAMPLE_VALUES: Mapping[type[msgspec.Struct], Mapping[str, object]] = {
    HttpSink: {"name": "institute", "url": "https://collector.example.org/batches"},
    MqttSink: {"name": "fleet", "broker": "mqtts://broker.example.org"},
    FolderSink: {
        "name": "usb",
        "automatic": False,
        "folder": "/run/stopover-usb",
        "mark_file": ".stopover",
    },
    MotusSink: {"name": "motus", "project": 1, "serial": "SG-1234RPI3ABCD"},
}

_FILES = (*LOGIN_FILES, "token_file", "folder")


def example() -> str:
    """Return the tables of every kind of sink, commented out."""
    lines = ["\n# Where data go: any number of sinks, each with its own mark in the store.\n"]
    explained: set[str] = set()
    for struct, values in _EXAMPLE_VALUES.items():
        lines += ["\n", "# [[sinks]]\n", f"# # {toml_tables.summary(struct)}\n"]
        lines.append(f'# kind = "{struct.__struct_config__.tag}"\n')
        told = list(toml_tables.key_lines(struct, values))
        for field, pair in zip(
            msgspec.structs.fields(struct), zip(told[::2], told[1::2], strict=True), strict=True
        ):
            # What every sink can be told is told once.
            if field.name not in explained or field.name in values:
                lines += (f"# {line}" for line in pair)
            explained.add(field.name)
    return "".join(lines)


def in_words(key: str, said: str) -> str:
    """Return the complaint about a key of a sink in better words."""
    kinds = [f'"{struct.__struct_config__.tag}"' for struct in _EXAMPLE_VALUES]
    words = f"{', '.join(kinds[:-1])} or {kinds[-1]}"
    if "required field `kind`" in said:
        return f"say what it is: kind = {words}"
    return f"{said}: a sink is of kind {words}" if key.endswith("kind") else said


def contradictions(sinks: Sequence[Sink]) -> Iterator[tuple[str, str]]:
    """Yield (key, complaint) for what types cannot say."""
    names: set[str] = set()
    for number, sink in enumerate(sinks):
        at = f"sinks[{number}]"
        if sink.name in names:
            yield f"{at}.name", f"two sinks are called {sink.name!r}: rename one of them"
        names.add(sink.name)
        if not isinstance(sink, FolderSink) and sink.password_file and not sink.username:
            yield f"{at}.password_file", "a password needs a username"
        if isinstance(sink, HttpSink) and sink.token_file and sink.username:
            yield f"{at}.token_file", "either a token or username and password, not both"
        if isinstance(sink, HttpSink) and sink.url.startswith("http://") and sink.ca_file:
            yield f"{at}.url", "without TLS no certificate is checked: write https://"


def anchored(sinks: Sequence[Sink], folder: Path) -> tuple[Sink, ...]:
    """Return the sinks with relative paths taken from `folder`."""
    return tuple(toml_tables.anchored(sink, _FILES, folder) for sink in sinks)
