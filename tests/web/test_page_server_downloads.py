"""Data out of the station by the page: whole, bounded in memory, nothing left behind."""

import asyncio
import contextlib
import csv
import io
import os
import re
import shutil
import sqlite3
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from conftest import Until
from page_rig import PageRig, serving, takes_nothing

from protocols.records import Detection
from receiver.arrivals import Arrival, Source, Stamp
from receiver.exports.metadata import example
from receiver.limits import PAGE_DOWNLOADS
from receiver.settings import Settings, StationSettings
from receiver.sink_settings import FolderSink
from receiver.store.database import Store
from receiver.store.detection_rows import DETECTION_KEYS
from receiver.store.queries import DetectionFilter, Reader
from receiver.web import downloads, made_files
from receiver.web.made_files import MakingError, Stopped, store_copy
from receiver.web.row_chunks import RowChunks

AT_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
HOSTILE = '=HYPERLINK("http://evil","click")'
DETECTIONS = "/api/download/detections"


def fill(store: Path, rows: int, antenna: str = "north", *, raw: bytes = b"") -> None:
    """Put detections into a store, a second apart, of three tags."""
    source = Source(link="ch1", decoder="ctt/1", antenna=antenna)
    with Store.open(store) as opened:
        opened.append(
            Arrival(
                Detection(
                    protocol="ctt-434",
                    tag_id=f"{number % 3:08X}",
                    integrity="failed" if number % 3 == 2 else "verified",
                    rssi_dbm=-70,
                    raw=raw,
                ),
                source,
                Stamp(AT_NS + number * 10**9, "ntp", number, "boot-a"),
            )
            for number in range(rows)
        )


def in_store(store: Path) -> list[dict[str, object]]:
    with Reader(store) as reader:
        return list(reader.detections(DetectionFilter()))


def beside(rig: PageRig) -> set[str]:
    """Return what lies beside the store and was not there before."""
    known = ("station.db", "station.db-wal", "station.db-shm", "station.db.sock")
    return {path.name for path in rig.folder.iterdir()} - set(known)


def left_open() -> list[str]:
    """Return the files made for downloads that this process holds open."""
    held = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            held.append(str(descriptor.readlink()))
    return [each for each in held if made_files._PREFIX in each]


async def text(rig: PageRig, path: str) -> str:
    async with rig.client.get(path) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
        return await answer.text()


