"""The doctor looks at the computer: clock, disk, power, kernel and service."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from doctors_patient import NOBODY, Patient
from small_disks import SmallDisk, small_disk

from receiver.doctor import clock, disk, power, service
from receiver.health.snapshot import AlarmSnapshot, LinkSnapshot, StoreSnapshot
from receiver.store.database import Store


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    """A healthy station."""
    return Patient(tmp_path)


@pytest.mark.parametrize("quality", ["unsynchronised", "implausible"])
def test_a_wrong_clock_is_told(patient: Patient, quality: str) -> None:
    assert patient.is_well(clock.clock_now)
    patient.clock = quality
    assert patient.names(clock.clock_now) == [("clock", "warning")]


def test_the_running_stations_own_judgement_of_the_clock_counts(patient: Patient) -> None:
    patient.clock = "unsynchronised"
    patient.hears()
    assert patient.is_well(clock.clock_now)


def test_a_clock_that_nobody_sets_or_two_do_is_told(patient: Patient) -> None:
    assert patient.is_well(clock.clock_source)
    patient.runs("systemd-timesyncd")
    (finding,) = patient.found(clock.clock_source)
    assert "chronyd and systemd-timesyncd" in finding.found
    assert "systemd-timesyncd" in finding.do
    patient.runs_nothing()
    patient.runs("gpsd")
    (finding,) = patient.found(clock.clock_source)
    assert (finding.check, finding.severity) == ("clock-source", "warning")
    assert "gpsd alone does not" in finding.found


def test_a_gpsd_that_is_configured_must_run(patient: Patient) -> None:
    assert patient.is_well(clock.gpsd)
    patient.text += '[clock]\ngpsd = "localhost:2947"\n'
    assert patient.names(clock.gpsd) == [("gpsd", "warning")]
    patient.runs("gpsd")
    assert patient.is_well(clock.gpsd)


def test_a_gps_receiver_without_a_fix_is_noted(patient: Patient) -> None:
    patient.text += '[clock]\ngpsd = "localhost:2947"\n'
    patient.runs("gpsd")
    patient.hears(clock={"time": "2026-05-12T12:00:00Z", "quality": "ntp", "gps": "no gps fix"})
    assert patient.names(clock.gpsd) == [("gps-fix", "note")]
    patient.hears(clock={"time": "2026-05-12T12:00:00Z", "quality": "gps", "gps": "gps fix"})
    assert patient.is_well(clock.gpsd)


def test_a_computer_without_a_battery_for_its_clock_is_noted(patient: Patient) -> None:
    assert patient.is_well(clock.real_time_clock)
    shutil.rmtree(patient.root / "sys/class/rtc/rtc0")
    assert patient.names(clock.real_time_clock) == [("real-time-clock", "note")]
    patient.runs("gpsd")
    assert patient.is_well(clock.real_time_clock)


@pytest.fixture
def card(patient: Patient, tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of four megabytes that the patient's store lies on."""
    with small_disk(tmp_path / "card", 4) as card:
        patient.text += f'[store]\npath = "{card.folder}/marsh.db"\n'
        patient.text += "[alarms]\ndisk_free_mb = 1\n"
        yield card


def test_a_full_disk_is_a_fault(patient: Patient, card: SmallDisk) -> None:
    assert patient.is_well(disk.disk_room)
    card.fill()
    (finding,) = patient.found(disk.disk_room)
    assert (finding.check, finding.severity) == ("disk-room", "fault")
    assert "0.0 GB free" in finding.found


def test_a_disk_that_will_soon_be_full_is_a_fault(patient: Patient) -> None:
    free = shutil.disk_usage(patient.folder).free
    store = StoreSnapshot(
        path="x", state="writing", store_uuid="u", bytes=1, free_bytes=free, disk_bytes=free
    )
    for days, is_well in ((3, False), (300, True)):
        patient.hears(store=msgspec.structs.replace(store, bytes_per_day=free / days))
        assert patient.is_well(disk.disk_room) is is_well


def test_a_disk_that_forgets_or_cannot_be_written_is_told(
    patient: Patient, card: SmallDisk
) -> None:
    patient.write("/proc/mounts", f"/dev/root / ext4 rw 0 0\ntmpfs {card.folder} tmpfs rw 0 0\n")
    assert patient.names(disk.file_system) == [("file-system", "warning")]
    patient.write("/proc/mounts", f"/dev/sda1 {card.folder} vfat rw 0 0\n")
    assert patient.names(disk.file_system) == [("file-system", "warning")]
    patient.write("/proc/mounts", f"/dev/mmcblk0p2 {card.folder} ext4 ro,noatime 0 0\n")
    (finding,) = patient.found(disk.file_system)
    assert (finding.severity, "can only be read" in finding.found) == ("fault", True)
    patient.write("/proc/mounts", f"/dev/mmcblk0p2 {card.folder} ext4 rw,noatime 0 0\n")
    assert patient.is_well(disk.file_system)
    card.folder.chmod(0o755)
    patient.identity = NOBODY
    (finding,) = patient.found(disk.file_system)
    assert "nobody may not write" in finding.found


