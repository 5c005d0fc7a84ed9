"""The doctor looks at brokers, web servers and folders that data come from and go to."""

import asyncio
import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import aiomqtt
import pytest
from brokers import Broker, free_port
from certificates import certificate
from doctors_patient import NOBODY, Patient

from receiver.doctor import network

PASSWORDS: Final = "allow_anonymous false\npassword_file {file}\n"


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    """A healthy station."""
    return Patient(tmp_path)


def link_to(url: str, *more: str) -> str:
    lines = (
        "[[links]]",
        'kind = "mqtt"',
        'name = "field"',
        f'broker = "{url}"',
        *more,
        'topics = [{ topic = "a", decoder = "ctt" }]',
        "",
    )
    return "\n".join(lines)


def sink_to(kind: str, *lines: str) -> str:
    return "\n".join(("[[sinks]]", f'kind = "{kind}"', 'name = "home"', *lines, ""))


def test_a_broker_that_lets_us_in_is_good(patient: Patient, broker: Broker) -> None:
    patient.text += link_to(broker.url)
    (finding,) = patient.found(network.far_ends, also_good=True)
    assert (finding.check, finding.severity) == ("broker", "ok")


@pytest.mark.parametrize("kind", ["link", "sink"])
async def test_the_stations_own_session_at_the_broker_goes_on(
    patient: Patient, broker: Broker, kind: str
) -> None:
    sink = sink_to("mqtt", f'broker = "{broker.url}"')
    patient.text += link_to(broker.url) if kind == "link" else sink
    identifier = "stopover-marsh-field" if kind == "link" else "stopover-marsh-home"
    async with aiomqtt.Client("127.0.0.1", broker.port, identifier=identifier) as station:
        found = functools.partial(patient.found, network.far_ends, also_good=True)
        (finding,) = await asyncio.to_thread(found)
        assert finding.severity == "ok"
        await station.publish("tags/1", b"still here", qos=1)


def test_a_broker_that_is_not_there_is_a_fault(patient: Patient) -> None:
    patient.text += link_to(f"mqtt://127.0.0.1:{free_port()}")
    (finding,) = patient.found(network.far_ends)
    assert (finding.check, finding.severity, finding.subject) == ("broker", "fault", "link field")
    assert "refused" in finding.found


def test_a_wrong_password_is_a_fault(
    patient: Patient, start_broker: Callable[..., Broker], tmp_path: Path
) -> None:
    users = tmp_path / "users"
    users.write_text("")
    broker = start_broker(PASSWORDS.format(file=users))
    (tmp_path / "password").write_text("wrong\n")
    patient.text += sink_to(
        "mqtt", f'broker = "{broker.url}"', 'username = "marsh"', 'password_file = "password"'
    )
    (finding,) = patient.found(network.far_ends)
    assert (finding.check, finding.severity, finding.subject) == ("broker", "fault", "sink home")
    assert "Not authorized" in finding.found
    assert "password_file" in finding.do


@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_a_broker_whose_certificate_has_expired_or_is_a_strangers_is_a_fault(
    patient: Patient, start_broker: Callable[..., Broker], tmp_path: Path
) -> None:
    old = certificate(tmp_path / "old", -30, -1)
    broker = start_broker(f"allow_anonymous true\ncertfile {old.file}\nkeyfile {old.key}\n")
    url = f"mqtts://localhost:{broker.port}"
    empty = patient.text
    patient.text = empty + link_to(url, f'ca_file = "{old.file}"')
    (finding,) = patient.found(network.far_ends)
    assert "has expired" in finding.found
    patient.text = empty + link_to(url)
    (finding,) = patient.found(network.far_ends)
    assert finding.severity == "fault"
    assert "certificate" in finding.found.lower()


def test_tls_that_is_right_is_good(
    patient: Patient, start_broker: Callable[..., Broker], tmp_path: Path
) -> None:
    good = certificate(tmp_path / "good")
    broker = start_broker(f"allow_anonymous true\ncertfile {good.file}\nkeyfile {good.key}\n")
    patient.text += link_to(f"mqtts://localhost:{broker.port}", f'ca_file = "{good.file}"')
    (finding,) = patient.found(network.far_ends, also_good=True)
    assert finding.severity == "ok"
    assert "TLS" in finding.found


def test_a_password_file_that_is_missing_is_a_fault(patient: Patient, broker: Broker) -> None:
    patient.text += link_to(broker.url, 'username = "a"', 'password_file = "gone"')
    (finding,) = patient.found(network.far_ends)
    assert (finding.severity, "gone" in finding.found) == ("fault", True)


