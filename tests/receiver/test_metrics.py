"""The metrics as Prometheus's own parser and linter read them."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from conftest import StartStation, Until
from prometheus_client.parser import text_string_to_metric_families
from pseudo_terminals import PseudoRadio
from station_process import beep
from watched_station import MINUTE_S, settings_of

from receiver import metrics
from receiver.health.snapshot import (
    AlarmSnapshot,
    AntennaSnapshot,
    ClockSnapshot,
    HostSnapshot,
    LinkSnapshot,
    SinkSnapshot,
    StationSnapshot,
    StoreSnapshot,
)
from receiver.settings import SerialLink
from receiver.sink_settings import FolderSink

PROMTOOL = shutil.which("promtool")

FULL = StationSnapshot(
    station="marsh",
    version="0.1.0",
    started="2026-05-01T00:00:00Z",
    uptime_s=90.5,
    links=(
        LinkSnapshot(
            name="ch1",
            kind="serial",
            state="hearing",
            opened=2,
            last_heard_s=12.0,
            frames=7,
            unknown_frames=1,
            rejects={"crc": 1, "skipped_bytes": 40},
        ),
        LinkSnapshot(name="ch2", kind="serial", state="failed"),
    ),
    antennas=(
        AntennaSnapshot(link="ch1", antenna="north", detections=5, noise_dbm=-101.5, tags=3),
        AntennaSnapshot(link="ch2", antenna=None, noise_dbfs=-19.3, gain_db=36.4),
    ),
    clock=ClockSnapshot(time="2026-05-01T00:01:30Z", quality="gps", steps=1),
    store=StoreSnapshot(
        path="a.db",
        state="writing",
        store_uuid="u",
        bytes=4096,
        free_bytes=10**9,
        disk_bytes=10**10,
        bytes_per_day=2e6,
        days_left=500.0,
        detections=5,
        dropped_rows=3,
    ),
    sinks=(
        SinkSnapshot(
            name="motus",
            kind="motus",
            state="up to date",
            waiting_rows=4,
            oldest_waiting="2026-05-01T00:00:00.500000Z",
            acknowledged_at="2026-05-01T00:01:00.000000Z",
        ),
    ),
    host=HostSnapshot(
        temperature_c=51.2,
        voltage_v=5.1,
        undervoltage=False,
        throttled=False,
        load_1min=0.1,
        memory_free_bytes=1,
        memory_bytes=2,
        uptime_s=3.0,
        disk_written_bytes=4,
        disk_wear_percent=30.0,
    ),
    alarms=(
        AlarmSnapshot(alarm="disk-low", subject="", since="x", message="m", do="d"),
        AlarmSnapshot(alarm="radio-silent", subject="ch2", since="x", message="m", do="d"),
    ),
    detections=5,
    pulses=11,
)


def samples(text: bytes) -> dict[str, dict[tuple[str, ...], float]]:
    """Return what Prometheus's own parser reads: by name, then by the labels' values."""
    read: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            assert labels not in read.setdefault(sample.name, {})
            read[sample.name][labels] = sample.value
    return read


def test_every_metric_has_its_value() -> None:
    read = samples(metrics.text(FULL))
    assert read["stopover_detections_total"] == {("north", "ch1"): 5, ("", "ch2"): 0}
    assert read["stopover_antenna_noise_dbm"] == {("north", "ch1"): -101.5}
    assert read["stopover_antenna_noise_dbfs"] == {("", "ch2"): -19.3}
    assert read["stopover_antenna_gain_db"] == {("", "ch2"): 36.4}
    assert read["stopover_frames_total"] == {("ch1",): 7, ("ch2",): 0}
    assert read["stopover_frames_unknown_total"] == {("ch1",): 1, ("ch2",): 0}
    assert read["stopover_rejects_total"] == {("ch1", "crc"): 1, ("ch1", "skipped_bytes"): 40}
    assert read["stopover_link_hearing"] == {("ch1",): 1, ("ch2",): 0}
    assert read["stopover_link_state"]["ch2", "failed"] == 1
    assert read["stopover_link_opened_total"] == {("ch1",): 2, ("ch2",): 0}
    assert set(read["stopover_link_last_heard_timestamp_seconds"]) == {("ch1",)}
    assert read["stopover_pulses_total"][()] == 11
    assert read["stopover_clock_good"][()] == 1
    assert read["stopover_clock_steps_total"][()] == 1
    assert read["stopover_store_bytes"][()] == 4096
    assert read["stopover_disk_free_bytes"][()] == 10**9
    assert read["stopover_disk_days_left"][()] == 500
    assert read["stopover_rows_dropped_total"][()] == 3
    assert read["stopover_sink_waiting_rows"] == {("motus",): 4}
    assert read["stopover_sink_acknowledged_timestamp_seconds"] == {("motus",): 1777593660}
    assert read["stopover_cpu_temperature_celsius"][()] == 51.2
    assert read["stopover_supply_volts"][()] == 5.1
    assert read["stopover_undervoltage"][()] == 0
    assert read["stopover_disk_wear_ratio"][()] == 0.3
    assert read["stopover_alarm"] == {("disk-low", ""): 1, ("radio-silent", "ch2"): 1}
    assert read["stopover_build_info"] == {("marsh", "0.1.0"): 1}
    assert read["process_resident_memory_bytes"][()] > 10**6
    assert read["process_cpu_seconds_total"][()] > 0


def test_what_is_not_known_is_absent() -> None:
    bare = StationSnapshot(
        station="marsh",
        version="0.1.0",
        started="x",
        uptime_s=0.0,
        clock=ClockSnapshot(time="x", quality="unsynchronised"),
        store=StoreSnapshot(
            path="a", state="opening", store_uuid="", bytes=0, free_bytes=0, disk_bytes=0
        ),
    )
    read = samples(metrics.text(bare))
    for name in (
        "stopover_cpu_temperature_celsius",
        "stopover_disk_days_left",
        "stopover_undervoltage",
        "stopover_alarm",
    ):
        assert name not in read
    assert read["stopover_clock_good"][()] == 0


def test_names_from_the_air_stay_text_and_do_not_break_the_page() -> None:
    hostile = ('a"\n\\', "a\x1b[2J", "x" * 10_000, "\ud800", "é", 'a"\n\\', "\\x1b", "\x1b")
    antennas = tuple(
        AntennaSnapshot(link="ch1", antenna=name, detections=1) for name in dict.fromkeys(hostile)
    )
    text = metrics.text(msgspec.structs.replace(FULL, antennas=antennas))
    read = samples(text)
    assert len(read["stopover_detections_total"]) == len(dict.fromkeys(hostile)) - 1
    assert max(map(len, text.splitlines())) < 300


def test_every_name_says_its_unit_and_has_help() -> None:
    text = metrics.text(FULL).decode()
    for family in text_string_to_metric_families(text):
        assert family.documentation.endswith((".", "labels."))
        assert family.name.startswith(("stopover_", "process_"))
        assert "tag" not in {label for sample in family.samples for label in sample.labels}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt install prometheus")
def test_prometheuss_linter_finds_nothing_but_that_owners_think_in_days() -> None:
    assert PROMTOOL is not None
    checked = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=metrics.text(FULL), capture_output=True, check=False
    )
    assert (checked.stdout + checked.stderr).decode().splitlines() == [
        'stopover_disk_days_left use base unit "seconds" instead of "days"'
    ]


def test_the_library_is_loaded_by_the_first_scrape_only() -> None:
    loads = "import receiver.metrics, sys; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_the_metrics_of_a_running_station(
    tmp_path: Path,
    plug_in: Callable[[], PseudoRadio],
    start_station: StartStation,
    until: Until,
) -> None:
    radio = plug_in()
    link = SerialLink(name="ch1", device=radio.device, antenna="north", talk="never")
    sink = FolderSink(name="stick", folder=str(tmp_path / "stick"), automatic=False)
    station = await start_station(settings_of(tmp_path, links=(link,), sinks=(sink,)))
    await until(lambda: station.daemon.links[0].opened)
    for number in range(1, 301):
        radio.say(beep(number))
    await until(lambda: station.daemon.pipeline.heard.detections == 300)
    await station.passes(MINUTE_S)
    text = metrics.text(station.daemon.health.snapshot())
    read = samples(text)
    assert read["stopover_detections_total"] == {("north", "ch1"): 300}
    assert read["stopover_antenna_tags_last_hour"] == {("north", "ch1"): 300}
    assert read["stopover_sink_waiting_rows"][("stick",)] >= 300
    assert len(text) < 20_000
