"""The stream of what happens now: whole, in order, bounded, and gone with those who look."""

import asyncio
import time
from pathlib import Path

import msgspec
import pytest
import structlog
from conftest import Until
from page_rig import Events, serving, takes_nothing

from receiver import log_ring
from receiver.limits import LIVE_EVENT_ROWS, PAGE_STREAMS
from receiver.live import LiveDetection
from receiver.log import configure
from receiver.web import live_stream, looking


def numbers(event: dict[str, list[dict[str, int]]]) -> list[int]:
    return [each["number"] for each in event["data"]]


async def test_a_tag_is_on_the_stream_at_once_and_not_with_the_next_status(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig, rig.client.get("/api/live") as answer:
        assert answer.content_type == "text/event-stream"
        events = Events(answer)
        assert (await events.following("status"))["data"]["station"] == "marsh"
        began = time.monotonic()
        rig.names = {"78664C33": "<b>RUFF & co</b>"}
        rig.hear("78664C33", -71.5)
        event = await events.following("detections")
        assert time.monotonic() - began < live_stream.STATUS_EVERY_S
        (row,) = event["data"]
        assert msgspec.convert(row, LiveDetection).rssi_dbm == -71.5
        assert (row["number"], row["tag_name"], row["is_known"]) == (1, "<b>RUFF & co</b>", True)


async def test_a_new_stream_begins_with_the_newest_fifty(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        for number in range(120):
            rig.hear(f"{number:08X}")
        for query in ("", "?since=0", "?since=500", "?since=x", "?since=-3"):
            async with rig.client.get(f"/api/live{query}") as answer:
                event = await Events(answer).following("detections")
            assert numbers(event) == list(range(71, 121)), query


async def test_a_stream_goes_on_where_it_left_off(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        for number in range(300):
            rig.hear(f"{number:08X}")
        async with rig.client.get("/api/live?since=10") as answer:
            events = Events(answer)
            told = [await events.following("detections") for _ in range(3)]
        assert [number for event in told for number in numbers(event)] == list(range(11, 301))
        assert all(len(event["data"]) <= LIVE_EVENT_ROWS for event in told)
        headers = {"Last-Event-ID": told[1]["id"]}
        async with rig.client.get("/api/live?since=3", headers=headers) as answer:
            again = await Events(answer).following("detections")
        assert numbers(again)[0] == numbers(told[1])[-1] + 1


async def test_a_browser_that_comes_back_after_a_restart_begins_anew(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        for number in range(60):
            rig.hear(f"{number:08X}")
        headers = {"Last-Event-ID": "55-another0"}
        async with rig.client.get("/api/live", headers=headers) as answer:
            event = await Events(answer).following("detections")
        assert numbers(event) == list(range(11, 61))


async def test_what_comes_while_a_stream_sends_is_not_missed(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig, rig.client.get("/api/live") as answer:
        events = Events(answer)
        await events.following("status")
        heard: list[int] = []
        for number in range(1, 41):
            rig.hear(f"{number:08X}")
            await asyncio.sleep(0.02)
        while not heard or heard[-1] < 40:
            heard += numbers(await events.following("detections"))
        assert heard == list(range(1, 41))


async def test_a_burst_shows_its_newest(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig, rig.client.get("/api/live") as answer:
        events = Events(answer)
        await events.following("status")
        for number in range(5_000):
            rig.hear(f"{number:08X}")
        assert numbers(await events.following("detections")) == list(range(4_901, 5_001))


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("tag=00000003", [3]),
        ("antenna=south", [2, 4]),
        ("tag=00000004&antenna=south", [4]),
        ("tag=00000004&antenna=north", []),
    ],
)
async def test_a_stream_shows_one_tag_or_antenna(
    tmp_path: Path, query: str, wanted: list[int]
) -> None:
    path = f"/api/live?only=detections&{query}"
    async with serving(tmp_path) as rig, rig.client.get(path) as answer:
        events = Events(answer)
        for number in range(1, 6):
            rig.hear(f"{number:08X}", antenna="north" if number % 2 else "south")
        told: list[int] = []
        while len(told) < len(wanted):
            told += numbers(await events.following("detections"))
        assert told == wanted
        if not wanted:
            with pytest.raises(TimeoutError):
                await events.following("detections", within_s=0.4)


async def test_a_log_line_comes_as_it_is_told(tmp_path: Path) -> None:
    configure("json", "info")
    async with serving(tmp_path) as rig, rig.client.get("/api/live") as answer:
        events = Events(answer)
        await events.following("status")
        structlog.get_logger().warning("<script>", key="\x1b[31mred")
        (line,) = (await events.following("log"))["data"]
        assert (line["level"], line["event"]) == ("warning", "<script>")
        assert line["text"] == r"key=\x1b[31mred"
        assert line["n"] == log_ring.KEPT.count


async def test_a_stream_of_detections_has_nothing_else_but_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "STATUS_EVERY_S", 0.05)
    monkeypatch.setattr(live_stream, "PING_AFTER_S", 0.1)
    async with serving(tmp_path) as rig:
        async with rig.client.get("/api/live?only=detections") as answer:
            lines = [(await answer.content.readuntil(b"\n\n")).decode() for _ in range(4)]
        assert lines[0].startswith("retry: ")
        assert lines[1:] == [": still here\n\n"] * 3
        assert rig.status_asked == 0


async def test_streams_are_bounded_and_one_that_ends_makes_room(
    tmp_path: Path, until: Until
) -> None:
    async with serving(tmp_path) as rig:
        looking = [await rig.client.get("/api/live") for _ in range(PAGE_STREAMS)]
        async with rig.client.get("/api/live") as answer:
            assert answer.status == 503
            assert "32" in (await answer.json())["error"]
        local = rig.local.live()
        rig.hear("78664C33")
        heard = await asyncio.to_thread(next, local)
        assert heard is not None
        await asyncio.to_thread(local.close)
        looking[0].close()
        for _ in range(3):  # It is noticed when something is sent to it.
            rig.hear("78664C33")
            await asyncio.sleep(0.3)
        await until(lambda: rig.page._streams._open[False] < PAGE_STREAMS)
        async with rig.client.get("/api/live") as answer:
            assert answer.status == 200
        for each in looking:
            each.close()


async def test_one_status_serves_all_who_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_STATUS_KEPT_S", 600.0)  # A busy machine may be slow to ask.
    async with serving(tmp_path) as rig:
        answers = [await rig.client.get("/api/live") for _ in range(10)]
        for answer in answers:
            await Events(answer).following("status")
        for answer in answers:
            answer.close()
        assert rig.status_asked == 1


async def test_a_stream_ends_when_its_session_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "STATUS_EVERY_S", 0.05)
    async with serving(tmp_path) as rig:
        rig.set_password()
        rig.turn_page(read="password")
        await rig.log_in()
        async with rig.client.get("/api/live") as answer:
            await Events(answer).following("status")
            rig.page.access.sessions._sessions.clear()
            async with asyncio.timeout(60):
                while await answer.content.readany():
                    pass


async def test_a_client_that_takes_nothing_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    monkeypatch.setattr(live_stream, "PAGE_SLOW_S", 0.3)
    async with serving(tmp_path) as rig:
        port = int(rig.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        takes_nothing(writer)
        writer.write(b"GET /api/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await until(lambda: rig.page._streams._open[False] == 1)
        rig.names = {f"{number:08X}": "x" * 4_000 for number in range(100)}
        give_up_at = time.monotonic() + 60
        while rig.page._streams._open[False]:
            assert time.monotonic() < give_up_at
            for number in range(100):
                rig.hear(f"{number:08X}")
            await asyncio.sleep(0.05)
        writer.transport.abort()


async def test_nothing_is_done_for_streams_when_nobody_looks(tmp_path: Path, until: Until) -> None:
    async with serving(tmp_path) as rig:
        lines = set(log_ring.KEPT.listeners)
        assert rig.live.listeners == set()
        async with rig.client.get("/api/live") as answer:
            await Events(answer).following("status")
            assert len(rig.live.listeners) == 1
            assert len(log_ring.KEPT.listeners - lines) == 1
        for _ in range(2):  # That it has gone is noticed when something is sent.
            rig.hear("78664C33")
            await asyncio.sleep(0.3)
        await until(lambda: not rig.live.listeners)
        assert log_ring.KEPT.listeners == lines
        rig.hear("78664C33")
        assert rig.page._streams._beat is None
