"""The tables of the plots' file, and the statements that fill them from the store's rows.

Everything is counted by steps of a quarter and of a whole hour. Counts stand apart by `part`: 0 for
rows whose time is settled, one number for each boot whose rows were stamped by a wrong clock, so
that those alone are counted again when a good clock sample of their boot comes.
"""

from typing import Final

QUARTER_S: Final = 900
HOUR_S: Final = 3600
VERSION: Final = 2
"""Another one makes the file anew."""

RANGE_ROWS: Final = 4_096
"""Rows of the store in a block: an hour is found again by the blocks that its rows lie in."""

TABLES: Final = """
CREATE TABLE state (
    version INTEGER NOT NULL,
    store_uuid TEXT NOT NULL,
    in_use INTEGER NOT NULL,
    quarters_from_s INTEGER NOT NULL,
    detections_seq INTEGER NOT NULL,
    events_id INTEGER NOT NULL,
    relay_health_id INTEGER NOT NULL,
    clock_sample_id INTEGER NOT NULL
);
CREATE TABLE places (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE tags (
    id INTEGER PRIMARY KEY, tag_id TEXT NOT NULL, protocol TEXT NOT NULL, UNIQUE (tag_id, protocol)
);
CREATE TABLE parts (
    id INTEGER PRIMARY KEY,
    boot TEXT NOT NULL,
    kept_in TEXT NOT NULL,
    first_id INTEGER NOT NULL,
    last_id INTEGER NOT NULL,
    last_mono_ns INTEGER NOT NULL,
    good_mono_ns INTEGER NOT NULL,
    UNIQUE (boot, kept_in)
);
CREATE TABLE blocks (
    kept_in TEXT NOT NULL,
    hour_s INTEGER NOT NULL,
    block INTEGER NOT NULL,
    part INTEGER NOT NULL,
    PRIMARY KEY (kept_in, hour_s, block, part)
) WITHOUT ROWID;
CREATE TABLE heard (
    tag INTEGER NOT NULL,
    place INTEGER NOT NULL,
    part INTEGER NOT NULL,
    n INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    best_rssi_dbm NUMERIC,
    PRIMARY KEY (tag, place, part)
) WITHOUT ROWID;
"""

COUNTS: Final = """
CREATE {temporary} TABLE {prefix}bins (
    step_s INTEGER NOT NULL,
    time_s INTEGER NOT NULL,
    place INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    part INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (step_s, time_s, place, tag, part)
) WITHOUT ROWID;
CREATE {temporary} TABLE {prefix}levels (
    step_s INTEGER NOT NULL,
    time_s INTEGER NOT NULL,
    place INTEGER NOT NULL,
    rssi_dbm INTEGER NOT NULL,
    part INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (step_s, time_s, place, rssi_dbm, part)
) WITHOUT ROWID;
CREATE {temporary} TABLE {prefix}readings (
    step_s INTEGER NOT NULL,
    time_s INTEGER NOT NULL,
    what TEXT NOT NULL,
    who TEXT NOT NULL,
    part INTEGER NOT NULL,
    n INTEGER NOT NULL,
    total REAL NOT NULL,
    PRIMARY KEY (step_s, time_s, what, who, part)
) WITHOUT ROWID;
"""
"""Once in the file, and once in memory for an hour that is looked at minute by minute."""

FRESH: Final = """
CREATE TEMPORARY TABLE fresh (
    id INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    time_s INTEGER NOT NULL,
    wrong_boot TEXT,
    mono_ns INTEGER,
    part INTEGER NOT NULL DEFAULT 0,
    source INTEGER,
    tag INTEGER,
    rssi_dbm NUMERIC,
    noise_dbm NUMERIC,
    who TEXT,
    measured TEXT
);
CREATE TEMPORARY TABLE fresh_tags (
    time_s INTEGER, place INTEGER, tag INTEGER, part INTEGER, n INTEGER,
    first_ns INTEGER, last_ns INTEGER, best_rssi_dbm NUMERIC
);
CREATE TEMPORARY TABLE fresh_levels (
    time_s INTEGER, place INTEGER, rssi_dbm INTEGER, part INTEGER, n INTEGER
);
"""
"""The rows in work, and what was made of them. `source` and `tag` are the store's own numbers."""

