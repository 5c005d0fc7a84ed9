"""`stopover listen`: what a running station hears, as somebody at the antenna sees it."""

import asyncio
import contextlib
import functools
import json
import os
import pty
import signal
import subprocess
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from conftest import Until
from pseudo_terminals import PseudoRadio
from station_process import STOPOVER, StationProcess, beep, run_stopover, serial_link

from protocols.ctt.packet import id_from_number
from protocols.records import LogLine
from receiver.cli.large_number import large
from receiver.cli.packet_line import (
    NARROW,
    WIDE,
    Columns,
    bar,
    columns_for,
    heading,
    interval,
    line,
)
from receiver.cli.walking import beep_interval_s
from receiver.live import LiveDetection
from receiver.store.queries import Reader
from receiver.walk_test import mark_of

PlugIn: TypeAlias = Callable[[], PseudoRadio]
tag = id_from_number


def told(**changes: object) -> LiveDetection:
    values = {
        "number": 1,
        "time": "2026-05-12T04:32:10.123456Z",
        "time_quality": "ntp",
        "link": "ch1",
        "antenna": "north",
        "protocol": "ctt-434",
        "tag_id": "78664C33",
        "tag_name": None,
        "is_known": False,
        "integrity": "verified",
        "id_legal": True,
        "rssi_dbm": -70.0,
        "snr_db": None,
        "noise_dbm": None,
        "frequency_offset_hz": None,
        "relay_id": None,
        "interval_s": None,
    }
    return LiveDetection(**{**values, **changes})  # type: ignore[arg-type]  # One test, one change.


def shows(listener: "Listener", words: str) -> bool:
    return words in listener.said()


class Listener:
    """A running `stopover listen`, on a terminal or not."""

    def __init__(self, folder: Path, *arguments: str, terminal: bool = False) -> None:
        self._said = b""
        self._keys = -1
        if terminal:
            self._keys, port = pty.openpty()
            tty.setraw(port)
            self._read_from, write_to = self._keys, port
        else:
            self._read_from, write_to = os.pipe()
        self._run = subprocess.Popen(
            [STOPOVER, "listen", *arguments],
            cwd=folder,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
            stdin=port if terminal else subprocess.DEVNULL,
            stdout=write_to,
            stderr=write_to,
            start_new_session=True,
        )
        os.close(write_to)
        os.set_blocking(self._read_from, False)

    def said(self) -> str:
        """Return all that it has printed so far."""
        with contextlib.suppress(BlockingIOError, OSError):
            while chunk := os.read(self._read_from, 65536):
                self._said += chunk
        return self._said.decode("utf-8", "replace")

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._keys, keys.encode())

    async def ended(self) -> int:
        """Wait for its end."""
        return await asyncio.to_thread(self._run.wait, 60)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._run.send_signal(signal.SIGINT)

    def close(self) -> None:
        """End it in any case."""
        if self._run.poll() is None:
            self._run.kill()
            self._run.wait()
        os.close(self._read_from)


Listen: TypeAlias = Callable[..., Listener]


