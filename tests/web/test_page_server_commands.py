"""How commands on the station ask the daemon, over the socket beside its store."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, TypeVar

import pytest
from page_rig import serving

from receiver.web import local_client
from receiver.web.answers import is_local
from receiver.web.door import _listening_unix
from receiver.web.local_client import LocalStation, LocalStationError, connect
from receiver.web.unix_address import address_of, socket_beside

if TYPE_CHECKING:
    from receiver.live import LiveDetection

_Told = TypeVar("_Told")


async def aside(ask: Callable[[], _Told]) -> _Told:
    """Do in a thread what a command does in its own process."""
    return await asyncio.to_thread(ask)


async def test_a_command_asks_the_running_station(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        station = await aside(lambda: connect(rig.store))
        assert station is not None
        assert (await aside(station.status)).station == "marsh"
        told = await aside(lambda: station.get("/api/session"))
        assert (told["can_change"], told["can_read"]) == (True, True)
        kept = await aside(lambda: station.post("/api/walk-test/mark", {"tag_id": "78664C33"}))
        assert "78664C33" in kept["kept"]
        assert "stopover_" in await aside(lambda: station.text("/metrics"))


async def test_a_command_may_do_everything_whatever_the_page_says(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        rig.set_password()
        rig.turn_page(read="password")
        assert (await aside(rig.local.status)).station == "marsh"
        await aside(lambda: rig.local.post("/api/walk-test", {"tag_id": "78664C33"}))


async def test_a_command_sees_detections_as_they_come(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        for number in range(70):
            rig.hear(f"{number:08X}")
        loop = asyncio.get_running_loop()
        seen: list[LiveDetection | None] = []

        def look() -> None:
            for detection in rig.local.live():
                seen.append(detection)
                if len(seen) == 50:
                    loop.call_soon_threadsafe(rig.hear, "FFFFFFFF")
                if None in seen and len(seen) > 51:
                    return

        await aside(look)
        heard = [each.number for each in seen if each is not None]
        assert heard == list(range(21, 72))
        assert seen[-1] is None


async def test_a_command_sees_one_tag_or_antenna(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        for number in range(6):
            rig.hear(f"{number:08X}", antenna="north" if number % 2 else "süd")

        def first(**wanted: str) -> str:
            rows = rig.local.live(**wanted)  # type: ignore[arg-type]  # tag and antenna are texts.
            return next(row.tag_id for row in rows if row is not None)

        assert await aside(lambda: first(tag="00000004")) == "00000004"
        assert await aside(lambda: first(antenna="süd")) == "00000000"
        rows = rig.local.live(since=4)
        found = await aside(lambda: next(rows))
        assert found is not None
        assert found.number == 5
        rows.close()


async def test_a_screen_is_refreshed_while_other_tags_are_heard(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        rows = rig.local.live(tag="00000001")
        began = time.monotonic()
        stop = threading.Event()

        async def others() -> None:
            while not stop.is_set():
                rig.hear("00000002")
                await asyncio.sleep(0.05)

        talking = asyncio.create_task(others())
        assert [await aside(lambda: next(rows)) for _ in range(2)] == [None, None]
        assert time.monotonic() - began < 30
        stop.set()
        await talking
        rows.close()


async def test_a_station_that_ends_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        rows = rig.local.live()
        await aside(lambda: next(rows))
        await rig.page._runner.cleanup()
        with pytest.raises(LocalStationError, match="has ended"):
            await aside(lambda: list(rows))
    with pytest.raises(LocalStationError, match="does not answer"):
        await aside(rig.local.status)


async def test_a_refusal_says_what_to_do(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        with pytest.raises(LocalStationError, match="no whole number") as raised:
            await aside(lambda: rig.local.get("/api/log?since=x"))
        assert raised.value.do == "write since=0"
        rig.page._streams._most = 0
        with pytest.raises(LocalStationError, match="look at this station"):
            await aside(lambda: next(rig.local.live()))


@pytest.mark.parametrize("connection", [None, socket.socket])
def test_a_connection_of_which_nothing_is_known_is_not_local(
    connection: type[socket.socket] | None,
) -> None:
    made = connection() if connection else None
    extra = {"socket": made, "sockname": None}
    request = SimpleNamespace(transport=SimpleNamespace(get_extra_info=extra.get))
    assert not is_local(request)  # type: ignore[arg-type]  # As much of one as is looked at.
    assert not is_local(SimpleNamespace(transport=None))  # type: ignore[arg-type]  # Same.
    if made is not None:
        made.close()


def test_no_daemon_is_no_station(tmp_path: Path) -> None:
    store = tmp_path / "station.db"
    assert connect(store) is None
    _listening_unix(socket_beside(store)).close()  # A dead daemon's.
    assert socket_beside(store).exists()
    assert connect(store) is None


def test_a_socket_is_for_its_owner_and_group(tmp_path: Path) -> None:
    path = socket_beside(tmp_path / "station.db")
    before = os.umask(0)
    try:
        open_to_all = _listening_unix(path)
        assert path.stat().st_mode & 0o777 == 0o660
        open_to_all.close()
        os.umask(0o077)
        _listening_unix(path).close()
        assert path.stat().st_mode & 0o777 == 0o660
    finally:
        os.umask(before)


def test_a_socket_is_nobody_elses_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = socket_beside(tmp_path / "station.db")
    monkeypatch.setattr(Path, "chmod", lambda *_: None)  # The moment before it is called.
    before = os.umask(0)
    try:
        _listening_unix(path).close()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o660


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_not_ask_is_told_who_may(tmp_path: Path) -> None:
    store = tmp_path / "station.db"
    listening = _listening_unix(socket_beside(store))
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o001)
    program = (
        "import os, sys; os.setgid(65534); os.setuid(65534)\n"
        "from pathlib import Path\n"
        "from receiver.web.local_client import LocalStationError, connect\n"
        "try: connect(Path(sys.argv[1]))\n"
        "except LocalStationError as error: print(error, error.do)\n"
    )
    # What the package needs is loaded before the process becomes somebody who may not read it.
    program = "import receiver.web.local_client\n" + program
    told = subprocess.run(
        [sys.executable, "-c", program, store],
        capture_output=True,
        text=True,
        check=False,
    )
    listening.close()
    assert "may not ask" in told.stdout, told.stderr
    assert "group" in told.stdout


def test_a_store_in_a_deep_folder_has_its_socket_too(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
    folder.mkdir(parents=True)
    path = socket_beside(folder / "station.db")
    assert len(os.fsencode(path)) > 107
    listening = _listening_unix(path)
    assert isinstance(connect(folder / "station.db"), LocalStation)
    listening.close()
    with address_of(path) as address:
        assert len(address) < 107
    assert not [name for name in Path("/proc/self/fd").iterdir() if _leads_to(name, folder)]


def _leads_to(descriptor: Path, folder: Path) -> bool:
    try:
        return descriptor.readlink() == folder
    except OSError:
        return False


def test_something_else_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    path = socket_beside(tmp_path / "station.db")
    path.write_text("a letter")
    with pytest.raises(OSError, match="in use"):
        _listening_unix(path)
    assert path.read_text() == "a letter"


def test_a_command_loads_no_http_server(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from receiver.web.local_client import connect\n"
        "assert connect(Path(sys.argv[1])) is None\n"
        "print('aiohttp' in sys.modules, 'asyncio' in sys.modules)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "none.db"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split()[0] == "False"


def test_an_answer_that_is_no_json_is_told() -> None:
    with pytest.raises(LocalStationError, match="no JSON"):
        local_client._json(b"<html>")
    assert str(local_client._problem(502, b"<html>")) == "the station answered 502"
