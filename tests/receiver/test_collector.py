"""Collectors with real databases: PostgreSQL where it is installed, and SQLite."""

import asyncio
import contextlib
import io
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psycopg
import pytest
from brokers import Broker, free_port
from structlog.testing import capture_logs

from receiver.collector.collector import Collector, Outcome, opened
from receiver.collector.http import HttpFront
from receiver.collector.mqtt import MqttFront
from receiver.collector.rows import read
from receiver.collector.settings import (
    CollectorSettings,
    DatabaseSettings,
    HttpSettings,
    MqttSettings,
    example,
    is_postgres,
    load,
)
from receiver.config import ConfigError
from receiver.links.backoff import Backoff
from receiver.sinks.batches import BesideRows, Header, pack
from receiver.sinks.mqtt import Answer

UUID = "0f0f7c4e-0000-4000-8000-00000000000"


def line(seq: int, stamped: str = "2026-05-12T04:00:00.123456Z", **more: Any) -> bytes:  # noqa: ANN401  Each test's own.
    row = {
        "seq": seq,
        "time_stamped": stamped,
        "time_quality": "ntp",
        "link": "ch1",
        "tag_id": "78554C33",
        "integrity": "verified",
        "decoder": "ctt/1",
        "raw": "00ff",
        "measurements": {"battery_v": 3.1},
        **more,
    }
    return msgspec.json.encode(row)


def batch(*seqs: int, store: int = 1, station: str = "marsh", lines: Sequence[bytes] = ()) -> bytes:
    lines = lines or [line(seq) for seq in seqs]
    header = Header(
        station_id=station,
        store_uuid=f"{UUID}{store}",
        schema_version=1,
        first_seq=min(seqs),
        last_seq=max(seqs),
        rows=len(lines),
    )
    return pack(header, lines, "gzip").body


def beside(kind: str, *rows: dict[str, object]) -> bytes:
    header = Header(
        station_id="marsh",
        store_uuid=f"{UUID}1",
        schema_version=1,
        beside=(BesideRows(kind=kind, first=1, last=len(rows), rows=len(rows)),),
    )
    return pack(header, [msgspec.json.encode(row) for row in rows], "gzip").body


