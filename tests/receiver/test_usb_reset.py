"""A radio is reset on USB through the device that its tty belongs to, and through no other."""

import fcntl
from pathlib import Path

import pytest

from receiver.links.usb_reset import USBDEVFS_RESET, UsbResetError, reset


class Tree:
    """The parts of /sys and /dev that lead from a tty to its USB device."""

    def __init__(self, folder: Path) -> None:
        self.sysfs = folder / "class" / "tty"
        self.nodes = folder / "bus" / "usb"
        self.resets: list[tuple[str, int, int]] = []
        hub = folder / "devices" / "usb1"
        hub.mkdir(parents=True)
        (hub / "busnum").write_text("1\n", encoding="ascii")
        (hub / "devnum").write_text("1\n", encoding="ascii")
        self._device = hub / "1-1.4"
        interface = self._device / "1-1.4:1.0" / "ttyUSB0"
        interface.mkdir(parents=True)
        (self._device / "busnum").write_text("1\n", encoding="ascii")
        (self._device / "devnum").write_text("23\n", encoding="ascii")
        (self.sysfs / "ttyUSB0").mkdir(parents=True)
        (self.sysfs / "ttyUSB0" / "device").symlink_to(interface)
        self.node = self.nodes / "001" / "023"
        self.node.parent.mkdir(parents=True)
        self.node.touch()
        self.port = folder / "dev" / "ttyUSB0"
        self.port.parent.mkdir()
        self.port.touch()

    def ioctl(self, descriptor: int, request: int, argument: int) -> int:
        """Note what would be reset."""
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.resets.append((str(path), request, argument))
        return 0

    def reset(self, device: Path) -> str:
        """Reset within this tree."""
        return reset(str(device), sysfs=self.sysfs, nodes=self.nodes, ioctl=self.ioctl)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path.resolve())


def test_the_number_of_the_call_is_the_kernels() -> None:
    assert USBDEVFS_RESET == 0x5514


def test_the_device_of_the_tty_is_reset_and_not_its_hub(tree: Tree) -> None:
    assert tree.reset(tree.port) == "001/023"
    assert tree.resets == [(str(tree.node), USBDEVFS_RESET, 0)]


def test_a_by_path_name_leads_to_the_same_device(tree: Tree, tmp_path: Path) -> None:
    name = tmp_path / "by-path"
    name.symlink_to(tree.port)
    assert tree.reset(name) == "001/023"


def test_no_descriptor_is_left_behind(tree: Tree) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    tree.reset(tree.port)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_port_that_is_not_there_cannot_be_reset(tree: Tree) -> None:
    with pytest.raises(UsbResetError, match="not there"):
        tree.reset(tree.port.with_name("ttyUSB7"))
    assert tree.resets == []


def test_a_built_in_port_cannot_be_reset(tree: Tree, tmp_path: Path) -> None:
    (tree.sysfs / "ttyS0").mkdir()
    platform = tmp_path / "devices" / "platform" / "serial8250"
    platform.mkdir(parents=True)
    (tree.sysfs / "ttyS0" / "device").symlink_to(platform)
    with pytest.raises(UsbResetError, match="not on USB"):
        tree.reset(tree.port.with_name("ttyS0"))


def test_a_node_that_is_gone_or_not_ours_says_what_would_help(tree: Tree) -> None:
    tree.node.unlink()
    with pytest.raises(UsbResetError, match="udev rule"):
        tree.reset(tree.port)


def test_a_kernel_that_refuses_is_told(tree: Tree) -> None:
    with pytest.raises(UsbResetError, match="the reset failed"):
        # The real call on what is no USB node.
        reset(str(tree.port), sysfs=tree.sysfs, nodes=tree.nodes, ioctl=fcntl.ioctl)
