"""A real PostgreSQL for tests: a cluster of its own on loopback, gone at the end."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from brokers import free_port

_PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
INITDB = shutil.which("initdb", path=os.pathsep.join([*map(str, _PLACES), os.environ["PATH"]]))
_STARTS_WITHIN_S = 30.0
_USER = "stopover"


def _as_whom() -> str | None:
    """Return the user to become: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return pwd.getpwnam("nobody").pw_name


class PostgresServer:
    """One cluster, which keeps its port over restarts."""

    def __init__(self, settings: str = "fsync = off") -> None:
        """Make one and start it; by default it leaves syncing to the kernel.

        Tests kill processes, never the machine: the kernel keeps what was written.
        """
        self.port = free_port()
        self._user = _as_whom()
        # Not below pytest's folder: that one is its owner's alone.
        self.folder = Path(tempfile.mkdtemp(prefix="stopover-postgres-"))
        if self._user:
            shutil.chown(self.folder, self._user)
        self._cluster = self.folder / "cluster"
        self._databases = 0
        self._call(
            "initdb", "-D", str(self._cluster), "-U", _USER, "-A", "trust", "-E", "UTF8", "-N"
        )
        with (self._cluster / "postgresql.conf").open("a", encoding="ascii") as file:
            file.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\n{settings}\n"
                f"unix_socket_directories = '{self.folder}'\nshared_buffers = 32MB\n"
                "log_min_messages = error\n"
            )
        self.start()

    def start(self) -> None:
        """Start it; return when it takes connections."""
        log = str(self.folder / "log")
        self._call("pg_ctl", "-D", str(self._cluster), "-l", log, "-w", "start")
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """End it at once, as a crash would; what was committed is there after `start`."""
        self._call("pg_ctl", "-D", str(self._cluster), "-m", "immediate", "-w", "stop")

    def database(self) -> str:
        """Make a new database; return its address."""
        self._databases += 1
        name = f"collected_{self._databases}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str) -> str:
        """Return the address of a database."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def remove(self) -> None:
        """Stop it and delete everything."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _call(self, program: str, *arguments: str) -> None:
        assert INITDB is not None
        subprocess.run(
            [str(Path(INITDB).with_name(program)), *arguments],
            check=True,
            user=self._user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
