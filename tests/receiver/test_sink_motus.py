"""The Motus sink against a server that behaves as SensorGnome's program expects motus.org to."""

import asyncio
import gzip
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from aiohttp import web
from brokers import free_port
from wire import Wire

from protocols.ctt.lines import decode_ctt_line
from protocols.ctt.packet import build_packet, id_from_number
from receiver.arrivals import Arrival, Source, Stamp
from receiver.links.backoff import Backoff
from receiver.sink_settings import MotusSink as Settings
from receiver.sinks.motus import MotusSink
from receiver.sinks.runner import SinkRunner
from receiver.sinks.state import SinkState
from receiver.sinks.uploads import notes_into
from receiver.store.database import Store

DAY_NS = 86_400 * 10**9
BEGIN_NS = 20_585 * DAY_NS  # 2026-05-12
SOURCE = Source(link="ch1", decoder="ctt/1", antenna="1")
JOB = {
    "msg": "Preliminary processing of your file has occurred: Job ID: 11412766; new path:"
    " &#47;sgm&#47;uploads"
}


class MotusServer:
    """What SensorGnome's station program says of motus.org, with faults that can be switched on."""

    def __init__(self) -> None:
        self.port = free_port()
        self.archives: dict[str, bytes] = {}
        """By SHA-1: those that were taken over."""
        self.asked: list[str] = []
        self.sessions: set[str] = set()
        self.delay_s = 0.0
        self.fails: dict[str, web.Response] = {}
        """The answer to a step, once."""
        self._parts: dict[str, bytes] = {}
        self._wanted: dict[str, str] = {}

    async def start(self) -> web.AppRunner:
        """Listen."""
        application = web.Application(client_max_size=2**25)
        application.router.add_post("/data/login", self._login)
        application.router.add_route("*", "/data/project/sgJobs", self._job)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        return runner

    async def _login(self, request: web.Request) -> web.Response:
        form = await request.post()
        if (form["login_name"], form["login_password"]) != ("owner", "secret"):
            return web.Response(status=302, headers={"Location": "/data/login?again"})
        session = f"s{len(self.asked)}"
        self.sessions.add(session)
        answer = web.Response(status=302)
        answer.set_cookie("JSESSIONID", session)
        return answer

    async def _job(self, request: web.Request) -> web.Response:
        query = request.query
        step = query.get("action", "verify")
        self.asked.append(step)
        await asyncio.sleep(self.delay_s)
        if request.cookies.get("JSESSIONID") not in self.sessions:
            return web.Response(status=302, headers={"Location": "https://motus.org/data/login"})
        if query["projectID"] != "460":
            return web.Response(status=302, headers={"Location": "https://motus.org/data"})
        if step in self.fails:
            return self.fails.pop(step)
        content = await request.read()
        return web.json_response(self._done(step, query, content))

    def _done(self, step: str, query: Mapping[str, str], content: bytes) -> dict[str, str]:
        if step == "verify":
            assert query["fileName"].startswith("SG-1234RPI3ABCD-202605")
            assert query["fileName"].endswith(f"-{query['verifyHash'][:8]}.zip")
            if query["verifyHash"] in self.archives:
                said = "This file has already been uploaded by OWNER\r\n(2026-05-13; jobID: 7)"
                return {"msg": said}
            part = f"part{len(self._wanted)}"
            self._wanted[part] = query["verifyHash"]
            return {"filePartName": part}
        part = query["filePartName"]
        if step == "start":
            self._parts[part] = content
            return {"fileName": part}
        content = self._parts[part]
        assert hashlib.sha1(content, usedforsecurity=False).hexdigest() == self._wanted[part]
        self.archives[self._wanted[part]] = content
        return JOB


@pytest.fixture
async def server() -> AsyncIterator[MotusServer]:
    motus = MotusServer()
    runner = await motus.start()
    yield motus
    await runner.cleanup()


@pytest.fixture
async def wire(server: MotusServer) -> AsyncIterator[Wire]:
    wire = Wire(server.port)
    await wire.mend()
    yield wire
    await wire.cut()


def day(number: int, beeps: int) -> list[Arrival]:
    arrivals = []
    for beep in range(beeps):
        line = build_packet(id_from_number(beep % 5)).hex().encode() + b",%d" % (-70 - beep)
        detection = decode_ctt_line(line)
        utc_ns = BEGIN_NS + number * DAY_NS + beep * DAY_NS // beeps
        arrivals.append(Arrival(detection, SOURCE, Stamp(utc_ns, "ntp", utc_ns - BEGIN_NS, "b")))
    return arrivals


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "s.db"
    with Store.open(path, station_id="marsh") as opened:
        for number in range(3):
            opened.append(day(number, 10))
    (tmp_path / "password").write_text("secret\n")
    return path


