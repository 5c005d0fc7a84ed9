"""Which rows of the store's tables are wanted in SensorGnome's files."""

from typing import Final

from receiver.exports.request import Report, Request
from receiver.store.queries import Reader

TABLES: Final = ("detections", "pulses", "gps_fixes", "events")
KEYS: Final = {"detections": "seq", "pulses": "id", "gps_fixes": "id", "events": "id"}


class Kept:
    """What retention left: a file that lost rows to it is not whole."""

    def __init__(self, reader: Reader) -> None:
        self._oldest: dict[str, int] = {}
        self.whole_from_ns = 0
        """Hours that begin after this lost nothing."""
        for table in TABLES:
            if not sum(reader.rows_pruned().get(table, {}).values()):
                continue
            key = KEYS[table]
            oldest = reader.connection.execute(
                f"SELECT {key}, utc_ns FROM {table} ORDER BY {key} LIMIT 1"  # noqa: S608  Our own names.
            ).fetchone()
            self._oldest[table] = oldest[0] if oldest else 2**63
            self.whole_from_ns = max(self.whole_from_ns, oldest[1] if oldest else 2**63)

    def has_from(self, table: str, first_id: int) -> bool:
        """Tell whether the rows of a table are there from this one on."""
        return first_id >= self._oldest.get(table, 0)


class Trusted:
    """Which detections are trusted enough: one bit for each, 1.25 MB for ten million."""

    def __init__(self, request: Request, report: Report) -> None:
        self._bits: bytearray | None = None
        if request.wanted.min_confidence == "false":
            return
        newest = request.reader.connection.execute("SELECT max(seq) FROM detections").fetchone()[0]
        self._bits = bytearray((newest or 0) // 8 + 1)
        for row in request.detections(report):
            self._bits[row["seq"] >> 3] |= 1 << (row["seq"] & 7)

    def __contains__(self, seq: int) -> bool:
        return self._bits is None or bool(self._bits[seq >> 3] >> (seq & 7) & 1)


def filters(request: Request, table: str) -> tuple[str | None, list[object]]:
    """Return what is wanted of a table as conditions and values; None for nothing of it."""
    wanted = request.wanted
    conditions: list[tuple[str, object]] = [
        ("time_ns >= ?", wanted.since_utc_ns),
        ("time_ns < ?", wanted.until_utc_ns),
    ]
    if table in ("detections", "pulses"):
        conditions.append(("antenna = ?", wanted.antenna))
    if table == "detections":
        conditions.append(("tag_id = ?", wanted.tag_id))
    if table == "pulses" and wanted.tag_id is not None:
        return None, []
    given = [(clause, value) for clause, value in conditions if value is not None]
    return "".join(f" AND {clause}" for clause, _ in given), [value for _, value in given]