class Field:
    """A station with two radios."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.north, self.south = PseudoRadio(), PseudoRadio()
        links = [
            serial_link("ch1", self.north.device, 'antenna = "north"'),
            serial_link("ch2", self.south.device, 'antenna = "south"'),
        ]
        self.station = StationProcess(folder, links, commit_interval_s=0.05)
        names = folder / "names.csv"
        names.write_text(f"tag_id,name\n{tag(1)},Greta\n{tag(4)},Hans\n", encoding="utf-8")
        text = self.station.configuration.read_text(encoding="utf-8")
        self.station.configuration.write_text(
            text.replace('id = "marsh"', 'id = "marsh"\nlatitude = 52.5\nlongitude = 4.25')
            + f'[page]\nport = 0\n[tags]\nnames_file = "{names}"\n',
            encoding="utf-8",
        )

    async def start(self) -> None:
        """Start the daemon, hear both links open, and see its store."""
        await self.station.start_and_hear()
        async with asyncio.timeout(20):
            while not self.station.has_store():  # noqa: ASYNC110  It tells nobody.
                await asyncio.sleep(0.005)

    async def restart(self) -> None:
        """Stop the daemon as systemd does, and start it again."""
        self.station.send(signal.SIGTERM)
        assert await self.station.ended() == 0
        await self.start()

    def end(self) -> None:
        """End it."""
        self.station.kill()
        self.north.unplug()
        self.south.unplug()


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """Return a running station with two radios; each test has tags of its own."""
    field = Field(tmp_path_factory.mktemp("field"))
    asyncio.run(field.start())
    yield field
    field.end()


@pytest.fixture
def listen(field: Field) -> Iterator[Listen]:
    """Start `stopover listen`; it ends with the test."""
    listeners: list[Listener] = []

    def start(*arguments: str, terminal: bool = False) -> Listener:
        listeners.append(
            Listener(field.folder, "--db", "station.db", *arguments, terminal=terminal)
        )
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close()


async def test_packets_are_shown_as_they_come(field: Field, listen: Listen, until: Until) -> None:
    listener = listen()
    await until(lambda: "integrity" in listener.said())
    field.north.say(beep(1, -61))
    await until(lambda: tag(1) in listener.said())
    field.south.say(beep(2, -90))
    await until(lambda: tag(2) in listener.said())
    field.north.say(beep(1, -62))
    await until(lambda: "-62" in listener.said())
    lines = listener.said().splitlines()
    head = next(each for each in lines if each.startswith("time UTC"))
    first, second, third = [each for each in lines if tag(1) in each or tag(2) in each]
    assert "UTC" in lines[0]
    assert first[head.index("antenna") :].startswith("north")
    assert first[head.index("tag") :].startswith(tag(1))
    assert second[head.index("tag") :].startswith(tag(2))
    assert ("Greta" in first, "first" in first) == (True, True)
    assert third.rstrip().endswith(" s")
    assert "\x1b" not in listener.said()
    listener.interrupt()
    assert await listener.ended() == 0


async def test_a_terminal_gets_colours_and_no_colour_turns_them_off(
    field: Field, listen: Listen, until: Until
) -> None:
    coloured, plain = listen(terminal=True), listen("--no-colour", terminal=True)
    field.north.say(beep(3))
    for listener in (coloured, plain):
        await until(functools.partial(shows, listener, tag(3)))
    assert "\x1b[32m" in coloured.said()
    assert "\x1b[32m" not in plain.said()


async def test_filters_choose_tag_antenna_integrity_and_listed_tags(
    field: Field, listen: Listen, until: Until
) -> None:
    everything = listen("--json")
    chosen = {
        "tag": listen("--json", "--tag", tag(5).lower()),
        "antenna": listen("--json", "--antenna", "south"),
        "known": listen("--json", "--known-only"),
        "integrity": listen("--json", "--min-integrity", "verified"),
    }
    damaged = beep(4).replace(beep(4)[:2], b"00", 1)
    field.north.say(damaged)
    field.south.say(beep(5))
    field.north.say(beep(4))

    own = {tag(4), tag(5), f"00{tag(4)[2:]}"}

    def tags(listener: Listener) -> list[tuple[str, str]]:
        rows = [json.loads(each) for each in listener.said().splitlines() if each[:1] == "{"]
        return [(row["tag_id"], row["integrity"]) for row in rows if row["tag_id"] in own]

    await until(lambda: len(tags(everything)) == 3)
    good_north, good_south = (tag(4), "verified"), (tag(5), "verified")
    await until(lambda: tags(chosen["tag"]) == [good_south])
    await until(lambda: tags(chosen["antenna"]) == [good_south])
    await until(lambda: tags(chosen["known"]) == [good_north])
    await until(lambda: sorted(tags(chosen["integrity"])) == sorted([good_north, good_south]))


async def test_a_filter_that_names_what_is_not_there_says_what_is_and_waits(
    field: Field, listen: Listen, until: Until
) -> None:
    wrong = listen("--antenna", "nort", "--link", "ch3", "--tag", tag(21))
    walk = listen("--walk-test", tag(21))
    never = f"{tag(21)} was never heard by this station"
    for hint in (
        "no antenna nort here so far. There are: north, south. Did you mean north?",
        "no link ch3 here so far. There are: ch1, ch2.",
        never,
    ):
        await until(functools.partial(shows, wrong, hint))
    await until(lambda: never in walk.said() and "waiting for" in walk.said())
    field.north.say(beep(21, -47))
    await until(lambda: "-47" in walk.said())
    await until(lambda: tag(21) in field.station.heard("ch1"))
    other = listen("--link", "ch2")
    await until(lambda: "integrity" in other.said())
    field.south.say(beep(22, -48))
    await until(lambda: "-48" in other.said())
    assert "-47" not in other.said()
    right = listen("--antenna", "north", "--link", "ch1", "--tag", tag(21))
    await until(lambda: "-47" in right.said())
    assert not [line for line in right.said().splitlines() if line.startswith("-- ")]


async def test_it_survives_the_restart_of_the_station_and_says_so(
    field: Field, listen: Listen, until: Until
) -> None:
    listener = listen()
    field.north.say(beep(6, -41))
    await until(lambda: "-41" in listener.said())
    await field.restart()
    await until(lambda: "the station is back" in listener.said())
    field.north.say(beep(7, -43))
    await until(lambda: "-43" in listener.said())
    assert listener.said().count("waiting for the station") == 1
    assert listener.said().count("-41") == 1


async def test_it_leaves_the_station_as_it_is(field: Field, listen: Listen, until: Until) -> None:
    told_before = len(field.station.log())
    listener = listen()
    field.north.say(beep(8))
    await until(lambda: tag(8) in listener.said())
    listener.interrupt()
    assert await listener.ended() == 0
    assert {each["event"] for each in field.station.log()[told_before:]} <= {
        "tag heard first",
        "last minute",
    }


def test_without_a_daemon_it_says_what_to_do(tmp_path: Path) -> None:
    done = run_stopover("listen", "--db", "none.db", folder=tmp_path)
    assert done.returncode == 1
    assert "no daemon runs" in done.stderr
    assert "stopover run" in done.stderr


@pytest.mark.parametrize("option", ["--tag", "--walk-test"])
@pytest.mark.parametrize("told", ["", "  "])
def test_a_tag_must_be_named(tmp_path: Path, option: str, told: str) -> None:
    result = run_stopover("listen", "--db", "a.db", option, told, folder=tmp_path)
    assert (result.returncode, f"{option} names no tag" in result.stderr) == (2, True)


def test_marks_belong_to_a_walk(tmp_path: Path) -> None:
    done = run_stopover("listen", "--db", "none.db", "--mark", folder=tmp_path)
    assert done.returncode == 2
    assert "--walk-test" in done.stderr


def marks(field: Field, tag_id: str) -> list[LogLine]:
    """Return the marks of a tag in the store."""
    with Reader(field.station.store) as reader:
        rows = reader.connection.execute(
            "SELECT body, raw FROM readable_events WHERE decoder = 'walk-test/1'"
        ).fetchall()
    lines = [LogLine(message=json.loads(body)["message"], raw=raw) for body, raw in rows]
    return [line for line in lines if tag_id in line.message]


async def test_a_mark_is_kept_with_levels_position_and_words(
    field: Field, listen: Listen, until: Until
) -> None:
    listener = listen("--walk-test", tag(9), "--mark", "--note", "by the gate", "--at", "52.1,4.5")
    await until(lambda: f"waiting for {tag(9)}" in listener.said())
    field.north.say(beep(9, -55))
    assert await listener.ended() == 0, listener.said()
    await until(lambda: marks(field, tag(9)))
    (kept,) = marks(field, tag(9))
    mark = mark_of(kept)
    assert mark is not None
    assert (mark.latitude, mark.longitude, mark.position_from) == (52.1, 4.5, "given")
    assert (mark.levels_dbm, mark.best_dbm) == ({"north": -55.0}, {"north": -55.0})
    assert mark.text == "by the gate"
    assert "by the gate" in kept.message


async def test_what_was_heard_before_the_walk_does_not_count(
    field: Field, listen: Listen, until: Until
) -> None:
    field.north.say(beep(11, -33))
    await until(lambda: tag(11) in field.station.heard("ch1"))
    everything = listen("--tag", tag(11))
    listener = listen("--walk-test", tag(11), "--for", "2")
    await until(lambda: "-33" in everything.said())
    assert await listener.ended() == 0
    assert "-33" not in listener.said()


async def test_a_walk_on_a_terminal_shows_the_level_beeps_and_marks_by_a_key(
    field: Field, listen: Listen, until: Until
) -> None:
    listener = listen("--walk-test", tag(10), terminal=True)
    await until(lambda: "not heard" in listener.said())
    field.north.say(beep(10, -44))
    field.south.say(beep(10, -81))
    await until(lambda: "-44 dBm" in listener.said() and "-81" in listener.said())
    await until(lambda: listener.said().count("\a") > 2)
    listener.press("m")
    await until(lambda: marks(field, tag(10)))
    mark = mark_of(marks(field, tag(10))[0])
    assert mark is not None
    assert mark.best_dbm == {"north": -44.0, "south": -81.0}
    assert (mark.latitude, mark.position_from) == (52.5, "station")
    listener.press("n")
    await until(lambda: "note:" in listener.said())
    listener.press("at the old oak\n")
    await until(lambda: len(marks(field, tag(10))) == 2)
    assert "at the old oak" in marks(field, tag(10))[1].message
    listener.press("q")
    assert await listener.ended() == 0


@pytest.mark.parametrize(("columns", "width"), [(NARROW, 80), (WIDE, 101)])
def test_a_hostile_tag_stays_text_and_stays_in_its_column(columns: Columns, width: int) -> None:
    hostile = told(
        tag_id="\x1b]0;x\x07TAG" * 9,
        tag_name="\x1b[31m" + "w" * 90,
        antenna="\u202eab" * 9,
        rssi_dbm=-123.4,
        interval_s=86_000.0,
    )
    shown = line(hostile, columns).plain
    assert shown.isprintable()
    assert len(shown) == len(heading(columns)) == width
    assert columns_for(width) is columns


@pytest.mark.parametrize(
    ("snr_db", "words"), [(44.2, "44dB"), (-3.0, "-3dB"), (-1e6, "-99dB"), (1e6, "99dB")]
)
def test_a_radio_that_knows_no_dbm_tells_what_stands_above_its_noise(
    snr_db: float, words: str
) -> None:
    for columns in (NARROW, WIDE):
        shown = line(told(rssi_dbm=None, snr_db=snr_db), columns).plain
        assert f" {words} " in shown
        assert len(shown) == len(heading(columns))
    louder, weaker = (line(told(rssi_dbm=None, snr_db=each), WIDE).plain for each in (50.0, 10.0))
    assert louder.count("█") > weaker.count("█")
    assert " -70 " in line(told(snr_db=snr_db), WIDE).plain


@pytest.mark.parametrize(
    ("level", "filled"), [(None, 0), (-200.0, 0), (-120.0, 0), (-75.0, 5), (-30.0, 10), (0.0, 10)]
)
def test_the_bar_is_as_long_as_the_level_is_high(level: float | None, filled: int) -> None:
    drawn = bar(level, 10)
    assert len(drawn) == 10
    assert drawn.count("█") + drawn.count("#") == filled


def test_intervals_are_told_in_seconds_minutes_and_hours() -> None:
    assert [interval(each) for each in (None, 5.04, 90, 7200)] == [
        "first",
        "5.0 s",
        "1.5 min",
        "2.0 h",
    ]


def test_a_level_is_drawn_large_in_five_lines() -> None:
    drawn = large(-71, "#").split("\n")
    assert len(drawn) == 5
    assert drawn[2].split() == ["######", "##", "##"]
    assert len(large(-123.4)) < 5 * 80


def test_the_beep_quickens_with_the_level() -> None:
    levels = (None, -130.0, -120.0, -80.0, -50.0, -30.0, -10.0)
    beeps = [beep_interval_s(level) for level in levels]
    assert beeps == sorted(beeps, reverse=True)
    assert (beeps[0], beeps[-1]) == (2.0, 0.15)
