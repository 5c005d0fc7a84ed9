"""The doctor looks at ports and configuration: each fault is made, and told with what to do."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest
from doctors_patient import NOBODY, Patient
from pseudo_terminals import PseudoRadio, name_port
from station_process import serial_link

from receiver.doctor import configuration, ports
from receiver.doctor.site import Identity
from receiver.serial_ports import SerialDevice

PlugIn: TypeAlias = Callable[[], PseudoRadio]
RADIO = SerialDevice(device="/dev/ttyACM7", usb_id="239a:800c", product="Feather 32u4")


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    """A healthy station without links."""
    return Patient(tmp_path)


@pytest.fixture
def radio(patient: Patient, plug_in: PlugIn) -> PseudoRadio:
    """A radio on a pseudo-terminal, and the patient's link to it."""
    radio = plug_in()
    patient.text += serial_link("ch1", radio.device)
    return radio


def test_each_fault_of_a_configuration_is_a_finding_of_its_own(patient: Patient) -> None:
    patient.text = '[station]\nidd = "marsh"\nfoo = 1\n'
    found = [each.found for each in patient.found(configuration.configuration)]
    assert [each.split(": ")[1] for each in found] == ["station.idd", "station.foo"]


def test_a_configuration_that_cannot_be_used_is_a_fault(patient: Patient) -> None:
    patient.text = "[store]\ncommit_intervall = 2\n"
    (finding,) = patient.found(configuration.configuration)
    assert (finding.check, finding.severity) == ("configuration", "fault")
    assert "did you mean `commit_interval`" in finding.found
    assert "stopover check" in finding.do


def test_a_station_without_links_or_with_the_examples_id_is_told(patient: Patient) -> None:
    patient.text = ""
    findings = patient.found(configuration.configuration)
    assert [(each.severity, each.subject) for each in findings] == [
        ("fault", str(patient.configuration)),
        ("warning", "station.id"),
    ]


def test_a_bare_port_name_is_told(patient: Patient) -> None:
    patient.text += serial_link("ch1", "/dev/ttyUSB0")
    (finding,) = patient.found(configuration.configuration)
    assert "may name another radio after a restart" in finding.found


def test_a_good_configuration_is_good(patient: Patient, radio: PseudoRadio) -> None:
    assert radio.device in patient.text
    assert patient.is_well(configuration.configuration)


def test_antennas_without_a_label_are_noted(patient: Patient) -> None:
    patient.text += serial_link("ch1", "/dev/ttyACM0")
    (finding,) = patient.found(configuration.antennas)
    assert (finding.check, finding.severity) == ("antenna-label", "note")
    assert "rows call it ch1" in finding.found
    patient.hears(antennas=[{"link": "ch1", "antenna": "0"}, {"link": "ch1", "antenna": "2"}])
    first, second = patient.found(configuration.antennas)
    assert (first.subject, second.subject) == ("radio ch1", "radio ch1/2")
    assert 'antennas = { 2 = "…" }' in second.do
    patient.text += 'antenna = "north"\nantennas = { 2 = "south" }\n'
    assert patient.is_well(configuration.antennas)


