"""The walk test in a terminal: one tag, its level large, beeps that quicken with it, marks kept."""

import contextlib
import datetime as dt
import os
import queue
import select
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from receiver.cli import packet_line
from receiver.cli.large_number import large
from receiver.cli.live_feed import Event, FoundAgain, Lost, events, must_run
from receiver.live import LiveDetection
from receiver.log import escaped
from receiver.walk_test import MISSED_AFTER_S, AntennaOnWalk, Walk
from receiver.web.local_client import LocalStationError

_SLOWEST_BEEP_S: Final = 2.0
_FASTEST_BEEP_S: Final = 0.15
_DRAWN_EVERY_S: Final = 0.25
_BAR: Final = 40


class WalkScreen:
    """One walk: takes what the daemon hears and what is typed, and draws."""

    def __init__(
        self,
        store: Path,
        tag_id: str,
        *,
        at: tuple[float, float] | None,
        words: str,
        beeps: bool,
        plain: bool,
    ) -> None:
        """`at` is where the walker is, for marks; else they bear the station's position.

        `words` go with every mark that has none of its own.
        """
        self._store = store
        self._walk = Walk(tag_id)
        self._at = at
        self._words = words
        self._is_terminal = sys.stdout.isatty() and sys.stdin.isatty()
        self._beeps = beeps and sys.stdout.isatty()
        self._console = Console(no_color=plain or None, highlight=False, soft_wrap=True)
        self._told = ""
        self._next_beep_s = 0.0
        self._waiting: queue.SimpleQueue[Event | str] = queue.SimpleQueue()
        self._failed: Exception | None = None
        self._terminal: list[Any] = []
        self._typing = threading.Event()

    def run(self, *, seconds: float | None, mark_and_end: bool) -> None:
        """Walk until `q`, until so many seconds are over, or until one mark is kept.

        Raises:
            ClickException: no daemon runs, or the mark cannot be kept, or nothing was heard.
        """
        must_run(self._store)
        self._begin()
        began = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S.%f}"
        ends_s = None if seconds is None else time.monotonic() + seconds
        threading.Thread(target=self._listen, args=(began,), daemon=True).start()
        with contextlib.ExitStack() as stack:
            if self._is_terminal and not mark_and_end:
                stack.enter_context(self._keys())
                live = stack.enter_context(
                    Live(console=self._console, auto_refresh=False, screen=True)
                )
            else:
                live = None
                click.echo(f"-- waiting for {escaped(self._walk.tag_id)}", err=True)
            while ends_s is None or time.monotonic() < ends_s:
                event = self._next_event()
                if event in ("q", "\x03", "\x04") or self._failed is not None:
                    break
                self._take(event, live)
                if mark_and_end and self._walk.antennas:
                    click.echo(self.mark(self._words))
                    return
        if self._failed is not None:
            raise click.ClickException(str(self._failed)) from self._failed
        if mark_and_end:
            click.echo(self.mark(self._words))

    def mark(self, words: str) -> str:
        """Keep a mark in the store; return what was kept, in words.

        Raises:
            ClickException: the daemon did not take it.
        """
        here: dict[str, object] = {"tag_id": self._walk.tag_id, "note": words}
        if self._at is not None:
            here |= {"latitude": self._at[0], "longitude": self._at[1]}
        try:
            return str(must_run(self._store).post("/api/walk-test/mark", here)["kept"])
        except LocalStationError as error:
            raise click.ClickException(f"the mark is not kept: {error}: {error.do}") from error

    def _begin(self) -> None:
        """Let the daemon follow the walk too: its marks tell the best levels."""
        with contextlib.suppress(LocalStationError, click.ClickException):
            must_run(self._store).post("/api/walk-test", {"tag_id": self._walk.tag_id})

    def _listen(self, began: str) -> None:
        """Hand on what is heard of the tag, in a thread of its own; what was before is left out."""
        try:
            for event in events(self._store, tag=self._walk.tag_id):
                if not isinstance(event, LiveDetection) or event.time >= began:
                    self._waiting.put(event)
        except Exception as error:  # noqa: BLE001  It is told where the walk is drawn.
            self._failed = error
            self._waiting.put(None)

    def _next_event(self) -> Event | str:
        try:
            return self._waiting.get(timeout=self._longest_wait_s())
        except queue.Empty:
            return None

    def _longest_wait_s(self) -> float:
        """Return how long nothing has to be drawn, nor to beep."""
        to_beep_s = self._next_beep_s - time.monotonic()
        return to_beep_s if 0 < to_beep_s < _DRAWN_EVERY_S else _DRAWN_EVERY_S

    def _take(self, event: Event | str, live: Live | None) -> None:
        now_s = time.monotonic()
        if isinstance(event, str):
            self._key(event, live)
        elif isinstance(event, Lost):
            self._tell(f"{event.reason}; waiting for the station", live)
        elif isinstance(event, FoundAgain):
            self._begin()
            self._tell("the station is back", live)
        elif event is not None:
            antenna = self._walk.heard(event, now_s)
            if antenna is not None and live is None:
                self._console.print(self._line(antenna))
                sys.stdout.flush()
        self._beep(now_s)
        if live is not None:
            live.update(self._screen(now_s), refresh=True)

    def _tell(self, words: str, live: Live | None) -> None:
        self._told = words
        if live is None:
            click.echo(f"-- {words}", err=True)

    def _key(self, key: str, live: Live | None) -> None:
        if key not in ("m", "n", "\r", "\n", " "):
            return
        words = self._words
        if key == "n" and live is not None:
            words = self._asked(live)
        try:
            self._told = self.mark(words)
        except click.ClickException as error:
            self._told = error.format_message()

    def _asked(self, live: Live) -> str:
        """Ask for the words of a mark, with the terminal as it is for typing."""
        live.stop()
        self._typing.set()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._terminal)
        try:
            return input("note: ")
        except EOFError:
            return ""
        finally:
            tty.setcbreak(sys.stdin)
            self._typing.clear()
            live.start()

    @contextlib.contextmanager
    def _keys(self) -> Iterator[None]:
        """Hand on each key as it is pressed, while the block runs."""
        self._terminal = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        threading.Thread(target=self._read_keys, daemon=True).start()
        try:
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._terminal)

    def _read_keys(self) -> None:
        descriptor = sys.stdin.fileno()
        while True:
            ready, _, _ = select.select([descriptor], [], [], _DRAWN_EVERY_S)
            if self._typing.is_set() or not ready:
                continue
            key = os.read(descriptor, 1).decode("ascii", "replace")
            if key == "n":
                self._typing.set()  # What follows is the note's.
            self._waiting.put(key or "q")
            if not key:
                return

    def _beep(self, now_s: float) -> None:
        """Ring the terminal's bell, the faster the stronger the tag is."""
        strongest = self._walk.strongest(now_s)
        if not self._beeps or strongest is None or now_s < self._next_beep_s:
            return
        self._next_beep_s = now_s + beep_interval_s(strongest.drawn_dbm)
        self._console.bell()

    def _line(self, antenna: AntennaOnWalk) -> Text:
        newest, best, unit = _levels(antenna)
        style = packet_line.level_style(antenna.drawn_dbm)
        return Text("  ").join(
            (
                Text(f"{dt.datetime.now(dt.UTC):%H:%M:%S}", "dim"),
                Text(escaped(antenna.antenna).ljust(12)),
                Text("" if newest is None else f"{newest:.0f} {unit}".rjust(8), style),
                Text(packet_line.bar(antenna.drawn_dbm, _BAR // 2), style),
                Text("" if best is None else f"best {best:.0f}"),
            )
        )

    def _screen(self, now_s: float) -> Panel:
        strongest = self._walk.strongest(now_s)
        level, _, unit = (None, None, "") if strongest is None else _levels(strongest)
        if strongest is None or level is None:
            head = Text("not heard" if strongest is None else "heard", "bold")
        else:
            number = large(level, packet_line.full_block())
            drawn = packet_line.bar(strongest.drawn_dbm, _BAR)
            style = packet_line.level_style(strongest.drawn_dbm)
            head = Text(f"{number}\n\n{drawn} {level:.0f} {unit}", f"bold {style}")
        lines: list[Text] = [head, Text()]
        for each in self._walk.antennas.values():
            ago = now_s - each.heard_s
            style = "dim" if ago > MISSED_AFTER_S else packet_line.level_style(each.drawn_dbm)
            newest, best, _ = _levels(each)
            told = (
                escaped(each.antenna)[:14].ljust(14),
                ("-" if newest is None else f"{newest:.0f}").rjust(5),
                "best",
                ("-" if best is None else f"{best:.0f}").rjust(5),
                f"{each.heard:5d} heard",
                f"{ago:6.0f} s ago",
            )
            lines.append(Text(" ".join(told), style))
        lines += [Text(), Text(escaped(self._told), "cyan"), Text("m mark   n note   q end", "dim")]
        title = f"walk test: {escaped(self._walk.tag_id)}"
        return Panel(Group(*lines), title=title)


def _levels(antenna: AntennaOnWalk) -> tuple[float | None, float | None, str]:
    """Return the newest and the best level of an antenna, and their unit."""
    if antenna.best_dbm is not None:
        return antenna.newest_dbm, antenna.best_dbm, "dBm"
    return antenna.newest_snr_db, antenna.best_snr_db, "dB over the noise"


def beep_interval_s(level_dbm: float | None) -> float:
    """Return the time between two beeps: 2 s at the noise, 0.15 s at the antenna, by ratio."""
    if level_dbm is None:
        return _SLOWEST_BEEP_S
    span = packet_line.STRONGEST_DBM - packet_line.WEAKEST_DBM
    part = min(1.0, max(0.0, (level_dbm - packet_line.WEAKEST_DBM) / span))
    return float(_SLOWEST_BEEP_S * (_FASTEST_BEEP_S / _SLOWEST_BEEP_S) ** part)
