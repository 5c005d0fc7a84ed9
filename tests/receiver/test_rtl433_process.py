"""A real rtl_433 hears synthetic tags from a stick that is a program, and publishes to a broker."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from brokers import Broker
from conftest import Until
from fake_sticks import FakeStick, recording
from live_station import LiveStation

from protocols.ctt.extended import build_extended_packet
from protocols.ctt.packet import build_packet, id_from_number
from protocols.declared_payloads import DeclaredPayload
from protocols.payload_codec import PayloadCodec, PayloadField
from receiver.settings import MqttLink, MqttTopic

RTL_433 = shutil.which("rtl_433")
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "rtl_433" / "rtl_433.conf"
TOPIC = "rtl_433/marsh/events"
TAGS = [id_from_number(number * 2_621) for number in range(1, 41)]
COLD = build_extended_packet("78554C33", form=5, payload=bytes.fromhex("0CFE780C"))

pytestmark = pytest.mark.skipif(
    RTL_433 is None, reason="rtl_433 is not installed: sudo apt-get install rtl-433"
)


@pytest.fixture
async def start_rtl433(tmp_path: Path) -> AsyncIterator[Callable[[FakeStick, Broker], None]]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(stick: FakeStick, broker: Broker) -> None:
        assert RTL_433 is not None
        output = f"mqtt://127.0.0.1:{broker.port},retain=0,qos=1,events={TOPIC}"
        source = f"rtl_tcp:127.0.0.1:{stick.port}"
        with (tmp_path / "rtl_433.log").open("wb") as log:
            processes.append(
                subprocess.Popen(
                    [RTL_433, "-c", CONFIGURATION, "-d", source, "-F", output],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )

    yield start
    for process in processes:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def test_tags_on_the_air_are_detections_in_the_store(
    live: LiveStation,
    broker: Broker,
    start_rtl433: Callable[[FakeStick, Broker], None],
    until: Until,
) -> None:
    layout = PayloadCodec([PayloadField(name="temperature_c", type="i16le", scale=0.01)])
    live.pipeline._payloads = [DeclaredPayload(protocol="ctt-434", format=5, codec=layout)]
    live.hear(
        MqttLink(
            name="stick",
            broker=broker.url,
            topics=(MqttTopic(TOPIC, "rtl433", antenna="whip"),),
        )
    )
    await until(lambda: live.statuses["stick"].opened)
    packets = [*(build_packet(tag) for tag in TAGS), COLD]
    async with FakeStick(recording(packets)) as stick:
        start_rtl433(stick, broker)

        def last_is_there() -> bool:
            return any(row["payload"] for row in live.detections())

        await until(last_is_there)
    await live.end()
    rows = live.detections()
    heard = {row["tag_id"] for row in rows if row["integrity"] == "verified"}
    assert len(heard & set(TAGS)) >= 0.9 * len(TAGS)
    assert all(row["integrity"] != "failed" for row in rows)
    assert {(row["antenna"], row["protocol"]) for row in rows} == {("whip", "ctt-434")}
    # Its levels are relative to full scale: no dBm. Its time is UTC.
    assert all(row["rssi_dbm"] is None and row["snr_db"] > 10 for row in rows)
    told = [row["measurements"] for row in rows]
    assert all(each["rssi_db"] < 0 and each["recorded_at_unix_s"] > 1.7e9 for each in told)
    assert all(abs(each["frequency_hz"] - 434e6) < 50_000 for each in told)
    (cold,) = [row for row in rows if row["payload"]]
    assert (cold["tag_id"], cold["measurements"]["temperature_c"]) == ("78554C33", -5)
