r"""What a host says to a CTT radio, and how to know the answer.

    version\r\n         the radio prints its name and firmware          RadioInfo
    preset:<name>\r\n   the radio listens as that preset says           CommandReply "preset"

A radio hears either tags or nodes. Firmware 3 and later acknowledges a preset with
`{"key":"preset","res":true}` or `{"key":"preset","res":false,"err":"bad arg"}`. Motus Adapters V1
hang when anything is written to them, `version` included.

Source: celltracktech.com station software; SensorGnome's dongle reader.
"""

from protocols.errors import EncodeError, PacketError
from protocols.records import CommandReply, RadioInfo, Record

VERSION = b"version\r\n"

PRESETS = {
    "fsktag": "tags on 434.000 MHz, the default",
    "node3": "nodes on 433.25 MHz",
    "ooktag": "the first tags, on-off keyed; firmware 3 only",
}
"""What a radio listens to under each preset."""

_PRESET_KEY = "preset"


def preset(name: str) -> bytes:
    """Return the command that makes a radio listen as `name` says.

    Raises:
        EncodeError: there is no such preset.
    """
    if name not in PRESETS:
        raise EncodeError(f"preset: {name!r} must be one of {', '.join(PRESETS)}")
    return f"{_PRESET_KEY}:{name}\r\n".encode("ascii")


def read_command(line: bytes) -> tuple[str, str]:
    """Return name and argument of one command line, as a radio takes them: `preset`, `node3`.

    Raises:
        PacketError: the line is not ASCII.
    """
    try:
        name, _, argument = line.decode("ascii").strip().partition(":")
    except UnicodeDecodeError as error:
        raise PacketError(f"command: {line!r} is not ASCII") from error
    return name, argument


def answers(record: Record, command: bytes) -> bool:
    """Tell whether `record` is a radio's answer to `command`, be it yes or no."""
    if command == VERSION:
        return isinstance(record, RadioInfo)
    return isinstance(record, CommandReply) and record.command == read_command(command)[0]
