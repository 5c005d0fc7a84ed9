"""The package in a clean Debian: installed, running, upgraded, removed.

`make test-deb`. Each machine has a disk of its own over one that debootstrap made, and its own
systemd.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiomqtt
import pytest
from brokers import Broker
from debian_machine import DebianMachine
from debian_package import InstalledPackage, Package, build

from protocols.ctt.packet import build_packet, id_from_number

STORE = "/var/lib/stopover/stopover.db"
CONFIGURATION = "/etc/stopover/stopover.toml"
PASSWORD = "only the daemon reads it"  # noqa: S105  Of a broker that lives for one test.
WITHIN_S = 30.0

LINK = """
[[links]]
kind = "mqtt"
name = "field"
broker = "{url}"
username = "marsh"
password_file = "/run/credentials/stopover.service/secrets_broker"
topics = [{{ topic = "tags/#", decoder = "ctt", antenna = "north" }}]
"""

pytestmark = [pytest.mark.deb, pytest.mark.timeout(600)]


@pytest.fixture
def broker(start_broker: Callable[..., Broker], tmp_path: Path) -> Broker:
    """A broker that wants a password."""
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", passwords, "marsh", PASSWORD], check=True)
    return start_broker(f"allow_anonymous false\npassword_file {passwords}\n")


def configure(debian: DebianMachine, broker: Broker) -> str:
    """Do what an owner does before the first start; return the configuration."""
    debian.run("sh", "-c", "umask 077; cat > /etc/stopover-secrets/broker", text=f"{PASSWORD}\n")
    text = debian.run("cat", CONFIGURATION).replace('id = "my-station"', 'id = "marsh"')
    text = text.replace("# port = 8434", "port = 0") + LINK.format(url=broker.url)
    debian.run("sh", "-c", f"cat > {CONFIGURATION}", text=text)
    return text


async def beep(broker: Broker, number: int) -> None:
    """Publish what a radio says when it hears a tag."""
    line = build_packet(id_from_number(number)).hex().encode() + b",-70"
    async with aiomqtt.Client(
        "127.0.0.1", broker.port, username="marsh", password=PASSWORD
    ) as client:
        await client.publish("tags/1", line, qos=1)


def tags(debian: DebianMachine) -> set[str]:
    """Return the tags in the machine's store."""
    rows = debian.run("stopover", "detections", "--db", STORE, "--format", "json")
    return {json.loads(line)["tag_id"] for line in rows.splitlines()}


def wait_for(debian: DebianMachine, number: int) -> None:
    """Wait until a tag is in the store."""
    wanted = id_from_number(number)
    deadline = time.monotonic() + WITHIN_S
    while wanted not in tags(debian):
        assert time.monotonic() < deadline, debian.run("journalctl", "--unit=stopover")
        time.sleep(0.2)


def upgrade(debian: DebianMachine, later_deb: Path) -> str:
    """Install a later release without anybody to answer a question."""
    shutil.copy(later_deb, debian.path("/srv/later.deb"))
    return debian.run("dpkg", "--force-unsafe-io", "--install", "/srv/later.deb", text="")


def test_a_fresh_installation_starts_nothing_and_says_what_to_do(
    deb_installed: InstalledPackage, debian: DebianMachine
) -> None:
    assert "systemctl enable --now stopover" in deb_installed.said
    assert debian.try_to("systemctl", "is-enabled", "stopover").stdout == "disabled\n"
    assert debian.properties("stopover", "ActiveState") == {"ActiveState": "inactive"}
    assert debian.run("systemctl", "--failed", "--no-legend") == ""


def test_the_command_works_in_its_own_environment(debian: DebianMachine) -> None:
    version = debian.run("stopover", "--version")
    assert re.fullmatch(r"stopover \d+\.\d+\.\d+\n", version)
    # A module of that name in the folder or the environment of whoever types is not taken.
    debian.run("sh", "-c", "mkdir /srv/trap; echo 1/0 > /srv/trap/receiver.py")
    trapped = debian.run("sh", "-c", "cd /srv/trap; PYTHONPATH=/srv/trap stopover --version")
    assert trapped == version
    assert f"store {STORE}" in debian.run("stopover", "check", "-c", CONFIGURATION)
    debian.run("stopover", "init", "/srv/another.toml")
    debian.run("stopover", "check", "-c", "/srv/another.toml")
    debian.run("/opt/stopover/bin/python3", "-c", "import numpy, zstandard")


