"""The environment inside the package: the program and all that it needs, from wheels.

Nothing of the machine that it is for is run: pip takes the wheels that its Python, its processor
and its C library can use. What came is checked, since pip judges conditions such as
`python_version < "3.12"` by the Python that it runs in itself.
"""

import importlib.metadata
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT: Final = Path(__file__).parents[2]
EXTRAS: Final = "sdr,zstd"


class DebError(Exception):
    """The package cannot be built; the message says what to do."""


class Suite(NamedTuple):
    """A release of Debian, and of Raspberry Pi OS, which follows it."""

    mark: str
    """Goes into the version. deb12 sorts before deb13: a new release of Debian is an upgrade."""
    python: str
    glibc: int
    """The minor version of its glibc 2: the newest wheels that run there."""


class Machine(NamedTuple):
    """A processor as Debian, wheels and ELF call it."""

    wheel: str
    elf: int


SUITES: Final = {"bookworm": Suite("deb12", "3.11", 36), "trixie": Suite("deb13", "3.13", 41)}
MACHINES: Final = {"amd64": Machine("x86_64", 62), "arm64": Machine("aarch64", 183)}

_OWN_SOURCES: Final = ("protocols", "receiver", "simulator")
_OWN_FILES: Final = ("pyproject.toml", "README.md", "LICENSE")


def install(
    packages: Path,
    suite: Suite,
    machine: Machine,
    *,
    work: Path,
    environment: dict[str, str],
    constraints: Path | None = None,
) -> None:
    """Put the program and what it needs into the folder `packages`, by way of the folder `work`.

    Raises:
        DebError: a wheel is missing, or what came does not fit the target.
    """
    sources = work / "sources"
    # Of a tree that somebody works in, only what belongs to the program.
    for name in _OWN_SOURCES:
        shutil.copytree(
            PROJECT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    for name in _OWN_FILES:
        shutil.copy(PROJECT / name, sources)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--wheel-dir", work, sources, environment=environment)
    (wheel,) = work.glob("stopover-*.whl")
    platforms = [f"manylinux_2_{minor}_{machine.wheel}" for minor in range(suite.glibc, 16, -1)]
    platforms.append(f"manylinux2014_{machine.wheel}")
    run(
        *(*pip, "install", "--no-compile", "--only-binary=:all:", "--implementation", "cp"),
        *("--python-version", suite.python, "--target", packages),
        *(word for each in platforms for word in ("--platform", each)),
        *(("--constraint", constraints) if constraints else ()),
        f"stopover[{EXTRAS}] @ {wheel.as_uri()}",
        environment=environment,
    )
    if missing := missing_requirements(packages, suite, machine):
        raise DebError(f"not in the environment: {'; '.join(missing)}")
    if foreign := foreign_libraries(packages, machine):
        raise DebError(f"compiled for another processor: {'; '.join(foreign)}")
    shutil.rmtree(packages / "bin")  # Their first lines name the Python that built the package.
    _forget_origin(next(packages.glob("stopover-*.dist-info")))
    for folder in sorted(packages.glob("numpy/**/tests")):
        shutil.rmtree(folder)  # A third of numpy; nothing else imports them.


def _forget_origin(own: Path) -> None:
    """Remove what pip notes of where our own wheel lay: it names a folder of this machine."""
    (own / "direct_url.json").unlink()
    record = own / "RECORD"
    lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = "".join(line for line in lines if "/direct_url.json," not in line)
    record.write_text(kept, encoding="utf-8")


def missing_requirements(packages: Path, suite: Suite, machine: Machine) -> list[str]:
    """Return what the environment in `packages` lacks on the machine that it is for."""
    target = {
        "python_version": suite.python,
        "python_full_version": f"{suite.python}.0",
        "platform_machine": machine.wheel,
        "sys_platform": "linux",
        "os_name": "posix",
        "platform_system": "Linux",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
    found = {
        canonicalize_name(each.name): each
        for each in importlib.metadata.distributions(path=[str(packages)])
    }
    asked, missing = [("stopover", extra) for extra in ("", *EXTRAS.split(","))], []
    seen = set(asked)
    while asked:
        name, extra = asked.pop()
        for line in found[canonicalize_name(name)].requires or ():
            need = Requirement(line)
            if need.marker and not need.marker.evaluate(target | {"extra": extra}):
                continue
            there = found.get(canonicalize_name(need.name))
            if there is None or not need.specifier.contains(there.version, prereleases=True):
                missing.append(line)
                continue
            further = {(need.name, each) for each in ("", *need.extras)} - seen
            seen |= further
            asked += sorted(further)
    return missing


def foreign_libraries(packages: Path, machine: Machine) -> list[str]:
    """Return the compiled files that are for another processor."""
    return [
        str(path.relative_to(packages))
        for path in sorted(packages.rglob("*.so*"))
        if struct.unpack_from("<H", path.read_bytes(), 18)[0] != machine.elf
    ]


def run(*words: str | Path, environment: dict[str, str]) -> None:
    """Run a tool; what it prints is told only where it fails.

    Raises:
        DebError: it failed.
    """
    ran = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if ran.returncode:
        raise DebError(f"{' '.join(map(str, words[:5]))}…\n{ran.stderr.strip() or ran.stdout}")
