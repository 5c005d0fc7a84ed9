"""What the project's pages tell people to type: the commands and settings of their code blocks."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
_NOT_OURS = frozenset((".venv", ".pytest_cache", "reports", "build", "dist"))

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)\s*$")
OURS = re.compile(r"^(?:\.venv/bin/)?stopover\s")

SYSTEM_PROGRAMS = frozenset(
    (
        "adduser",
        "apt",
        "apt-get",
        "cat",
        "chmod",
        "chown",
        "cp",
        "curl",
        "df",
        "dpkg",
        "echo",
        "fdisk",
        "grep",
        "id",
        "install",
        "journalctl",
        "ln",
        "lsblk",
        "lsusb",
        "mkdir",
        "mkfs.ext4",
        "mkfs.vfat",
        "modprobe",
        "mosquitto_passwd",
        "mosquitto_pub",
        "mosquitto_sub",
        "mount",
        "nano",
        "openssl",
        "pip",
        "psql",
        "python3",
        "raspi-config",
        "reboot",
        "rmmod",
        "rtl_433",
        "rtl_biast",
        "rtl_eeprom",
        "rtl_tcp",
        "rtl_test",
        "scp",
        "sed",
        "sqlite3",
        "ssh",
        "systemctl",
        "systemd-analyze",
        "systemd-cat",
        "systemd-tmpfiles",
        "tee",
        "timedatectl",
        "touch",
        "udevadm",
        "umask",
        "umount",
        "usermod",
        "vcgencmd",
    )
)
"""What pages may name beside our own command: these are read by the shell's parser, not run."""


class Block(msgspec.Struct, frozen=True):
    """One fenced block of a page."""

    language: str
    line: int
    text: str

    def commands(self) -> Iterator[str]:
        """Yield what is typed, comments cut off, continued lines joined."""
        if self.language not in ("", "sh", "console", "bash"):
            return
        for line in self.text.replace("\\\n", " ").splitlines():
            command = line.strip().removeprefix("$ ")
            if _is_typed(command):
                yield _without_comment(command)


def pages() -> list[Path]:
    """Return every page of the project."""
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    return sorted(page for page in found if not _NOT_OURS.intersection(page.parts))


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page of the project, in order."""
    found: list[Block] = []
    opened: tuple[str, int, str] | None = None
    lines: list[str] = []
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened, lines = (fence["language"], number, fence["indent"]), []
        elif opened is not None and fence and not fence["language"]:
            found.append(Block(opened[0], opened[1], "\n".join(lines)))
            opened = None
        elif opened is not None:
            lines.append(line.removeprefix(opened[2]))
    assert opened is None, f"{page}: a block is not closed"
    return found


def program(command: str) -> str:
    """Return the program that a command starts, behind sudo and settings of its environment."""
    for word in shlex.split(command.split("|", maxsplit=1)[0]):
        if word != "sudo" and "=" not in word and not word.startswith("-"):
            return word.rsplit("/", 1)[-1]
    return ""


def _is_typed(line: str) -> bool:
    first = line.split(" ", maxsplit=1)[0].rsplit("/", 1)[-1]
    return first in SYSTEM_PROGRAMS | {"stopover", "make", "sudo", "python"}


def _without_comment(command: str) -> str:
    lexer = shlex.shlex(command, posix=False, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words = []
    for word in lexer:
        if word.startswith("#"):
            break
        words.append(word)
    return " ".join(words)
