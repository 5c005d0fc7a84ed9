"""Each alarm made to happen on a simulated fault, and to end: told once, and once when over."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers import free_port
from conftest import StartStation, Until
from fault_injection import Faults, failing
from pseudo_terminals import PseudoRadio
from small_disks import SmallDisk, small_disk
from station_process import beep
from structlog.testing import capture_logs
from watched_station import HOUR_S, MINUTE_S, Machine, settings_of

from protocols.ctt.packet import id_from_number
from receiver.links.intake import LinkState, LinkStatus
from receiver.settings import SerialLink
from receiver.sink_settings import HttpSink
from receiver.sinks.uploads import write_note
from receiver.store.outbox import SinkNote
from receiver.store.writer import Batch, StoreState
from receiver.watch_settings import AlarmSettings, BeaconSettings

TAG = id_from_number(1)


@pytest.fixture
def log() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def told(log: list[Any], *, since: int = 0) -> list[tuple[str, str]]:
    """Return what the log tells at warning and above: its event, and whom it is about."""
    return [
        (line["event"], line.get("alarm") or line.get("link") or "")
        for line in log[since:]
        if line["log_level"] in ("warning", "error")
    ]


def ch1(radio: PseudoRadio, **more: Any) -> SerialLink:  # noqa: ANN401  Settings have many types.
    return SerialLink(name="ch1", device=radio.device, antenna="north", talk="never", **more)


async def test_a_radio_that_falls_silent_is_an_alarm_until_it_is_heard(
    tmp_path: Path,
    plug_in: Callable[[], PseudoRadio],
    start_station: StartStation,
    until: Until,
    log: list[Any],
) -> None:
    radio = plug_in()
    station = await start_station(settings_of(tmp_path, links=(ch1(radio, silent_after=130),)))
    (status,) = station.daemon.links

    async def passes(minutes: int) -> None:
        for _ in range(minutes):
            await station.passes(MINUTE_S)
            # A silent radio's port is opened again, which takes its own time.
            await until(lambda: status.state not in (LinkState.FAILED, LinkState.STARTING))

    await until(lambda: status.opened)
    radio.say(beep(1))
    await until(lambda: status.state is LinkState.HEARING)
    await passes(4)
    assert station.alarms == []
    await passes(6)
    assert station.alarms == [("radio-silent", "ch1")]
    assert "radio silent for" in station.alarm().message
    assert "power, cable" in station.alarm().do
    assert "ALARM ch1: silent for" in station.daemon.status_line()
    while station.alarms:
        heard = status.last_heard_mono_ns
        await until(lambda: _is_heard(radio, status, heard))  # noqa: B023  Awaited at once.
        await passes(1)
    events = [event for event, _ in told(log)]
    # The supervision of links tells of radios; the alarm does not tell it again.
    assert events.count("radio stays silent") == 1
    assert events.count("radio is back after an alarm") == 1
    assert [event for event in events if event.startswith("alarm")] == []


def _is_heard(radio: PseudoRadio, status: LinkStatus, before: int | None) -> bool:
    radio.say(beep(1))  # Lost while its port is opened again.
    return status.state is LinkState.HEARING and status.last_heard_mono_ns != before


async def test_a_store_that_is_taken_away_is_an_alarm_until_it_is_put_back(
    tmp_path: Path, start_station: StartStation, log: list[Any]
) -> None:
    station = await start_station(settings_of(tmp_path))
    store, elsewhere = tmp_path / "marsh.db", tmp_path / "elsewhere.db"
    await station.passes(2 * MINUTE_S)
    assert station.alarms == []
    store.rename(elsewhere)
    await station.passes(MINUTE_S)
    assert station.alarms == [("store-failing", str(store))]
    assert "put the same file back" in station.alarm().do
    store.write_bytes(elsewhere.read_bytes())  # A copy is another file.
    await station.passes(3 * MINUTE_S)
    assert station.alarms == [("store-failing", str(store))]
    elsewhere.replace(store)
    await station.passes(5 * MINUTE_S)
    assert station.alarms == []
    assert told(log) == [("alarm", "store-failing"), ("alarm over", "store-failing")]


async def test_a_link_that_cannot_be_opened_is_an_alarm_after_five_minutes(
    tmp_path: Path,
    plug_in: Callable[[], PseudoRadio],
    start_station: StartStation,
    until: Until,
    log: list[Any],
) -> None:
    name = tmp_path / "by-path"
    station = await start_station(
        settings_of(tmp_path, links=(SerialLink(name="ch1", device=str(name), talk="never"),))
    )
    (status,) = station.daemon.links
    await until(lambda: status.state is LinkState.FAILED)
    await station.passes(3 * MINUTE_S)
    assert station.alarms == []
    await station.passes(4 * MINUTE_S)
    assert station.alarms == [("radio-silent", "ch1")]
    name.symlink_to(plug_in().device)
    await until(lambda: status.state is not LinkState.FAILED)
    await station.passes(2 * MINUTE_S)
    assert station.alarms == []
    assert [line for line in told(log) if "alarm" in line[0]] == [
        ("alarm", "radio-silent"),
        ("alarm over", "radio-silent"),
    ]


async def test_a_beacon_that_is_not_heard_is_an_alarm_until_it_is(
    tmp_path: Path,
    plug_in: Callable[[], PseudoRadio],
    start_station: StartStation,
    until: Until,
    log: list[Any],
) -> None:
    radio = plug_in()
    beacons = (BeaconSettings(tag=TAG.lower(), antenna="north", within_hours=24),)
    settings = settings_of(tmp_path, links=(ch1(radio),), beacons=beacons)
    station = await start_station(settings)

    async def beeps() -> None:
        detections = station.daemon.pipeline.heard.detections
        radio.say(beep(1))
        await until(lambda: station.daemon.pipeline.heard.detections > detections)
        await station.kept()

    await until(lambda: station.daemon.links[0].opened)
    await beeps()
    await station.leaps(23 * HOUR_S)
    assert station.alarms == []
    await station.leaps(2 * HOUR_S)
    assert station.alarms == [("beacon-missing", f"{TAG} at north")]
    assert station.alarm().message == "not heard for 25 h; at least every 24 h is expected"
    await beeps()
    await station.passes(2 * MINUTE_S)
    assert station.alarms == []
    assert told(log) == [("alarm", "beacon-missing"), ("alarm over", "beacon-missing")]


async def test_a_beacon_heard_at_another_antenna_only_is_missing(
    tmp_path: Path,
    plug_in: Callable[[], PseudoRadio],
    start_station: StartStation,
    until: Until,
) -> None:
    radio = plug_in()
    beacons = (
        BeaconSettings(tag=TAG, antenna="south", within_hours=1),
        BeaconSettings(tag=TAG, within_hours=1),
    )
    station = await start_station(settings_of(tmp_path, links=(ch1(radio),), beacons=beacons))
    await until(lambda: station.daemon.links[0].opened)
    await station.leaps(HOUR_S / 2)
    radio.say(beep(1))
    await until(lambda: station.daemon.pipeline.heard.detections)
    await station.kept()
    await station.leaps(0.6 * HOUR_S)
    assert station.alarms == [("beacon-missing", f"{TAG} at south")]


async def test_restarts_do_not_hide_a_missing_beacon(
    tmp_path: Path,
    machine: Machine,
    start_station: StartStation,
) -> None:
    settings = settings_of(tmp_path, beacons=(BeaconSettings(tag=TAG, within_hours=24),))
    for boot in ("boot-a", "boot-b", "boot-c"):
        machine.boot = boot
        station = await start_station(settings)
        assert station.alarms == []
        await station.leaps(10 * HOUR_S)
        assert bool(station.alarms) is (boot == "boot-c")
        await station.end()


async def test_a_lost_clock_is_an_alarm_after_half_an_hour(
    tmp_path: Path,
    machine: Machine,
    start_station: StartStation,
    log: list[Any],
) -> None:
    station = await start_station(settings_of(tmp_path))
    machine.quality = "unsynchronised"
    await station.passes(30 * MINUTE_S)
    assert station.alarms == []
    await station.passes(2 * MINUTE_S)
    assert station.alarms == [("clock-lost", "")]
    assert "ALARM clock-lost: the clock is unsynchronised" in station.daemon.status_line()
    machine.quality = "ntp"
    await station.passes(2 * MINUTE_S)
    assert station.alarms == []
    assert told(log) == [("alarm", "clock-lost"), ("alarm over", "clock-lost")]


async def test_zero_minutes_make_no_alarm_of_the_clock(
    tmp_path: Path,
    machine: Machine,
    start_station: StartStation,
) -> None:
    machine.quality = "unsynchronised"
    station = await start_station(settings_of(tmp_path, alarms=AlarmSettings(clock_minutes=0)))
    await station.leaps(100 * HOUR_S)
    assert station.alarms == []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", megabytes=30) as disk:
        yield disk


async def test_a_disk_that_is_almost_full_is_an_alarm(
    disk: SmallDisk,
    start_station: StartStation,
    log: list[Any],
) -> None:
    station = await start_station(settings_of(disk.folder, alarms=AlarmSettings(disk_free_mb=10)))
    assert station.alarms == []
    disk.fill(leaving_bytes=9_000_000)
    await station.passes(MINUTE_S)
    assert station.alarms == [("disk-low", "")]
    assert station.alarm().message == "9 MB free"
    disk.free()
    await station.passes(2 * MINUTE_S)
    assert station.alarms == []
    assert told(log) == [("alarm", "disk-low"), ("alarm over", "disk-low")]


async def test_a_disk_that_fills_within_days_is_an_alarm(
    disk: SmallDisk, start_station: StartStation
) -> None:
    settings = settings_of(disk.folder, alarms=AlarmSettings(disk_free_mb=0, disk_days=14))
    station = await start_station(settings)
    disk.fill(leaving_bytes=18_000_000)
    await station.leaps(5 * HOUR_S)
    assert station.alarms == []  # An evening is too short to tell.
    await station.leaps(2 * HOUR_S)
    assert station.alarms == [("disk-low", "")]
    assert "days at the present rate" in station.alarm().message


async def test_a_full_disk_is_an_alarm_that_the_writer_tells_of(
    disk: SmallDisk,
    plug_in: Callable[[], PseudoRadio],
    start_station: StartStation,
    until: Until,
    log: list[Any],
) -> None:
    radio = plug_in()
    settings = settings_of(
        disk.folder, links=(ch1(radio),), alarms=AlarmSettings(disk_free_mb=0, disk_days=0)
    )
    station = await start_station(settings)
    station.daemon.writer._retry_first_s = 0.01
    await until(lambda: station.daemon.links[0].opened)
    await station.kept()
    station.daemon.writer.housekeeping.reserve.path.unlink()
    disk.fill()
    heard = station.daemon.pipeline.heard
    for number in range(1, 41):
        radio.say(beep(number) * 100)
        await until(lambda: heard.detections == 100 * number)  # noqa: B023  Awaited at once.
    await until(lambda: station.daemon.writer.state is StoreState.DISK_FULL)
    await station.passes(60, every_s=30)
    assert station.alarms == [("disk-full", "")]
    disk.free()
    await until(lambda: station.daemon.writer.state is StoreState.WRITING)
    await station.passes(2 * MINUTE_S)
    assert station.alarms == []
    assert "alarm" not in [event for event, _ in told(log)]
    assert told(log)[-1] == ("store is written again", "")


async def test_rows_that_a_sink_does_not_hand_on_are_an_alarm(
    tmp_path: Path,
    plug_in: Callable[[], PseudoRadio],
    start_station: StartStation,
    until: Until,
    log: list[Any],
) -> None:
    radio = plug_in()
    sink = HttpSink(name="motus", url=f"http://127.0.0.1:{free_port()}/", interval=60, also=())
    station = await start_station(settings_of(tmp_path, links=(ch1(radio),), sinks=(sink,)))
    await until(lambda: station.daemon.links[0].opened)
    radio.say(beep(1) * 3)
    await until(lambda: station.daemon.pipeline.heard.detections == 3)
    await station.kept()
    await station.leaps(23 * HOUR_S)
    assert station.alarms == []
    await station.leaps(2 * HOUR_S)
    assert station.alarms == [("backlog-growing", "motus")]
    assert station.alarm().message == "3 rows wait, the oldest for 25 h"
    (told_sink,) = station.daemon.health.snapshot().sinks
    assert (told_sink.waiting_rows, told_sink.acknowledged_at) == (3, None)
    note = SinkNote(sink="motus", marks={"detections": 3})
    await asyncio.to_thread(write_note, Path(station.daemon.settings.store.path), note)
    await station.passes(2 * MINUTE_S)
    assert station.alarms == []
    assert [line for line in told(log) if "alarm" in line[0]] == [
        ("alarm", "backlog-growing"),
        ("alarm over", "backlog-growing"),
    ]


async def test_a_sagging_supply_is_an_alarm_for_ten_minutes(
    tmp_path: Path,
    kernel: Path,
    start_station: StartStation,
    log: list[Any],
) -> None:
    chip = kernel / "sys/class/hwmon/hwmon1"
    chip.mkdir(parents=True)
    (chip / "name").write_text("rpi_volt\n")
    sags = chip / "in0_lcrit_alarm"
    sags.write_text("0\n")
    station = await start_station(settings_of(tmp_path))
    assert station.alarms == []
    sags.write_text("1\n")
    await station.passes(MINUTE_S)
    sags.write_text("0\n")
    await station.passes(8 * MINUTE_S)
    assert station.alarms == [("undervoltage", "")]
    await station.passes(4 * MINUTE_S)
    assert station.alarms == []
    assert told(log) == [("alarm", "undervoltage"), ("alarm over", "undervoltage")]


async def test_a_dip_between_two_looks_is_an_alarm_where_the_computer_remembers_it(
    tmp_path: Path, kernel: Path, start_station: StartStation
) -> None:
    flags = kernel / "sys/devices/platform/soc/soc:firmware/get_throttled"
    flags.parent.mkdir(parents=True)
    flags.write_text("0\n")
    station = await start_station(settings_of(tmp_path))
    flags.write_text("50000\n")
    await station.passes(MINUTE_S)
    assert station.alarms == [("undervoltage", "")]
    await station.passes(15 * MINUTE_S)
    assert station.alarms == []


async def test_a_dip_before_the_start_is_no_alarm(
    tmp_path: Path, kernel: Path, start_station: StartStation
) -> None:
    flags = kernel / "sys/devices/platform/soc/soc:firmware/get_throttled"
    flags.parent.mkdir(parents=True)
    flags.write_text("50000\n")
    station = await start_station(settings_of(tmp_path))
    await station.passes(2 * MINUTE_S)
    assert station.alarms == []
    assert station.daemon.health.snapshot().host.undervoltage_since_boot is True


async def test_unknown_frames_that_rise_are_an_alarm(
    tmp_path: Path,
    plug_in: Callable[[], PseudoRadio],
    start_station: StartStation,
    until: Until,
    log: list[Any],
) -> None:
    radio = plug_in()
    station = await start_station(settings_of(tmp_path, links=(ch1(radio),)))
    await until(lambda: station.daemon.links[0].opened)
    heard = station.daemon.pipeline.heard

    async def garbles(lines: int) -> None:
        unknown, detections = heard.unknown_frames, heard.detections
        radio.say(b"?78664C33\r\n" * lines + beep(1) * 4 * max(1, lines))
        await until(lambda: heard.unknown_frames == unknown + lines)
        await until(lambda: heard.detections > detections)

    for _ in range(14):
        await garbles(1)
        await station.passes(5 * MINUTE_S)
    assert station.alarms == []
    for _ in range(4):
        await garbles(20)
        await station.passes(2 * MINUTE_S)
    assert station.alarms == [("unknown-frames-rising", "ch1")]
    assert "80 unknown frames in the last 10 min" in station.alarm().message
    await station.passes(12 * MINUTE_S)
    assert station.alarms == []
    assert [line for line in told(log) if "alarm" in line[0]] == [
        ("alarm", "unknown-frames-rising"),
        ("alarm over", "unknown-frames-rising"),
    ]


async def test_a_link_that_cannot_be_read_any_more_is_an_alarm_that_is_told_already(
    tmp_path: Path,
    plug_in: Callable[[], PseudoRadio],
    start_station: StartStation,
    until: Until,
    log: list[Any],
) -> None:
    radio = plug_in()
    station = await start_station(settings_of(tmp_path, links=(ch1(radio),)))
    await until(lambda: station.daemon.links[0].opened)
    heard = station.daemon.pipeline.heard
    radio.say(beep(1) * 60)
    await until(lambda: heard.detections >= 60)
    await station.look()
    radio.say(b"?78664C33\r\n" * 60)
    await until(lambda: heard.unknown_frames >= 60)
    await station.look()
    assert station.alarms == [("unreadable-link", "ch1")]
    radio.say(beep(1) * 60)
    await until(lambda: heard.detections >= 120)
    await station.passes(2 * MINUTE_S)
    assert station.alarms == []
    assert told(log) == [
        ("link hears what it cannot read any more", "ch1"),
        ("link can be read again", "ch1"),
    ]


async def test_a_station_that_stands_still_is_an_alarm_that_is_told_already(
    tmp_path: Path,
    plug_in: Callable[[], PseudoRadio],
    start_station: StartStation,
    log: list[Any],
) -> None:
    station = await start_station(settings_of(tmp_path, links=(ch1(plug_in()),)))
    (link,) = station.daemon.supervision._links
    assert link.task is not None
    link.task.cancel()
    await asyncio.wait({link.task})
    await station.passes(MINUTE_S)
    assert station.alarms == [("standstill", "")]
    assert station.alarm().message == "links have ended: ch1"
    assert told(log) == [("station stands still", "")]


async def test_a_store_that_cannot_be_written_is_an_alarm_after_half_a_minute(
    tmp_path: Path,
    start_station: StartStation,
    monkeypatch: pytest.MonkeyPatch,
    until: Until,
    log: list[Any],
) -> None:
    with failing(monkeypatch, Faults(10**9, "SQLITE_BUSY")) as faults:
        station = await start_station(settings_of(tmp_path))
        await station.kept()
        writer = station.daemon.writer
        writer._retry_first_s = 0.01
        faults.fail_from(faults.calls + 1, calls=10**9)
        station.daemon.pipeline.flush(with_activity=True)
        writer.submit(Batch())
        await until(lambda: writer.state is StoreState.FAILING)
        await station.passes(20)
        assert station.alarms == []
        await station.passes(40, every_s=40)
        assert station.alarms == [("store-failing", "")]
        faults.fail_from(10**12)
        await until(lambda: writer.state is StoreState.WRITING)
        await station.passes(2 * MINUTE_S)
        assert station.alarms == []
        assert told(log) == [
            ("store cannot be written; what is heard waits in memory", ""),
            ("store is written again", ""),
        ]
