"""A software radio's first seconds: the stick streams at once, the worker takes time to load.

rtl_tcp samples 2,048,000 times a second until it is told otherwise. Source: osmocom's rtl_tcp.c.
"""

import asyncio
import contextlib
import sys

import pytest
from conftest import Until
from live_station import LiveStation

pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

from protocols.rtl_tcp import (
    COMMAND,
    GREETING,
    SET_FREQUENCY,
    SET_PPM,
    SET_SAMPLE_RATE,
    TUNER_R820T,
)
from receiver.links.spell import Spell
from receiver.radio_settings import SoftwareRadioLink
from receiver.radio_worker.pace import Pace


class Stick:
    """Greets, and notes what it is told."""

    def __init__(self) -> None:
        self.commands: dict[int, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk with one client until it leaves."""
        writer.write(GREETING.build({"tuner": TUNER_R820T, "gains": 29}))
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                asked = COMMAND.parse(await reader.readexactly(COMMAND.sizeof()))
                self.commands[asked.number] = asked.argument
        writer.close()


async def test_the_link_itself_tunes_the_stick_before_there_is_a_worker(
    live: LiveStation, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    stick = Stick()
    async with await asyncio.start_server(stick.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        live.hear(SoftwareRadioLink(name="stick", source=f"rtl_tcp://127.0.0.1:{port}", ppm=7))
        await until(lambda: SET_FREQUENCY in stick.commands)
        await live.end()
    assert stick.commands == {SET_SAMPLE_RATE: 250_000, SET_PPM: 7, SET_FREQUENCY: 433_950_000}


def test_what_waited_before_the_worker_began_is_gone_through_before_anything_is_given_up() -> None:
    pace = Pace(3, 0.0)
    for now_s, waiting_s in ((0.1, 0.2), (0.4, 5.0), (5.0, 4.0), (10.0, 2.0), (11.0, 0.3)):
        assert not pace.look(waiting_s, now_s)
        assert (pace.level, pace.is_starting) == (0, True)
    pace.look(0.3, 12.1)
    assert not pace.is_starting
    pace.look(2.0, 13.0)
    assert pace.level == 1, "once it had caught up, it falls behind"


def test_a_worker_that_falls_behind_while_it_starts_thins_before_samples_are_dropped_unasked() -> (
    None
):
    pace = Pace(3, 0.0)
    assert not pace.look(5.9, 3.0)
    assert pace.level == 0
    assert not pace.look(6.1, 4.0)
    assert pace.level == 2, "the thinnest at once"
    assert not pace.look(6.5, 5.9), "which is given time to help"
    assert pace.look(6.5, 6.1)


def test_what_comes_and_goes_is_told_when_it_begins_and_when_it_stayed_away() -> None:
    spell = Spell(3)
    looks = [False, True, False, True, True, False, False, True, False, False, False, False, True]
    told = [spell.look(is_so=is_so) for is_so in looks]
    assert [place for place, news in enumerate(told) if news == "begins"] == [1, 12]
    assert [place for place, news in enumerate(told) if news == "ends"] == [10]


def test_a_processor_that_never_catches_up_is_not_waited_for_long() -> None:
    pace = Pace(3, 0.0)
    pace.look(3.0, 19.9)
    assert pace.level == 0
    pace.look(3.0, 20.1)
    assert pace.level == 1
