"""Builds the Debian package of a station: the program with an environment of its own.

    make deb                              for this machine and this Debian
    make deb ARCH=arm64 SUITE=trixie      for another: wheels are taken, no foreign code is run

Compiled wheels fit one minor version of Python, so a package fits one Debian; its version says
which (0.1.0-1~deb12). The same sources, wheels and SOURCE_DATE_EPOCH give the same bytes.
"""

import argparse
import gzip
import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from own_environment import MACHINES, PROJECT, SUITES, DebError, Suite, install, run

from receiver import config

DEPLOY: Final = PROJECT / "deploy"
HOME: Final = "opt/stopover"
EXAMPLE_STORE: Final = '# path = "stopover.db"\n'
STORE: Final = 'path = "/var/lib/stopover/stopover.db"\n'

# What goes where, beside the environment: (folder of the package, what of the project).
FILES: Final = (
    ("usr/lib/systemd/system", ("deploy/systemd/*",)),
    ("usr/lib/udev/rules.d", ("deploy/udev/*.rules",)),
    ("usr/lib/sysusers.d", ("deploy/sysusers.d/*",)),
    ("usr/lib/tmpfiles.d", ("deploy/tmpfiles.d/*",)),
    ("usr/lib/modprobe.d", ("deploy/modprobe/*",)),
    ("usr/share/stopover/mosquitto", ("deploy/mosquitto/*",)),
    ("usr/share/stopover/grafana", ("deploy/grafana/*",)),
    ("usr/share/stopover/rtl_433", ("deploy/rtl_433/*",)),
    ("usr/share/stopover/firmware", ("deploy/firmware/*",)),
    ("usr/share/doc/stopover", ("README.md", "LICENSE", "deploy/*.md", "docs/*.md")),
)


def main() -> None:
    """Build the package that the command line asks for, and print its path."""
    parser = argparse.ArgumentParser(description="Build the Debian package of a station.")
    parser.add_argument("--arch", choices=MACHINES, help="else this machine's")
    parser.add_argument("--suite", choices=SUITES, help="else this machine's Debian")
    parser.add_argument("--revision", default="1", help="of the package, within one version")
    parser.add_argument("--constraints", type=Path, help="environment.txt of an earlier package")
    parser.add_argument(
        "--fast", action="store_true", help="do not compress: a larger file, sooner"
    )
    parser.add_argument("--out", type=Path, default=PROJECT / "dist")
    asked = parser.parse_args()
    try:
        print(
            build(
                asked.out,
                asked.arch or _this_machine(),
                asked.suite or _this_suite(),
                revision=asked.revision,
                constraints=asked.constraints,
                compression="none" if asked.fast else "xz",
            )
        )
    except DebError as error:
        sys.exit(f"make deb: {error}")


def build(
    out: Path,
    arch: str,
    suite_name: str,
    *,
    revision: str = "1",
    constraints: Path | None = None,
    compression: str = "xz",
) -> Path:
    """Build the package into the folder `out` and return its path.

    Raises:
        DebError: a wheel is missing, or a tool.
    """
    suite, machine = SUITES[suite_name], MACHINES[arch]
    if shutil.which("dpkg-deb") is None:
        raise DebError("dpkg-deb is not there: apt-get install dpkg")
    version = f"{importlib.metadata.version('stopover')}-{revision}~{suite.mark}"
    environment = os.environ | {"SOURCE_DATE_EPOCH": _source_date()}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stopover-deb-") as work:
        root = Path(work) / "root"
        packages = root / HOME / f"lib/python{suite.python}/site-packages"
        install(
            packages,
            suite,
            machine,
            work=Path(work),
            environment=environment,
            constraints=constraints,
        )
        _make_runnable(root, suite)
        for folder, patterns in FILES:
            _copy(root / folder, patterns)
        _write_examples_and_papers(root, packages)
        _write_control(root, version, arch, suite)
        _set_modes_and_times(root, int(environment["SOURCE_DATE_EPOCH"]))
        deb = out / f"stopover_{version}_{arch}.deb"
        packing = ("--root-owner-group", f"-Z{compression}", "--build")
        run("dpkg-deb", *packing, root, deb, environment=environment)
    return deb


def _make_runnable(root: Path, suite: Suite) -> None:
    """Make it the virtual environment of Debian's own Python, and its command one of the system."""
    home = root / HOME
    (home / "pyvenv.cfg").write_text(
        "home = /usr/bin\ninclude-system-site-packages = false\n", encoding="utf-8"
    )
    (home / "bin").mkdir()
    (home / "bin/python3").symlink_to(f"/usr/bin/python{suite.python}")
    (home / "bin/python").symlink_to("python3")
    # Isolated: no variable and no folder that a shell happens to stand in changes what is run.
    (home / "bin/stopover").write_text(
        f"#!/{HOME}/bin/python3 -I\n"
        "import sys\n\nfrom receiver.cli.main import main\n\nsys.exit(main())\n",
        encoding="utf-8",
    )
    commands = root / "usr/bin"
    commands.mkdir(parents=True)
    (commands / "stopover").symlink_to(f"/{HOME}/bin/stopover")


