"""A decoder from somebody else's package: found by its entry point, used like any other."""

import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from pseudo_terminals import PseudoRadio
from station_process import StationProcess, run_stopover

PlugIn: TypeAlias = Callable[[], PseudoRadio]
ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "example_decoder"
PAGE = (ROOT / "protocols" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)

LINE = b"00a1f3b401b400abd5 -87\r\n"
LINK = """
[[codecs]]
protocol = "heron"
format = 1
fields = [{ name = "temperature_c", type = "i16be", scale = 0.01, offset = 0 }]

[[links]]
kind = "serial"
name = "heron"
device = "%s"
decoder = "heron"
baud_rate = 9600
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the example as pip does: the module, and beside it what describes the package."""
    site = tmp_path / "site"
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))
    about = project["project"]
    description = site / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    description.mkdir(parents=True)
    shutil.copy(PACKAGE / "stopover_heron.py", site)
    (description / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
    )
    points = [
        f"[{group}]\n" + "".join(f"{name} = {module}\n" for name, module in members.items())
        for group, members in about["entry-points"].items()
    ]
    (description / "entry_points.txt").write_text("\n".join(points))
    monkeypatch.setenv("PYTHONPATH", str(site))
    return site


@pytest.fixture
def station(tmp_path: Path, plug_in: PlugIn) -> Iterator[tuple[StationProcess, PseudoRadio]]:
    radio = plug_in()
    made = StationProcess(tmp_path, [LINK % radio.device], commit_interval_s=0.2)
    yield made, radio
    made.kill()


@pytest.mark.usefixtures("installed")
async def test_the_daemon_uses_a_decoder_of_another_package(
    station: tuple[StationProcess, PseudoRadio],
) -> None:
    process, radio = station
    await process.start_and_hear()
    radio.say(LINE + b"no heron\r\n")
    await process.tells(1, "tag heard first")
    process.send(signal.SIGTERM)
    assert await process.ended() == 0
    (row,) = process.detections()
    assert (row["tag_id"], row["protocol"], row["decoder"]) == ("00A1F3", "heron", "heron/1")
    assert (row["integrity"], row["rssi_dbm"]) == ("verified", -87)
    assert row["measurements"] == {"battery_v": 3.6, "temperature_c": -194.56}


@pytest.mark.usefixtures("installed")
def test_all_decoders_are_listed_with_what_they_take_and_their_layout(tmp_path: Path) -> None:
    listed = run_stopover("decoders", folder=tmp_path)
    assert re.search(r"^heron/1 +lines +lines of Heron receivers", listed.stdout, re.MULTILINE)
    assert re.search(r"^station-link/1 +cobs ", listed.stdout, re.MULTILINE)
    shown = run_stopover("decoders", "heron", folder=tmp_path)
    assert "5       2     readings" in shown.stdout
    assert "Source: Heron Telemetry" in shown.stdout


def test_without_the_package_the_decoder_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "stopover.toml").write_text(LINK % "/dev/x")
    result = run_stopover("check", "-c", tmp_path / "stopover.toml", folder=tmp_path)
    assert result.returncode == 2
    assert "no decoder 'heron'" in result.stderr


def test_the_page_shows_the_example_as_it_is() -> None:
    source = (PACKAGE / "stopover_heron.py").read_text(encoding="utf-8")
    project = (PACKAGE / "pyproject.toml").read_text(encoding="utf-8")
    shown = [text for kind, text in BLOCKS if kind == "python"]
    assert len(shown) >= 5
    for text in shown[:-1]:
        assert text in source
    assert next(text for kind, text in BLOCKS if kind == "toml") in project


def test_the_tests_of_the_page_pass(installed: Path, tmp_path: Path) -> None:
    page_tests = [text for kind, text in BLOCKS if kind == "python"][-1]
    (tmp_path / "test_heron.py").write_text(page_tests)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_heron.py"],
        cwd=tmp_path,
        # Where CI is set, Hypothesis does not judge how long an example takes.
        env={"PYTHONPATH": str(installed), "PATH": "", "CI": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stdout
    assert "2 passed" in result.stdout
