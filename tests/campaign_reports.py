"""Reports of long campaigns, for people and for programs, in `tests/reports/`."""

import datetime as dt
import os
import platform
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import msgspec

REPORTS = Path(__file__).with_name("reports")


def write_report(name: str, found: Mapping[str, object]) -> Path:
    """Write what a campaign tried and found, as `name.json` and `name.txt`; return the latter."""
    whole = {
        "campaign": name,
        "ended": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
        f" {platform.release()}, Python {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}",
        **found,
    }
    REPORTS.mkdir(exist_ok=True)
    text = REPORTS / f"{name}.txt"
    text.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(whole)) + b"\n")
    width = max(map(len, whole))
    lines = [f"{key.replace('_', ' '):{width}}  {value}" for key, value in whole.items()]
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return text
