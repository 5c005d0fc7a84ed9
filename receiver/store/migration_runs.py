"""The fifth version: runs, and which detections belong to each.

A protocol whose decoder finds runs itself (coded ID) puts the run into the detection's row. For all
others the run index (`receiver.run_index`) sorts stored detections into runs off the hot path; the
rows of `detections` stay as they are, `detection_runs` says where each belongs.

A run's row is replaced while it goes on; `confidence` is the place in `CONFIDENCES`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from receiver.store import migration_corrected_times

if TYPE_CHECKING:
    from sqlite_utils import Database

_TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    protocol TEXT NOT NULL,
    tag INTEGER NOT NULL,
    place TEXT NOT NULL,
    first_utc_ns INTEGER NOT NULL,
    last_utc_ns INTEGER NOT NULL,
    detections INTEGER NOT NULL,
    verified INTEGER NOT NULL,
    missed INTEGER,
    interval_s NUMERIC,
    interval_error_ms NUMERIC,
    confidence INTEGER NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE detection_runs (seq INTEGER PRIMARY KEY, run INTEGER NOT NULL);
CREATE TABLE run_index (indexed_seq INTEGER NOT NULL);
INSERT INTO run_index (indexed_seq) VALUES (0);
"""

_COLUMNS = """coalesce(row.run, member.run) AS run, tag_run.confidence AS run_confidence,
    tag_run.reason AS confidence_reason"""
_JOINS = """LEFT JOIN detection_runs AS member ON member.seq = row.seq
    LEFT JOIN runs AS tag_run ON tag_run.id = coalesce(row.run, member.run)"""


def m005(
    db: "Database",
    columns_and_joins: Mapping[str, tuple[str, str]],
    qualities: str,
    execute_each: Callable[["Database", str], None],
) -> None:
    """Make the tables; show run and confidence in the view of detections."""
    execute_each(db, _TABLES)
    db.execute("DROP VIEW readable_detections")
    columns, joins = columns_and_joins["detections"]
    execute_each(
        db,
        migration_corrected_times.readable(
            "detections",
            columns.replace("row.run AS run", _COLUMNS),
            f"{joins} {_JOINS}",
            qualities,
        ),
    )
