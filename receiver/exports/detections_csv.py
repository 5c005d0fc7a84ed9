"""`csv`: every key of every detection, `detections.csv`. Needs no metadata."""

import csv

from receiver.exports.cells import cell
from receiver.exports.request import Report, Request
from receiver.exports.staging import Staging
from receiver.store.queries import DETECTION_KEYS


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
            writer.writerow([cell(row[key]) for key in DETECTION_KEYS])
            report.rows["detections"] += 1
    return report
