"""What counts as an acknowledgement and what does not, answer by answer; and what may be sent."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import aiomqtt
import msgspec
import pytest
from aiohttp import web
from brokers import Broker, free_port
from hypothesis import given
from hypothesis import strategies as st
from store_traffic import numbers

from receiver.limits import SINK_REQUEST_OVERHEAD_BYTES
from receiver.links.backoff import Backoff
from receiver.sink_settings import FolderSink as FolderSettings
from receiver.sink_settings import HttpSink as HttpSettings
from receiver.sink_settings import MqttSink as MqttSettings
from receiver.sinks.batches import Batch, Header, pack
from receiver.sinks.budget import Budget, Verdict
from receiver.sinks.far_end import BatchRefusedError, FarEndError
from receiver.sinks.folder import FolderSink
from receiver.sinks.http import HttpSink
from receiver.sinks.mqtt import Answer, MqttSink
from receiver.sinks.runner import SinkRunner
from receiver.sinks.state import SinkState
from receiver.sinks.uploads import notes_into
from receiver.store.database import Store

Until: TypeAlias = Callable[[Callable[[], object]], Awaitable[None]]
DAY_S = 86_400


@pytest.fixture
def batch() -> Batch:
    header = Header(
        station_id="marsh", store_uuid="u", schema_version=1, first_seq=1, last_seq=1, rows=1
    )
    return pack(header, [b'{"seq":1}'], "gzip")


class Answering:
    """A web service that answers with what it is told, and keeps what came."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_port()}/batches"
        self.answer = web.Response()
        self.headers: dict[str, str] = {}
        self.body = b""

    async def post(self, request: web.Request) -> web.Response:
        """Answer."""
        self.headers = dict(request.headers)
        self.body = await request.read()
        return self.answer


@pytest.fixture
async def service() -> AsyncIterator[Answering]:
    answering = Answering()
    application = web.Application()
    application.router.add_post("/batches", answering.post)
    runner = web.AppRunner(application, access_log=None, auto_decompress=False)
    await runner.setup()
    port = int(answering.url.split(":")[2].split("/")[0])
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield answering
    await runner.cleanup()


async def answered(service: Answering, batch: Batch, **settings: str) -> None:
    sink = HttpSink(HttpSettings(name="far", url=service.url, **settings))  # type: ignore[arg-type]  # Each test's own.
    try:
        await sink.send(batch)
    finally:
        await sink.close()


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_a_2xx_acknowledges_and_the_request_is_as_documented(
    service: Answering, batch: Batch, tmp_path: Path, status: int
) -> None:
    service.answer = web.Response(status=status)
    (tmp_path / "password").write_text("pässword\n", encoding="utf-8")
    await answered(service, batch, username="marsh", password_file=str(tmp_path / "password"))
    assert service.body == batch.body
    assert service.headers["Content-Encoding"] == "gzip"
    assert service.headers["Content-Type"] == "application/x-ndjson"
    assert service.headers["Idempotency-Key"] == batch.name
    assert service.headers["Authorization"] == "Basic bWFyc2g6cMOkc3N3b3Jk"


@pytest.mark.parametrize(
    ("answer", "words", "refused"),
    [
        (web.Response(status=202), "accepted, not that it is stored", False),
        (web.Response(text="<html>", content_type="text/html"), "a web page answered", False),
        (web.json_response({"acknowledged": "another"}), "another batch", False),
        (web.Response(status=302, headers={"Location": "/login"}), "302", True),
        (web.Response(status=401), "401", True),
        (web.Response(status=404, text="nothing here"), "nothing here", True),
        (web.Response(status=415), "415", True),
        (web.Response(status=409), "409", False),
        (web.Response(status=500), "500", False),
    ],
)
async def test_no_other_answer_acknowledges(
    service: Answering, batch: Batch, answer: web.Response, words: str, *, refused: bool
) -> None:
    service.answer = answer
    with pytest.raises(FarEndError, match=words) as caught:
        await answered(service, batch)
    assert caught.value.refused is refused
    assert caught.value.advice


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_some_answers_say_that_a_batch_will_never_do(
    service: Answering, batch: Batch, status: int
) -> None:
    service.answer = web.Response(status=status, text="bad row")
    with pytest.raises(BatchRefusedError, match="bad row"):
        await answered(service, batch)


@pytest.mark.parametrize(("value", "seconds"), [("120", 120.0), ("Wed, 21 Oct", None)])
async def test_a_service_may_say_when_to_come_again(
    service: Answering, batch: Batch, value: str, seconds: float | None
) -> None:
    service.answer = web.Response(status=503, headers={"Retry-After": value})
    with pytest.raises(FarEndError) as caught:
        await answered(service, batch)
    assert caught.value.retry_after_s == seconds


async def test_files_that_a_sink_needs_and_are_not_there_are_named(
    service: Answering, batch: Batch
) -> None:
    with pytest.raises(FarEndError, match="nowhere") as caught:
        await answered(service, batch, token_file="/nowhere")  # noqa: S106  A path.
    assert not caught.value.is_reached