def _copy(folder: Path, patterns: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(path for pattern in patterns for path in PROJECT.glob(pattern)):
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        else:
            shutil.copy(path, folder)


def _write_examples_and_papers(root: Path, packages: Path) -> None:
    example = config.example()
    if EXAMPLE_STORE not in example:
        raise DebError(f"`stopover init` no longer writes {EXAMPLE_STORE!r}: see {__file__}")
    example = example.replace(EXAMPLE_STORE, STORE)
    config.parse(example, root / "stopover.toml")
    (root / "usr/share/stopover/stopover.toml").write_text(example, encoding="utf-8")
    (root / "etc/stopover-secrets").mkdir(parents=True)
    papers = root / "usr/share/doc/stopover"
    within = sorted(
        importlib.metadata.distributions(path=[str(packages)]), key=lambda each: each.name.lower()
    )
    (papers / "environment.txt").write_text(
        "".join(f"{each.name}=={each.version}\n" for each in within if each.name != "stopover"),
        encoding="utf-8",
    )
    licences = "".join(f" {each.name} {each.version}: {_licence(each)}\n" for each in within)
    licence = (PROJECT / "LICENSE").read_text(encoding="utf-8")
    (papers / "copyright").write_text(
        f"{licence}\nThe environment in /{HOME} holds these, each under its own licence, which"
        f" stands in its\nfolder *.dist-info there:\n\n{licences}",
        encoding="utf-8",
    )
    changes = (PROJECT / "CHANGELOG.md").read_bytes()
    (papers / "changelog.gz").write_bytes(gzip.compress(changes, mtime=0))


def _licence(distribution: importlib.metadata.Distribution) -> str:
    """Return a distribution's licence in a few words, as it gives it itself."""
    told = distribution.metadata
    for name in ("License-Expression", "License"):
        if name in told and "\n" not in told[name]:
            return told[name]
    classifiers = [each for each in told.get_all("Classifier", []) if each.startswith("License")]
    return "; ".join(each.rpartition(" :: ")[2] for each in classifiers) or "see its folder"


def _write_control(root: Path, version: str, arch: str, suite: Suite) -> None:
    control = root / "DEBIAN"
    control.mkdir()
    major, minor = (int(part) for part in suite.python.split("."))
    size_kb = sum(path.stat().st_size // 1024 + 1 for path in _files_of(root))
    text = (DEPLOY / "debian/control").read_text(encoding="utf-8")
    (control / "control").write_text(
        text.format(
            version=version,
            arch=arch,
            size_kb=size_kb,
            python=suite.python,
            next_python=f"{major}.{minor + 1}",
        ),
        encoding="utf-8",
    )
    for name in ("postinst", "prerm", "postrm"):
        shutil.copy(DEPLOY / "debian" / name, control)
    (control / "md5sums").write_text(
        "".join(
            f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}"
            f"  {path.relative_to(root)}\n"
            for path in _files_of(root)
        ),
        encoding="utf-8",
    )


def _files_of(root: Path) -> Iterator[Path]:
    """Yield the package's files, in an order that does not depend on the disk."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.parent.name != "DEBIAN":
            yield path


def _set_modes_and_times(root: Path, changed_s: int) -> None:
    """Set who may do what, and when it was made, whatever the umask and clock of who builds."""
    programs = {
        root / HOME / "bin/stopover",
        *(root / "DEBIAN" / name for name in ("postinst", "prerm", "postrm")),
    }
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path in programs else 0o644)
        os.utime(path, (changed_s, changed_s), follow_symlinks=False)
    (root / "etc/stopover-secrets").chmod(0o700)


def _this_machine() -> str:
    names = {each.wheel: arch for arch, each in MACHINES.items()}
    try:
        return names[platform.machine()]
    except KeyError:
        raise DebError(f"no package for {platform.machine()}; choose --arch") from None


def _this_suite() -> str:
    try:
        suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        suite = ""
    if suite not in SUITES:
        raise DebError(f"say for which Debian: make deb SUITE={' or '.join(SUITES)}")
    return suite


def _source_date() -> str:
    """Return when the sources were last changed, in seconds since 1970."""
    if told := os.environ.get("SOURCE_DATE_EPOCH"):
        return told
    git = ("git", "-C", str(PROJECT), "log", "-1", "--format=%ct")
    if shutil.which("git") and (PROJECT / ".git").exists():
        asked = subprocess.run(git, capture_output=True, text=True, check=False)
        if asked.returncode == 0 and asked.stdout.strip():
            return asked.stdout.strip()
    return str(int((PROJECT / "CHANGELOG.md").stat().st_mtime))


if __name__ == "__main__":
    main()