def test_a_card_that_linux_mounted_for_reading_only_is_a_fault(
    patient: Patient, card: SmallDisk
) -> None:
    assert patient.is_well(disk.file_system)
    subprocess.run(["mount", "-o", "remount,ro", str(card.folder)], check=True)
    (finding,) = patient.found(disk.file_system)
    assert (finding.check, finding.severity) == ("file-system", "fault")


def _card_of(patient: Patient, folder: Path) -> Path:
    """Return where the computer's files of the disk of a folder are, as a partition of it."""
    number = folder.stat().st_dev
    disk_folder = patient.root / "sys/devices/mmc0/block/mmcblk0"
    (disk_folder / "mmcblk0p2").mkdir(parents=True)
    (disk_folder / "mmcblk0p2/partition").write_text("2")
    link = patient.root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(disk_folder / "mmcblk0p2")
    return disk_folder


def test_a_card_that_is_written_to_too_much_is_told(patient: Patient) -> None:
    card = _card_of(patient, patient.folder)
    for sectors, is_well in ((10**6, True), (10**9, False)):
        (card / "stat").write_text(f"1 2 3 4 5 6 {sectors} 8 9 10 11\n")
        assert patient.is_well(disk.disk_wear) is is_well
    (finding,) = patient.found(disk.disk_wear)
    assert (finding.check, finding.severity) == ("disk-wear", "warning")
    assert "442.37 GB a day" in finding.found
    patient.write("/proc/uptime", "60.00 1.00")
    assert patient.is_well(disk.disk_wear), "a minute after the start nothing is known yet"


@pytest.mark.parametrize(
    ("life", "severity"), [("0x01 0x02", None), ("0x09 0x01", "warning"), ("0x0b 0x01", "fault")]
)
def test_a_card_that_says_it_is_worn_is_told(
    patient: Patient, life: str, severity: str | None
) -> None:
    card = _card_of(patient, patient.folder)
    (card / "device").mkdir()
    (card / "device/life_time").write_text(f"{life}\n")
    expected = [] if severity is None else [("disk-wear", severity)]
    assert patient.names(disk.disk_wear) == expected


@pytest.mark.parametrize(("kilobytes", "is_well"), [(6 * 10**9, True), (7 * 10**9, False)])
def test_a_card_is_judged_by_what_its_file_system_has_ever_taken(
    patient: Patient, kilobytes: int, *, is_well: bool
) -> None:
    card = _card_of(patient, patient.folder)
    (card / "size").write_text("62500000\n")  # 32 GB
    patient.write("/sys/fs/ext4/mmcblk0p2/lifetime_write_kbytes", f"{kilobytes}\n")
    (finding,) = patient.found(disk.disk_wear, also_good=True)
    assert finding.check == "written-so-far"
    assert f"{kilobytes * 1024 / 1e9:.0f} GB written" in finding.found
    assert f"{77 if is_well else 90} % of what such a card bears" in finding.found
    assert patient.is_well(disk.disk_wear) is is_well


def test_a_reserve_that_is_not_kept_is_told(patient: Patient) -> None:
    patient.hears()
    assert patient.is_well(disk.reserve)
    assert patient.snapshot is not None
    patient.hears(store=msgspec.structs.replace(patient.snapshot.store, reserve_bytes=0))
    assert patient.names(disk.reserve) == [("reserve", "warning")]


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("0x0", []),
        ("0x1", [("undervoltage", "fault")]),
        ("0x50000", [("undervoltage", "warning")]),
        ("0x4", [("throttled", "warning")]),
    ],
)
def test_undervoltage_and_throttling_are_told(
    patient: Patient, flags: str, found: list[tuple[str, str]]
) -> None:
    patient.commands["vcgencmd get_throttled"] = f"throttled={flags}\n"
    assert patient.names(power.supply) == found


