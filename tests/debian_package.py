"""The package of a station for tests: built as `make deb` does, installed in a clean Debian."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
from debian_machine import DebianMachine, begin_debootstrap

PROJECT = Path(__file__).parents[1]


class CannotInstallError(Exception):
    """No clean Debian can be made here; the message says why."""


class Package(msgspec.Struct, frozen=True):
    """The package, and the disk of a machine on which nothing of it is installed yet."""

    file: Path
    clean_disk: Path


class InstalledPackage(msgspec.Struct, frozen=True):
    """The disks of a machine with the package freshly installed, and what the installation said."""

    disks: tuple[Path, ...]
    said: str


def copy_sources(folder: Path) -> Path:
    """Return the project as it is now: somebody may go on working in it."""
    copy = folder / "stopover"
    for name in ("protocols", "receiver", "simulator", "deploy"):
        shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(PROJECT / name, copy)
    return copy


def build(sources: Path, out: Path, *words: str) -> Path:
    """Build a package as `make deb` does, not compressed."""
    built = subprocess.run(
        [sys.executable, sources / "deploy/debian/build_deb.py", "--out", out, "--fast", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(sources), "SOURCE_DATE_EPOCH": "1767225600"},
    )
    assert built.returncode == 0, built.stderr
    return Path(built.stdout.strip())


def build_and_debootstrap(sources: Path, folder: Path) -> Package:
    """Build the package of this computer's kind, and beside it a clean Debian for it.

    Raises:
        CannotInstallError: there is no Debian to be had.
    """
    control = (sources / "deploy/debian/control").read_text()
    depends = re.findall(r"^Depends: (.*)$", control, flags=re.MULTILINE)[0]
    # What the package asks for and nothing else: what it forgot to ask for is then not there.
    wanted = {each.split()[0] for each in depends.split(",")} - {"python{python}"}
    clean_disk = folder / "clean"
    debootstrap = begin_debootstrap(clean_disk, sorted(wanted | {"dbus"}))
    try:
        file = build(sources, folder)
    finally:
        said, _ = debootstrap.communicate()
    if debootstrap.returncode:
        raise CannotInstallError(f"debootstrap said {said[-300:]}")
    return Package(file, clean_disk)


def install(package: Package, folder: Path) -> InstalledPackage:
    """Install the package on a machine that has nothing of it."""
    with DebianMachine(folder, [package.clean_disk]) as machine:
        shutil.copy(package.file, machine.path("/srv/stopover.deb"))
        said = machine.run("dpkg", "--force-unsafe-io", "--install", "/srv/stopover.deb")
        machine.run("sync")
    return InstalledPackage((machine.changes, package.clean_disk), said)


def later_release(package: Package, folder: Path) -> Path:
    """Return the package as of later: with another example of a configuration, and a new file."""
    tree, deb = folder / "tree", folder / "later.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", package.file, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^Version: .*$", "Version: 99.0-1", control.read_text()))
    with (tree / "usr/share/stopover/stopover.toml").open("a") as example:
        example.write("# A setting that came later.\n")
    (tree / "usr/share/stopover/later").write_text("came later\n")
    packing = ("--root-owner-group", "-Znone", "--build")
    subprocess.run(["dpkg-deb", *packing, tree, deb], check=True, capture_output=True)
    shutil.rmtree(tree)
    return deb
