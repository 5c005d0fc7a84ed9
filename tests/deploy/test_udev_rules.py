"""The udev rules in a Debian of their own: udev reads them, and does to a device what they say.

`make test-deb`. `udevadm verify` came with systemd 254 (Debian 13); before it, `udevadm test` reads
every rule as well, and complains of what it cannot read. The devices are folders like those of
sysfs: what a radio or a stick looks like to udev.
"""

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from debian_machine import DebianMachine

pytestmark = [pytest.mark.deb, pytest.mark.timeout(600)]

RULES = "/usr/lib/udev/rules.d"
DIALOUT, PLUGDEV = "20", "46"
USB = "/sys/devices/platform/usb1/1-1"
TTY = f"{USB}/1-1:1.0/ttyUSB0/tty/ttyUSB0"
BLOCK = "/sys/devices/platform/usb1/1-2/block/sda/sda1"

# As sysfs has it: a folder, its uevent, and a link to the subsystem.
MAKE_DEVICE = """
set -e
device() {
    mkdir -p "/srv/$1" "/srv/sys/$2"
    printf "$3" > "/srv/$1/uevent"
    ln -sfn "/sys/$2" "/srv/$1/subsystem"
}
device "$USB" bus/usb "MAJOR=189\\nMINOR=1\\nDEVNAME=bus/usb/001/002\\nDEVTYPE=usb_device\\n"
echo "$VENDOR" > "/srv/$USB/idVendor"
echo "$PRODUCT" > "/srv/$USB/idProduct"
device "$USB/1-1:1.0" bus/usb "DEVTYPE=usb_interface\\n"
device "$USB/1-1:1.0/ttyUSB0" bus/usb-serial ""
device "$TTY" class/tty "MAJOR=188\\nMINOR=0\\nDEVNAME=ttyUSB0\\n"
device "$BLOCK" class/block "MAJOR=8\\nMINOR=1\\nDEVNAME=sda1\\nDEVTYPE=partition\\n"
"""


class Verdict(msgspec.Struct, frozen=True):
    """What udev would do to a device."""

    properties: dict[str, str]
    group: str | None
    mode: str | None
    complaints: list[str]


def plug_in(debian: DebianMachine, device: str, vendor: str = "", product: str = "") -> Verdict:
    """Return what udev makes of a device that appears."""
    debian.run(
        *("env", f"USB={USB}", f"TTY={TTY}", f"BLOCK={BLOCK}"),
        *(f"VENDOR={vendor}", f"PRODUCT={product}", "sh", "-c", MAKE_DEVICE),
    )
    test = (
        "mount --bind /srv/sys /sys && SYSTEMD_DEVICE_VERIFY_SYSFS=0 SYSTEMD_LOG_LEVEL=debug"
        f" udevadm test --action=add {device}"
    )
    ran = debian.try_to("unshare", "--mount", "sh", "-c", test)
    assert ran.returncode == 0, ran.stderr
    said = ran.stderr.splitlines()
    ours = [line for line in said if re.search(r"stopover[\w-]*\.rules:\d+", line)]
    done = {
        key: value
        for line in said
        for key, value in re.findall(r"rules:\d+ (GROUP|MODE) (\w+)$", line)
    }
    complaints = [line for line in ours if not re.search(r"rules:\d+ (GROUP|MODE|RUN) ", line)]
    properties = dict(re.findall(r"(?m)^ *([\w.]+)=(.*)$", ran.stdout))
    return Verdict(properties, done.get("GROUP"), done.get("MODE"), complaints)


def test_udev_reads_every_rule(
    debian: DebianMachine, record_property: Callable[[str, object], None]
) -> None:
    # One that is wrong comes last: without a complaint about it, silence would mean nothing.
    wrong = debian.path(f"{RULES}/99-stopover-wrong.rules")
    wrong.write_text('SUBSYSTEM=="tty", GRUOP="dialout"\n')
    version = int(debian.run("systemctl", "--version").split()[1])
    record_property("read by", "udevadm verify" if version >= 254 else "udevadm test")
    if version >= 254:
        verified = debian.try_to("sh", "-c", f"udevadm verify {RULES}/*stopover*.rules")
        complaints = re.findall(r"(?m)^.*\.rules:\d+ .*$", verified.stderr)
    else:
        complaints = plug_in(debian, TTY).complaints
    assert len(complaints) == 1
    assert "99-stopover-wrong.rules:1" in complaints[0]


@pytest.mark.parametrize(
    ("vendor", "product"),
    [
        ("239a", "800c"),
        ("10c4", "ea60"),
        ("0403", "6001"),
        ("0403", "6015"),
        ("1a86", "7523"),
        ("303a", "1001"),
        ("2e8a", "000a"),
    ],
)
def test_a_radio_belongs_to_the_station_and_not_to_modem_manager(
    debian: DebianMachine, vendor: str, product: str
) -> None:
    for device in (USB, TTY):
        verdict = plug_in(debian, device, vendor, product)
        assert (verdict.group, verdict.mode) == (DIALOUT, "0660")
        assert verdict.properties["ID_MM_DEVICE_IGNORE"] == "1"


def test_a_modem_is_left_to_modem_manager(debian: DebianMachine) -> None:
    for device in (USB, TTY):
        assert "ID_MM_DEVICE_IGNORE" not in plug_in(debian, device, "2c7c", "0125").properties


def test_a_television_stick_is_for_who_hears_radio_by_software(debian: DebianMachine) -> None:
    verdict = plug_in(debian, USB, "0bda", "2838")
    assert (verdict.group, verdict.mode) == (PLUGDEV, "0660")
    assert "ID_MM_DEVICE_IGNORE" not in verdict.properties


@pytest.mark.parametrize(
    ("bus", "kind", "is_taken"),
    [("usb", "vfat", True), ("usb", "exfat", True), ("usb", "ext4", False), ("ata", "vfat", False)],
)
def test_a_stick_starts_its_copy_and_no_other_disk_does(
    debian: DebianMachine, bus: str, kind: str, *, is_taken: bool
) -> None:
    # What udev's own rules find out by reading the stick.
    debian.path(f"{RULES}/61-stick.rules").write_text(
        f'SUBSYSTEM=="block", ENV{{ID_BUS}}="{bus}", ENV{{ID_FS_USAGE}}="filesystem", '
        f'ENV{{ID_FS_TYPE}}="{kind}"\n'
    )
    wants = plug_in(debian, BLOCK).properties.get("SYSTEMD_WANTS", "")
    assert ("stopover-usb@sda1.service" in wants) is is_taken


def test_the_television_driver_is_kept_off_the_sticks(debian: DebianMachine) -> None:
    shipped = Path(__file__).parents[2] / "deploy" / "modprobe" / "stopover-rtl-sdr.conf"
    assert debian.path("/usr/lib/modprobe.d/stopover-rtl-sdr.conf").read_text() == (
        shipped.read_text()
    )
    assert "blacklist dvb_usb_rtl28xxu\n" in shipped.read_text()


def test_the_stick_copy_is_started_by_the_name_that_its_unit_has() -> None:
    deploy = Path(__file__).parents[2] / "deploy"
    rule = (deploy / "udev" / "99-stopover-usb.rules").read_text()
    unit = re.findall(r'SYSTEMD_WANTS\}\+="([\w-]+@)%k\.service"', rule)
    assert [(deploy / "systemd" / f"{name}.service").exists() for name in unit] == [True]
