"""Every emitter is heard: on real pseudo-terminals and a real broker, by the station's own code."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from brokers import Broker
from coded_pulses import KNOT, WREN, MadeUpTag, write_list

from protocols.lorawan import ChirpStackDecoder, TheThingsStackDecoder
from protocols.records import Detection, RadioInfo
from protocols.rtl433 import Rtl433Decoder
from protocols.station_link.decoder import StationLinkDecoder
from receiver.daemon import Daemon
from receiver.scoring.score import score
from receiver.scoring.truth_rows import read_truth as read_scored_truth
from receiver.settings import Settings
from receiver.store.errors import StoreError
from receiver.store.queries import DetectionFilter, Reader
from simulator.demo import simulated_ports
from simulator.mqtt_radio import MqttRadios, mqtt_radios
from simulator.play import play, play_at_once
from simulator.positions import Position
from simulator.scenario import Scenario
from simulator.stations import Radio, RadioKind, Station
from simulator.tags import Tag
from simulator.truth import Reception, Transmission, TruthRow
from simulator.truth_file import read_truth
from simulator.world import World

HERE = Position(50.0, 8.0)
TAGS = (
    Tag(tag_id="78664C33", position=HERE.moved(100, 0), interval_s=1, first_beep_s=0.6),
    Tag(
        tag_id="6161527F",
        position=HERE.moved(0, 100),
        interval_s=1,
        first_beep_s=0.8,
        kind="data-tag",
    ),
    Tag(
        tag_id="0A0B0C0D",
        position=HERE.moved(50, 0),
        interval_s=1,
        first_beep_s=0.7,
        kind="blu-tag",
    ),
    Tag(
        tag_id="70B3D57E00000001",
        position=HERE.moved(0, 500),
        interval_s=2,
        first_beep_s=0.9,
        kind="lora-tag",
    ),
)


def station(*kinds: RadioKind, server: Any = "chirpstack") -> Scenario:  # noqa: ANN401  A literal of the radio's.
    radios = tuple(
        Radio(name=f"r{number}", kind=kind, antenna=f"a{number}", server=server)
        for number, kind in enumerate(kinds, start=1)
    )
    return Scenario(
        name="test",
        shows="a test",
        stations=(Station(name="marsh", position=HERE, radios=radios),),
        tags=TAGS,
        duration_s=30,
    )


@contextlib.asynccontextmanager
async def running(
    folder: Path, links: list[dict[str, Any]], coded_ids: Path | None = None
) -> AsyncIterator[Daemon]:
    tree = {
        "station": {"id": "marsh"},
        "store": {"path": str(folder / "s.db"), "commit_interval": 0.1},
        "links": links,
        "tags": {} if coded_ids is None else {"coded_ids": str(coded_ids)},
    }
    daemon = Daemon(msgspec.convert(tree, Settings))
    task = asyncio.create_task(daemon.run())
    try:
        yield daemon
    finally:
        daemon.stop()
        await task


def stored(folder: Path) -> Counter[tuple[str, str]]:
    return Counter((row["tag_id"], row["link"]) for row in detections(folder))


def detections(folder: Path, wanted: DetectionFilter | None = None) -> list[dict[str, Any]]:
    with contextlib.suppress(StoreError), Reader(folder / "s.db") as reader:
        return list(reader.detections(wanted or DetectionFilter()))
    return []  # The store is still being made.


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110  The store announces nothing.
            await asyncio.sleep(0.05)


async def test_the_daemon_hears_everything_that_is_plugged_in(tmp_path: Path) -> None:
    scenario = station("ctt", "blu", "station-link")
    async with simulated_ports(scenario, truth=tmp_path / "truth") as ports:
        links = [
            {
                "kind": "serial",
                "name": port.name,
                "device": port.device,
                "decoder": port.decoder,
                **({"poll_interval": 5} if port.decoder == "ctt-blu" else {}),
            }
            for port in ports
        ]
        wanted = {
            ("78664C33", "r1"),
            ("0A0B0C0D", "ctt-blu"),
            ("78664C33", "station-link"),
            ("6161527F", "station-link"),
        }
        async with running(tmp_path, links):
            await until(lambda: wanted <= set(stored(tmp_path)))
    heard = stored(tmp_path)
    assert {tag for tag, _ in heard} == {"78664C33", "6161527F", "0A0B0C0D"}
    rows = read_truth(tmp_path / "truth")
    printed = sum(isinstance(row, Reception) and row.outcome == "printed" for row in rows)
    assert sum(heard.values()) <= printed
    with Reader(tmp_path / "s.db") as reader:
        told = score(read_scored_truth(tmp_path / "truth"), reader.detections(DetectionFilter()))
    assert told.false_by_cause == {}


async def test_the_daemon_hears_coded_tags_in_a_live_stream_of_pulses(tmp_path: Path) -> None:
    # Pulses carry the station's own time, so the world goes no faster than life: short intervals.
    listed = [
        msgspec.structs.replace(WREN, interval_s=0.5),
        msgspec.structs.replace(KNOT, interval_s=0.7),
    ]
    scenario = msgspec.structs.replace(
        station("pulses", "pulses"), tags=tuple(map(coded_tag, listed))
    )
    tag_list = write_list(tmp_path / "tags.csv", *listed)
    likely = DetectionFilter(min_confidence="likely")
    wanted = {(tag.tag_id, port) for tag in listed for port in ("1", "2")}
    async with simulated_ports(scenario, truth=tmp_path / "truth") as (port,):
        link = {
            "kind": "serial",
            "name": port.name,
            "device": port.device,
            "decoder": port.decoder,
        }
        async with running(tmp_path, [link], tag_list):
            await until(lambda: set(map(_tag_and_antenna, detections(tmp_path, likely))) == wanted)
    heard = detections(tmp_path)
    assert set(map(_tag_and_antenna, heard)) == wanted
    assert {row["decoder"] for row in heard} == {"coded-id/1"}
    assert all(row["run"] is not None for row in heard)
    told = score(read_scored_truth(tmp_path / "truth"), heard)
    assert told.false_by_cause == {}
    assert told.total.time_error.p99_ms is not None
    assert told.total.time_error.p99_ms < 5


def _tag_and_antenna(row: dict[str, Any]) -> tuple[str, str]:
    return row["tag_id"], row["antenna"]


def coded_tag(listed: MadeUpTag) -> Tag:
    return Tag(
        tag_id=listed.tag_id,
        kind="coded-tag",
        position=HERE.moved(0, 500),
        interval_s=listed.interval_s,
        jitter_s=0.0002,
        gaps_ms=listed.gaps_ms,
        power_dbm=-10,
    )


@pytest.mark.parametrize(
    ("server", "uplinks"),
    [("chirpstack", "application/+/device/+/event/up"), ("ttn", "v3/+/devices/+/up")],
)
async def test_the_daemon_hears_everything_that_is_published(
    tmp_path: Path, broker: Broker, server: str, uplinks: str
) -> None:
    kinds: tuple[RadioKind, ...] = ("ctt", "station-link", "rtl433", "lorawan", "lorawan")
    world = World(station(*kinds, server=server))
    topics = [
        {"topic": "stopover/marsh/lines/+", "decoder": "ctt"},
        {"topic": "stopover/marsh/frames", "decoder": "station-link"},
        {"topic": "rtl_433/+/events", "decoder": "rtl433"},
        {"topic": uplinks, "decoder": server},
    ]
    link = {"kind": "mqtt", "name": "field", "broker": broker.url, "topics": topics}
    rows: list[TruthRow] = []
    async with running(tmp_path, [link]), mqtt_radios(broker.url) as radios:
        # Whoever subscribes later misses what came before: ask until somebody hears.
        async with asyncio.timeout(60):
            while not stored(tmp_path):
                await broker.publish("stopover/marsh/lines/probe", b"61337F34,-70")
                await asyncio.sleep(0.05)
        await play(world, [radios], rows.append, speed=30)
        await radios.drained()
        printed = sum(isinstance(r, Reception) and r.outcome == "printed" for r in rows)
        await until(lambda: sum(stored(tmp_path).values()) >= 0.9 * printed)
    sent = {tag.tag_id for tag in TAGS if tag.kind != "blu-tag"}
    assert {tag for tag, _ in stored(tmp_path)} == sent | {"61337F34"}
    uplinks_heard = [row for row in detections(tmp_path) if row["decoder"] == f"{server}/1"]
    assert {row["tag_id"] for row in uplinks_heard} == {"70B3D57E00000001"}


@pytest.mark.parametrize("server", ["chirpstack", "ttn"])
async def test_one_uplink_tells_of_every_gateway(server: str) -> None:
    radios = MqttRadios()
    rows: list[TruthRow] = []
    play_at_once(World(station("lorawan", "lorawan", server=server)), [radios], rows.append)
    radios.flush()
    decoder = ChirpStackDecoder() if server == "chirpstack" else TheThingsStackDecoder()
    heard = [record for _, payload in queued(radios) for record in decoder.decode(payload)]
    sent = [row for row in rows if isinstance(row, Transmission) and row.band == "lora"]
    assert len(heard) == 2 * len(sent)
    for record in heard:
        assert isinstance(record, Detection)
        assert record.tag_id == "70B3D57E00000001"
        assert record.measurements is not None
        assert record.measurements["latitude"] == pytest.approx(50.0)
    counters = [
        record.measurements["f_cnt"]
        for record in heard
        if isinstance(record, Detection) and record.measurements
    ]
    assert counters == [count // 2 for count in range(len(heard))]


async def test_a_stick_tells_whole_packets_of_both_lengths() -> None:
    radios = MqttRadios()
    play_at_once(World(station("rtl433")), [radios])
    decoder = Rtl433Decoder()
    records = [record for _, payload in queued(radios) for record in decoder.decode(payload)]
    heard = Counter(
        (record.tag_id, record.integrity) for record in records if isinstance(record, Detection)
    )
    assert len(records) == sum(heard.values())
    assert set(heard) == {("78664C33", "verified"), ("6161527F", "verified")}


async def test_frames_over_mqtt_begin_with_hello_and_count_on() -> None:
    radios = MqttRadios()
    play_at_once(World(station("station-link")), [radios])
    decoder = StationLinkDecoder()
    records = [record for _, payload in queued(radios) for record in decoder.decode(payload)]
    assert isinstance(records[0], RadioInfo)
    assert all(isinstance(record, Detection) for record in records[1:])
    assert len(records) > 50


def queued(radios: MqttRadios) -> list[tuple[str, bytes]]:
    messages = []
    while not radios._waiting.empty():
        messages.append(radios._waiting.get_nowait())
    return messages
