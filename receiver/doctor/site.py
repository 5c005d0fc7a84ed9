"""What the doctor may look at: one station and its computer.

Every check takes all it knows from here, so that a test brings a computer of its own: another root
folder with its own `proc` and `sys`, other commands, another user.
"""

import contextlib
import grp
import os
import pwd
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from receiver.clock import kernel_quality
from receiver.health.snapshot import StationSnapshot
from receiver.serial_ports import SerialDevice, serial_devices
from receiver.settings import Settings

_COMMAND_S: Final = 10.0
PATIENCE_S: Final = 8.0
"""How long a broker or a web server may take to answer; a SIM card in the field takes seconds."""

SERVICE_USER: Final = "stopover"
"""Whom the service runs as: deploy/systemd/stopover.service."""


class Identity(msgspec.Struct, frozen=True):
    """Who the daemon is, or would be."""

    user: str
    uid: int
    gids: frozenset[int]

    def may(self, path: Path, wanted: int) -> bool:
        """Tell whether modes let it get to the path and do this: `os.R_OK`, `W_OK`, `X_OK`.

        False where the path is not there.
        """
        if not path.exists():
            return False
        folders = list(path.absolute().parents)
        return all(self._has(folder, os.X_OK) for folder in folders) and self._has(path, wanted)

    def _has(self, path: Path, wanted: int) -> bool:
        if self.uid == 0:
            return True
        try:
            status = path.stat()
        except OSError:
            return False
        if status.st_uid == self.uid:
            return (status.st_mode >> 6) & wanted == wanted
        if status.st_gid in self.gids:
            return (status.st_mode >> 3) & wanted == wanted
        return status.st_mode & wanted == wanted


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One station, as the doctor sees it."""

    config_path: Path
    settings: Settings | None = None
    """None where the configuration cannot be used."""
    configuration_problem: str = ""
    snapshot: StationSnapshot | None = None
    """What the running daemon tells; None where none answers."""
    root: Path = Path("/")
    """Where `proc`, `sys`, `etc`, `run` and `var` are."""
    command: Callable[[Sequence[str]], str | None]
    """Runs a command and returns what it printed; None where there is no such command."""
    identity: Identity
    is_root: bool
    """Whether the doctor may see everything."""
    devices: Callable[[], Sequence[SerialDevice]] = serial_devices
    clock_quality: Callable[[], str] = kernel_quality
    now_s: float
    """Seconds since 1970, by the system clock."""
    patience_s: float = PATIENCE_S

    @property
    def store(self) -> Path | None:
        """The store, where the configuration tells it."""
        return Path(self.settings.store.path) if self.settings else None

    def at(self, name: str) -> Path:
        """Return the place of `/proc/…`, `/sys/…` on this computer."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str | None:
        """Return what a small file of the computer says, without white space around it."""
        try:
            return self.at(name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    def number(self, name: str) -> int | None:
        """Return the number that a small file of the computer says."""
        try:
            return int(self.text(name) or "")
        except ValueError:
            return None

    def programs(self) -> Iterator[tuple[int, str]]:
        """Yield (process id, name) of every running program."""
        for folder in self.at("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError):
                yield int(folder.name), (folder / "comm").read_text(errors="replace").strip()

    def runs(self, *names: str) -> list[str]:
        """Return which of some programs run; the kernel cuts names after 15 characters."""
        running = {name for _, name in self.programs()}
        return [name for name in names if name[:15] in running]


def run_command(arguments: Sequence[str]) -> str | None:
    """Run a command of this computer; return what it printed, None where it cannot be run."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603  The checks name their commands.
            list(arguments),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMMAND_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode and not done.stdout:
        return None
    return done.stdout.decode("utf-8", "replace")


def daemon_identity(pid: int | None, root: Path = Path("/")) -> Identity:
    """Return who the daemon is: that of its process, else the service's user, else this one."""
    if pid is not None:
        try:
            status = (root / "proc" / str(pid) / "status").read_text(encoding="utf-8")
        except OSError:
            pass
        else:
            fields = dict(line.partition(":\t")[::2] for line in status.splitlines())
            uid = int(fields["Uid"].split()[1])
            gids = {int(fields["Gid"].split()[1]), *map(int, fields.get("Groups", "").split())}
            return Identity(_name_of(uid), uid, frozenset(gids))
    with contextlib.suppress(KeyError):
        user = pwd.getpwnam(SERVICE_USER)
        gids = {user.pw_gid, *(g.gr_gid for g in grp.getgrall() if SERVICE_USER in g.gr_mem)}
        return Identity(SERVICE_USER, user.pw_uid, frozenset(gids))
    return Identity(
        _name_of(os.geteuid()), os.geteuid(), frozenset((os.getegid(), *os.getgroups()))
    )


def _name_of(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def site_of(
    config_path: Path,
    settings: Settings | None,
    problem: str,
    snapshot: StationSnapshot | None,
    pid: int | None,
) -> Site:
    """Return this computer with this station; `pid` is the running daemon's."""
    return Site(
        config_path=config_path,
        settings=settings,
        configuration_problem=problem,
        snapshot=snapshot,
        command=run_command,
        identity=daemon_identity(pid),
        is_root=os.geteuid() == 0,
        now_s=time.time(),
    )