@pytest.fixture(params=["postgresql", "sqlite"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "collected.db")
    found: str = request.getfixturevalue("database")
    return found


@pytest.fixture
async def collector(address: str) -> AsyncIterator[Collector]:
    made = Collector(opened(DatabaseSettings(url=address)))
    yield made
    made.close()


def rows(address: str, statement: str) -> list[tuple[Any, ...]]:
    if is_postgres(address):
        with psycopg.connect(address) as connection:
            return connection.execute(statement).fetchall()
    with contextlib.closing(sqlite3.connect(address)) as lite:
        return lite.execute(statement).fetchall()


async def test_a_row_that_comes_twice_is_kept_once(collector: Collector, address: str) -> None:
    first = await collector.take(batch(1, 2, 3))
    again = await collector.take(batch(1, 2, 3))
    overlapping = await collector.take(batch(3, 4, 4))
    assert [each.outcome for each in (first, again, overlapping)] == [Outcome.STORED] * 3
    assert [each.new for each in (first, again, overlapping)] == [3, 0, 1]
    assert rows(address, "SELECT seq FROM detections ORDER BY seq") == [(1,), (2,), (3,), (4,)]
    assert rows(address, "SELECT last_seq, rows FROM stores") == [(4, 9)]


async def test_every_field_arrives_as_it_was_sent(collector: Collector, address: str) -> None:
    full: dict[str, Any] = {
        "time": "2026-05-12T04:00:01.5Z",
        "time_quality": "corrected",
        "boot": "b",
        "mono_ns": 2**62,
        "antenna": "a\tb\\n",
        "protocol": "ctt-434",
        "id_legal": True,
        "rssi_dbm": -60.3,
        "snr_db": 7,
        "relay_id": "377FEB",
        "recorded_at": "2017-01-01T00:00:00Z",
        "payload": "",
        "run": 5,
    }
    assert (await collector.take(batch(1, lines=[line(1, **full)]))).outcome is Outcome.STORED
    columns = "boot, mono_ns, antenna, rssi_dbm, snr_db, relay_id, run, raw, payload, noise_dbm"
    ((boot, mono_ns, antenna, rssi, snr, relay, run, raw, payload, noise),) = rows(
        address, f"SELECT {columns} FROM detections"
    )
    assert (boot, mono_ns, antenna, rssi, snr) == ("b", 2**62, "a\tb\\n", -60.3, 7)
    assert (relay, run, bytes(raw), bytes(payload), noise) == ("377FEB", 5, b"\x00\xff", b"", None)
    ((legal, measurements, stamped, time),) = rows(
        address, "SELECT id_legal, measurements, time_stamped, time FROM detections"
    )
    assert bool(legal)
    assert "battery_v" in str(measurements)
    assert str(stamped)[:10] == "2026-05-12"
    assert (str(stamped)[17:26], str(time)[17:21]) == ("00.123456", "01.5")


async def test_activity_is_replaced_by_its_newer_state_only(
    collector: Collector, address: str
) -> None:
    def hour(revision: int, frames: int) -> bytes:
        return beside(
            "activity",
            {
                "revision": revision,
                "hour": "2026-05-12T04:00:00Z",
                "session": "s",
                "link": "ch1",
                "antenna": "",
                "listening_s": 3600.0,
                "frames": frames,
                "detections": 0,
                "pulses": 0,
                "rejects": {"crc": 1},
            },
        )

    for revision, frames in ((5, 50), (9, 90), (7, 70)):
        assert (await collector.take(hour(revision, frames))).outcome is Outcome.STORED
    assert rows(address, "SELECT revision, frames FROM activity") == [(9, 90)]


async def test_rows_of_any_time_find_their_place(collector: Collector, address: str) -> None:
    times = ["1970-01-01T00:00:00Z", "2000-01-01T00:00:00Z", "2026-12-31T23:59:59.999999Z"]
    times += ["2027-01-01T00:00:00Z", "2099-12-31T00:00:00Z", "2262-04-11T00:00:00Z"]
    lines = [line(number, moment) for number, moment in enumerate(times)]
    assert (await collector.take(batch(0, 5, lines=lines))).new == 6
    assert rows(address, "SELECT count(*) FROM detections") == [(6,)]
    if is_postgres(address):
        found = rows(address, "SELECT DISTINCT tableoid::regclass::text FROM detections ORDER BY 1")
        assert [name for (name,) in found] == [
            "detections_2000_01",
            "detections_2026_12",
            "detections_2027_01",
            "detections_2099_12",
            "detections_other",
        ]


async def test_two_stores_that_take_turns_under_one_name_are_flagged(
    collector: Collector, address: str
) -> None:
    with capture_logs() as logs:
        await collector.take(batch(1, store=1))
        await collector.take(batch(1, store=2))
        # A station that was given a new card looks like this too: nothing is wrong yet.
        assert collector.conflicts == {}
        await collector.take(batch(2, store=2))
        await collector.take(batch(2, store=1))
        await collector.take(batch(3, store=2))
        await collector.take(batch(1, store=3, station="heath"))
    assert collector.conflicts == {"marsh": {f"{UUID}1", f"{UUID}2"}}
    assert [each["event"] for each in logs].count(
        "one station id, two stores at once: is a card a copy of another's?"
    ) == 1
    assert rows(address, "SELECT station_id, times FROM store_conflicts") == [("marsh", 2)]
    assert rows(address, "SELECT count(*) FROM detections") == [(6,)]


async def test_a_bad_batch_leaves_nothing_and_the_next_one_is_taken(
    collector: Collector, address: str
) -> None:
    bad = batch(1, 2, lines=[line(1), b'{"seq":2}'])
    assert (await collector.take(bad)).outcome is Outcome.REFUSED
    assert (await collector.take(b"hello")).outcome is Outcome.REFUSED
    assert (await collector.take(b"\x00" * (5 * 2**20))).outcome is Outcome.TOO_LARGE
    assert (await collector.take(batch(3))).new == 1
    assert rows(address, "SELECT seq FROM detections") == [(3,)]


async def test_a_time_that_is_corrected_later_is_seen_in_the_view(database: str) -> None:
    collector = Collector(opened(DatabaseSettings(url=database)))
    early: dict[str, Any] = {"time_quality": "unsynchronised", "boot": "b", "mono_ns": 5 * 10**9}
    lines = [line(1, "1970-01-01T00:00:05Z", **early), line(2, boot="b", mono_ns=0)]
    await collector.take(batch(1, 2, lines=lines))
    sample: dict[str, object] = {"id": 1, "boot": "b", "reason": "sync", "mono_ns": 65 * 10**9}
    sample |= {"time_stamped": "2026-05-12T04:01:00Z", "time_quality": "gps"}
    await collector.take(beside("clock_samples", sample))
    collector.close()
    found = rows(database, "SELECT seq, time_corrected FROM corrected_detections ORDER BY seq")
    assert [(seq, f"{moment:%FT%T.%f}") for seq, moment in found] == [
        (1, "2026-05-12T04:00:00.000000"),
        (2, "2026-05-12T04:00:00.123456"),
    ]


async def test_four_collectors_that_store_the_same_rows_at_once_keep_them_once(
    database: str,
) -> None:
    collectors = [Collector(opened(DatabaseSettings(url=database))) for _ in range(4)]
    bodies = [batch(*range(begin, begin + 50)) for begin in range(0, 500, 25)]
    verdicts = await asyncio.gather(*(each.take(body) for body in bodies for each in collectors))
    for each in collectors:
        each.close()
    assert {verdict.outcome for verdict in verdicts} == {Outcome.STORED}
    assert sum(verdict.new for verdict in verdicts) == 525
    assert rows(database, "SELECT count(*), max(seq) FROM detections") == [(525, 524)]


async def test_a_database_that_is_away_makes_no_acknowledgement(tmp_path: Path) -> None:
    address = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    collector = Collector(opened(DatabaseSettings(url=address)))
    verdict = await collector.take(batch(1))
    assert (verdict.outcome, collector.unavailable) == (Outcome.UNAVAILABLE, 1)
    collector.close()
    folder = tmp_path / "folder"
    folder.mkdir()
    lite = Collector(opened(DatabaseSettings(url=str(folder))))
    assert (await lite.take(batch(1))).outcome is Outcome.UNAVAILABLE
    folder.rmdir()
    assert (await lite.take(batch(1))).outcome is Outcome.STORED
    lite.close()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """A collector over HTTP with tokens: its address and its database."""
    (tmp_path / "tokens").write_text("marsh secret\nheath other\n")
    path = tmp_path / "collected.db"
    collector = Collector(opened(DatabaseSettings(url=str(path))))
    front = HttpFront(
        HttpSettings(port=free_port(), tokens_file=str(tmp_path / "tokens")), collector
    )
    task = asyncio.create_task(front.run())
    while front.port is None:  # noqa: ASYNC110  It announces nothing.
        await asyncio.sleep(0.002)
    yield f"http://127.0.0.1:{front.port}", path
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    collector.close()


async def test_over_http_each_answer_says_what_became_of_the_batch(
    served: tuple[str, Path],
) -> None:
    url, path = served
    body = batch(1, 2)

    async def post(content: bytes, token: str | None = "secret", **headers: str) -> tuple[int, Any]:  # noqa: S107  Of this test.
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        request = {"data": io.BytesIO(content), "headers": headers}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/batches", **request) as answer,  # type: ignore[arg-type]  # As above.
        ):
            return answer.status, await answer.json() if answer.status != 413 else None

    status, said = await post(body)
    assert (status, said["rows"], said["new"], len(said["acknowledged"])) == (200, 2, 2, 64)
    assert (await post(body))[1]["new"] == 0
    assert (await post(body, token=None))[0] == 401
    assert (await post(body, token="wrong"))[0] == 401  # noqa: S106  Of this test.
    assert (await post(body, token="other"))[0] == 403  # noqa: S106  Of this test.
    assert (await post(b"hello"))[0] == 422
    key = {"Idempotency-Key": said["acknowledged"]}
    assert (await post(body[:-9], **key))[0] == 409
    assert (await post(bytes(5 * 2**20)))[0] == 413
    async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as answer:
        assert (await answer.json())["rows_new"] == 2
    assert rows(str(path), "SELECT count(*) FROM detections") == [(2,)]


