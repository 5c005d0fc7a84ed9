"""The unit is one that systemd takes, and that leaves the service little to do harm with."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "stopover.service"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return the unit with a program that exists here in the place of the installed one."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian's package systemd)")
    text = UNIT.read_text(encoding="utf-8")
    assert "ExecStart=/opt/stopover/bin/stopover run" in text
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace("/opt/stopover/bin/stopover", "/bin/true"), encoding="utf-8")
    return copy


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def test_systemd_takes_the_unit_without_a_complaint(unit: Path) -> None:
    verdict = analyze("verify", unit)
    assert (verdict.returncode, verdict.stderr) == (0, "")


def test_the_service_is_exposed_to_2_5_at_most(unit: Path) -> None:
    verdict = analyze("security", "--offline=true", "--threshold=25", unit)
    assert verdict.returncode == 0, verdict.stdout[-500:]


def test_the_service_may_ask_whether_the_clock_is_right(unit: Path) -> None:
    filters = [
        line for line in unit.read_text().splitlines() if line.startswith("SystemCallFilter=")
    ]
    # Each line changes what the ones before it said; ProtectClock would take the call away again.
    assert filters[-1] == "SystemCallFilter=adjtimex clock_adjtime"
    assert "ProtectClock=yes" not in unit.read_text()