class WebServer:
    """Answers every request with one status, and keeps what came."""

    def __init__(self) -> None:
        self.status = 405
        self.name = "nginx"
        self.came: list[tuple[str, str, str | None, str | None]] = []
        outer = self

        class Answers(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(200)
                self.end_headers()

            def do_OPTIONS(self) -> None:
                headers = self.headers
                outer.came.append(
                    (self.command, self.path, headers["Authorization"], headers["Content-Length"])
                )
                self.send_response(outer.status)
                self.end_headers()

            def version_string(self) -> str:
                return outer.name

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def web_server() -> Iterator[WebServer]:
    """A web server that knows no method but OPTIONS."""
    server = WebServer()
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("status", "severity"),
    [(405, "ok"), (200, "ok"), (501, "ok"), (401, "fault"), (404, "fault"), (502, "fault")],
)
def test_a_web_server_is_judged_by_its_answer_and_is_sent_no_data(
    patient: Patient, web_server: WebServer, status: int, severity: str
) -> None:
    web_server.status = status
    (patient.folder / "token").write_text("t0ken\n")
    patient.text += sink_to("http", f'url = "{web_server.url}/batches"', 'token_file = "token"')
    (finding,) = patient.found(network.far_ends, also_good=True)
    assert (finding.check, finding.severity) == ("web-server", severity)
    assert web_server.came == [("OPTIONS", "/batches", "Bearer t0ken", None)]


def test_a_web_server_that_is_not_there_or_does_not_answer_is_a_fault(patient: Patient) -> None:
    patient.text += sink_to("http", f'url = "http://127.0.0.1:{free_port()}/batches"')
    (finding,) = patient.found(network.far_ends)
    assert (finding.check, finding.severity) == ("web-server", "fault")
    assert "refused" in finding.found


def test_a_web_server_on_a_frozen_line_ends_within_the_doctors_patience(patient: Patient) -> None:
    import socket  # noqa: PLC0415  Of this test only.

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        patient.patience_s = 0.2
        patient.text += sink_to("http", f'url = "http://127.0.0.1:{port}/"')
        (finding,) = patient.found(network.far_ends)
    assert (finding.severity, "timed out" in finding.found) == ("fault", True)


def test_a_sink_whose_secret_cannot_be_read_is_a_fault(
    patient: Patient, web_server: WebServer
) -> None:
    patient.text += sink_to("http", f'url = "{web_server.url}/"', 'token_file = "gone"')
    (finding,) = patient.found(network.far_ends)
    assert (finding.severity, "gone" in finding.found) == ("fault", True)


def test_folders_of_sinks_must_be_there_and_be_writable(patient: Patient, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    empty = patient.text
    patient.text = empty + sink_to("folder", f'folder = "{folder}"', 'mark_file = ".stopover"')
    assert patient.names(network.folders) == [("folder", "note")]
    patient.text = empty + sink_to("folder", f'folder = "{folder}"')
    assert patient.names(network.folders) == [("folder", "fault")]
    folder.mkdir()
    assert patient.is_well(network.folders)
    patient.identity = NOBODY
    (finding,) = patient.found(network.folders)
    assert "nobody may not write" in finding.found


def test_the_server_that_takes_alarms_must_be_there_and_learns_nothing(
    patient: Patient, web_server: WebServer
) -> None:
    assert patient.is_well(network.webhook)
    patient.text += f'[alarms]\nwebhook = "{web_server.url}/hooks/t0ken"\n'
    (finding,) = patient.found(network.webhook, also_good=True)
    assert (finding.check, finding.severity) == ("webhook", "ok")
    assert web_server.came == [("OPTIONS", "/", None, None)]
    patient.text = patient.text.replace(web_server.url, f"http://127.0.0.1:{free_port()}")
    (finding,) = patient.found(network.webhook)
    assert (finding.severity, "refused" in finding.found) == ("fault", True)
    assert "t0ken" not in finding.found


def test_the_page_must_be_served_by_the_station_itself(
    patient: Patient, web_server: WebServer
) -> None:
    port = web_server.url.rpartition(":")[2]
    patient.text += f"[page]\nport = {port}\n"
    assert patient.is_well(network.page), "nobody serves it while no daemon runs"
    patient.hears()
    (finding,) = patient.found(network.page)
    assert (finding.check, finding.severity) == ("page", "warning")
    assert "another program answers" in finding.found
    web_server.name = "stopover"
    assert patient.is_well(network.page)
    patient.text = patient.text.replace(port, str(free_port()))
    (finding,) = patient.found(network.page)
    assert "refused" in finding.found