@pytest.mark.parametrize(
    ("millidegrees", "found"),
    [(52_000, []), (81_000, [("temperature", "warning")]), (90_000, [("temperature", "fault")])],
)
def test_heat_is_told(patient: Patient, millidegrees: int, found: list[tuple[str, str]]) -> None:
    patient.write("/sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    patient.write("/sys/class/thermal/thermal_zone0/temp", f"{millidegrees}\n")
    assert patient.names(power.supply) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("usb usb1-port2: over-current condition", ("usb-over-current", "fault")),
        ("hwmon hwmon1: Undervoltage detected!", ("undervoltage-log", "warning")),
        ("usb 1-1.2: device descriptor read/64, error -71", ("usb-errors", "warning")),
        ("mmc0: error -110 whilst initialising SD card", ("card-errors", "fault")),
        ("EXT4-fs error (device mmcblk0p2): ext4_find_entry", ("card-errors", "fault")),
        ("Out of memory: Killed process 812 (chromium)", ("out-of-memory", "warning")),
    ],
)
def test_what_the_kernel_says_is_told_with_its_words(
    patient: Patient, said: str, found: tuple[str, str]
) -> None:
    patient.commands["dmesg"] = "[    1.0] Booting Linux on physical CPU 0x0\n"
    assert patient.is_well(power.kernel_log)
    patient.commands["dmesg"] += f"[  812.4] {said}\n" * 3
    (finding,) = patient.found(power.kernel_log)
    assert (finding.check, finding.severity) == found
    assert said in finding.found
    assert "3 times" in finding.found


def test_a_kernels_log_that_cannot_be_read_is_noted(patient: Patient) -> None:
    assert patient.names(power.kernel_log) == [("kernel-log", "note")]
    patient.commands["journalctl -k"] = "Booting Linux\n"
    assert patient.is_well(power.kernel_log)


GOOD_UNIT = {
    "LoadState": "loaded",
    "UnitFileState": "enabled",
    "ActiveState": "active",
    "Type": "notify",
    "WatchdogUSec": "2min",
    "NRestarts": "0",
}


@pytest.mark.parametrize(
    ("changes", "severities"),
    [
        ({}, []),
        ({"UnitFileState": "disabled"}, ["fault"]),
        ({"WatchdogUSec": "0"}, ["warning"]),
        ({"Type": "simple"}, ["warning"]),
        ({"NRestarts": "7"}, ["warning"]),
        ({"LoadState": "not-found"}, ["note"]),
    ],
)
def test_a_service_that_is_not_started_or_not_watched_is_told(
    patient: Patient, changes: dict[str, str], severities: list[str]
) -> None:
    told = "".join(f"{key}={value}\n" for key, value in (GOOD_UNIT | changes).items())
    patient.commands["systemctl show"] = told
    assert patient.names(service.unit) == [("service", severity) for severity in severities]


def test_a_computer_without_systemd_is_noted(patient: Patient) -> None:
    assert patient.names(service.unit) == [("service", "note")]


def test_a_journal_that_is_lost_at_a_restart_is_noted(patient: Patient) -> None:
    patient.write("/run/systemd/system/x", "")
    assert patient.names(service.journal) == [("journal", "note")]
    patient.write("/var/log/journal/x", "")
    assert patient.is_well(service.journal)


def test_a_daemon_of_another_version_than_is_installed_is_told(patient: Patient) -> None:
    assert patient.is_well(service.version)
    patient.hears(version="0.0.9")
    (finding,) = patient.found(service.version)
    assert (finding.check, finding.severity) == ("version", "warning")
    assert "0.0.9 runs" in finding.found


def test_alarms_of_the_running_station_are_told(patient: Patient) -> None:
    patient.hears()
    assert patient.is_well(service.alarms)
    alarm = AlarmSnapshot(
        alarm="disk-low", subject="", since="2026-05-12T11:00:00Z", message="it is low", do="free"
    )
    patient.hears(alarms=(alarm,))
    assert patient.names(service.alarms) == [("alarm-disk-low", "fault")]


@pytest.mark.parametrize(
    ("state", "is_well"), [("hearing", True), ("quiet", True), ("silent", False), ("failed", False)]
)
def test_links_that_do_not_hear_are_told(patient: Patient, *, state: str, is_well: bool) -> None:
    patient.hears(links=(LinkSnapshot(name="ch1", kind="serial", state=state, reason="gone"),))
    assert patient.is_well(service.links) is is_well
    if not is_well:
        (finding,) = patient.found(service.links)
        assert (finding.check, finding.subject, "gone" in finding.found) == (
            "link",
            "link ch1",
            True,
        )


def test_who_may_not_see_everything_is_told_so(patient: Patient) -> None:
    assert patient.is_well(service.rights)
    patient.is_root = False
    assert patient.names(service.rights) == [("rights", "note")]


def test_days_left_are_told_without_a_daemon_too(patient: Patient) -> None:
    path = patient.folder / "stopover.db"
    Store.open(path, station_id="marsh").close()
    assert patient.is_well(disk.disk_room)
