"""`csv`: every key of every detection, `detections.csv`. Needs no metadata."""

import csv
from typing import Final

from receiver.exports.cells import cell
from receiver.exports.request import Report, Request
from receiver.exports.staging import Staging
from receiver.store.queries import DETECTION_KEYS

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
            cells = [row[key] for key in DETECTION_KEYS]
            for place in _CHECKED:
                if cells[place] is not None:
                    cells[place] = cell(cells[place])
            writer.writerow(cells)
            report.rows["detections"] += 1
    return report
