"""The running station hands on what it hears: over MQTT, with its status and a live feed beside."""

import asyncio
import contextlib
import json
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import aiomqtt
import pytest
from brokers import Broker
from pseudo_terminals import PseudoRadio
from station_process import StationProcess, beep, serial_link

from receiver.collector.collector import Collector, opened
from receiver.collector.mqtt import MqttFront
from receiver.collector.settings import DatabaseSettings, MqttSettings

Until: TypeAlias = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
def make_station(tmp_path: Path) -> Iterator[Callable[..., StationProcess]]:
    stations: list[StationProcess] = []

    def make(*links: str) -> StationProcess:
        stations.append(StationProcess(tmp_path, links, commit_interval_s=0.1))
        return stations[-1]

    yield make
    for station in stations:
        station.kill()


async def test_what_the_station_hears_arrives_and_its_mark_moves(
    tmp_path: Path,
    broker: Broker,
    plug_in: Callable[[], PseudoRadio],
    make_station: Callable[..., StationProcess],
    until: Until,
) -> None:
    collector = Collector(opened(DatabaseSettings(url=str(tmp_path / "collected.db"))))
    front = MqttFront(MqttSettings(broker=broker.url), collector)
    collecting = asyncio.create_task(front.run())
    await until(lambda: front.is_listening)
    radio = plug_in()
    station = make_station(serial_link("ch1", radio.device))
    with station.configuration.open("a", encoding="utf-8") as file:
        file.write(
            f'\n[[sinks]]\nkind = "mqtt"\nname = "fleet"\nbroker = "{broker.url}"\n'
            "interval = 0.1\nlive = true\n"
        )
    heard: list[tuple[str, dict[str, Any]]] = []

    async def listen() -> None:
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            await client.subscribe("stopover/marsh/#", qos=1)
            async for message in client.messages:
                with contextlib.suppress(ValueError):
                    payload = json.loads(bytes(message.payload))
                    heard.append((str(message.topic).rsplit("/", 1)[-1], payload))

    listening = asyncio.create_task(listen())
    await station.start_and_hear()
    for number in range(20):
        radio.say(beep(number))
    await until(lambda: collector.rows_new >= 20 and kept(tmp_path) == 20)
    await until(lambda: mark(station) == 20)
    await until(
        lambda: any(topic == "status" and told["state"] == "online" for topic, told in heard)
    )
    radio.say(beep(77))
    await until(lambda: any(topic == "live" for topic, _ in heard))
    live = next(told for topic, told in heard if topic == "live")
    assert (live["link"], live["protocol"]) == ("ch1", "ctt-434")
    station.send(signal.SIGTERM)
    assert await station.ended() == 0
    await until(
        lambda: [told["state"] for topic, told in heard if topic == "status"][-1] == "offline"
    )
    for task in (listening, collecting):
        task.cancel()
    await asyncio.gather(listening, collecting, return_exceptions=True)
    collector.close()


def kept(folder: Path) -> int:
    with contextlib.closing(sqlite3.connect(folder / "collected.db")) as connection:
        (found,) = connection.execute("SELECT count(*) FROM detections").fetchone()
        return int(found)


def mark(station: StationProcess) -> int:
    with contextlib.closing(sqlite3.connect(station.store)) as connection:
        found = connection.execute("SELECT acknowledged_seq FROM sink_marks").fetchone()
        return int(found[0]) if found else 0