_WHEN: Final = """row.time_ns, row.time_ns / 1000000000,
    CASE WHEN row.time_quality IN ('corrected', 'unsynchronised', 'implausible') THEN row.boot END,
    row.mono_ns"""

FETCH: Final = {
    "detections": f"""INSERT INTO fresh
    (id, time_ns, time_s, wrong_boot, mono_ns, source, tag, rssi_dbm, noise_dbm)
    SELECT row.seq, {_WHEN}, own.source, own.tag, own.rssi_dbm, own.noise_dbm
    FROM store.readable_detections AS row JOIN store.detections AS own ON own.seq = row.seq
    WHERE row.seq > :after AND row.seq <= :until ORDER BY row.seq LIMIT :rows""",
    "events": f"""INSERT INTO fresh
    (id, time_ns, time_s, wrong_boot, mono_ns, who, measured)
    SELECT row.id, {_WHEN}, coalesce(row.antenna, row.link), json_extract(body, '$.measurements')
    FROM store.readable_events AS row
    WHERE row.id > :after AND row.id <= :until AND kind = 'StationHealth' AND json_valid(body)
    ORDER BY row.id LIMIT :rows""",
    "relay_health": f"""INSERT INTO fresh
    (id, time_ns, time_s, wrong_boot, mono_ns, who, measured)
    SELECT row.id, {_WHEN}, relay_id, json_object('battery_v', battery_v)
    FROM store.readable_relay_health AS row
    WHERE row.id > :after AND row.id <= :until AND battery_v IS NOT NULL
    ORDER BY row.id LIMIT :rows""",
}
"""By the store's table: the next rows after one number, up to another."""

NEWEST: Final = {
    "detections": "SELECT coalesce(max(seq), 0) FROM store.detections",
    "events": "SELECT coalesce(max(id), 0) FROM store.events",
    "relay_health": "SELECT coalesce(max(id), 0) FROM store.relay_health",
}
MARKS: Final = {
    "detections": "detections_seq",
    "events": "events_id",
    "relay_health": "relay_health_id",
}
"""Where `state` notes how far each is counted."""

_PLACE: Final = "coalesce(source.antenna, source.link)"
NAME_WHAT_IS_NEW: Final = (
    f"""INSERT OR IGNORE INTO places (name)
    SELECT {_PLACE} FROM store.sources AS source WHERE id IN (SELECT source FROM fresh)""",
    """INSERT OR IGNORE INTO tags (tag_id, protocol)
    SELECT told.text, coalesce(source.protocol, '')
    FROM (SELECT DISTINCT source, tag FROM fresh WHERE tag IS NOT NULL) AS new
    JOIN store.sources AS source ON source.id = new.source
    JOIN store.texts AS told ON told.id = new.tag""",
)

NOTE_PARTS: Final = """
INSERT INTO parts (boot, kept_in, first_id, last_id, last_mono_ns, good_mono_ns)
    SELECT wrong_boot, :kept_in, min(id), max(id), max(coalesce(mono_ns, 0)), coalesce((
        SELECT max(mono_ns) FROM store.clock_samples JOIN store.texts ON texts.id = boot
        WHERE text = wrong_boot AND clock IN (0, 1, 2)), -1)
    FROM fresh WHERE wrong_boot IS NOT NULL GROUP BY wrong_boot
ON CONFLICT (boot, kept_in) DO UPDATE SET last_id = max(last_id, excluded.last_id),
    last_mono_ns = max(last_mono_ns, excluded.last_mono_ns),
    good_mono_ns = excluded.good_mono_ns
"""
TELL_PARTS: Final = """
UPDATE fresh SET part = (
    SELECT parts.id FROM parts WHERE boot = wrong_boot AND kept_in = :kept_in)
WHERE wrong_boot IS NOT NULL
"""

