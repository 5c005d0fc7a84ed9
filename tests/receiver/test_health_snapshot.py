"""The snapshot that the page, the commands and the metrics read, of a station that runs."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from conftest import StartStation, Until
from pseudo_terminals import PseudoRadio
from station_process import beep
from watched_station import HOUR_S, MINUTE_S, Machine, settings_of

from protocols.ctt.packet import build_packet, id_from_number
from protocols.framing import cobs_encode
from protocols.station_link.bodies import Packet
from protocols.station_link.frames import build_frame
from receiver.health import watch
from receiver.health.snapshot import StationSnapshot
from receiver.settings import MqttLink, MqttTopic, SerialLink, TagsSettings
from receiver.sink_settings import FolderSink
from receiver.store.activity_queries import hours_listened
from receiver.store.queries import DetectionFilter, Reader
from receiver.store.status_queries import radios
from receiver.watch_settings import AlarmSettings, AntennaSettings


async def test_what_an_antenna_hears_is_told(
    tmp_path: Path,
    plug_in: Callable[[], PseudoRadio],
    machine: Machine,
    start_station: StartStation,
    until: Until,
) -> None:
    radio = plug_in()
    names = tmp_path / "names.csv"
    names.write_text(f"tag_id,name\n{id_from_number(2)},Sanderling 7\n")
    machine.utc_ns = 1_800_000_000 * 10**9 // (3600 * 10**9) * 3600 * 10**9  # A full hour.
    station = await start_station(
        settings_of(
            tmp_path,
            links=(SerialLink(name="ch1", device=radio.device, antenna="north", talk="never"),),
            antennas=(AntennaSettings(name="north", bearing_deg=45.0, kind="yagi"),),
            tags=TagsSettings(names_file=str(names)),
        )
    )
    await until(lambda: station.daemon.links[0].opened)
    radio.say(beep(1, -80) * 2 + b"?junk\r\n" + beep(2, -61))
    await until(lambda: station.daemon.pipeline.heard.detections == 3)
    await station.kept()
    await station.passes(30)
    snapshot = station.daemon.health.snapshot()
    (antenna,) = snapshot.antennas
    assert (antenna.link, antenna.antenna) == ("ch1", "north")
    assert (antenna.bearing_deg, antenna.kind) == (45.0, "yagi")
    assert (antenna.last_tag_id, antenna.last_tag_name) == (id_from_number(2), "Sanderling 7")
    assert (antenna.last_rssi_dbm, antenna.detections, antenna.tags) == (-61, 3, 2)
    assert antenna.detections_by_hour == (*[0] * 23, 3)
    assert antenna.frames == 4
    assert sum(antenna.rejects.values()) == 1
    (link,) = snapshot.links
    assert (link.name, link.kind, link.state) == ("ch1", "serial", "hearing")
    assert (link.frames, link.unknown_frames, link.opened) == (4, 1, 1)
    assert link.rejects == antenna.rejects
    assert (snapshot.detections, snapshot.detections_last_minute, snapshot.tags) == (3, 3, 2)
    assert snapshot.store.detections == 3
    assert snapshot.clock.quality == "ntp"
    await station.leaps(2 * HOUR_S)
    station.daemon.pipeline.flush(with_activity=True)
    await station.kept()
    await station.passes(MINUTE_S)
    snapshot = station.daemon.health.snapshot()
    (antenna,) = snapshot.antennas
    assert antenna.detections == 3
    assert antenna.detections_by_hour[-3:] == (3, 0, 0)
    assert (antenna.frames, antenna.rejects, antenna.tags) == (0, {}, 0)
    assert snapshot.detections_last_minute == 0


async def test_a_snapshot_travels_as_json_and_back(
    tmp_path: Path, start_station: StartStation
) -> None:
    topics = (MqttTopic(topic="a/#", decoder="ctt", antenna="sea"),)
    station = await start_station(
        settings_of(
            tmp_path,
            links=(MqttLink(name="field", broker="mqtt://127.0.0.1:1", topics=topics),),
            sinks=(
                FolderSink(name="stick", folder=str(tmp_path / "stick")),
                FolderSink(name="later", folder=str(tmp_path / "later"), automatic=False),
            ),
        )
    )
    snapshot = station.daemon.health.snapshot()
    told = msgspec.json.decode(msgspec.json.encode(snapshot), type=StationSnapshot)
    assert told == snapshot
    assert [(sink.name, sink.kind) for sink in told.sinks] == [
        ("stick", "folder"),
        ("later", "folder"),
    ]
    assert told.sinks[1].state == "by hand"
    assert [antenna.antenna for antenna in told.antennas] == ["sea"]


async def test_a_snapshot_costs_the_loop_less_than_two_milliseconds(
    tmp_path: Path,
    plug_in: Callable[[], PseudoRadio],
    start_station: StartStation,
    until: Until,
) -> None:
    radio = plug_in()
    link = SerialLink(name="ch1", device=radio.device, antenna="north", talk="never")
    station = await start_station(settings_of(tmp_path, links=(link,)))
    await until(lambda: station.daemon.links[0].opened)
    for number in range(1, 16):
        radio.say(beep(number) * 100)
        await until(lambda: station.daemon.pipeline.heard.detections == 100 * number)  # noqa: B023  Awaited at once.
    costs = []
    for _ in range(20):
        begin = time.thread_time()
        station.daemon.health.snapshot()
        costs.append(time.thread_time() - begin)
    assert min(costs) < 0.002


async def test_the_pace_of_a_ring_that_is_too_short_is_told(
    tmp_path: Path,
    plug_in: Callable[[], PseudoRadio],
    machine: Machine,
    start_station: StartStation,
    until: Until,
) -> None:
    radio = plug_in()
    link = SerialLink(name="ch1", device=radio.device, talk="never")
    station = await start_station(settings_of(tmp_path, links=(link,)))
    await until(lambda: station.daemon.links[0].opened)
    for number in range(1, 21):
        radio.say(beep(number) * 100)
        await until(lambda: station.daemon.pipeline.heard.detections == 100 * number)  # noqa: B023  Awaited at once.
        machine.passes(1)
    told = station.daemon.health.snapshot().detections_last_minute
    assert told == 6000  # A hundred a second, of which the ring has ten seconds.


async def test_the_computers_readings_are_rows_that_disturb_nothing_else(
    tmp_path: Path, kernel: Path, start_station: StartStation
) -> None:
    zone = kernel / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text("51234\n")
    sink = FolderSink(name="stick", folder=str(tmp_path / "stick"), automatic=False)
    station = await start_station(settings_of(tmp_path, sinks=(sink,)))
    await station.passes(25 * MINUTE_S)
    station.daemon.pipeline.flush(with_activity=True)
    await station.kept()
    with Reader(station.daemon.writer.path) as reader:
        rows = reader.connection.execute(
            "SELECT kind, link, antenna, body, raw FROM readable_events WHERE decoder = 'host/1'"
        ).fetchall()
        assert [tuple(row[:3]) for row in rows] == [("StationHealth", "station", None)] * 3
        assert list(hours_listened(reader, DetectionFilter())) == []
        assert list(reader.detections(DetectionFilter())) == []
        assert radios(reader) == []
    measured = msgspec.json.decode(rows[0]["body"])["measurements"]
    assert measured["temperature_c"] == 51.2
    assert measured["waiting_stick"] >= 0
    assert {"disk_free_bytes", "store_used_bytes"} <= set(measured)
    assert len(rows[0]["body"]) < 330


async def test_a_restart_knows_how_fast_the_disk_fills(
    tmp_path: Path, machine: Machine, start_station: StartStation
) -> None:
    settings = settings_of(tmp_path)
    station = await start_station(settings)
    await station.passes(3 * HOUR_S, every_s=600)
    before = station.daemon.health.snapshot().store.bytes_per_day
    assert before is not None
    await station.kept()
    await station.end()
    machine.boot = "boot-b"
    station = await start_station(settings)
    again = station.daemon.health.snapshot().store.bytes_per_day
    assert again is not None
    assert station.daemon.health._known.growth.watched_s > 2.9 * HOUR_S


async def test_a_new_configuration_changes_alarms_antennas_and_names(
    tmp_path: Path, machine: Machine, start_station: StartStation
) -> None:
    link = SerialLink(name="ch1", device=str(tmp_path / "none"), antenna="north")
    station = await start_station(settings_of(tmp_path, links=(link,)))
    names = tmp_path / "names.csv"
    names.write_text("tag_id,name\nAAAAAAAA,one\n")
    new = settings_of(
        tmp_path,
        links=(link,),
        antennas=(AntennaSettings(name="north", bearing_deg=90.0),),
        tags=TagsSettings(names_file=str(names)),
        alarms=AlarmSettings(clock_minutes=2),
    )
    await station.daemon.change(new)
    machine.quality = "unsynchronised"
    await station.passes(3 * MINUTE_S)
    assert ("clock-lost", "") in station.alarms
    assert station.daemon.health.snapshot().antennas[0].bearing_deg == 90.0
    assert station.daemon.health.names.names == {"AAAAAAAA": "one"}


async def test_a_receiver_whose_radios_name_themselves_is_no_antenna_of_its_own(
    tmp_path: Path, plug_in: Callable[[], PseudoRadio], start_station: StartStation, until: Until
) -> None:
    radio = plug_in()
    link = SerialLink(name="esp", device=radio.device, decoder="station-link")
    station = await start_station(settings_of(tmp_path, links=(link,)))
    await until(lambda: station.daemon.links[0].opened)
    (waiting,) = station.daemon.health.snapshot().antennas
    assert (waiting.link, waiting.antenna) == ("esp", None)
    tag = build_packet(id_from_number(1))
    heard = Packet(radio=1, modulation=1, frequency_hz=434_000_000, packet=tag)
    radio.say(cobs_encode(build_frame(heard, seq=1, uptime_us=1)) + b"\0")
    await until(lambda: station.daemon.pipeline.heard.detections == 1)
    (antenna,) = station.daemon.health.snapshot().antennas
    assert (antenna.antenna, antenna.detections) == ("1", 1)


async def test_freed_memory_is_given_back_at_the_start_and_every_ten_minutes(
    tmp_path: Path, start_station: StartStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back: list[bool] = []
    monkeypatch.setattr(watch, "give_back", lambda: given_back.append(True))
    station = await start_station(settings_of(tmp_path))
    assert len(given_back) == 1
    await station.passes(25 * MINUTE_S)
    assert len(given_back) == 3