def test_files_that_the_daemon_cannot_read_are_faults(patient: Patient, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct-horse\n", encoding="utf-8")
    patient.text += f'[page]\npassword_file = "{secret}"\n[tags]\nnames_file = "gone.csv"\n'
    secret.chmod(0o600)
    (missing,) = patient.found(configuration.files)
    assert (missing.check, missing.severity) == ("files", "fault")
    assert missing.subject.startswith("tags.names_file: ")
    patient.identity = NOBODY
    assert [each.subject.split(":")[0] for each in patient.found(configuration.files)] == [
        "tags.names_file",
        "page.password_file",
    ]
    patient.text = patient.text.replace("gone.csv", str(patient.configuration))
    secret.chmod(0o644)
    patient.identity = Identity("root", 0, frozenset())
    (open_to_all,) = patient.found(configuration.files)
    assert open_to_all.severity == "warning"
    assert "everybody" in open_to_all.found
    secret.chmod(0o600)
    assert patient.is_well(configuration.files)


def test_a_file_behind_a_closed_folder_cannot_be_read(patient: Patient) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = folder / "names.csv"
        names.write_text("tag_id,name\n", encoding="utf-8")
        names.chmod(0o644)
        patient.text += f'[tags]\nnames_file = "{names}"\n'
        patient.identity = NOBODY
        assert patient.names(configuration.files) == [("files", "fault")]
        folder.chmod(0o755)
        assert patient.is_well(configuration.files)


@pytest.mark.parametrize(
    ("password", "severity"), [("", "fault"), ("short", "warning"), ("correct-horse", None)]
)
def test_a_page_password_that_can_be_guessed_is_told(
    patient: Patient, tmp_path: Path, password: str, severity: str | None
) -> None:
    (tmp_path / "secret").write_text(f"{password}\n", encoding="utf-8")
    patient.text += f'[page]\npassword_file = "{tmp_path}/secret"\n'
    expected = [] if severity is None else [("page-password", severity)]
    assert patient.names(configuration.page_password) == expected


def test_a_page_without_a_password_is_noted(patient: Patient) -> None:
    assert patient.names(configuration.page_password) == [("page-password", "note")]
    patient.text += "[page]\nport = 0\n"
    assert patient.is_well(configuration.page_password)


def test_a_port_that_is_not_there_is_a_fault(
    patient: Patient, plug_in: PlugIn, tmp_path: Path
) -> None:
    name_port(tmp_path / "radio", plug_in())
    patient.text += serial_link("ch1", tmp_path / "radio")
    assert patient.is_well(ports.port_missing)
    (tmp_path / "radio").unlink()
    patient.devices = [RADIO]
    (finding,) = patient.found(ports.port_missing)
    assert (finding.check, finding.severity, finding.subject) == (
        "port-missing",
        "fault",
        "link ch1",
    )
    assert RADIO.device in finding.found


def test_a_port_that_the_daemon_may_not_open_is_a_fault(
    patient: Patient, radio: PseudoRadio
) -> None:
    os.chmod(radio.device, 0o660)  # noqa: PTH101  A device, not a file of ours.
    assert patient.is_well(ports.port_permission)
    patient.identity = NOBODY
    (finding,) = patient.found(ports.port_permission)
    assert (finding.check, finding.severity) == ("port-permission", "fault")
    assert "usermod -aG dialout nobody" in finding.do
    group = os.stat(radio.device).st_gid  # noqa: PTH116  Same.
    patient.identity = Identity("stopover", 65534, frozenset({group}))
    assert patient.is_well(ports.port_permission)


def test_a_socket_that_nobody_serves_or_that_is_closed_to_us_is_a_fault(patient: Patient) -> None:
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as served:
        Path(name).chmod(0o755)
        path = Path(name) / "ch1.sock"
        patient.text += (
            f'[[links]]\nkind = "socket"\nname = "ch1"\npath = "{path}"\ndecoder = "ctt-driver"\n'
        )
        (finding,) = patient.found(ports.sockets)
        assert (finding.check, finding.severity, finding.subject) == ("socket", "fault", "link ch1")
        assert "is not there" in finding.found
        served.bind(str(path))
        path.chmod(0o660)
        assert patient.is_well(ports.sockets)
        patient.identity = NOBODY
        (finding,) = patient.found(ports.sockets)
        assert "nobody may not open" in finding.found


def test_a_program_that_has_a_port_open_is_named(patient: Patient, radio: PseudoRadio) -> None:
    patient.root = Path("/")
    program = "import os,sys,time; f=os.open(sys.argv[1],os.O_RDWR|os.O_NOCTTY);"
    program += "print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", program, radio.device]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline()
            (finding,) = patient.found(ports.port_held)
        finally:
            other.kill()
    assert (finding.check, finding.severity) == ("port-held", "fault")
    assert f"process {other.pid}" in finding.found
    assert "python" in finding.found
    assert patient.is_well(ports.port_held)


def test_modem_manager_is_told_unless_a_rule_keeps_it_off(patient: Patient) -> None:
    assert patient.is_well(ports.modem_manager)
    patient.runs("ModemManager")
    assert patient.names(ports.modem_manager) == [("modem-manager", "warning")]
    rules = Path(__file__).parents[2] / "deploy/udev/60-stopover.rules"
    text = rules.read_text(encoding="utf-8")
    patient.write("/etc/udev/rules.d/60-stopover.rules", text)
    assert patient.is_well(ports.modem_manager)


def test_a_rule_that_is_only_a_comment_keeps_nobody_off(patient: Patient) -> None:
    patient.runs("ModemManager")
    patient.write("/etc/udev/rules.d/60-stopover.rules", '# ENV{ID_MM_DEVICE_IGNORE}="1"\n')
    assert not patient.is_well(ports.modem_manager)


def test_the_braille_driver_that_takes_serial_adapters_is_told(patient: Patient) -> None:
    assert patient.is_well(ports.brltty)
    patient.write("/usr/lib/udev/rules.d/85-brltty.rules", 'ENV{PRODUCT}=="10c4/ea60/*", RUN+="x"')
    assert patient.names(ports.brltty) == [("brltty", "warning")]


def test_a_radio_that_no_link_uses_is_noted(patient: Patient, radio: PseudoRadio) -> None:
    used = msgspec.structs.replace(RADIO, device=radio.device)
    patient.devices = [used, msgspec.structs.replace(RADIO, usb_id="1d6b:0002")]
    assert patient.is_well(ports.unused_radios)
    patient.devices = [used, RADIO]
    (finding,) = patient.found(ports.unused_radios)
    assert (finding.check, finding.severity) == ("unused-radio", "note")
    assert finding.subject == RADIO.device


@pytest.mark.parametrize(("control", "is_well"), [("auto", False), ("on", True)])
def test_a_radio_that_the_kernel_may_put_to_sleep_is_told(
    patient: Patient, *, control: str, is_well: bool
) -> None:
    patient.text += serial_link("ch1", "/dev/ttyACM7")
    patient.write("/sys/devices/usb1/1-1/1-1.2/busnum", "1")
    patient.write("/sys/devices/usb1/1-1/1-1.2/power/control", f"{control}\n")
    patient.write("/sys/devices/usb1/1-1/busnum", "1")
    patient.write("/sys/devices/usb1/1-1/power/control", "auto\n")
    interface = patient.write("/sys/devices/usb1/1-1/1-1.2/1-1.2:1.0/name", "").parent
    (patient.root / "sys/class/tty/ttyACM7").mkdir(parents=True)
    (patient.root / "sys/class/tty/ttyACM7/device").symlink_to(interface)
    assert patient.is_well(ports.usb_autosuspend) is is_well
    if not is_well:
        (finding,) = patient.found(ports.usb_autosuspend)
        assert (finding.check, "1-1.2 " in finding.found) == ("usb-autosuspend", True)