def test_nothing_of_the_program_was_left_out(debian: DebianMachine, deb_sources: Path) -> None:
    # A page without its style sheet, say: a wheel takes only what pyproject.toml names.
    for room in ("protocols", "receiver", "simulator"):
        wanted = {
            str(path.relative_to(deb_sources))
            for path in (deb_sources / room).rglob("*")
            if path.is_file() and path.suffix != ".md"
        }
        packages = "/opt/stopover/lib/python3.*/site-packages"
        listed = debian.run("sh", "-c", f"cd {packages}; find {room} -type f").splitlines()
        assert wanted - set(listed) == set()


def test_a_simulated_night_is_imported_without_a_compiler_or_a_network(
    debian: DebianMachine,
) -> None:
    debian.run(
        *("stopover", "simulate", "quiet-marsh", "--files", "/srv/rec"),
        *("--duration", "600", "--seed", "1"),
    )
    files = debian.run("find", "/srv/rec", "-type", "f").split()
    debian.run("stopover", "import", *files, "--db", "/srv/night.db")
    assert debian.run("stopover", "tags", "--db", "/srv/night.db").count("\n") > 1


def test_systemd_takes_the_installed_units_without_a_complaint(debian: DebianMachine) -> None:
    folder = "/usr/lib/systemd/system"
    units = (f"{folder}/stopover.service", f"{folder}/stopover-usb@.service")
    verdict = debian.try_to("systemd-analyze", "verify", *units)
    assert (verdict.returncode, verdict.stderr) == (0, "")
    debian.run("systemd-analyze", "security", "--threshold=25", "stopover.service")


def test_only_root_reads_secrets_and_only_the_station_writes_its_store(
    debian: DebianMachine,
) -> None:
    paths = ("/etc/stopover-secrets", "/etc/stopover", CONFIGURATION, "/var/lib/stopover")
    assert debian.run("stat", "--format=%n %U:%G %a", *paths).splitlines() == [
        "/etc/stopover-secrets root:root 700",
        "/etc/stopover stopover:stopover 750",
        f"{CONFIGURATION} stopover:stopover 640",
        "/var/lib/stopover stopover:stopover 750",
    ]
    groups = debian.run("id", "--name", "--groups", "stopover").split()
    assert sorted(groups) == ["dialout", "plugdev", "stopover"]


async def test_the_service_hears_a_tag_with_a_password_that_only_root_can_read(
    debian: DebianMachine, broker: Broker
) -> None:
    configure(debian, broker)
    debian.run("systemctl", "enable", "--now", "stopover")  # Returns when it said that it is ready.
    service = debian.properties("stopover", "ActiveState", "WatchdogUSec", "MemoryMax", "MainPID")
    assert (service["ActiveState"], service["WatchdogUSec"]) == ("active", "2min")
    assert service["MemoryMax"] == str(200 * 2**20)
    user = debian.run("stat", "--format=%U", f"/proc/{service['MainPID']}").strip()
    assert user == "stopover"
    await beep(broker, 7)
    wait_for(debian, 7)
    debian.run("systemctl", "stop", "stopover")
    assert debian.properties("stopover", "Result") == {"Result": "success"}


def as_the_service(debian: DebianMachine, command: str) -> None:
    """Run a command in the place of the station, under all that its unit forbids."""
    folder = "/etc/systemd/system/stopover.service.d"
    override = f"[Service]\nType=oneshot\nRestart=no\nExecStart=\nExecStart={command}\n"
    debian.run("sh", "-c", f"mkdir -p {folder}; cat > {folder}/instead.conf", text=override)
    debian.run("systemctl", "daemon-reload")
    started = debian.try_to("systemctl", "start", "stopover")
    assert started.returncode == 0, debian.run("journalctl", "--unit=stopover")


