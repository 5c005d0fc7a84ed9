"""Makes the README's pictures of the page: `python tests/web/pictures.py FOLDER`.

A station like that of `stopover demo`, with a week in its store, a good clock and a supply that can
be measured.
"""

import asyncio
import socket
import sys
import tempfile
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "web")]

from browser import CHROMIUM, DESK, PHONE, launched, new_visit  # noqa: E402  The path makes it so.
from season import write_week  # noqa: E402
from served_station import STATION, tag_of  # noqa: E402

from receiver.clock import Clock  # noqa: E402
from receiver.daemon import Daemon  # noqa: E402
from receiver.settings import Settings  # noqa: E402
from simulator.demo import simulated_ports  # noqa: E402

_HEARS_FOR_S = 20.0
_SHARP = 2
"""Device pixels per CSS pixel of the phone."""

_NAMES = {
    "78664C33": "Rook",
    "6161527F": "Lena",
    "344C2A55": "Blue-left",
    "1E4C3433": "Dunlin 4",
    **{tag_of(number): f"Dunlin {number + 11}" for number in range(8)},
}
_READINGS = {
    "sys/class/hwmon/hwmon0/name": "ina219",
    "sys/class/hwmon/hwmon0/in1_input": "12630",
    "sys/class/hwmon/hwmon1/name": "rpi_volt",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": "41200",
}


async def make(folder: Path) -> None:
    """Put `page-phone.png` and `page-desk.png` into a folder."""
    assert CHROMIUM is not None, "install Chromium first"
    with tempfile.TemporaryDirectory() as work:
        async with simulated_ports() as ports, launched(CHROMIUM) as browser:
            devices = {port.antenna: (port.device, port.preset) for port in ports}
            url, daemon = await asyncio.to_thread(_daemon, Path(work), devices)
            running = asyncio.create_task(daemon.run())
            await asyncio.sleep(_HEARS_FOR_S)
            desk = await new_visit(browser, url, screen=DESK)
            await desk.go("plots")
            await desk.page.get_by_role("button", name="Week").click()
            await desk.wait_for_text("#view-plots [role=status]", "1 h each")
            await desk.page.screenshot(path=folder / "page-desk.png")
            phone = await new_visit(browser, url, screen=PHONE, pixels=_SHARP)
            await phone.go("live")
            await phone.page.locator("#live-rows tr").first.wait_for()
            await phone.page.screenshot(path=folder / "page-phone.png")
            await desk.end()
            await phone.end()
            daemon.stop()
            await running


def _daemon(folder: Path, devices: dict[str, tuple[str, str]]) -> tuple[str, Daemon]:
    store, names, root = folder / "station.db", folder / "names.csv", folder / "root"
    write_week(store)
    names.write_text("tag_id,name\n" + "".join(f"{tag},{name}\n" for tag, name in _NAMES.items()))
    for name, text in _READINGS.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "proc").symlink_to("/proc")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tree = {
        "station": {"id": STATION, "latitude": 54.48, "longitude": 8.31},
        "store": {"path": str(store), "commit_interval": 1.0},
        "page": {"port": port, "address": "127.0.0.1"},
        "tags": {"names_file": str(names)},
        "antennas": [
            {"name": "north", "bearing_deg": 10, "kind": "yagi"},
            {"name": "south", "bearing_deg": 190, "kind": "yagi"},
        ],
        "links": [
            {"kind": "serial", "name": name, "device": device, "antenna": name, "preset": preset}
            for name, (device, preset) in devices.items()
        ],
    }
    daemon = Daemon(msgspec.convert(tree, Settings), clock=Clock(quality=lambda: "gps"))
    daemon.health._root = root
    return f"http://127.0.0.1:{port}/", daemon


if __name__ == "__main__":
    asyncio.run(make(Path(sys.argv[1])))
