"""The doctor looks at software radios: sticks, what serves them, and the kernel's own plans."""

import importlib.util
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import free_port
from doctors_patient import Patient

from receiver.doctor import software_radios
from receiver.health.snapshot import LinkSnapshot

GREETING = b"RTL0\x00\x00\x00\x05\x00\x00\x00\x1d"


class Server:
    """Greets whoever connects, and keeps the connection until the end."""

    def __init__(self, greeting: bytes) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._greeting = greeting
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        self._kept.append(connection)
        connection.sendall(self._greeting)

    def stop(self) -> None:
        """End."""
        if not self._kept:
            socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        for each in (*self._kept, self._socket):
            each.close()


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    """A station with a stick behind `rtl_tcp`."""
    patient = Patient(tmp_path)
    patient.patience_s = 0.3
    return patient


def with_stick(patient: Patient, port: int) -> None:
    patient.text += f'[[links]]\nkind = "software-radio"\nname = "stick"\nsource = "rtl_tcp://127.0.0.1:{port}"\n'


@pytest.fixture(params=[(GREETING, []), (b"", [("software-radio", "fault")])])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """A server that greets as rtl_tcp, and one that is busy with somebody else."""
    greeting, expected = request.param
    server = Server(greeting)
    yield server.port, expected
    server.stop()


def test_a_stick_must_be_served_and_free(
    patient: Patient, served: tuple[int, list[tuple[str, str]]]
) -> None:
    port, expected = served
    with_stick(patient, port)
    assert patient.names(software_radios.software_radios) == expected


def test_a_stick_that_nobody_serves_is_a_fault(patient: Patient) -> None:
    with_stick(patient, free_port())
    (finding,) = patient.found(software_radios.software_radios)
    assert (finding.check, finding.severity) == ("software-radio", "fault")
    assert "refused" in finding.found


def test_a_stick_that_the_daemon_listens_to_is_left_alone(patient: Patient) -> None:
    with_stick(patient, free_port())
    patient.hears()
    assert patient.is_well(software_radios.software_radios)


def test_samples_that_were_given_up_or_never_came_are_told_with_what_helps(
    patient: Patient,
) -> None:
    with_stick(patient, free_port())
    lost = {"grid_thinned_s": 90, "samples_dropped": 500_000, "samples_lost": 125_000}
    stick = LinkSnapshot(name="stick", kind="software-radio", state="hearing", rejects=lost)
    patient.hears(links=(stick,))
    slow, lossy = patient.found(software_radios.software_radios)
    assert {slow.severity, lossy.severity} == {"warning"}
    assert "for 90 s and dropped 2.0 s" in slow.found
    assert "width_hz" in slow.do
    assert "0.5 s of samples were lost" in lossy.found
    assert "USB cable" in lossy.do


def test_samples_need_numpy(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    with_stick(patient, free_port())
    patient.hears()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    (finding,) = patient.found(software_radios.software_radios)
    assert finding.subject == "numpy"


def test_a_kernel_that_takes_the_stick_for_a_television_is_a_fault(patient: Patient) -> None:
    patient.write("/proc/modules", "dvb_usb_rtl28xxu 40960 0 - Live 0x0\nuvcvideo 1 0 - Live 0x0\n")
    assert patient.is_well(software_radios.television_driver)
    with_stick(patient, 1234)
    assert patient.names(software_radios.television_driver) == [("television-driver", "fault")]
    patient.write("/proc/modules", "uvcvideo 1 0 - Live 0x0\n")
    assert patient.is_well(software_radios.television_driver)