def test_what_software_radio_computes_with_runs_under_the_restrictions_of_the_service(
    debian: DebianMachine,
) -> None:
    compute = "import numpy; import receiver.radio_worker.__main__; numpy.fft.fft(numpy.ones(4096))"
    as_the_service(debian, f"/opt/stopover/bin/python3 -c '{compute}'")


def test_the_service_writes_its_store_and_its_configuration_and_nothing_else(
    debian: DebianMachine,
) -> None:
    debian.run("sh", "-c", "echo secret > /etc/stopover-secrets/page")
    allowed = (
        "touch /var/lib/stopover/written",
        "touch /etc/stopover/written",
        "grep -q secret $CREDENTIALS_DIRECTORY/secrets_page",
    )
    forbidden = (
        "touch /etc/written",
        "touch /opt/stopover/written",
        "touch /run/written",
        "ls /etc/stopover-secrets",
        "ls /root",
        "su -c true",
    )
    steps = [f"{each} || exit 1" for each in allowed] + [f"{each} && exit 1" for each in forbidden]
    as_the_service(debian, f'/bin/sh -c "{"; ".join(steps)}; true"'.replace("$", "$$"))


def test_it_installs_where_no_systemd_runs_as_in_an_image_that_is_being_built(
    debian: DebianMachine, later_deb: Path
) -> None:
    shutil.copy(later_deb, debian.path("/srv/later.deb"))
    debian.run("dpkg", "--purge", "stopover")
    install = (
        "mount -t tmpfs -o mode=755 tmpfs /run && dpkg --force-unsafe-io --install /srv/later.deb"
    )
    said = debian.run("unshare", "--mount", "sh", "-c", install)
    assert "systemctl enable --now stopover" in said
    assert "store" in debian.run("stopover", "check", "-c", CONFIGURATION)


async def test_an_upgrade_keeps_store_and_configuration_and_restarts_what_ran(
    debian: DebianMachine, broker: Broker, later_deb: Path
) -> None:
    configuration = configure(debian, broker)
    debian.run("systemctl", "start", "stopover")
    await beep(broker, 7)
    wait_for(debian, 7)
    before = debian.properties("stopover", "MainPID")
    said = upgrade(debian, later_deb)
    assert "systemctl enable" not in said
    assert debian.run("cat", "/usr/share/stopover/later") == "came later\n"
    assert debian.run("cat", CONFIGURATION) == configuration
    assert debian.run("cat", "/etc/stopover-secrets/broker") == f"{PASSWORD}\n"
    after = debian.properties("stopover", "MainPID", "ActiveState")
    assert after["ActiveState"] == "active"
    assert after["MainPID"] != before["MainPID"]
    await beep(broker, 8)
    wait_for(debian, 8)
    assert len(tags(debian)) == 2


def test_an_upgrade_leaves_a_station_alone_that_somebody_stopped(
    debian: DebianMachine, later_deb: Path
) -> None:
    upgrade(debian, later_deb)
    assert debian.properties("stopover", "ActiveState") == {"ActiveState": "inactive"}


def test_an_upgrade_is_complete_also_where_the_station_no_longer_starts(
    debian: DebianMachine, broker: Broker, later_deb: Path
) -> None:
    configure(debian, broker)
    debian.run("systemctl", "start", "stopover")
    debian.run("sh", "-c", f"echo wrong >> {CONFIGURATION}")
    upgrade(debian, later_deb)
    status = debian.run("dpkg-query", "--show", "--showformat=${Status}", "stopover")
    assert status == "install ok installed"


