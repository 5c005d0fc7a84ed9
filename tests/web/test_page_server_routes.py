"""What the page's interface answers, and how it bears what is thrown at it."""

import asyncio
import dataclasses
import gzip
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import structlog
from conftest import Until
from doctors_patient import Patient
from page_rig import JSON, PageRig, serving

from protocols.records import LogLine
from receiver import log_ring
from receiver.doctor import network
from receiver.limits import LOG_LINES_KEPT, PAGE_REQUEST_BYTES
from receiver.log import configure
from receiver.log_ring import LogRing
from receiver.settings import (
    MqttLink,
    MqttTopic,
    SerialLink,
    Settings,
    SocketLink,
    StationSettings,
)
from receiver.sink_settings import FolderSink, HttpSink
from receiver.walk_test import SOURCE, mark_of
from receiver.web import answers, app, looking
from receiver.web.door import _listening
from receiver.web.static_files import StaticFiles


async def raw(rig: PageRig, sent: bytes) -> bytes:
    """Send bytes as they are; return what comes back until the connection ends."""
    port = int(rig.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_the_status_is_the_stations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_STATUS_KEPT_S", 600.0)  # A busy machine may be slow to ask.
    async with serving(tmp_path) as rig:
        rig.hear("78664C33")
        told = await rig.get("/api/status")
        assert (told["station"], told["detections"]) == ("marsh", 1)
        for _ in range(20):
            await rig.get("/api/status")
        assert rig.status_asked == 1


async def test_every_answer_tells_browsers_to_be_careful(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        for path in ("/", "/api/status", "/api/nothing", "/static/app.js", "/api/live"):
            async with rig.client.get(path) as answer:
                headers = answer.headers
            policy = headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "unsafe-inline" not in policy
            assert "frame-ancestors 'none'" in policy
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["X-Frame-Options"] == "DENY"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert "geolocation=(self)" in headers["Permissions-Policy"]
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert headers["Server"] == "stopover"
            assert (headers.get("Cache-Control") == "no-store") is path.startswith("/api/")
            assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("path", ["/", "/static/app.js"])
async def test_whoever_asks_for_the_head_of_a_page_gets_that_alone(
    tmp_path: Path, path: str
) -> None:
    async with serving(tmp_path) as rig:
        async with rig.client.get(path) as answer:
            whole = (answer.status, dict(answer.headers) | {"Date": ""})
        async with rig.client.head(path) as answer:
            assert (answer.status, dict(answer.headers) | {"Date": ""}) == whole
        request = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        told = await raw(rig, request.encode())
        assert told.startswith(b"HTTP/1.1 200 ")
        assert told.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nothing", 404),
        ("GET", "/nothing", 404),
        ("GET", "/static/nothing.js", 404),
        ("GET", "/static/", 404),
        ("POST", "/api/status", 405),
        ("DELETE", "/api/walk-test", 405),
        ("PUT", "/", 405),
        ("GET", "/api/log?since=x", 400),
        ("GET", "/api/log?since=-1", 400),
        ("GET", "/api/log?since=99999999999999999999", 400),
        ("GET", "/api/log?since=\u0663", 400),
    ],
)
async def test_what_is_asked_wrongly_is_answered_with_words(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    async with serving(tmp_path) as rig:
        assert await rig.status_of(method, path) == status


async def test_a_fault_in_the_program_is_logged_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as rig:

        def broken() -> bytes:
            raise ZeroDivisionError("secret detail")

        monkeypatch.setattr(rig.page._looking, "_status", broken)
        with structlog.testing.capture_logs() as told:
            async with rig.client.get("/api/status") as answer:
                assert answer.status == 500
                assert "secret" not in await answer.text()
        assert [line["log_level"] for line in told] == ["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/..\\app.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/.%00./app.py",
        "/static/static_files.py",
        "/api/download/file/..%2fstopover.toml",
        "/api/download/file/%2fetc%2fpasswd",
        "/api/download/file/password",
        "/api/download/file/station.db-wal",
    ],
)
async def test_no_path_leads_out_of_what_is_offered(tmp_path: Path, path: str) -> None:
    (tmp_path / "stopover.toml").write_text("secret")
    async with serving(tmp_path) as rig:
        rig.set_password()
        told = await raw(
            rig, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert told.split(b" ")[1] in (b"404", b"400"), told


async def test_a_body_that_is_too_long_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        rig.set_password()
        body = json.dumps({"password": "x" * PAGE_REQUEST_BYTES}).encode()
        assert await rig.status_of("POST", "/api/session", data=body, headers=JSON) == 413
        packed = gzip.compress(b'{"password": "' + b"x" * 10_000_000 + b'"}')
        assert len(packed) < PAGE_REQUEST_BYTES
        headers = JSON | {"Content-Encoding": "gzip"}
        assert await rig.status_of("POST", "/api/session", data=packed, headers=headers) == 400


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(5_000)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n%b\r\n\r\n0\r\n\r\n"
        % b"Transfer-Encoding: chunked",
        b"\x00" * 50_000 + b"\r\n\r\n",
    ],
)
async def test_garbage_is_cut_off_and_others_are_served(tmp_path: Path, sent: bytes) -> None:
    async with serving(tmp_path) as rig:
        told = await raw(rig, sent)
        assert told == b"" or told.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
        await rig.get("/api/status")


