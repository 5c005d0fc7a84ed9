"""`stopover run` as a real process: killed, stopped, flooded, unplugged; nothing good is lost."""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TypeAlias

import aiomqtt
import pytest
from brokers import Broker
from conftest import Until
from pseudo_terminals import PseudoRadio, name_port
from station_process import (
    ENDS_WITHIN_S,
    StationProcess,
    beep,
    mqtt_link,
    run_stopover,
    serial_link,
)

from protocols.ctt.packet import id_from_number

MakeStation: TypeAlias = Callable[..., StationProcess]
PlugIn: TypeAlias = Callable[[], PseudoRadio]

READ_WITHIN_S = 0.4
"""From a line in the port to the daemon's read: microseconds, and this on a busy machine."""

IN_FLIGHT = 20
"""Messages that mosquitto hands over before it waits for an acknowledgement."""

LINK_NAMES = ("ch1", "ch2", "ch3")
TOPIC = "marsh/lines"


@pytest.fixture
def make_station(tmp_path: Path) -> Iterator[MakeStation]:
    """Make a station with the links that are given; its process ends with the test."""
    stations: list[StationProcess] = []

    def make(*links: str, commit_interval_s: float = 2.0) -> StationProcess:
        stations.append(StationProcess(tmp_path, links, commit_interval_s=commit_interval_s))
        return stations[-1]

    yield make
    for station in stations:
        station.kill()


class FarSide:
    """Radios and a publisher that know what they handed over, and when."""

    def __init__(self, radios: dict[str, PseudoRadio], broker: Broker) -> None:
        self.said: dict[str, list[tuple[float, str]]] = {name: [] for name in radios}
        """By link: when each tag's line was in the port."""
        self.offered: set[str] = set()
        """Tags whose message went to the broker."""
        self.published: set[str] = set()
        """Those of them that the broker took."""
        self._radios = radios
        self._broker = broker
        self._numbers = iter(range(1, 1_000_000))

    async def talk(self) -> None:
        """Print a few hundred lines a second at each radio, each of another tag."""
        while True:
            for link, radio in self._radios.items():
                number = next(self._numbers)
                radio.say(beep(number))
                self.said[link].append((time.monotonic(), tag(number)))
            await asyncio.sleep(0.003)

    async def publish(self) -> None:
        """Publish some hundred messages a second, each of another tag."""
        async with aiomqtt.Client("127.0.0.1", self._broker.port) as client:
            while True:
                number = next(self._numbers)
                self.offered.add(tag(number))
                await client.publish(TOPIC, beep(number), qos=1)
                self.published.add(tag(number))
                await asyncio.sleep(0.005)

    def said_between(self, begin: float, end: float) -> dict[str, set[str]]:
        """Return by link the tags whose line came into the port between two moments."""
        return {
            link: {tag for when, tag in lines if begin <= when < end}
            for link, lines in self.said.items()
        }


def tag(number: int) -> str:
    return id_from_number(number)


@contextlib.asynccontextmanager
async def under_way(*work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run coroutines while the block lasts."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        while not all(task.done() for task in tasks):
            # Before Python 3.12 `wait_for` may swallow a cancellation, so once is not enough.
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.1)
    for task in tasks:
        assert task.cancelled(), task.exception()


