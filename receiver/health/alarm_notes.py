"""What the station notes of its alarms in the store, so that a restart does not tell them anew.

A note is a row of `events`: a `LogLine` of the link `station` and the decoder `alarms/1`, words for
people in `message`, and in `raw` the JSON below.

    what      on | over | posted (the webhook took the last of these two) | expected (from then on)
    alarm     `radio-silent`…
    subject   link, beacon, sink…
    since     when it began, ISO 8601 UTC
    message, do    of `on`; of `posted`, `on` or `over`
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from protocols.records import LogLine
from receiver.arrivals import Source
from receiver.health.moment import Moment
from receiver.health.snapshot import AlarmSnapshot
from receiver.limits import EVENTS_LOOKED_BACK
from receiver.whereabouts import STATION_LINK

SOURCE: Final = Source(link=STATION_LINK, decoder="alarms/1")

Key: TypeAlias = tuple[str, str]
"""Alarm and subject."""

_NOTES_READ: Final = 2_000


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One note."""

    what: Literal["on", "over", "posted", "expected"]
    alarm: str
    subject: str = ""
    since: str = ""
    message: str = ""
    do: str = ""

    @property
    def key(self) -> Key:
        """The alarm that it is about."""
        return self.alarm, self.subject

    def line(self) -> LogLine:
        """Return the record that carries it into the store."""
        about = " ".join(filter(None, (self.alarm, self.subject)))
        words = f"{self.what}: {about}" + (f": {self.message}" if self.message else "")
        level = "warning" if self.what in ("on", "over") else "info"
        return LogLine(message=words, level=level, raw=msgspec.json.encode(self))


def noted(what: Literal["on", "over"], alarm: AlarmSnapshot) -> Note:
    """Return the note that an alarm is on, or over."""
    return Note(
        what=what,
        alarm=alarm.alarm,
        subject=alarm.subject,
        since=alarm.since,
        message=alarm.message if what == "on" else "",
        do=alarm.do if what == "on" else "",
    )


class NotedAlarms(msgspec.Struct, frozen=True):
    """What the notes of earlier lives of the daemon say."""

    on: Mapping[Key, AlarmSnapshot] = {}
    """Those that were on at its end."""
    to_post: Sequence[Note] = ()
    """The last word on alarms that the webhook did not get: of those on, and of those over whose
    beginning it got."""
    expected: Mapping[Key, Moment] = {}
    """Since when beacons and sinks are expected to be heard of."""


def read_notes(connection: sqlite3.Connection) -> NotedAlarms:
    """Return what the store has noted.

    Raises:
        sqlite3.Error: it cannot be read now.
    """
    last: dict[Key, Note] = {}
    posted: dict[Key, str] = {}
    expected: dict[Key, Moment] = {}
    for raw, moment in _rows(connection):
        try:
            note = msgspec.json.decode(raw or b"", type=Note)
        except msgspec.DecodeError:
            continue  # A newer version's.
        if note.what == "expected":
            expected.setdefault(note.key, moment)
        elif note.what == "posted":
            posted[note.key] = note.message
        else:
            last[note.key] = note
    return NotedAlarms(
        on={key: _alarm(note) for key, note in last.items() if note.what == "on"},
        to_post=[
            note
            for key, note in last.items()
            if posted.get(key) != note.what and (note.what == "on" or posted.get(key) == "on")
        ],
        expected=expected,
    )


def _alarm(note: Note) -> AlarmSnapshot:
    return AlarmSnapshot(
        alarm=note.alarm,
        subject=note.subject,
        since=note.since,
        message=note.message,
        do=note.do,
    )


def _rows(connection: sqlite3.Connection) -> list[tuple[bytes | None, Moment]]:
    rows = connection.execute(
        "SELECT raw, time_ns, time_quality, boot, mono_ns FROM readable_events WHERE id IN ("
        " SELECT id FROM events WHERE source IN"
        " (SELECT id FROM sources WHERE link = ?1 AND decoder = ?2)"
        " AND id > (SELECT coalesce(max(id), 0) FROM events) - ?3 ORDER BY id DESC LIMIT ?4)"
        " ORDER BY id",
        (SOURCE.link, SOURCE.decoder, EVENTS_LOOKED_BACK, _NOTES_READ),
    )
    return [
        (row[0], Moment(utc_ns=row[1], quality=row[2], boot=row[3], mono_ns=row[4])) for row in rows
    ]
