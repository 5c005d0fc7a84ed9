"""What every benchmark prints: the machine, and values beside their goals."""

import importlib.util
import os
import platform
import sqlite3
from collections.abc import Sequence
from pathlib import Path


def machine() -> str:
    """Return what a number was measured on: processor, cores, kernel, Python, SQLite.

    With numpy where there is one: sqlite-utils loads it, 12 MB, though nothing here needs it.
    """
    with_numpy = ", with numpy" if importlib.util.find_spec("numpy") else ""
    return (
        f"{_cpu_model()}, {os.cpu_count()} cores, Linux {platform.release()},"
        f" Python {platform.python_version()}{with_numpy}, SQLite {sqlite3.sqlite_version}"
    )


def print_report(title: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """Print rows of (what, value, goal) below the machine."""
    print(f"{title}\nmachine: {machine()}\n")
    lines = [("", "measured", "goal"), *rows]
    widths = [max(len(line[place]) for line in lines) for place in (0, 1)]
    for what, value, goal in lines:
        print(f"{what:<{widths[0]}}  {value:>{widths[1]}}  {goal}".rstrip())


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()
