"""`motus`: files as a SensorGnome writes them, in `YYYY-MM-DD/` folders.

    <label>-<serial>-<boot>-YYYY-MM-DDTHH-MM-SS.ssss<clock code>-<ctt|all>.txt.gz

`ctt` holds the tag records, `all` the pulses, both the fixes and the clock's state. What was
imported from SensorGnome files goes back into files of their names, every line as it was. What a
station heard itself is cut into its hours; rows whose clock was never right go to files of code P,
all others to Z. Boots are counted in the order in which the store saw them.

A file that may not be whole yet, because its hour is not over, because it was imported damaged or
because rows were chosen, ends in `.txt`: Motus lets a longer file replace that, but never one that
ends in `.gz`.

Source: tve/sensorgnome-control, datasaver.js; MotusWTS/motusServer, parseFilenames.R,
handleNewFiles.R.
"""

import datetime as dt
import heapq
from collections.abc import Iterator

from protocols.sensorgnome import parse_name
from receiver.exports.line_files import LineFiles
from receiver.exports.motus_own import HOUR_NS, NAMED_IMPORTS, OWN_ROWS, OwnLines, no_record
from receiver.exports.motus_rows import KEYS, TABLES, Kept, Trusted, filters
from receiver.exports.request import Report, Request
from receiver.exports.staging import Staging


def missing(request: Request) -> list[str]:
    """Return what is missing: the serial, where anything is to be written under it."""
    if request.metadata.motus.serial:
        return []
    needs_it = request.reader.connection.execute(
        "SELECT 1 FROM sources LEFT JOIN imports ON imports.id = sources.import_id"  # noqa: S608  Our own names.
        f" WHERE {OWN_ROWS} AND coalesce(imports.kind, '') NOT LIKE 'CTT %'"
        " AND (protocol = 'ctt-434' OR EXISTS"
        " (SELECT 1 FROM pulses WHERE source = sources.id)) LIMIT 1"
    ).fetchone()
    return ["motus.serial (as registered at Motus)"] if needs_it else []


def write(request: Request, staging: Staging) -> Report:
    """Write the files; what is no record of theirs is counted by reason."""
    report = Report()
    with LineFiles(staging, b"\n") as files:
        trusted = Trusted(request, report)
        _give_back(request, trusted, files, report)
        OwnLines(request, trusted, report).write(files)
    _count_what_stays(request, report)
    if any(name.suffix == ".txt" for name in staging.final_paths()):
        report.notes.append(
            "files that end in .txt are not whole: their hour goes on, or rows were chosen or lost"
        )
    return report


def _count_what_stays(request: Request, report: Report) -> None:
    """Count what SensorGnome files held or gave and what no file of theirs takes back."""
    for protocol, count in request.reader.connection.execute(
        "SELECT sources.protocol, count(*) FROM detections JOIN sources ON sources.id = source"  # noqa: S608  Our own names.
        f" WHERE source IN (SELECT id FROM sources WHERE import_id IN ({NAMED_IMPORTS})"
        " AND decoder NOT LIKE 'sensorgnome/%') GROUP BY sources.protocol"
    ):
        report.left_out[no_record(protocol)] += count
    unread = request.reader.connection.execute(
        "SELECT count(*) FROM unknown_frames WHERE source IN"  # noqa: S608  Our own names.
        f" (SELECT id FROM sources WHERE import_id IN ({NAMED_IMPORTS}))"
    ).fetchone()[0]
    if unread:
        report.left_out["lines of imported files that nobody could read"] += unread


def _give_back(request: Request, trusted: Trusted, files: LineFiles, report: Report) -> None:
    """Write what came from SensorGnome files into files of their names."""
    wanted, kept = request.wanted, Kept(request.reader)
    is_all = wanted.since_utc_ns is None and wanted.until_utc_ns is None
    imports = request.reader.connection.execute(
        "SELECT name, min(complete), group_concat(id) FROM imports"  # noqa: S608  Our own names.
        f" WHERE id IN ({NAMED_IMPORTS}) GROUP BY name ORDER BY name"
    )
    for name, is_complete, ids in imports:
        named = parse_name(name)
        if named is None:
            continue
        day = dt.datetime.fromtimestamp(named.started_ns // 10**9, dt.UTC)
        is_over = named.started_ns + 2 * HOUR_NS <= request.now_ns
        ranges = _ranges(request, ids)
        is_whole = (
            is_complete
            and is_over
            and is_all
            and not request.chooses_rows
            and all(kept.has_from(table, first) for table, first, _ in ranges)
        )
        place = f"{day:%Y-%m-%d}/{name}{'.gz' if is_whole else ''}"
        streams = [
            _imported_lines(request, trusted, report, ids, table=table, ranges=ranges)
            for table in TABLES
        ]
        for _, line in heapq.merge(*streams, key=lambda each: each[0]):
            files.write(place, line)


def _ranges(request: Request, ids: str) -> list[tuple[str, int, int]]:
    """Return where the rows of these imports are: (table, first id, last id)."""
    rows = request.reader.connection.execute(
        "SELECT kept_in, first_id, last_id FROM import_rows"  # noqa: S608  Numbers.
        f" WHERE import_id IN ({ids}) ORDER BY first_id"
    )
    return [(table, first, last) for table, first, last in rows]


def _imported_lines(
    request: Request,
    trusted: Trusted,
    report: Report,
    ids: str,
    *,
    table: str,
    ranges: list[tuple[str, int, int]],
) -> Iterator[tuple[int, str]]:
    """Yield (time, line) of one table's rows of these imports, in the order of the file."""
    key = KEYS[table]
    where, values = filters(request, table)
    if where is None:
        return
    for kept_in, first, last in ranges:
        if kept_in != table:
            continue
        rows = request.reader.connection.execute(
            f"SELECT {key}, time_ns, raw FROM readable_{table} WHERE {key} BETWEEN ? AND ?"  # noqa: S608  Our own names.
            f" AND import_id IN ({ids}) AND decoder LIKE 'sensorgnome/%'{where} ORDER BY {key}",
            (first, last, *values),
        )
        for seq, time_ns, raw in request.counting(rows):
            if raw is None or (table == "detections" and seq not in trusted):
                continue
            line = raw.decode("utf-8", "surrogateescape")
            report.rows[f"{line[:1]} records, as imported"] += 1
            yield time_ns, line
