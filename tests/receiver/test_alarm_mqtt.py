"""The retained status over MQTT says which alarms are on, at once when that changes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from brokers import Broker
from conftest import StartStation, Until
from watched_station import MINUTE_S, Machine, settings_of

from receiver.sink_settings import MqttSink
from receiver.watch_settings import AlarmSettings


async def retained(broker: Broker) -> dict[str, Any] | None:
    """Return the status that the broker keeps, for somebody who comes now."""
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("stopover/marsh/status", qos=1)
        try:
            async with asyncio.timeout(0.3):
                async for message in client.messages:
                    return dict(json.loads(bytes(message.payload)))
        except TimeoutError:
            return None
    return None


async def until_retained(broker: Broker, alarms: list[str]) -> dict[str, Any]:
    """Wait until the broker keeps these alarms."""
    async with asyncio.timeout(60):
        while True:
            status = await retained(broker)
            if status and [each["alarm"] for each in status.get("alarms", ())] == alarms:
                return status


async def test_an_alarm_is_in_the_retained_status_until_it_is_over(
    tmp_path: Path, broker: Broker, machine: Machine, start_station: StartStation
) -> None:
    # Nothing else is sent: no collector runs, and nothing is heard.
    sink = MqttSink(name="fleet", broker=broker.url, interval=3600, also=())
    settings = settings_of(tmp_path, sinks=(sink,), alarms=AlarmSettings(clock_minutes=10))
    station = await start_station(settings)
    machine.quality = "unsynchronised"
    await station.passes(12 * MINUTE_S)
    status = await until_retained(broker, ["clock-lost"])
    assert status["state"] == "online"
    (alarm,) = status["alarms"]
    assert alarm["since"] == station.alarm().since
    assert set(alarm) == {"alarm", "subject", "since", "message", "do"}
    machine.quality = "ntp"
    await station.passes(2 * MINUTE_S)
    assert (await until_retained(broker, []))["state"] == "online"
    await station.end()
    assert await retained(broker) == {"state": "offline"}


async def test_an_alarm_during_a_brokers_absence_is_told_when_it_is_back(
    tmp_path: Path,
    broker: Broker,
    start_station: StartStation,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("receiver.sinks.mqtt.SINK_RETRY_FIRST_S", 0.05)
    sink = MqttSink(name="fleet", broker=broker.url, interval=3600, also=())
    settings = settings_of(tmp_path, sinks=(sink,), alarms=AlarmSettings(clock_minutes=10))
    broker.kill()
    station = await start_station(settings)
    ((runner, _),) = station.daemon.uploads._kept
    mqtt: Any = runner._sink
    station.machine.quality = "unsynchronised"
    await station.passes(12 * MINUTE_S)
    assert station.alarms == [("clock-lost", "")]
    await until(mqtt._alarms_changed.is_set)
    broker.start()
    await until_retained(broker, ["clock-lost"])
