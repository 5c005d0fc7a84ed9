"""What `stopover ports` shows."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TypeAlias

import pytest
from click.testing import CliRunner
from pseudo_terminals import PseudoRadio

from receiver import serial_ports
from receiver.cli.ports import ports_command
from receiver.links.asking import ask_version
from receiver.links.ctt_radio import CttTiming
from receiver.links.serial_port import SerialPort
from receiver.serial_ports import SerialDevice, serial_devices

PlugIn: TypeAlias = Callable[[], PseudoRadio]

FAST = CttTiming(ask_after_s=0.02, answer_within_s=0.1)


def port(device: str, vid: int | None, pid: int | None, product: str | None) -> SimpleNamespace:
    return SimpleNamespace(device=device, vid=vid, pid=pid, product=product, serial_number=None)


def _names(folder: Path, **links: tuple[str, str]) -> Path:
    for kind, (name, device) in links.items():
        (folder / kind.replace("_", "-")).mkdir(exist_ok=True)
        (folder / kind.replace("_", "-") / name).symlink_to(device)
    return folder


def test_a_device_is_named_by_its_socket_first(tmp_path: Path) -> None:
    names = _names(
        tmp_path,
        by_path=("platform-usb-0:1.2:1.0", "/dev/ttyACM0"),
        by_id=("usb-Adafruit_Feather_32u4-if00", "/dev/ttyACM0"),
    )
    ports = [
        port("/dev/ttyUSB3", 0x10C4, 0xEA60, "CP2102"),
        port("/dev/ttyACM0", 0x239A, 0x800C, "Feather 32u4"),
    ]
    feather, adapter = sorted(
        serial_devices(ports=lambda: ports, names=names), key=lambda each: each.device
    )
    assert feather.steady_name == str(tmp_path / "by-path" / "platform-usb-0:1.2:1.0")
    assert feather.by_id == (str(tmp_path / "by-id" / "usb-Adafruit_Feather_32u4-if00"),)
    assert feather.usb_id == "239a:800c"
    assert "CTT radio" in feather.what
    assert adapter.steady_name == "/dev/ttyUSB3"
    assert "hangs when written to" in adapter.what


def test_unknown_and_built_in_ports_are_shown_too(tmp_path: Path) -> None:
    ports = [port("/dev/ttyAMA0", None, None, None), port("/dev/ttyUSB0", 0x1234, 0x0001, None)]
    devices = serial_devices(ports=lambda: ports, names=tmp_path / "none")
    assert [(device.usb_id, device.what) for device in devices] == [
        (None, "built-in port"),
        ("1234:0001", "unknown"),
    ]


@pytest.mark.parametrize(
    ("usb_id", "word"),
    [
        ("0403:6001", "Cornell"),
        ("0403:6010", "SensorStation"),
        ("0403:6015", "BluSeries"),
        ("10c4:ea60", "Motus Adapter V1"),
        ("239a:800c", "Motus Adapter V2"),
        ("239a:000c", "bootloader"),
        ("067b:2303", "GPS"),
    ],
)
def test_radios_of_this_field_are_known_by_their_usb_id(usb_id: str, word: str) -> None:
    assert word in SerialDevice(device="/dev/x", usb_id=usb_id).what


async def test_a_radio_that_is_asked_tells_its_firmware(plug_in: PlugIn) -> None:
    radio = plug_in()
    radio.listen()
    radio.answer = lambda _: (
        b'78664C3304,-75\r\n{"name":"SensorStationRadio","firmware":"3.0.1"}\r\n'
    )
    answer = await ask_version(radio.device, timing=FAST)
    assert answer.radio == "SensorStationRadio 3.0.1"
    assert radio.told == [b"version"]
    assert answer.frames == 1


async def test_a_radio_that_does_not_answer_is_left_after_a_while(plug_in: PlugIn) -> None:
    radio = plug_in()
    answer = await ask_version(radio.device, timing=FAST)
    assert answer.text == "no answer; heard nothing"
    SerialPort.open(radio.device, 115_200).close()  # It was closed: the lock is free.


async def test_a_port_that_is_in_use_is_not_asked(plug_in: PlugIn) -> None:
    radio = plug_in()
    radio.listen()
    daemon = SerialPort.open(radio.device, 115_200)
    try:
        answer = await ask_version(radio.device, timing=FAST)
    finally:
        daemon.close()
    assert "another program holds the port" in answer.text
    assert radio.told == []


def test_the_command_lists_ports_and_asks_nobody_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    radio = PseudoRadio()
    names = _names(tmp_path, by_path=("usb-0:1.2", radio.device))
    ports = [port(radio.device, 0x239A, 0x800C, "Feather \x1b[31m32u4")]
    devices = serial_devices(ports=lambda: ports, names=names)
    monkeypatch.setattr(serial_ports, "serial_devices", lambda: devices)
    try:
        text = CliRunner().invoke(ports_command, [])
        as_json = CliRunner().invoke(ports_command, ["--format", "json"])
    finally:
        radio.unplug()
    assert text.stdout.splitlines()[0] == str(tmp_path / "by-path" / "usb-0:1.2")
    assert "\\x1b[31m" in text.stdout
    row = json.loads(as_json.stdout)
    assert row["name"] == str(tmp_path / "by-path" / "usb-0:1.2")
    assert row["usb_id"] == "239a:800c"
    assert row["radio"] is None


def test_no_devices_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_ports, "serial_devices", tuple)
    result = CliRunner().invoke(ports_command, [])
    assert result.exit_code == 0
    assert "plug a radio in" in result.stdout