async def test_connections_are_bounded(tmp_path: Path, until: Until) -> None:
    async with serving(tmp_path, connections=3) as rig:
        port = int(rig.url.rpartition(":")[2])
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        await until(lambda: len(rig.page._runner.server.connections) == 3)  # type: ignore[union-attr]
        assert await raw(rig, b"GET /api/status HTTP/1.0\r\nHost: localhost\r\n\r\n") == b""
        for _, writer in idle:
            writer.close()
        await until(lambda: not rig.page._runner.server.connections)  # type: ignore[union-attr]
        assert b"200" in await raw(rig, b"GET /api/status HTTP/1.0\r\nHost: localhost\r\n\r\n")


async def test_a_connection_that_asks_nothing_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "PAGE_IDLE_S", 0.2)
    async with serving(tmp_path) as rig:
        began = time.monotonic()
        assert await raw(rig, b"") == b""
        assert await raw(rig, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ") == b""
        assert time.monotonic() - began < 20


async def test_a_body_that_does_not_come_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "PAGE_SLOW_S", 0.2)
    async with serving(tmp_path) as rig:
        rig.set_password()
        told = await raw(
            rig,
            b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 50\r\nConnection: close\r\n\r\n{",
        )
        assert told.startswith(b"HTTP/1.1 408")


async def test_the_log_is_told_from_a_line_on(tmp_path: Path) -> None:
    configure("journal", "info")
    log = structlog.get_logger()
    async with serving(tmp_path) as rig:
        before = log_ring.KEPT.count
        log.info("link open", link="ch1", note="<b>\x07")
        log.error("disk full", bytes=12)
        log.debug("not told")
        lines = (await rig.get(f"/api/log?since={before}"))["lines"]
        assert [line["n"] for line in lines] == [before + 1, before + 2]
        assert [line["level"] for line in lines] == ["info", "error"]
        assert lines[0]["event"] == "link open"
        assert lines[0]["text"] == r"link=ch1 note=<b>\x07"
        assert lines[1]["text"] == "bytes=12"
        assert lines[0]["time"].endswith("Z")
        assert (await rig.get(f"/api/log?since={before + 2}"))["lines"] == []


def test_the_log_ring_keeps_the_newest_lines_of_any_length() -> None:
    ring = LogRing()
    for number in range(LOG_LINES_KEPT + 50):
        event = {"event": f"line {number}", "text": "x" * 5_000, "level": "info"}
        assert ring.keep(None, "warning", event) is event
    lines = ring.since(0)
    assert len(lines) == LOG_LINES_KEPT
    assert lines[-1].n == ring.count == LOG_LINES_KEPT + 50
    assert lines[0].event == "line 50"
    assert {len(line.text) for line in lines} == {2_000}
    assert {line.level for line in lines} == {"warning"}
    assert [line.n for line in ring.since(ring.count - 1)] == [ring.count]
    assert ring.since(ring.count + 5) == []


async def test_facts_tell_no_secrets(tmp_path: Path) -> None:
    settings = Settings(
        station=StationSettings(id="marsh", latitude=54.0, longitude=8.0),
        links=(
            SerialLink(name="ch1", device="/dev/ttyUSB0", antenna="north"),
            SocketLink(name="driver", path="/run/driver", decoder="ctt-driver"),
            MqttLink(
                name="field",
                broker="mqtts://broker.example",
                username="me",
                password_file="/etc/t0ken-mqtt",  # noqa: S106  A name.
                topics=(MqttTopic(topic="a/b", decoder="ctt"),),
            ),
        ),
        sinks=(
            HttpSink(name="home", url="https://far.example/t0ken/batches"),
            FolderSink(name="stick", folder="/media/stick"),
        ),
    )
    async with serving(tmp_path, settings) as rig:
        rig.set_password()
        told = await rig.get("/api/facts")
        assert [link["name"] for link in told["links"]] == ["ch1", "driver", "field"]
        assert told["links"][0]["antenna"] == "north"
        assert [sink["to"] for sink in told["sinks"]] == ["far.example", "/media/stick"]
        assert told["position"]["configured"] is True
        assert told["configuration"] == str(tmp_path / "stopover.toml")
        assert "UTC" in told["time"]
        assert "uPlot" in told["licences"]
        assert "t0ken" not in json.dumps(told)
        assert "password" not in json.dumps(told)


async def test_antennas_of_several_radios_are_among_the_facts(tmp_path: Path) -> None:
    settings = Settings(
        links=(SerialLink(name="ch1", device="/dev/null", antenna="up", antennas={"1": "south"}),)
    )
    async with serving(tmp_path, settings) as rig:
        (link,) = (await rig.get("/api/facts"))["links"]
        assert (link["antenna"], link["antennas"]) == ("up", {"1": "south"})


async def test_the_doctor_knows_the_page_when_it_sees_it(tmp_path: Path) -> None:
    patient = Patient(tmp_path)
    patient.hears()
    async with serving(tmp_path) as rig:
        patient.text += f"[page]\nport = {rig.url.rpartition(':')[2]}\n"
        (finding,) = await asyncio.to_thread(patient.found, network.page, also_good=True)
    assert finding.severity == "ok"


async def test_metrics_are_for_this_machine(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        async with rig.client.get("/metrics") as answer:
            assert answer.status == 200
            assert answer.content_type == "text/plain"
            assert "stopover_" in await answer.text()
        assert (
            await rig.status_of("GET", "/metrics", headers={"X-Forwarded-For": "127.0.0.1"}) == 403
        )
        rig.set_password()
        await rig.log_in()
        rebound = {"Host": "evil.example"}
        assert await rig.status_of("GET", "/metrics", headers=rebound) == 403


@pytest.fixture
def static(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "index.html").write_text(
        '<script src="/static/app.js"></script><link href="static/a.css">'
        '<a href="static/none.js"></a>' + " " * 1_000
    )
    (folder / "app.js").write_text("x = 1;" * 500)
    (folder / "a.css").write_text("a{}")
    (folder / "notes.md").write_text("not for the page")
    return folder


async def test_static_files_are_packed_and_kept_by_browsers(
    tmp_path: Path, static: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "StaticFiles", lambda: StaticFiles(static))
    async with serving(tmp_path) as rig:
        async with rig.client.get("/", headers={"Accept-Encoding": "gzip"}) as answer:
            page = await answer.text()
            assert answer.content_type == "text/html"
            assert answer.headers["Cache-Control"] == "no-cache"
        address = page.split('"')[1]
        assert address.startswith("/static/app.js?v=")
        assert 'href="static/none.js"' in page
        async with rig.client.get(address) as answer:
            assert await answer.text() == "x = 1;" * 500
            assert "immutable" in answer.headers["Cache-Control"]
            assert answer.headers["Content-Encoding"] == "gzip"
            assert int(answer.headers["Content-Length"]) < 200
            tag = answer.headers["ETag"]
        async with rig.client.get("/static/app.js", headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304
            assert await answer.read() == b""
        async with rig.client.get(
            "/static/app.js", headers={"Accept-Encoding": "identity"}
        ) as answer:
            assert "Content-Encoding" not in answer.headers
            assert answer.headers["Cache-Control"] == "no-cache"
        assert await rig.status_of("GET", "/static/notes.md") == 404
        (static / "app.js").write_text("y = 2;")
        async with rig.client.get("/") as answer:
            assert address not in await answer.text()
        async with rig.client.get("/static/app.js") as answer:
            assert await answer.text() == "y = 2;"


async def test_a_walk_is_marked_with_what_each_antenna_hears(tmp_path: Path, until: Until) -> None:
    async with serving(tmp_path) as rig:

        def post(path: str, **body: Any) -> Any:  # noqa: ANN401  JSON.
            return asyncio.to_thread(rig.local.post, path, body)

        assert await post("/api/walk-test", tag_id="78664C33") == {"walk_test": "78664C33"}
        rig.hear("78664C33", -70, "north")
        rig.hear("78664C33", -90, "north")
        rig.hear("61337F34", -30, "north")
        for number in range(1_200):  # More than the ring keeps, while nobody marks.
            rig.hear("61337F34", -30, "south")
            if number == 600:
                await until(lambda: rig.page._walks._looked_at == rig.live.count)
        rig.hear("78664C33", -80, "south")
        await post(
            "/api/walk-test/mark", tag_id="78664C33", latitude=54.5, longitude=8.25, note="dyke"
        )
        (record, source) = rig.kept[-1]
        assert source == SOURCE
        assert isinstance(record, LogLine)
        mark = mark_of(record)
        assert mark is not None
        assert mark.levels_dbm == {"north": -90, "south": -80}
        assert mark.best_dbm == {"north": -70, "south": -80}
        assert (mark.latitude, mark.position_from, mark.text) == (54.5, "given", "dyke")


async def test_a_mark_without_a_position_has_the_stations(tmp_path: Path) -> None:
    settings = Settings(station=StationSettings(id="marsh", latitude=54.0, longitude=8.0))
    async with serving(tmp_path, settings) as rig:
        await asyncio.to_thread(rig.local.post, "/api/walk-test/mark", {"tag_id": "78664C33"})
        record = rig.kept[-1][0]
        assert isinstance(record, LogLine)
        mark = mark_of(record)
        assert mark is not None
        assert (mark.latitude, mark.position_from, mark.accuracy_m) == (54.0, "station", None)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tag_id": ""},
        {"tag_id": "x" * 65},
        {"tag_id": 5},
        {"tag_id": "a", "latitude": 91, "longitude": 0},
        {"tag_id": "a", "latitude": 1},
        {"tag_id": "a", "latitude": "north", "longitude": 1},
        {"tag_id": "a", "latitude": 1, "longitude": 1, "accuracy_m": -1},
        {"tag_id": "a", "note": "x" * 501},
    ],
)
async def test_a_mark_that_cannot_be_is_refused(tmp_path: Path, body: dict[str, object]) -> None:
    async with serving(tmp_path) as rig:
        rig.set_password()
        token = await rig.log_in()
        assert await rig.status_of("POST", "/api/walk-test/mark", json=body, headers=token) == 400
        assert rig.kept == []


async def test_commissioning_is_led_by_the_page(tmp_path: Path) -> None:
    (tmp_path / "stopover.toml").write_text(
        f'[station]\nid = "marsh"\n[store]\npath = "{tmp_path / "station.db"}"\n'
    )
    async with serving(tmp_path) as rig:
        state = await rig.get("/api/commission")
        assert state["station"] == "marsh"
        assert {step["name"] for step in state["steps"]} >= {"station", "radios", "clock"}
        rig.set_password()
        token = await rig.log_in()
        wrong = {"json": {"id": "no id!"}, "headers": token}
        assert await rig.status_of("POST", "/api/commission/station", **wrong) == 409
        assert await rig.status_of("POST", "/api/commission/nothing", **wrong) == 409
        skipped = {"json": {"skip": "no sky here"}, "headers": token}
        assert await rig.status_of("POST", "/api/commission/test-tag", **skipped) == 200
        noted = {"json": {"message": "moved the mast"}, "headers": token}
        assert await rig.status_of("POST", "/api/commission/note", **noted) == 200
        assert rig.notes() == ["moved the mast"]
        assert await rig.status_of("POST", "/api/commission/reload", json={}, headers=token) == 200
        assert rig.reloads == 1
        async with rig.client.get("/api/commission/report.html") as answer:
            assert answer.content_type == "text/html"
            assert "script-src" not in answer.headers["Content-Security-Policy"]
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert "no sky here" in await answer.text()
        async with rig.client.get("/api/commission/report.txt") as answer:
            assert "marsh-commissioning.txt" in answer.headers["Content-Disposition"]
            assert "no sky here" in await answer.text()


async def test_a_station_without_a_configuration_cannot_be_commissioned(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        rig.page._commission._parts = dataclasses.replace(rig.parts, configuration=None)
        assert await rig.status_of("GET", "/api/commission") == 409


async def test_both_ips_are_the_same_page(tmp_path: Path) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    async with serving(tmp_path) as rig:
        (listening,) = await _listening("", 0)
        server = await rig.page.serve(listening)
        port = listening.getsockname()[1]
        for address in ("127.0.0.1", "[::1]"):
            told = await rig.get(f"http://{address}:{port}/api/status")
            assert told["station"] == "marsh"
        server.close()
