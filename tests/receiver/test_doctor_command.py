"""`stopover doctor` as somebody types it: with and without a daemon, as text and as JSON."""

import ast
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from conftest import Until
from doctors_patient import Patient
from pseudo_terminals import PseudoRadio, name_port
from station_process import StationProcess, beep, run_stopover, serial_link

from receiver.doctor import examination
from receiver.doctor.examination import CHECKS, examine
from receiver.doctor.findings import Finding
from receiver.doctor.power import _KERNEL_SAYS
from receiver.doctor.site import Site, daemon_identity, run_command
from receiver.web.local_client import connect

PlugIn: TypeAlias = Callable[[], PseudoRadio]
TESTS = Path(__file__).parent
ROOM = Path(examination.__file__).parent


def checks_in(source: str) -> Iterator[str]:
    """Yield the name of every check that a module may report under."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "check":
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                yield node.value.value
        elif isinstance(node, ast.Tuple) and len(node.elts) == len(_KERNEL_SAYS[0]):
            first = node.elts[0]
            if isinstance(first, ast.Constant) and first.value in {row[0] for row in _KERNEL_SAYS}:
                yield str(first.value)


def test_every_finding_of_the_doctor_has_a_test_that_makes_it_happen() -> None:
    reported = {
        check
        for module in ROOM.glob("*.py")
        for check in checks_in(module.read_text(encoding="utf-8"))
    }
    assert len(reported) > 40
    tests = "".join(test.read_text(encoding="utf-8") for test in TESTS.glob("test_doctor_*.py"))
    assert [check for check in sorted(reported) if f'"{check}"' not in tests] == []


def test_every_check_is_made() -> None:
    checks = {
        (module.stem, node.name)
        for module in ROOM.glob("*.py")
        for node in ast.parse(module.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        if ast.unparse(node.returns or ast.Constant(None)) == "Iterator[Finding]"
        if [argument.arg for argument in node.args.args] == ["site"]
    }
    made = {(check.__module__.rsplit(".", 1)[-1], check.__name__) for check in CHECKS}
    assert checks == made


def test_a_check_that_fails_hides_no_other_finding(tmp_path: Path) -> None:
    def broken(_: Site) -> Iterator[Finding]:
        raise ZeroDivisionError("by zero")

    def good(_: Site) -> Iterator[Finding]:
        yield Finding(check="good", severity="ok", subject="", found="yes")

    first, second = examine(Patient(tmp_path).site(), [broken, good])
    assert (first.check, first.severity, "by zero" in first.found) == ("broken", "note", True)
    assert first.do
    assert second.check == "good"


def test_a_site_of_which_nothing_is_known_is_looked_at_without_a_fault_of_the_doctor(
    tmp_path: Path,
) -> None:
    patient = Patient(tmp_path)
    for text in ("no toml", '[station]\nid = "marsh"\n'):
        patient.text = text
        findings = list(examine(patient.site()))
        assert findings
        assert [each for each in findings if each.subject == "doctor"] == []
        assert all(bool(each.do) == (each.severity != "ok") for each in findings)


def test_a_daemon_is_who_its_process_is(tmp_path: Path) -> None:
    status = tmp_path / "proc/42/status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tstopover\nUid:\t7\t65534\t7\t7\nGid:\t5\t6\t5\t5\nGroups:\t20 46 \n")
    identity = daemon_identity(42, tmp_path)
    assert (identity.uid, identity.gids) == (65534, frozenset({6, 20, 46}))


def test_a_command_that_is_not_there_or_fails_says_nothing() -> None:
    assert run_command(["/no/such/command"]) is None
    assert run_command(["false"]) is None
    assert run_command(["echo", "hello"]) == "hello\n"


def test_a_station_that_does_not_run_is_examined_by_its_configuration(tmp_path: Path) -> None:
    done = run_stopover("init", folder=tmp_path)
    done = run_stopover("doctor", folder=tmp_path)
    assert done.returncode == 1
    assert "FAULT" in done.stdout
    assert "no link is configured" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_without_any_configuration_it_says_how_to_make_one(tmp_path: Path) -> None:
    done = run_stopover("doctor", "-c", "none.toml", folder=tmp_path)
    assert done.returncode == 1
    assert "stopover init" in done.stdout


@pytest.fixture
async def station(
    tmp_path: Path, plug_in: PlugIn, until: Until
) -> AsyncIterator[tuple[StationProcess, PseudoRadio]]:
    """A running station that has heard a tag, and its radio."""
    radio = plug_in()
    # A pseudo-terminal that is gone may be somebody else's at once, its lasting name is not.
    name_port(tmp_path / "radio", radio)
    station = StationProcess(
        tmp_path,
        [serial_link("ch1", tmp_path / "radio", 'antenna = "north"')],
        commit_interval_s=0.05,
    )
    text = station.configuration.read_text(encoding="utf-8")
    station.configuration.write_text(f"{text}[page]\nport = 0\n", encoding="utf-8")
    await station.start_and_hear()
    radio.say(beep(1))
    await until(lambda: station.has_store() and station.detections())
    yield station, radio
    station.kill()


def findings(folder: Path) -> list[dict[str, str]]:
    done = run_stopover("doctor", "--json", folder=folder)
    told = json.loads(done.stdout)
    assert sum(told["counts"].values()) == len(told["findings"])
    assert done.returncode == (1 if told["counts"]["fault"] else 0)
    found: list[dict[str, str]] = told["findings"]
    return found


async def test_a_running_station_is_asked_and_not_disturbed(
    station: tuple[StationProcess, PseudoRadio], tmp_path: Path, until: Until
) -> None:
    running, radio = station
    good = {each["check"] for each in findings(tmp_path) if each["severity"] == "ok"}
    assert {"configuration", "daemon", "link", "store", "version"} <= good
    assert running.told("link open") == 1
    radio.say(beep(2))
    await until(lambda: len(running.detections()) == 2)
    (tmp_path / "radio").unlink()
    radio.unplug()
    local = connect(running.store)
    assert local is not None
    await until(lambda: local.status().links[0].state == "failed")
    faults = {each["check"]: each for each in findings(tmp_path) if each["severity"] == "fault"}
    assert {"port-missing", "link"} <= set(faults)
    assert faults["link"]["do"]


async def test_a_frozen_daemon_is_told_as_one_that_does_not_answer(
    tmp_path: Path, plug_in: PlugIn
) -> None:
    from receiver.store.lock import hold  # noqa: PLC0415  Beside its only use.

    radio = plug_in()
    station = StationProcess(tmp_path, [serial_link("ch1", radio.device)])
    with hold(station.store):
        daemon = next(each for each in findings(tmp_path) if each["check"] == "daemon")
    assert (daemon["severity"], "does not answer" in daemon["found"]) == ("warning", True)