async def test_json_has_every_value_as_it_is(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        fill(rig.store, 30, HOSTILE)
        lines = (await text(rig, f"{DETECTIONS}.json")).splitlines()
        assert [msgspec.json.decode(line) for line in lines] == in_store(rig.store)


async def test_csv_has_every_row_and_no_formula(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        fill(rig.store, 30, HOSTILE)
        rows = list(csv.DictReader(io.StringIO(await text(rig, f"{DETECTIONS}.csv"))))
        assert tuple(rows[0]) == DETECTION_KEYS
        assert [int(row["seq"]) for row in rows] == list(range(1, 31))
        assert {row["antenna"] for row in rows} == {"'" + HOSTILE}
        assert {row["rssi_dbm"] for row in rows} == {"-70"}


async def test_who_asks_whether_there_are_rows_gets_none(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        fill(rig.store, 30)
        async with rig.client.head(f"{DETECTIONS}.csv") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
            assert await answer.read() == b""


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("since=2026-01-01T00:00:10Z&until=2026-01-01T00:00:20Z", list(range(11, 21))),
        ("since=2026-01-01T01:00:25%2B01:00", list(range(26, 31))),
        ("until=2026-01-01", []),
        ("tag=00000001", list(range(2, 31, 3))),
        ("antenna=south", []),
        ("min_confidence=likely", [n for n in range(1, 31) if n % 3]),
    ],
)
async def test_a_download_holds_what_was_asked_for(
    tmp_path: Path, query: str, wanted: list[int]
) -> None:
    async with serving(tmp_path) as rig:
        fill(rig.store, 30)
        lines = (await text(rig, f"{DETECTIONS}.json?{query}")).splitlines()
        assert [msgspec.json.decode(line)["seq"] for line in lines] == wanted


@pytest.mark.parametrize(
    "query",
    ["since=yesterday", "min_confidence=0.8", "until=1", "since=2026-05-13&until=2026-05-12"],
)
async def test_a_download_of_nonsense_is_refused(tmp_path: Path, query: str) -> None:
    async with serving(tmp_path) as rig:
        assert await rig.status_of("GET", f"{DETECTIONS}.csv?{query}") == 400
        assert await rig.status_of("GET", f"/api/download/export/csv.zip?{query}") == 400
        assert await rig.status_of("GET", f"{DETECTIONS}.xml") == 404


async def test_a_download_waits_for_its_client_and_not_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    pieces = 0
    following = RowChunks.following

    def counted(chunks: RowChunks) -> bytes | None:
        nonlocal pieces
        pieces += 1
        return following(chunks)

    monkeypatch.setattr(RowChunks, "following", counted)
    async with serving(tmp_path) as rig:
        fill(rig.store, 8_000, raw=b"x" * 2_000)  # 35 MB as text.
        port = int(rig.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {DETECTIONS}.json HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        await reader.readexactly(1)
        await asyncio.sleep(0.5)
        assert pieces < 300  # Of some 550: what the sockets' own memory takes.
        # A client that goes lets it end.
        writer.close()
        await until(lambda: rig.page._downloads._under_way == 0)
        assert pieces < 300


async def test_a_client_that_takes_nothing_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    monkeypatch.setattr(downloads, "PAGE_SLOW_S", 0.2)
    async with serving(tmp_path) as rig:
        fill(rig.store, 8_000, raw=b"x" * 2_000)
        port = int(rig.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        takes_nothing(writer)
        writer.write(f"GET {DETECTIONS}.json HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        await until(lambda: rig.page._downloads._under_way == 1)
        await until(lambda: rig.page._downloads._under_way == 0)
        writer.transport.abort()


async def test_a_client_that_goes_while_nothing_is_found_ends_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    pieces = iter([b"seq\n"])
    monkeypatch.setattr(RowChunks, "following", lambda _: next(pieces, b""))
    async with serving(tmp_path) as rig:
        port = int(rig.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {DETECTIONS}.csv HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"seq\n")
        writer.close()
        await until(lambda: rig.page._downloads._under_way == 0)


async def test_downloads_at_once_are_bounded(tmp_path: Path, until: Until) -> None:
    async with serving(tmp_path) as rig:
        fill(rig.store, 8_000, raw=b"x" * 2_000)
        port = int(rig.url.rpartition(":")[2])
        asked = f"GET {DETECTIONS}.json HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
        slow = []
        for _ in range(PAGE_DOWNLOADS):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            takes_nothing(writer)
            writer.write(asked)
            slow.append(writer)
        await until(lambda: rig.page._downloads._under_way == PAGE_DOWNLOADS)
        assert await rig.status_of("GET", f"{DETECTIONS}.csv") == 503
        for writer in slow:
            writer.transport.abort()
        await until(lambda: rig.page._downloads._under_way == 0)
        assert await rig.status_of("GET", f"{DETECTIONS}.csv?until=2026-01-01") == 200


async def test_the_store_is_copied_whole_while_it_is_written(tmp_path: Path, until: Until) -> None:
    async with serving(tmp_path) as rig:
        fill(rig.store, 2_000)
        with Store.open(rig.store) as writer:  # Its log is not in the file yet.
            writer.append(
                [
                    Arrival(
                        Detection(protocol="ctt-434", tag_id="NEW", integrity="verified"),
                        Source(link="ch1", decoder="ctt/1"),
                        Stamp(AT_NS, "ntp", 1, "boot-a"),
                    )
                ]
            )
            (told,) = (await rig.get("/api/downloads"))["files"]
            assert told["name"] == "station.db"
            async with rig.client.get("/api/download/file/station.db") as answer:
                assert answer.status == 200
                assert 'filename="station.db"' in answer.headers["Content-Disposition"]
                content = await answer.read()
        assert told["bytes"] == len(content)
        copy = tmp_path / "elsewhere" / "copy.db"
        copy.parent.mkdir()
        copy.write_bytes(content)
        assert in_store(copy) == in_store(rig.store)
        connection = sqlite3.connect(copy)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
        shutil.rmtree(copy.parent)
        assert beside(rig) == set()
        await until(lambda: not left_open())


async def test_one_file_is_made_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path) as rig:
        fill(rig.store, 10)
        monkeypatch.setattr(rig.page._downloads, "_is_making", True)
        assert await rig.status_of("GET", "/api/download/file/station.db") == 503
        assert await rig.status_of("GET", "/api/download/export/csv.zip") == 503


@pytest.mark.parametrize("path", ["file/station.db", "export/csv.zip"])
async def test_the_connection_is_kept_after_a_file(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as rig:
        fill(rig.store, 30)
        page = urlsplit(rig.url)
        reader, writer = await asyncio.open_connection(page.hostname, page.port)
        for wanted in (f"/api/download/{path}", "/api/session"):
            writer.write(f"GET {wanted} HTTP/1.1\r\nHost: {page.netloc}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("HTTP/1.1 200 ")
            (length,) = re.findall(r"Content-Length: (\d+)", head)
            await reader.readexactly(int(length))
        writer.close()
        await writer.wait_closed()


async def test_an_export_is_what_the_command_writes(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        fill(rig.store, 30)
        async with rig.client.get(
            "/api/download/export/csv.zip?since=2026-01-01T00:00:10Z"
        ) as answer:
            assert answer.status == 200
            assert "marsh-csv.zip" in answer.headers["Content-Disposition"]
            packed = zipfile.ZipFile(io.BytesIO(await answer.read()))
        assert packed.namelist() == ["detections.csv"]
        rows = list(csv.DictReader(io.TextIOWrapper(packed.open("detections.csv"))))
        assert [int(row["seq"]) for row in rows] == list(range(11, 31))
        assert beside(rig) == set()


async def test_an_export_that_lacks_metadata_says_where_they_go(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        fill(rig.store, 3)
        async with rig.client.get("/api/download/export/motus.zip") as answer:
            assert answer.status == 409
            told = await answer.json()
        assert "motus.serial" in told["error"]
        assert str(tmp_path / "metadata.toml") in told["do"]
        assert "--example-metadata" in told["do"]
        (tmp_path / "metadata.toml").write_text("[motus]\nserail = 5\n")
        async with rig.client.get("/api/download/export/motus.zip") as answer:
            assert answer.status == 409
            assert "serail" in (await answer.json())["error"]
        (tmp_path / "metadata.toml").write_text(
            example("marsh").replace('# serial = ""', 'serial = "SG-1234RPI4ABCD"')
        )
        assert await rig.status_of("GET", "/api/download/export/nothing.zip") == 404
        assert beside(rig) == {"metadata.toml"}


async def test_files_of_folder_sinks_and_old_stores_are_offered(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    settings = Settings(
        station=StationSettings(id="marsh"), sinks=(FolderSink(name="usb", folder=str(stick)),)
    )
    async with serving(tmp_path, settings) as rig:
        (stick / "marsh").mkdir(parents=True)
        (stick / "marsh" / "marsh-1.ndjson.gz").write_bytes(b"batch")
        (stick / "marsh" / 'odd "näme".gz').write_bytes(b"odd")
        (stick / "marsh" / "secret").symlink_to("/etc/passwd")
        (tmp_path / "station.db.damaged-20260101T000000Z").write_bytes(b"damaged")
        (tmp_path / "another.db").write_bytes(b"not the station's")
        files = {each["name"]: each for each in (await rig.get("/api/downloads"))["files"]}
        assert set(files) == {
            "station.db",
            "marsh-1.ndjson.gz",
            'odd "näme".gz',
            "station.db.damaged-20260101T000000Z",
        }
        assert files["marsh-1.ndjson.gz"]["bytes"] == 5
        assert "usb" in files["marsh-1.ndjson.gz"]["what"]
        assert files["marsh-1.ndjson.gz"]["modified"].endswith("Z")
        for name, content in (
            ("marsh-1.ndjson.gz", b"batch"),
            ("odd%20%22n%C3%A4me%22.gz", b"odd"),
            ("station.db.damaged-20260101T000000Z", b"damaged"),
        ):
            async with rig.client.get(f"{rig.url}/api/download/file/{name}") as answer:
                assert await answer.read() == content
                assert answer.content_type == "application/octet-stream"
        for name in ("secret", "another.db"):
            assert await rig.status_of("GET", f"/api/download/file/{name}") == 404


def test_a_copy_that_finds_no_room_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "station.db"
    Store.open(store, station_id="marsh").close()
    monkeypatch.setattr(made_files, "PLOTS_LEAVE_FREE_BYTES", 2**62)
    with pytest.raises(MakingError, match="no room") as raised:
        store_copy(store, Stopped())
    assert raised.value.status == 507
    assert not list(tmp_path.glob(".*")) + list(tmp_path.glob("*download*"))


def test_a_copy_is_of_one_moment_and_does_not_begin_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_files, "_COPY_PAGES", 20)
    store = tmp_path / "station.db"
    Store.open(store, station_id="marsh").close()
    fill(store, 200)
    steps = 0

    class Busy(Stopped):
        """The writer goes on at every step."""

        def heed(self, *_: object) -> None:
            """Commit another row."""
            nonlocal steps
            steps += 1
            if steps < 20:
                fill(store, 1)

    copy = tmp_path / "copy.db"
    descriptor = store_copy(store, Busy())
    with os.fdopen(descriptor, "rb") as made:
        copy.write_bytes(made.read())
    assert steps > 3
    assert len(in_store(copy)) == 200
    assert len(in_store(store)) > 200


def test_a_copy_is_given_up_when_the_daemon_stops(tmp_path: Path) -> None:
    store = tmp_path / "station.db"
    Store.open(store, station_id="marsh").close()
    fill(store, 100)
    stopped = Stopped()
    stopped.set()
    with pytest.raises(MakingError, match="stops"):
        store_copy(store, stopped)
    assert not list(tmp_path.glob("*download*"))


def test_what_a_power_cut_left_behind_is_cleared(tmp_path: Path) -> None:
    store = tmp_path / "station.db"
    Store.open(store, station_id="marsh").close()
    left_over = tmp_path / "station.db.download-abc"
    left_over.mkdir()
    (left_over / "copy").write_bytes(b"x" * 1000)
    os.close(store_copy(store, Stopped()))
    assert not left_over.exists()


async def test_a_store_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        for end in ("", "-wal", "-shm"):
            (tmp_path / f"station.db{end}").unlink(missing_ok=True)
        async with rig.client.get(f"{DETECTIONS}.csv") as answer:
            assert answer.status == 503
            assert (await answer.json())["error"].endswith("station.db: the store is gone")
        async with rig.client.head(f"{DETECTIONS}.csv") as answer:  # So the page asks first.
            assert answer.status == 503
        assert await rig.status_of("GET", "/api/history") == 503
        assert await rig.status_of("GET", "/api/tags") == 503
        assert await rig.status_of("GET", "/api/download/export/csv.zip") == 503
        assert (await rig.get("/api/downloads"))["files"] == []