async def test_over_mqtt_only_the_answer_to_this_batch_counts(
    broker: Broker, batch: Batch, until: Until
) -> None:
    sink = MqttSink(
        MqttSettings(name="far", broker=broker.url, timeout=10.0), "marsh", confirm_s=5.0
    )
    sending = asyncio.ensure_future(sink.send(batch))
    topic = "stopover/marsh/acks"
    await until(lambda: sink._answers or sending.done())
    good = Answer(batch=batch.name, state="stored")
    await broker.publish(topic, b"{", msgspec.json.encode(Answer(batch="other", state="stored")))
    await until(lambda: sink.answers_unasked == 2)
    assert not sending.done()
    await broker.publish(topic, msgspec.json.encode(good), msgspec.json.encode(good))
    await sending
    # The second one came for nothing, and a third one later: nobody minds.
    await broker.publish(topic, msgspec.json.encode(good))
    await until(lambda: sink.answers_unasked == 4)
    for answer, error in (
        (Answer(batch=batch.name, state="refused", reason="bad row"), BatchRefusedError),
        (
            Answer(batch=batch.name, state="unavailable", reason="away", retry_after_s=9.0),
            FarEndError,
        ),
    ):
        sending = asyncio.ensure_future(sink.send(batch))
        await until(lambda: sink._answers)
        await broker.publish(topic, msgspec.json.encode(answer))
        with pytest.raises(error, match=answer.reason) as caught:
            await sending
        if isinstance(caught.value, FarEndError):
            assert caught.value.retry_after_s == 9.0
    await sink.close()


async def test_a_station_that_vanishes_is_shown_offline_by_the_broker(
    broker: Broker, batch: Batch, until: Until
) -> None:
    sink = MqttSink(MqttSettings(name="far", broker=broker.url, timeout=5.0), "marsh")
    told: list[str] = []

    async def listen() -> None:
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            await client.subscribe("stopover/marsh/status", qos=1)
            async for message in client.messages:
                state = msgspec.json.decode(bytes(message.payload))["state"]
                told.append(state)

    listening = asyncio.create_task(listen())
    sending = asyncio.ensure_future(sink.send(batch))
    await until(lambda: sink._answers)
    answer = msgspec.json.encode(Answer(batch=batch.name, state="stored"))
    await broker.publish("stopover/marsh/acks", answer)
    await sending
    await until(lambda: told == ["online"])
    assert sink._client is not None
    sink._client._client.socket().close()  # type: ignore[union-attr]  # The cable is cut.
    await until(lambda: told == ["online", "offline"])
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    with contextlib.suppress(ValueError):  # paho finds its socket closed.
        await sink.close()


async def test_a_file_has_its_name_only_once_it_is_on_the_disk(
    tmp_path: Path, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names() -> list[str]:
        return sorted(path.name for path in (tmp_path / "marsh").iterdir())

    sink = FolderSink(FolderSettings(name="usb", folder=str(tmp_path)))
    await sink.send(batch)
    whole = names()
    assert whole[0] == "last-copied.txt"
    (tmp_path / "marsh" / whole[1]).unlink()
    with monkeypatch.context() as broken:

        def fail(_descriptor: int) -> None:
            raise OSError(5, "Input/output error")

        broken.setattr(os, "fsync", fail)
        with pytest.raises(FarEndError, match="Input/output error"):
            await sink.send(batch)
    assert names() == [whole[0], f"{whole[1]}.partial"]
    await sink.send(batch)
    assert names() == whole


@given(
    costs=st.lists(st.integers(1, 3_000), max_size=60),
    steps_s=st.lists(st.floats(0, 40_000), min_size=60, max_size=60),
    per_day=st.integers(1_000, 10_000),
)
def test_no_more_is_sent_in_a_day_than_may_be(
    costs: list[int], steps_s: list[float], per_day: int
) -> None:
    budget = Budget(0, per_day)
    spent: dict[int, int] = {}
    utc_s = 0.0
    for cost, step_s in zip(costs, steps_s, strict=False):
        utc_s += step_s
        verdict, wait_s = budget.ask(cost, 10, utc_s, utc_s)
        if verdict is Verdict.GO:
            day = budget.spend(cost, utc_s, utc_s)
            spent[day] = spent.get(day, 0) + cost
        elif verdict is Verdict.WAIT:
            assert budget.ask(1, 1, utc_s, utc_s + wait_s)[0] is Verdict.GO
    assert all(total <= per_day for total in spent.values())


def test_a_rate_is_kept_on_average() -> None:
    budget = Budget(100, 0)
    now_s, sent = 0.0, 0
    while now_s < 1_000:
        verdict, wait_s = budget.ask(900, 5, now_s, now_s)
        if verdict is Verdict.GO:
            budget.spend(900, now_s, now_s)
            sent += 900
        else:
            now_s += wait_s
    assert 99_000 <= sent <= 101_000


def test_a_single_row_that_is_dearer_than_a_day_goes_on_a_day_of_its_own() -> None:
    budget = Budget(0, 500)
    assert budget.ask(900, 2, 0, 0)[0] is Verdict.SHRINK
    assert budget.ask(900, 1, 0, 0)[0] is Verdict.GO
    budget.spend(900, 0, 0)
    assert budget.ask(10, 1, 0, 0) == (Verdict.WAIT, DAY_S)


async def test_the_bytes_of_a_day_are_kept_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store.open(path, station_id="marsh") as store:
        store.append(numbers(range(1, 401)))
    per_day = 4 * SINK_REQUEST_OVERHEAD_BYTES
    settings = FolderSettings(
        name="usb", folder=str(tmp_path / "stick"), batch_rows=20, bytes_per_day=per_day, also=()
    )
    moment_s = 100 * DAY_S + 3_600
    spent = 0
    for begin in range(3):  # Each time the program is started anew.
        runner = SinkRunner(
            FolderSink(settings),
            settings,
            path,
            notes_into(path),
            backoff=Backoff(),
            utc_ns=lambda: moment_s * 10**9,
        )
        wait_s = 0.0
        for _ in range(30):
            wait_s = await runner.step()
            if runner.status.state is SinkState.LIMITED:
                break
        assert runner.status.state is SinkState.LIMITED
        assert wait_s == 900.0
        spent += runner.status.bytes
        assert spent <= per_day
        assert runner.status.rows > 0 or begin > 0
    moment_s += DAY_S
    runner._limited_until_s = 0.0
    await runner.step()
    assert runner.status.rows > 0
