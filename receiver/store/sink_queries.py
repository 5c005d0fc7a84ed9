"""How far each sink is, as the store knows it."""

from typing import Any

from receiver.store.queries import Reader
from receiver.utc_text import iso_utc


def sink_backlogs(reader: Reader) -> list[dict[str, Any]]:
    """Return for each sink that ever sent: what is acknowledged, what waits, whether it rests."""
    newest = reader.connection.execute("SELECT coalesce(max(seq), 0) FROM detections").fetchone()[0]
    return [
        {
            "sink": row["sink"],
            "acknowledged_seq": row["acknowledged_seq"],
            "waiting": max(0, newest - row["acknowledged_seq"]),
            "acknowledged_at": iso_utc(row["updated_utc_ns"]),
            "paused": bool(row["paused"]),
            "rows_refused": row["refused"],
        }
        for row in reader.connection.execute(
            "SELECT mark.sink AS sink, acknowledged_seq, updated_utc_ns,"
            " coalesce(state.paused, 0) AS paused,"
            " (SELECT count(*) FROM rows_refused WHERE sink = mark.sink) AS refused"
            " FROM sink_marks AS mark LEFT JOIN sink_states AS state ON state.sink = mark.sink"
            " ORDER BY mark.sink"
        )
    ]
