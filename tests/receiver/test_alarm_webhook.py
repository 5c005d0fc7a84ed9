"""Alarms reach the owner's webhook: in order, again until taken, and nobody waits for them."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from brokers import free_port
from conftest import StartStation, Until
from structlog.testing import capture_logs
from watched_station import MINUTE_S, Machine, settings_of

from receiver.health.webhook import AlarmMessage, Webhook
from receiver.limits import WEBHOOK_WAITING
from receiver.links.backoff import Backoff
from receiver.watch_settings import AlarmSettings


class Owner:
    """A web server that takes alarms, or not."""

    def __init__(self) -> None:
        self.port = free_port()
        self.taken: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.tries = 0
        self.answers: list[int] = []
        """What it answers to the next ones; then 200."""
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it takes them."""
        return f"http://127.0.0.1:{self.port}/alarms/secret-path"

    async def start(self) -> None:
        """Begin to take them."""
        app = web.Application()
        app.router.add_post("/alarms/secret-path", self._take)
        app.router.add_get("/elsewhere", self._login)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        """Be away."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _login(self, _: web.Request) -> web.Response:
        return web.Response(text="log in here")

    async def _take(self, request: web.Request) -> web.Response:
        self.tries += 1
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.taken.append(await request.json())
            self.tokens.append(request.headers.get("Authorization"))
        headers = {"Location": "/elsewhere"} if status == 302 else {}
        return web.Response(status=status, text="said", headers=headers)


@pytest.fixture
async def owner() -> AsyncIterator[Owner]:
    made = Owner()
    await made.start()
    yield made
    await made.stop()


def message(number: int) -> AlarmMessage:
    return AlarmMessage(
        text=f"marsh: ALARM {number}",
        station="marsh",
        state="on",
        alarm="disk-low",
        subject=str(number),
        since="then",
        time="now",
        message="<b>m</b>",
        do="d",
    )


class Posted(list[str]):
    """The subjects of what was taken, as the webhook tells."""

    def __call__(self, taken: AlarmMessage) -> None:
        """Take note."""
        self.append(taken.subject)


def quick() -> Backoff:
    return Backoff(first_s=0.01, longest_s=0.04)


async def test_messages_are_posted_in_order_with_the_token(
    tmp_path: Path, owner: Owner, until: Until
) -> None:
    token = tmp_path / "token"
    token.write_text("sesame\nmore\n")
    posted = Posted()
    hook = Webhook(
        AlarmSettings(webhook=owner.url, webhook_token_file=str(token)), posted, backoff=quick
    )
    for number in range(5):
        hook.post(message(number))
    await until(lambda: len(posted) == 5)
    assert [each["subject"] for each in owner.taken] == posted == list("01234")
    assert set(owner.tokens) == {"Bearer sesame"}
    assert owner.taken[0] == {
        "text": "marsh: ALARM 0",
        "station": "marsh",
        "state": "on",
        "alarm": "disk-low",
        "subject": "0",
        "since": "then",
        "time": "now",
        "message": "<b>m</b>",
        "do": "d",
    }
    assert hook.waiting == 0
    await hook.stop()


@pytest.mark.parametrize("status", [500, 503, 429, 404, 302])
async def test_what_is_not_taken_is_posted_again_until_it_is_and_nothing_overtakes_it(
    owner: Owner, until: Until, status: int
) -> None:
    owner.answers = [200, status, status, status]
    posted = Posted()
    hook = Webhook(AlarmSettings(webhook=owner.url), posted, backoff=quick)
    with capture_logs() as log:
        for number in range(3):
            hook.post(message(number))
        await until(lambda: len(posted) == 3)
    assert (posted, owner.tries) == (["0", "1", "2"], 6)
    assert [each["subject"] for each in owner.taken] == posted
    assert [(line["event"], line["webhook"]) for line in log] == [
        ("webhook takes no alarms; they wait", "127.0.0.1"),
        ("webhook takes alarms again", "127.0.0.1"),
    ]
    assert "secret-path" not in str(log)
    await hook.stop()


async def test_a_webhook_that_is_away_gets_everything_when_it_is_back(
    owner: Owner, until: Until
) -> None:
    await owner.stop()
    posted = Posted()
    hook = Webhook(AlarmSettings(webhook=owner.url), posted, backoff=quick)
    with capture_logs() as log:
        hook.post(message(1))
        hook.post(message(2))
        await until(lambda: log)
        assert posted == []
        await owner.start()
        await until(lambda: len(posted) == 2)
    assert posted == ["1", "2"]
    await hook.stop()


async def test_a_token_file_that_is_missing_is_told_and_read_once_it_is_there(
    tmp_path: Path, owner: Owner, until: Until
) -> None:
    token = tmp_path / "token"
    posted = Posted()
    settings = AlarmSettings(webhook=owner.url, webhook_token_file=str(token))
    hook = Webhook(settings, posted, backoff=quick)
    with capture_logs() as log:
        hook.post(message(1))
        await until(lambda: log)
        assert log[0]["do"] == "check alarms.webhook_token_file"
        token.write_text("sesame")
        await until(lambda: posted)
    assert owner.tokens == ["Bearer sesame"]
    await hook.stop()


async def test_no_more_wait_than_there_is_room_for_and_the_oldest_go() -> None:
    hook = Webhook(AlarmSettings(webhook=f"http://127.0.0.1:{free_port()}/"), Posted())
    for number in range(WEBHOOK_WAITING + 3):
        hook.post(message(number))
    assert (hook.waiting, hook.dropped) == (WEBHOOK_WAITING, 3)
    await hook.stop()


async def test_another_address_gets_what_waits(owner: Owner, until: Until) -> None:
    posted = Posted()
    hook = Webhook(AlarmSettings(webhook=f"http://127.0.0.1:{free_port()}/"), posted)
    with capture_logs() as log:
        hook.post(message(1))
        await until(lambda: log)
        hook.change(AlarmSettings(webhook=owner.url))
        await until(lambda: posted)
    await hook.stop()


async def test_without_a_webhook_nothing_waits_and_no_task_runs() -> None:
    hook = Webhook(AlarmSettings(), Posted())
    hook.post(message(1))
    assert hook.waiting == 0
    assert len(asyncio.all_tasks()) == 1


async def test_the_station_posts_each_alarm_once_also_over_a_restart(
    tmp_path: Path,
    owner: Owner,
    machine: Machine,
    start_station: StartStation,
    until: Until,
) -> None:
    settings = settings_of(tmp_path, alarms=AlarmSettings(webhook=owner.url, clock_minutes=10))
    station = await start_station(settings)
    machine.quality = "unsynchronised"
    await station.passes(12 * MINUTE_S)
    await until(lambda: owner.taken)
    await station.kept()
    await station.end()
    station = await start_station(settings)
    await station.passes(12 * MINUTE_S)
    machine.quality = "ntp"
    await station.passes(2 * MINUTE_S)
    await until(lambda: len(owner.taken) > 1)
    assert [(each["state"], each["alarm"]) for each in owner.taken] == [
        ("on", "clock-lost"),
        ("over", "clock-lost"),
    ]
    assert owner.taken[0]["text"].startswith("marsh: ALARM clock-lost: the clock is")
    assert owner.taken[1]["text"] == "marsh: over: clock-lost"
    assert owner.taken[1]["since"] == owner.taken[0]["since"]


async def test_what_was_not_taken_before_a_restart_is_posted_after_it(
    tmp_path: Path,
    owner: Owner,
    machine: Machine,
    start_station: StartStation,
    until: Until,
) -> None:
    await owner.stop()
    settings = settings_of(tmp_path, alarms=AlarmSettings(webhook=owner.url, clock_minutes=10))
    station = await start_station(settings)
    machine.quality = "unsynchronised"
    await station.passes(12 * MINUTE_S)
    assert station.alarms
    await station.end()
    await owner.start()
    await start_station(settings)
    await until(lambda: owner.taken)
    assert [each["state"] for each in owner.taken] == ["on"]


async def test_a_webhook_that_is_configured_while_the_station_runs_is_used(
    tmp_path: Path,
    owner: Owner,
    machine: Machine,
    start_station: StartStation,
    until: Until,
) -> None:
    station = await start_station(settings_of(tmp_path))
    alarms = AlarmSettings(webhook=owner.url, clock_minutes=2)
    station.daemon.health.change(settings_of(tmp_path, alarms=alarms))
    machine.quality = "unsynchronised"
    await station.passes(4 * MINUTE_S)
    await until(lambda: owner.taken)


def test_what_posts_is_not_loaded_while_there_is_nothing_to_post() -> None:
    loads = "import receiver.health.webhook, sys; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