GROUP: Final = (
    "DELETE FROM fresh_tags",
    "DELETE FROM fresh_levels",
    f"""INSERT INTO fresh_tags
    SELECT new.time_s, places.id, tags.id, part, n, first_ns, last_ns, best_rssi_dbm FROM (
        SELECT time_s / :step_s * :step_s AS time_s, source, tag, part, count(*) AS n,
            min(time_ns) AS first_ns, max(time_ns) AS last_ns, max(rssi_dbm) AS best_rssi_dbm
        FROM fresh WHERE tag IS NOT NULL GROUP BY 1, 2, 3, 4) AS new
    JOIN store.sources AS source ON source.id = new.source
    JOIN store.texts AS told ON told.id = new.tag
    JOIN places ON places.name = {_PLACE}
    JOIN tags ON tags.tag_id = told.text AND tags.protocol = coalesce(source.protocol, '')""",
    f"""INSERT INTO fresh_levels
    SELECT new.time_s, places.id, new.rssi_dbm, part, n FROM (
        SELECT time_s / :step_s * :step_s AS time_s, source,
            CAST(round(rssi_dbm) AS INTEGER) AS rssi_dbm, part, count(*) AS n
        FROM fresh WHERE rssi_dbm IS NOT NULL GROUP BY 1, 2, 3, 4) AS new
    JOIN store.sources AS source ON source.id = new.source
    JOIN places ON places.name = {_PLACE}""",
)
"""Count the fresh rows by the finest step that is wanted."""


def counting(prefix: str) -> tuple[str, ...]:
    """Return the statements that add what `GROUP` counted, by `:step_s`, to the tables."""
    step = "time_s / :step_s * :step_s"
    return (
        f"""INSERT INTO {prefix}bins
    SELECT :step_s, {step}, place, tag, part, sum(n) FROM fresh_tags GROUP BY 2, 3, 4, 5
    ON CONFLICT DO UPDATE SET n = n + excluded.n""",
        f"""INSERT INTO {prefix}levels
    SELECT :step_s, {step}, place, rssi_dbm, part, sum(n) FROM fresh_levels GROUP BY 2, 3, 4, 5
    ON CONFLICT DO UPDATE SET n = n + excluded.n""",
        f"""INSERT INTO {prefix}readings
    SELECT :step_s, {step}, 'noise_dbm', {_PLACE}, part, count(*), sum(noise_dbm)
    FROM fresh JOIN store.sources AS source ON source.id = fresh.source
    WHERE noise_dbm IS NOT NULL GROUP BY 2, 4, 5
    ON CONFLICT DO UPDATE SET n = n + excluded.n, total = total + excluded.total""",
        f"""INSERT INTO {prefix}readings
    SELECT :step_s, {step}, key, who, part, count(*), sum(value)
    FROM fresh, json_each(measured)
    WHERE measured IS NOT NULL AND json_each.type IN ('integer', 'real')
        AND (key IN ('noise_dbm', 'noise_dbfs', 'gain_db', 'temperature_c', 'voltage_v',
                'battery_v', 'disk_free_bytes')
            OR key LIKE 'waiting@_%' ESCAPE '@')
    GROUP BY 2, 3, 4, 5
    ON CONFLICT DO UPDATE SET n = n + excluded.n, total = total + excluded.total""",
    )


KEEP: Final = (
    """INSERT INTO heard
    SELECT tag, place, part, sum(n), min(first_ns), max(last_ns), max(best_rssi_dbm)
    FROM fresh_tags GROUP BY 1, 2, 3
    ON CONFLICT DO UPDATE SET n = n + excluded.n, first_ns = min(first_ns, excluded.first_ns),
        last_ns = max(last_ns, excluded.last_ns),
        best_rssi_dbm = coalesce(max(best_rssi_dbm, excluded.best_rssi_dbm), best_rssi_dbm,
            excluded.best_rssi_dbm)""",
    f"""INSERT OR IGNORE INTO blocks
    SELECT DISTINCT :kept_in, time_s / {HOUR_S} * {HOUR_S}, id / {RANGE_ROWS}, part FROM fresh""",
)
"""What is kept of the fresh rows beside their counts."""

FORGET_PART: Final = (
    "DELETE FROM bins WHERE part = :part",
    "DELETE FROM levels WHERE part = :part",
    "DELETE FROM readings WHERE part = :part",
    "DELETE FROM heard WHERE part = :part",
    "DELETE FROM blocks WHERE part = :part",
    "DELETE FROM parts WHERE id = :part",
)

UNSETTLED: Final = """
SELECT parts.id, parts.boot, kept_in, first_id, last_id FROM parts
WHERE parts.last_mono_ns >= parts.good_mono_ns AND parts.good_mono_ns < (
    SELECT max(mono_ns) FROM store.clock_samples JOIN store.texts ON texts.id = clock_samples.boot
    WHERE text = parts.boot AND clock IN (0, 1, 2))
"""
"""Parts whose times a good clock sample has changed since they were counted."""