async def test_over_mqtt_a_group_shares_the_work_and_answers_each_batch(
    broker: Broker, tmp_path: Path, until: Callable[[Callable[[], object]], Any]
) -> None:
    path = tmp_path / "collected.db"
    collectors = [Collector(opened(DatabaseSettings(url=str(path)))) for _ in range(2)]
    fronts = [
        MqttFront(
            MqttSettings(broker=broker.url), each, backoff=Backoff(first_s=0.02, longest_s=0.1)
        )
        for each in collectors
    ]
    tasks = [asyncio.create_task(front.run()) for front in fronts]
    await until(lambda: all(front.is_listening for front in fronts))
    bodies = [batch(number) for number in range(20)]
    async with aiomqtt_client(broker) as client:
        await client.subscribe("stopover/marsh/acks", qos=1)
        for body in bodies:
            await client.publish("stopover/marsh/batches", body, qos=1)
        await client.publish("stopover/heath/batches", batch(1), qos=1)
        answers = []
        async for message in client.messages:
            answers.append(msgspec.json.decode(message.payload, type=Answer))
            if len(answers) == len(bodies):
                break
    assert {answer.state for answer in answers} == {"stored"}
    assert len({answer.batch for answer in answers}) == len(bodies)
    assert sum(each.batches for each in collectors) == 20
    assert min(each.batches for each in collectors) > 0
    await until(lambda: sum(each.refused for each in collectors) == 1)
    # A broker that dies is come back to.
    await asyncio.to_thread(broker.kill)
    await until(lambda: not any(front.is_listening for front in fronts))
    await asyncio.to_thread(broker.start)
    await until(lambda: all(front.is_listening for front in fronts))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for each in collectors:
        each.close()
    assert rows(str(path), "SELECT count(*) FROM detections") == [(20,)]


@contextlib.asynccontextmanager
async def aiomqtt_client(broker: Broker) -> AsyncIterator[Any]:
    """Connect as a station."""
    import aiomqtt  # noqa: PLC0415  Only here.

    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        yield client


def test_the_example_is_a_configuration_and_a_wrong_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "collector.toml"
    path.write_text(example())
    settings = load(path)
    assert settings.database.url == str(tmp_path / "collected.db")
    assert msgspec.structs.replace(settings, database=DatabaseSettings()) == CollectorSettings()
    for text, words in (
        ("[mqtt]\nbrocker = 'x'\n", "did you mean `broker`"),
        ("[mqtt]\nbroker = 'x'\n", "mqtt://HOST"),
        ("[http]\nport = 70000\n", "0 to 65535"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=words):
            load(path)
    with pytest.raises(ConfigError, match="--example"):
        load(tmp_path / "none.toml")


def test_a_batch_says_its_times_as_stations_do() -> None:
    (row,) = read(batch(1), 10**6).detections
    assert row.time_stamped.isoformat() == "2026-05-12T04:00:00.123456+00:00"
