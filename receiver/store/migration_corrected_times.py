"""The third version: times corrected between good clock samples, quickly.

A row that was stamped while the clock was not right (`unsynchronised`, `implausible`) takes its
time from the good samples of its boot by the clock that nobody sets, `mono_ns`:

- between two good samples: from both, in proportion, so that the drift of weeks without a network
  is spread over them. Where they differ by more than any crystal drifts (500 ppm, and a second),
  one of them lies: then from the nearer one, and intervals between rows stay what they were;
- before the first or after the last good sample: from that one;
- in a boot without one: as stamped, and `time_quality` says so.

Steps in between do not matter, since `mono_ns` has none. Rows themselves are never rewritten.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

_GOOD = "clock IN (0, 1, 2)"  # pps, gps, ntp
_NOT_RIGHT = "row.clock IN (3, 5)"  # unsynchronised, implausible
_LARGEST_DRIFT = "0.0005"
"""The kernel's own bound for the frequency of a clock. Source: adjtimex(2), 500 ppm."""

_INDEX = f"CREATE INDEX good_clock_samples ON clock_samples (boot, mono_ns, utc_ns) WHERE {_GOOD}"


def m003(
    db: "Database",
    columns_and_joins: Mapping[str, tuple[str, str]],
    qualities: str,
    execute_each: Callable[["Database", str], None],
) -> None:
    """Replace the views of every table; `qualities` are the WHEN clauses of a row's own quality."""
    for table in columns_and_joins:
        db.execute(f"DROP VIEW readable_{table}")
    db.execute("DROP VIEW boot_clocks")
    db.execute(_INDEX)
    for table, (columns, joins) in columns_and_joins.items():
        execute_each(db, readable(table, columns, joins, qualities))


def _good_sample(nearest: str, order: str) -> str:
    """Return the id of the good sample next to a row; only a row that needs it pays for it."""
    return f"""CASE WHEN {_NOT_RIGHT} THEN (
        SELECT id FROM clock_samples
        WHERE boot = row.boot AND mono_ns {nearest} row.mono_ns AND {_GOOD}
        ORDER BY mono_ns {order} LIMIT 1) END"""


def readable(table: str, columns: str, joins: str, qualities: str) -> str:
    """Return the statement that makes the view of `table` with corrected times."""
    since = "(row.mono_ns - earlier.mono_ns)"
    between = "(later.mono_ns - earlier.mono_ns)"
    drift = f"((later.utc_ns - earlier.utc_ns) - {between})"
    from_earlier = f"earlier.utc_ns + {since}"
    from_later = "later.utc_ns + row.mono_ns - later.mono_ns"
    return f"""
CREATE VIEW readable_{table} AS SELECT {columns},
    CASE
        WHEN earlier.id IS NULL AND later.id IS NULL THEN row.utc_ns
        WHEN later.id IS NULL THEN {from_earlier}
        WHEN earlier.id IS NULL THEN {from_later}
        WHEN abs({drift}) <= {between} * {_LARGEST_DRIFT} + 1000000000
            THEN {from_earlier} + CAST(1.0 * {drift} * {since} / {between} AS INTEGER)
        WHEN 2 * {since} <= {between} THEN {from_earlier}
        ELSE {from_later}
    END AS time_ns,
    CASE WHEN earlier.id IS NULL AND later.id IS NULL THEN CASE row.clock {qualities} END
        ELSE 'corrected' END AS time_quality,
    row.utc_ns AS time_stamped_ns, boot.text AS boot, row.mono_ns AS mono_ns,
    source.link AS link, source.antenna AS antenna, source.protocol AS protocol,
    source.decoder AS decoder, source.import_id AS import_id
FROM {table} AS row JOIN sources AS source ON source.id = row.source
    LEFT JOIN texts AS boot ON boot.id = row.boot
    LEFT JOIN clock_samples AS earlier ON earlier.id = {_good_sample("<=", "DESC")}
    LEFT JOIN clock_samples AS later ON later.id = {_good_sample(">", "ASC")}
    {joins};
"""
