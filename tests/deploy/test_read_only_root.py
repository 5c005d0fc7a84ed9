"""What the page on read-only roots tells to do, done in a Debian of its own. `make test-deb`."""

import re
from pathlib import Path

import pytest
from debian_machine import DebianMachine

pytestmark = [pytest.mark.deb, pytest.mark.timeout(600)]

PAGE = (Path(__file__).parents[2] / "deploy" / "read-only-root.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
FSTAB = "".join(text for language, text in BLOCKS if language == "fstab")
DROP_IN = next(text for language, text in BLOCKS if language == "ini" and "[Service]" in text)
JOURNAL = next(text for language, text in BLOCKS if language == "ini" and "[Journal]" in text)
NOBODY = '\n[[links]]\nkind = "serial"\nname = "ch1"\ndevice = "/dev/serial/by-path/none"\n'


def write(debian: DebianMachine, path: str, text: str) -> None:
    debian.run("sh", "-c", f"mkdir -p $(dirname {path}); cat >> {path}", text=text)


def prepared(debian: DebianMachine) -> DebianMachine:
    """Return a machine whose station is set up, with what the page puts beside the unit."""
    debian.run("sed", "-i", "s/^# port = 8434/port = 0/", "/etc/stopover/stopover.toml")
    write(debian, "/etc/stopover/stopover.toml", NOBODY)
    write(debian, "/etc/systemd/system/stopover.service.d/override.conf", DROP_IN)
    write(debian, "/etc/systemd/journald.conf.d/stopover.conf", JOURNAL)
    debian.run("systemctl", "daemon-reload")
    return debian


def test_every_place_that_the_page_names_as_ours_is_there(debian: DebianMachine) -> None:
    for path in ("/var/lib/stopover", "/etc/stopover", "/etc/stopover-secrets"):
        assert f"| `{path}` |" in PAGE
        debian.run("test", "-d", path)


def test_systemd_and_mount_read_what_the_page_tells_to_write(debian: DebianMachine) -> None:
    prepared(debian)
    unit = "/usr/lib/systemd/system/stopover.service"
    verdict = debian.try_to("systemd-analyze", "verify", unit)
    assert (verdict.returncode, verdict.stderr) == (0, "")
    exposure = debian.try_to("systemd-analyze", "security", "--threshold=25", "stopover.service")
    assert exposure.returncode == 0
    debian.run("systemctl", "restart", "systemd-journald")
    journal = debian.run("systemd-analyze", "cat-config", "systemd/journald.conf")
    assert "Storage=volatile" in journal
    lines = [line.split() for line in FSTAB.splitlines()]
    assert {len(fields) for fields in lines} == {6}
    # The page puts one line in the place of another; a device is for the machine that has it.
    kept = [fields for fields in lines if fields[:2] != ["tmpfs", "/var/lib/chrony"]]
    write(debian, "/etc/fstab", "".join(f"{' '.join(fields)}\n" for fields in kept))
    generator = "/usr/lib/systemd/system-generators/systemd-fstab-generator"
    debian.run("mkdir", "/srv/units")
    said = debian.try_to(generator, *["/srv/units"] * 3)
    assert said.returncode == 0, said.stderr
    made = debian.run("ls", "/srv/units").split()
    devices = {"/var/lib/stopover"}
    for fields in kept:
        if fields[1] not in devices:
            assert f"{fields[1].strip('/').replace('/', '-')}.mount" in made


def test_a_station_hears_on_a_root_that_nothing_can_write_to(debian: DebianMachine) -> None:
    prepared(debian)
    debian.run("mount", "-t", "tmpfs", "tmpfs", "/var/lib/stopover")  # The store's partition.
    debian.run("systemd-tmpfiles", "--create", "stopover.conf")
    for path in re.findall(r"(?m)^tmpfs +(/var/\S+)", FSTAB):
        if debian.try_to("test", "-d", path).returncode == 0:
            debian.run("mount", "-t", "tmpfs", "tmpfs", path)
    debian.run("systemctl", "restart", "systemd-journald")  # Into memory, as after a start.
    debian.run("mount", "-o", "remount,bind,ro", "/")
    assert debian.try_to("touch", "/etc/now").returncode != 0
    debian.run("systemctl", "start", "stopover")
    assert "store writing" in debian.properties("stopover", "StatusText")["StatusText"]
    debian.run("test", "-s", "/var/lib/stopover/stopover.db")
    debian.run("stopover", "check", "-c", "/etc/stopover/stopover.toml")
    debian.run("systemctl", "stop", "stopover")
    assert debian.properties("stopover", "Result") == {"Result": "success"}


def test_a_station_starts_though_its_partition_is_missing(debian: DebianMachine) -> None:
    prepared(debian)
    write(
        debian,
        "/etc/systemd/system/var-lib-stopover.mount",
        "[Mount]\nWhat=none\nWhere=/var/lib/stopover\nType=nothing\n",
    )
    debian.run("systemctl", "daemon-reload")
    assert debian.try_to("systemctl", "start", "var-lib-stopover.mount").returncode != 0
    debian.run("systemctl", "start", "stopover")
    assert debian.properties("stopover", "ActiveState") == {"ActiveState": "active"}
    # Without the lines of the page it would not: that is why they are there.
    debian.run("systemctl", "stop", "stopover")
    debian.run("rm", "/etc/systemd/system/stopover.service.d/override.conf")
    debian.run("systemctl", "daemon-reload")
    assert debian.try_to("systemctl", "start", "stopover").returncode != 0
