"""A real rtl_433 hears simulated tags from a simulated stick, and publishes to a real broker."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from brokers import Broker
from conftest import Until
from live_station import LiveStation

pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

from protocols.ctt.extended import build_extended_packet
from protocols.ctt.packet import build_packet, id_from_number
from protocols.declared_payloads import DeclaredPayload
from protocols.payload_codec import PayloadCodec, PayloadField
from receiver.settings import MqttLink, MqttTopic
from simulator.iq import RATE_HZ, Burst, IqTape, encoded, fsk_samples
from simulator.rtl_tcp_server import rtl_tcp_server

RTL_433 = shutil.which("rtl_433")
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "rtl_433" / "rtl_433.conf"
TOPIC = "rtl_433/marsh/events"
TAGS = [id_from_number(number * 2_621) for number in range(1, 41)]
COLD = build_extended_packet("78554C33", form=5, payload=bytes.fromhex("0CFE780C"))

GAP_S = 0.1
BLOCK_S = 0.5
FOUR_TIMES = 4 * 2 * RATE_HZ
"""Quicker than a stick, so that the test is; the decoder could go a hundred times as quick."""

pytestmark = pytest.mark.skipif(
    RTL_433 is None, reason="rtl_433 is not installed: sudo apt-get install rtl-433"
)


def on_the_air(packets: Sequence[bytes]) -> Callable[[], Iterator[bytes]]:
    """Return what plays packets 20 dB above the noise, and noise from then on."""

    def blocks() -> Iterator[bytes]:
        tape = IqTape(7)
        for number, packet in enumerate(packets, 1):
            tape.put(Burst(GAP_S * number, fsk_samples(packet), 20))
        until_s = 0.0
        while True:
            until_s += BLOCK_S
            yield encoded(tape.take(until_s), "cu8")

    return blocks


@pytest.fixture
async def start_rtl433(tmp_path: Path) -> AsyncIterator[Callable[[int, Broker], None]]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(port: int, broker: Broker) -> None:
        assert RTL_433 is not None
        output = f"mqtt://127.0.0.1:{broker.port},retain=0,qos=1,events={TOPIC}"
        source = f"rtl_tcp:127.0.0.1:{port}"
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
    start_rtl433: Callable[[int, Broker], None],
    until: Until,
) -> None:
    layout = PayloadCodec([PayloadField(name="temperature_c", type="i16le", scale=0.01)])
    live.pipeline.payloads = [DeclaredPayload(protocol="ctt-434", format=5, codec=layout)]
    live.hear(
        MqttLink(
            name="stick",
            broker=broker.url,
            topics=(MqttTopic(TOPIC, "rtl433", antenna="whip"),),
        )
    )
    await until(lambda: live.statuses["stick"].opened)
    packets = [*(build_packet(tag) for tag in TAGS), COLD]
    async with rtl_tcp_server(on_the_air(packets), bytes_per_s=FOUR_TIMES) as (_, port):
        start_rtl433(port, broker)

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
