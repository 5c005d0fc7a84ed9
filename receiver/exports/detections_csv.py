"""`csv`: every key of every detection, `detections.csv`. Needs no metadata."""

import csv
from collections.abc import Mapping
from typing import Any, Final

from receiver.exports.cells import cell
from receiver.exports.request import Report, Request
from receiver.exports.staging import Staging
from receiver.store.detection_rows import DETECTION_KEYS

_NEVER_TEXT: Final = frozenset(
    (
        "seq",
        "time",
        "time_stamped",
        "rssi_dbm",
        "snr_db",
        "noise_dbm",
        "frequency_offset_hz",
        "relay_rssi_dbm",
        "recorded_at",
        "latitude",
        "longitude",
        "position_error_m",
        "run",
        "payload",
        "raw",
    )
)
"""Numbers, our own times and hex digits: the cells that nobody outside can fill with words."""
_CHECKED: Final = tuple(place for place, key in enumerate(DETECTION_KEYS) if key not in _NEVER_TEXT)


def cells(row: Mapping[str, Any]) -> list[object]:
    """Return a detection as a line of the file has it: no text in it is run by a spreadsheet."""
    told = [row[key] for key in DETECTION_KEYS]
    for place in _CHECKED:
        if told[place] is not None:
            told[place] = cell(told[place])
    return told


def missing(_: Request) -> list[str]:
    """Return nothing: rows are written as they are."""
    return []


def write(request: Request, staging: Staging) -> Report:
    """Write the detections in the order in which they were kept."""
    report = Report()
    with staging.path("detections.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(DETECTION_KEYS)
        for row in request.detections(report):
            writer.writerow(cells(row))
            report.rows["detections"] += 1
    return report