async def test_neither_remove_nor_purge_touches_the_detections(
    debian: DebianMachine, broker: Broker
) -> None:
    configuration = configure(debian, broker)
    debian.run("systemctl", "enable", "--now", "stopover")
    await beep(broker, 7)
    wait_for(debian, 7)
    debian.run("dpkg", "--remove", "stopover")
    store = debian.path(STORE).read_bytes()
    assert store.startswith(b"SQLite format 3")
    assert not debian.path("/opt/stopover/lib").exists()
    assert debian.run("cat", CONFIGURATION) == configuration
    purged = debian.try_to("dpkg", "--purge", "stopover")
    assert purged.returncode == 0
    assert "detections stay in /var/lib/stopover" in purged.stderr
    assert debian.path(STORE).read_bytes() == store
    assert not debian.path("/etc/stopover").exists()
    # Whoever comes back finds all of it.
    debian.run("dpkg", "--force-unsafe-io", "--install", "/srv/stopover.deb")
    assert len(tags(debian)) == 1


def test_the_stick_gets_what_the_station_heard(debian: DebianMachine) -> None:
    sink = (
        '[[sinks]]\nkind = "folder"\nname = "usb"\nautomatic = false\n'
        'folder = "/run/stopover-usb"\nmark_file = ".stopover"\n'
    )
    debian.run("sh", "-c", f"cat >> {CONFIGURATION}", text=sink)
    debian.run(
        *("stopover", "simulate", "quiet-marsh", "--files", "/srv/rec"),
        *("--duration", "600", "--seed", "1"),
    )
    files = debian.run("find", "/srv/rec", "-type", "f").split()
    debian.run("stopover", "import", *files, "--db", STORE)
    debian.run("chown", "-R", "stopover:stopover", "/var/lib/stopover")
    # Memory in the place of the stick: no device is there, and FAT may be missing in this kernel.
    unit = debian.run("cat", "/usr/lib/systemd/system/stopover-usb@.service")
    for shipped, stand_in in {
        r"(?m)^(BindsTo|After)=.*\n": "",
        r"umask=0027 /dev/%i ": "mode=0750 --type=tmpfs tmpfs ",
        r"(?m)^ExecStart=": "ExecStartPre=+/bin/touch /run/stopover-usb/.stopover\nExecStart=",
        r"(?m)^ExecStopPost=": (
            "ExecStartPost=+/bin/cp -r /run/stopover-usb /srv/stick\nExecStopPost="
        ),
    }.items():
        assert re.search(shipped, unit), shipped
        unit = re.sub(shipped, stand_in, unit)
    debian.run("sh", "-c", "cat > /etc/systemd/system/stick.service", text=unit)
    debian.run("systemctl", "daemon-reload")
    started = debian.try_to("systemctl", "start", "stick")
    assert started.returncode == 0, debian.run("journalctl", "--unit=stick")
    assert "/last-copied.txt" in debian.run("find", "/srv/stick", "-type", "f")
    assert not debian.path("/run/stopover-usb/.stopover").exists()  # It may be pulled out.


def test_a_package_of_the_same_sources_has_the_same_bytes(
    deb: Package, deb_sources: Path, tmp_path: Path
) -> None:
    assert build(deb_sources, tmp_path).read_bytes() == deb.file.read_bytes()


def test_the_package_for_a_pi_holds_only_what_its_processor_and_python_run(
    deb_sources: Path, tmp_path: Path
) -> None:
    # Another processor and another Python than those that build it.
    arch, suite, python = "arm64", "trixie", "3.13"
    if sys.version_info[:2] == (3, 13):
        suite, python = "bookworm", "3.11"
    deb = build(deb_sources, tmp_path, "--arch", arch, "--suite", suite)
    tree = tmp_path / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
    control = (tree / "DEBIAN/control").read_text()
    assert f"Architecture: {arch}\n" in control
    assert f"python3 (>= {python}~)" in control
    libraries = list((tree / f"opt/stopover/lib/python{python}").rglob("*.so"))
    assert len(libraries) > 20
    for library in libraries:
        assert library.read_bytes()[18:20] == b"\xb7\x00", library  # EM_AARCH64
        tag = re.search(r"\.cpython-(\d+)-", library.name)
        assert tag is None or tag[1] == python.replace(".", ""), library
