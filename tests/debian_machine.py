"""A machine of its own for tests: a clean Debian made by debootstrap, running its own systemd.

It runs in namespaces of this computer: its processes, mounts and name are its own, the network is
shared, so that it reaches a broker that a test started. It needs root, and Debian's packages.
"""

import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self

_BOOTS_WITHIN_S: Final = 60.0
_COMMAND_WITHIN_S: Final = 120.0

# systemd wants its root to be a mount that it may share, and a control group tree.
_BOOT: Final = """
set -e
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
cd "$4"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
for each in null zero full random urandom tty; do cp -a "/dev/$each" dev/; done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
pivot_root . .
umount -l .
mount --make-rshared /
exec env -i container=test PATH="$PATH" /lib/systemd/systemd --unit=multi-user.target
"""


def release() -> str:
    """Return the name of this computer's Debian, which the machine gets too; empty if none."""
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        return ""


def why_not() -> str | None:
    """Return why no such machine can be made here, None if it can."""
    missing = [
        name for name in ("debootstrap", "dpkg-deb", "unshare") if shutil.which(name) is None
    ]
    if os.geteuid() != 0:
        return "a Debian root is made and entered as root only"
    if missing:
        return f"not installed: {', '.join(missing)}"
    if _mirror() is None:
        return "apt here knows no mirror of Debian"
    with tempfile.TemporaryDirectory() as folder:
        below, above, work = (Path(folder) / name for name in ("below", "above", "work"))
        for each in (below, above, work):
            each.mkdir()
        layers = f"lowerdir={below},upperdir={above},workdir={work}"
        entered = subprocess.run(
            [
                *("unshare", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork"),
                *("mount", "-t", "overlay", "overlay", "-o", layers, "/mnt"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    return f"no namespaces or overlays: {entered.stderr.strip()}" if entered.returncode else None


def begin_debootstrap(root: Path, packages: Iterable[str]) -> subprocess.Popen[str]:
    """Begin to make a Debian in the folder `root`: its essential packages, apt, and `packages`."""
    mirror = _mirror()
    assert mirror is not None
    return subprocess.Popen(
        [
            *("debootstrap", "--variant=minbase", f"--include={','.join(packages)}"),
            *(release(), str(root), mirror),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _mirror() -> str | None:
    """Return where apt here gets this release of Debian from."""
    if shutil.which("apt-get") is None:
        return None
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(ORIGIN) $(COMPONENT)"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in told.stdout.splitlines():
        words = line.split()
        if words[1:] == [release(), "Debian", "main"]:
            return words[0]
    return None


class DebianMachine:
    """One machine. Its disk is what `folder` keeps of its own, above `disks` that it never changes.

    `changes` may be one of the disks of another machine after this one was powered off.
    """

    def __init__(self, folder: Path, disks: Sequence[Path]) -> None:
        self.changes = folder / "changes"
        self._folder = folder
        self._disks = disks
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0
        for name in ("changes", "work", "root"):
            (folder / name).mkdir(parents=True)

    def __enter__(self) -> Self:
        self.boot()
        return self

    def __exit__(self, *_: object) -> None:
        self.power_off()

    def boot(self) -> None:
        """Start it; return when its systemd has started what it starts."""
        namespaces = ("--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "--kill-child")
        layers = [":".join(map(str, self._disks))]
        layers += [str(self._folder / name) for name in ("changes", "work", "root")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", *namespaces, "sh", "-c", _BOOT, "sh", *layers],
                stdout=log,
                stderr=log,
            )
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        deadline = time.monotonic() + _BOOTS_WITHIN_S
        while True:
            self._init = int((children.read_text().split() or ["0"])[0])
            if self._init and self._is_systemd() and self._has_started():
                return
            assert self._process.poll() is None, "the machine did not boot"
            assert time.monotonic() < deadline, "the machine boots for ever"
            time.sleep(0.05)

    def power_off(self) -> None:
        """End it as pulling the plug does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def try_to(self, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as the machine's root, in its namespaces; it may fail."""
        assert self._process is not None
        entering = ("--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root", "--wd=/")
        return subprocess.run(
            ["nsenter", f"--target={self._init}", *entering, *words],
            capture_output=True,
            text=True,
            input=text,
            check=False,
            timeout=_COMMAND_WITHIN_S,
            env={"PATH": os.defpath + ":/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"},
        )

    def run(self, *words: str, text: str | None = None) -> str:
        """Run a command that must succeed; return what it printed."""
        ran = self.try_to(*words, text=text)
        assert ran.returncode == 0, f"{words}: {ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        """Return what systemd says of a unit."""
        shown = self.run("systemctl", "show", unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in shown.splitlines())

    def path(self, path: str) -> Path:
        """Return where a file of the running machine is here."""
        return Path(f"/proc/{self._init}/root") / path.lstrip("/")

    def _is_systemd(self) -> bool:
        try:
            return Path(f"/proc/{self._init}/comm").read_text() == "systemd\n"
        except OSError:
            return False

    def _has_started(self) -> bool:
        return self.try_to("systemctl", "is-system-running").stdout.strip() in {
            "running",
            "degraded",
        }
