"""The units are such that systemd takes them, and leave the services little to do harm with."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
STATION = "stopover.service"
STICK = "stopover-usb@.service"
RADIO = "stopover-rtl-tcp@.service"
PROGRAMS = ("/opt/stopover/bin/stopover", "/usr/bin/rtl_tcp")


def unit(name: str, folder: Path) -> Path:
    """Return a unit with a program that exists here in the place of the installed one."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian's package systemd)")
    text = (UNITS / name).read_text(encoding="utf-8")
    (program,) = (each for each in PROGRAMS if f"ExecStart={each} " in text)
    copy = folder / name
    copy.write_text(text.replace(program, "/bin/true"), encoding="utf-8")
    return copy


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def test_every_unit_that_ships_is_looked_at() -> None:
    assert {path.name for path in UNITS.iterdir()} == {STATION, STICK, RADIO}


@pytest.mark.parametrize("name", [STATION, STICK, RADIO])
def test_systemd_takes_the_unit_without_a_complaint(name: str, tmp_path: Path) -> None:
    verdict = analyze("verify", unit(name, tmp_path))
    assert (verdict.returncode, verdict.stderr) == (0, "")


@pytest.mark.parametrize("name", [STATION, STICK, RADIO])
def test_the_service_is_exposed_to_2_5_at_most(name: str, tmp_path: Path) -> None:
    verdict = analyze("security", "--offline=true", "--threshold=25", unit(name, tmp_path))
    assert verdict.returncode == 0, verdict.stdout[-500:]


def test_the_service_may_ask_whether_the_clock_is_right() -> None:
    text = (UNITS / STATION).read_text(encoding="utf-8")
    filters = [line for line in text.splitlines() if line.startswith("SystemCallFilter=")]
    # Each line changes what the ones before it said; ProtectClock would take the call away again.
    assert filters[-2] == "SystemCallFilter=adjtimex clock_adjtime"
    assert not filters[-1].startswith("SystemCallFilter=~")
    assert "ProtectClock=yes" not in text


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "User=stopover",
        "WatchdogSec=120",
        "MemoryMax=200M",
        "StateDirectory=stopover",
        "LoadCredential=secrets:/etc/stopover-secrets",
        "Restart=always",
    ],
)
def test_the_station_is_watched_bounded_and_nobody_in_particular(line: str) -> None:
    assert line in (UNITS / STATION).read_text(encoding="utf-8").splitlines()
