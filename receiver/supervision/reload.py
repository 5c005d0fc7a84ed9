"""What of a new configuration can be taken over while the station runs."""

import msgspec

from receiver.settings import Settings

_LIVE_SECTIONS = frozenset(
    {"station", "store", "log", "clock", "tags", "page", "links", "alarms", "antennas", "beacons"}
)
_FIXED_KEYS = (("station", "id"), ("store", "path"), ("tags", "known"), ("tags", "known_file"))
"""They name the rows of the open store and the store itself; runs are judged by one list of known
tags while the station runs."""


def taken_over(old: Settings, new: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings in force from now on, and the keys that wait for a restart.

    A key that cannot change while the station runs keeps its old value.
    """
    waiting: list[str] = []
    for section, key in _FIXED_KEYS:
        before, after = getattr(old, section), getattr(new, section)
        if getattr(before, key) != getattr(after, key):
            waiting.append(f"{section}.{key}")
            kept = msgspec.structs.replace(after, **{key: getattr(before, key)})
            new = msgspec.structs.replace(new, **{section: kept})
    for section in Settings.__struct_fields__:
        if section not in _LIVE_SECTIONS and getattr(old, section) != getattr(new, section):
            waiting.append(section)
            new = msgspec.structs.replace(new, **{section: getattr(old, section)})
    return new, tuple(waiting)