@pytest.mark.parametrize("with_broker", [False, True])
async def test_a_killed_station_has_all_that_was_older_than_its_commit_interval(
    make_station: MakeStation, plug_in: PlugIn, broker: Broker, until: Until, *, with_broker: bool
) -> None:
    # A link that waits for acknowledgements makes every commit early: serial links alone wait.
    dice = random.Random(11)
    radios = {link: plug_in() for link in LINK_NAMES}
    commit_interval_s = 0.8
    links = [serial_link(link, radio.device) for link, radio in radios.items()]
    if with_broker:
        links.append(mqtt_link("field", broker.url, TOPIC))
    station = make_station(*links, commit_interval_s=commit_interval_s)
    far_side = FarSide(radios, broker)
    talk = [far_side.talk, far_side.publish] if with_broker else [far_side.talk]
    must_be_there: dict[str, set[str]] = {link: set() for link in radios}
    for _ in range(4):
        await station.start_and_hear()
        began = time.monotonic()
        async with under_way(*(each() for each in talk)):
            await asyncio.sleep(dice.uniform(0.3, 3.0))
            killed_at = time.monotonic()
            station.kill()
        safe_before = killed_at - commit_interval_s - READ_WITHIN_S
        for link, tags in far_side.said_between(began, safe_before).items():
            must_be_there[link] |= tags
    await station.start_and_hear()
    await until(lambda: far_side.published <= set(station.heard("field")))
    station.send(signal.SIGTERM)
    assert await station.ended() == 0

    for link, tags in must_be_there.items():
        kept = station.heard(link)
        assert tags - set(kept) == set()
        said = [each for _, each in far_side.said[link]]
        assert kept == [each for each in said if each in set(kept)]
    assert sum(map(len, must_be_there.values())) > 300
    assert far_side.published <= set(station.heard("field")) <= far_side.offered
    with contextlib.closing(sqlite3.connect(station.store)) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_an_unacknowledged_message_comes_again_after_a_kill(
    make_station: MakeStation, broker: Broker, until: Until
) -> None:
    station = make_station(mqtt_link("field", broker.url, TOPIC))
    await station.start_and_hear()
    await until(station.has_store)
    with contextlib.closing(sqlite3.connect(station.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # What arrives now cannot be stored.
        await broker.publish(TOPIC, *map(beep, range(50)))
        await station.tells(IN_FLIGHT, "tag heard first")
        station.kill()
    assert station.heard("field") == []
    await station.start_and_hear()
    await until(lambda: len(station.heard("field")) >= 50)
    station.send(signal.SIGTERM)
    assert await station.ended() == 0
    assert set(station.heard("field")) == set(map(tag, range(50)))


@pytest.mark.parametrize("world", ["well", "port dead and broker away"])
async def test_sigterm_puts_everything_into_the_store_and_ends_in_time(
    make_station: MakeStation, plug_in: PlugIn, broker: Broker, until: Until, world: str
) -> None:
    radio = plug_in()
    station = make_station(
        serial_link("ch1", radio.device),
        mqtt_link("field", broker.url, TOPIC),
        commit_interval_s=60,
    )
    await station.start_and_hear()
    await broker.publish(TOPIC, *[beep(3)] * 20, beep(4))
    await station.tells(2, "tag heard first")
    await until(lambda: station.has_store() and len(station.heard("field")) == 21)
    # These wait in memory: nobody but the interval of a minute, or the end, commits them.
    for _ in range(100):
        radio.say(beep(1))
    radio.say(beep(2))
    await station.tells(4, "tag heard first")
    if world != "well":
        radio.unplug()
        broker.kill()
        await station.tells(2, "link lost")
    began = time.monotonic()
    station.send(signal.SIGTERM)
    assert await station.ended() == 0
    assert time.monotonic() - began < ENDS_WITHIN_S
    assert station.heard("ch1") == [tag(1)] * 100 + [tag(2)]
    assert station.heard("field") == [tag(3)] * 20 + [tag(4)]
    assert station.log()[-1]["event"] == "station stopped"


async def test_a_second_sigterm_does_no_harm(make_station: MakeStation, plug_in: PlugIn) -> None:
    radio = plug_in()
    station = make_station(serial_link("ch1", radio.device), commit_interval_s=60)
    await station.start_and_hear()
    for number in range(20):
        radio.say(beep(number))
    await station.tells(20, "tag heard first")
    for _ in range(3):
        station.send(signal.SIGTERM)
    assert await station.ended() == 0
    assert station.heard("ch1") == list(map(tag, range(20)))


async def test_two_stations_cannot_have_one_store(
    make_station: MakeStation, plug_in: PlugIn, tmp_path: Path
) -> None:
    station = make_station(serial_link("ch1", plug_in().device))
    await station.start_and_hear()
    second = await asyncio.to_thread(
        run_stopover, "run", "-c", station.configuration, folder=tmp_path
    )
    assert second.returncode == 1
    assert f"{station.store}: another `stopover run` has this store" in second.stderr
    assert "Traceback" not in second.stderr
    station.send(signal.SIGTERM)
    assert await station.ended() == 0


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ('[store]\npath = "x.db"\n', "links"),
        ("[store]\ncommit_intervall = 2\n", "commit_interval"),
        (
            '[[links]]\nkind = "serial"\nname = "ch1"\ndevice = "/dev/x"\nbaud_rate = "fast"\n',
            "baud",
        ),
        ("[store\n", "not TOML"),
    ],
)
def test_a_wrong_configuration_ends_it_with_status_2_and_the_key(
    tmp_path: Path, configuration: str, said: str
) -> None:
    path = tmp_path / "stopover.toml"
    path.write_text(configuration)
    result = run_stopover("run", "-c", path, folder=tmp_path)
    assert result.returncode == 2
    assert str(path) in result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == [path]


async def test_a_radio_that_comes_back_under_another_number_is_heard_again(
    make_station: MakeStation, plug_in: PlugIn, tmp_path: Path
) -> None:
    by_path = tmp_path / "by-path"
    first = plug_in()
    name_port(by_path, first)
    station = make_station(serial_link("ch1", by_path))
    await station.start_and_hear()
    first.say(beep(1))
    await station.tells(1, "tag heard first")
    second = plug_in()
    assert second.device != first.device
    by_path.unlink()
    first.unplug()
    await station.tells(1, "link lost")
    name_port(by_path, second)
    await station.tells(1, "link found again")
    second.say(beep(2))
    await station.tells(2, "tag heard first")
    station.send(signal.SIGTERM)
    assert await station.ended() == 0
    assert station.heard("ch1") == [tag(1), tag(2)]
    levels = [line["level"] for line in station.log() if line["event"].startswith("link ")]
    assert levels == ["info", "warning", "warning"]


async def test_a_flood_of_garbage_on_one_link_does_not_disturb_another(
    make_station: MakeStation, plug_in: PlugIn, until: Until
) -> None:
    flooding, quiet = plug_in(), plug_in()
    station = make_station(
        serial_link("flood", flooding.device), serial_link("quiet", quiet.device)
    )
    await station.start_and_hear()
    dice = random.Random(1)
    garbage = dice.randbytes(100_000)
    flooded_bytes = 0

    async def flood() -> None:
        nonlocal flooded_bytes
        while True:
            with contextlib.suppress(BlockingIOError):
                start = flooded_bytes % len(garbage)
                flooded_bytes += os.write(flooding._radio, garbage[start : start + 4096])
            await asyncio.sleep(0.001)

    async with under_way(flood()):
        for _ in range(200):
            quiet.say(beep(1))
            await asyncio.sleep(0.002)
        quiet.say(beep(2))
        await until(lambda: tag(2) in [line.get("tag") for line in station.log()])
    station.send(signal.SIGTERM)
    assert await station.ended() == 0
    assert station.heard("quiet") == [tag(1)] * 200 + [tag(2)]
    assert flooded_bytes > 100_000
    assert not [line for line in station.log() if line["level"] == "error"]
    with contextlib.closing(sqlite3.connect(station.store)) as store:
        kept = store.execute("SELECT count(*), max(length(raw)) FROM unknown_frames").fetchone()
    assert 0 < kept[0] <= 60 * 10
    assert kept[1] <= 4096
