"""The computer's readings, from folders of files as kernels write them."""

import os
from pathlib import Path

import pytest

from receiver.health.card import read_card
from receiver.health.host import read_host
from receiver.health.power import read_power


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


RASPBERRY_PI_4 = {
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48686\n",
    "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
    "sys/class/hwmon/hwmon0/temp1_input": "48686\n",
    "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
    "proc/loadavg": "0.08 0.03 0.01 1/137 2209\n",
    "proc/meminfo": "MemTotal:        1893956 kB\nMemFree:          943824 kB\n"
    "MemAvailable:    1567012 kB\nHugePages_Total:       0\n",
    "proc/uptime": "93071.44 371024.51\n",
    "proc/self/statm": "14000 12000 6000 1 0 9000 0\n",
}


def test_a_raspberry_pi_is_read(tmp_path: Path) -> None:
    host = read_host(tmp_path, write(tmp_path, RASPBERRY_PI_4))
    assert host.temperature_c == 48.7
    assert host.undervoltage is False
    assert host.undervoltage_since_boot is False
    assert host.throttled is False
    assert host.load_1min == 0.08
    assert host.memory_bytes == 1893956 * 1024
    assert host.memory_free_bytes == 1567012 * 1024
    assert host.uptime_s == 93071.44
    assert host.process_memory_bytes == 12000 * os.sysconf("SC_PAGE_SIZE")
    assert host.voltage_v is None


def test_a_computer_without_any_of_these_files_has_no_readings(tmp_path: Path) -> None:
    host = read_host(tmp_path, tmp_path / "none", vcgencmd=lambda: None)
    assert [name for name in host.__struct_fields__ if getattr(host, name) is not None] == []


def test_files_that_hold_nonsense_have_no_readings(tmp_path: Path) -> None:
    nonsense = dict.fromkeys(RASPBERRY_PI_4, "\x00\x01 nonsense\n")
    host = read_host(tmp_path, write(tmp_path, nonsense), vcgencmd=lambda: "throttled=soon")
    assert [name for name in host.__struct_fields__ if getattr(host, name) is not None] == []


def test_this_computer_is_read(tmp_path: Path) -> None:
    host = read_host(tmp_path)
    assert host.memory_bytes
    assert host.process_memory_bytes
    assert host.uptime_s
    assert host.memory_bytes > host.process_memory_bytes > 1_000_000


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("0", (False, False, False)),
        ("50005", (True, True, True)),
        ("50000", (False, True, False)),
        ("20002", (False, False, False)),
    ],
)
def test_the_firmwares_bits_tell_of_the_supply(
    tmp_path: Path, said: str, told: tuple[bool, bool, bool]
) -> None:
    root = write(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": f"{said}\n"})
    asked: list[str] = []

    def vcgencmd() -> str:
        asked.append("get_throttled")
        return "throttled=0x0"

    power = read_power(root, vcgencmd)
    assert (power.undervoltage, power.undervoltage_since_boot, power.throttled) == told
    assert asked == []


def test_the_kernels_own_watch_tells_of_a_dip(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "sys/class/hwmon/hwmon3/name": "rpi_volt\n",
            "sys/class/hwmon/hwmon3/in0_lcrit_alarm": "1\n",
        },
    )
    power = read_power(root, lambda: None)
    assert (power.undervoltage, power.undervoltage_since_boot) == (True, None)


def test_vcgencmd_is_asked_where_no_file_tells(tmp_path: Path) -> None:
    power = read_power(tmp_path, lambda: "throttled=0x50005\n")
    assert (power.undervoltage, power.undervoltage_since_boot) == (True, True)


def test_vcgencmd_is_run_and_its_failure_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "vcgencmd"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    command.write_text('#!/bin/sh\necho "throttled=0x5 $1" | cut -d" " -f1\n')
    command.chmod(0o755)
    assert read_power(tmp_path).undervoltage is True
    command.write_text("#!/bin/sh\necho VCHI initialization failed; exit 255\n")
    assert read_power(tmp_path).undervoltage is None


def test_a_meter_in_the_supply_tells_its_voltage(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "sys/class/hwmon/hwmon0/name": "ina219\n",
            "sys/class/hwmon/hwmon0/in0_input": "3\n",
            "sys/class/hwmon/hwmon0/in1_input": "12184\n",
            "sys/class/power_supply/BAT0/voltage_now": "3900000\n",
        },
    )
    assert read_power(root, lambda: None).voltage_v == 12.184


def test_a_battery_with_a_driver_tells_its_voltage(tmp_path: Path) -> None:
    root = write(tmp_path, {"sys/class/power_supply/BAT0/voltage_now": "3912000\n"})
    assert read_power(root, lambda: None).voltage_v == 3.912


def disk(root: Path, store: Path, files: dict[str, str]) -> Path:
    """Lay out the kernel's files of a disk whose second partition holds `store`."""
    card = root / "sys/devices/platform/emmc/block/mmcblk0"
    partition = card / "mmcblk0p2"
    write(card, {"stat": "  9000 1 2 3 4000 5 81920 7 0 8 9 0 0 0 0 0 0\n", **files})
    write(partition, {"partition": "2\n", "stat": "1 1 1 1 1 1 7 1 1 1 1\n"})
    number = store.stat().st_dev
    link = root / "sys/dev/block" / f"{os.major(number)}:{os.minor(number)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(partition)
    return root


def test_what_was_written_to_the_whole_disk_is_told(tmp_path: Path) -> None:
    card = read_card(disk(tmp_path, tmp_path, {}), tmp_path)
    assert card.written_bytes == 81920 * 512
    assert (card.wear_percent, card.end_of_life) == (None, None)


@pytest.mark.parametrize(
    ("life", "left", "percent", "end"),
    [
        ("0x01 0x03\n", "0x01\n", 30, "normal"),
        ("0x0b 0x01\n", "0x03\n", 110, "urgent"),
        ("0x00 0x00\n", "0x00\n", None, None),
        ("", "", None, None),
        ("worn\n", "soon\n", None, None),
    ],
)
def test_an_emmc_tells_its_wear(
    tmp_path: Path, life: str, left: str, percent: float | None, end: str | None
) -> None:
    root = disk(tmp_path, tmp_path, {"device/life_time": life, "device/pre_eol_info": left})
    card = read_card(root, tmp_path)
    assert (card.wear_percent, card.end_of_life) == (percent, end)


def test_what_lies_on_no_disk_has_none(tmp_path: Path) -> None:
    assert read_card(tmp_path, tmp_path).written_bytes is None
    assert read_card(tmp_path, tmp_path / "gone").written_bytes is None