class Sending:
    """A Motus sink on the afternoon of the third day."""

    def __init__(self, store: Path, port: int, login: str = "password", **more: object) -> None:
        given = {"project": 460, "timeout": 5.0, "username": "owner", "also": (), **more}
        settings = Settings(
            name="motus",
            serial="SG-1234RPI3ABCD",
            url=f"http://127.0.0.1:{port}",
            password_file=str(store.with_name(login)),
            **given,  # type: ignore[arg-type]  # Each test names its own.
        )
        self.utc_s = (BEGIN_NS + 2.6 * DAY_NS) / 1e9
        self.sink = MotusSink(settings, store, utc_s=lambda: self.utc_s)
        self.runner = SinkRunner(
            self.sink,
            settings,
            store,
            notes_into(store),
            backoff=Backoff(first_s=1.0, longest_s=8.0, jitter=lambda: 0.0),
        )
        self.status = self.runner.status

    async def until(self, *states: SinkState) -> None:
        """Step until it is in one of some states."""
        for _ in range(60):
            await self.runner.step()
            if self.status.state in states:
                return
        raise AssertionError(f"{self.status.state}: {self.status.reason}")


def files_of(server: MotusServer) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for content in server.archives.values():
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found |= {name: archive.read(name) for name in archive.namelist()}
    return found


async def test_days_that_are_over_are_sent_whole_and_the_last_one_waits(
    server: MotusServer, wire: Wire, store: Path
) -> None:
    sending = Sending(store, wire.port)
    await sending.until(SinkState.NOT_YET)
    assert len(server.archives) == 2
    files = files_of(server)
    assert {name.split("/")[0] for name in files} == {"2026-05-12", "2026-05-13"}
    assert all(name.endswith("-ctt.txt.gz") for name in files)
    lines = b"".join(gzip.decompress(content) for content in files.values()).splitlines()
    assert sum(line.startswith(b"T") for line in lines) == 20
    assert sending.status.acknowledged_seq == 20
    sending.utc_s += 86_400
    await sending.until(SinkState.UP_TO_DATE)
    assert (len(server.archives), sending.status.acknowledged_seq) == (3, 30)
    await sending.sink.close()


async def test_an_archive_that_motus_has_is_not_sent_again(
    server: MotusServer, wire: Wire, store: Path
) -> None:
    first = Sending(store, wire.port)
    await first.until(SinkState.NOT_YET)
    await first.sink.close()
    server.asked.clear()
    again = Sending(store, wire.port)
    again.runner.settings = Settings(name="other", project=460, serial="SG-1234RPI3ABCD", also=())
    await again.until(SinkState.NOT_YET)
    assert set(server.asked) == {"verify"}
    await again.sink.close()


@pytest.mark.parametrize(
    ("step", "answer", "words"),
    [
        ("verify", '{"error": "no such project"}', "no such project"),
        ("start", '{"error": "disk full"}', "disk full"),
        ("transfer", '{"msg": "try &#47; later"}', "try / later"),
        ("transfer", "<html>busy</html>", "no JSON"),
        ("start", "", "200, and no JSON"),
    ],
)
async def test_a_step_that_fails_moves_no_mark_and_is_tried_again(
    server: MotusServer, store: Path, step: str, answer: str, words: str
) -> None:
    server.fails[step] = web.Response(text=answer)
    sending = Sending(store, server.port)
    await sending.until(SinkState.AWAY, SinkState.NOT_YET)
    assert sending.status.state is SinkState.AWAY
    assert words in (sending.status.reason or "")
    assert sending.status.acknowledged_seq == 0
    await sending.until(SinkState.NOT_YET)
    assert len(server.archives) == 2
    await sending.sink.close()


async def test_a_session_that_ended_is_opened_again(
    server: MotusServer, wire: Wire, store: Path
) -> None:
    sending = Sending(store, wire.port)
    await sending.until(SinkState.NOT_YET)
    server.sessions.clear()
    sending.utc_s += 86_400
    await sending.until(SinkState.AWAY, SinkState.UP_TO_DATE)
    assert "session has ended" in (sending.status.reason or "")
    await sending.until(SinkState.UP_TO_DATE)
    assert len(server.archives) == 3
    await sending.sink.close()


async def test_an_outage_and_a_half_sent_archive_lose_nothing(
    server: MotusServer, wire: Wire, store: Path
) -> None:
    sending = Sending(store, wire.port)
    wire.cut_after(2_500)  # Login and check go through, the archive does not.
    await sending.until(SinkState.AWAY, SinkState.NOT_YET)
    assert (sending.status.state, server.archives) == (SinkState.AWAY, {})
    await wire.cut()
    await sending.until(SinkState.AWAY)
    await wire.mend()
    await sending.until(SinkState.NOT_YET)
    assert len(server.archives) == 2
    await sending.sink.close()


async def test_a_slow_server_is_waited_for_only_so_long(
    server: MotusServer, wire: Wire, store: Path
) -> None:
    server.delay_s = 0.5
    sending = Sending(store, wire.port, timeout=0.2)
    await sending.until(SinkState.AWAY)
    assert "no answer within 0.2 s" in (sending.status.reason or "")
    server.delay_s = 0.0
    await sending.until(SinkState.NOT_YET)
    assert len(server.archives) == 2
    await sending.sink.close()


async def test_a_wrong_password_and_a_foreign_project_are_told(
    server: MotusServer, wire: Wire, store: Path
) -> None:
    store.with_name("wrong").write_text("x\n")
    sending = Sending(store, wire.port, "wrong")
    await sending.until(SinkState.REFUSED)
    assert "password" in (sending.status.advice or "")
    await sending.sink.close()
    foreign = Sending(store, wire.port, project=7)
    await foreign.until(SinkState.REFUSED)
    assert "project" in (foreign.status.advice or "")
    assert server.archives == {}
    await foreign.sink.close()
