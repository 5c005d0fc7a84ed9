"""The store's tables, as numbered migrations.

What is hot only appends: `detections` and `pulses` have no second index (an index in tag order
costs ten times the writes of the row itself). Text that repeats is interned in `texts`; link,
antenna, protocol, decoder and file together are one small number, `source`. The `readable_…` views
give the names, units and corrected times of the documentation.

Codes of small lists (a byte instead of a word) stand in `CLOCK_QUALITIES` and `INTEGRITIES`.
"""

from typing import TYPE_CHECKING, get_args

from sqlite_utils.migrations import Migrations

from protocols.records import Integrity
from receiver.arrivals import ClockQuality
from receiver.store import migration_corrected_times, migration_redecoded, migration_runs

if TYPE_CHECKING:
    from sqlite_utils import Database

CLOCK_QUALITIES: tuple[ClockQuality, ...] = get_args(ClockQuality)
"""A row's `clock` is the place in this tuple; only ever append."""

INTEGRITIES: tuple[Integrity, ...] = get_args(Integrity)
"""A row's `integrity` is the place in this tuple; only ever append."""

_GOOD_CLOCKS = "(0, 1, 2)"  # pps, gps, ntp
_UNSYNCHRONISED = 3

_WHEN_AND_WHERE = """
    source INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    mono_ns INTEGER,
    boot INTEGER,
    clock INTEGER NOT NULL
"""

_FIRST_TABLES = f"""
CREATE TABLE station (
    store_uuid TEXT NOT NULL,
    station_id TEXT NOT NULL,
    created_utc_ns INTEGER NOT NULL
);
CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    link TEXT NOT NULL,
    antenna TEXT,
    protocol TEXT,
    decoder TEXT NOT NULL,
    import_id INTEGER
);
CREATE UNIQUE INDEX sources_once ON sources (
    link, coalesce(antenna, char(0)), coalesce(protocol, ''), decoder, coalesce(import_id, 0)
);
CREATE TABLE detections (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    {_WHEN_AND_WHERE},
    run INTEGER,
    tag INTEGER NOT NULL,
    integrity INTEGER NOT NULL,
    id_legal INTEGER,
    rssi_dbm NUMERIC,
    snr_db NUMERIC,
    noise_dbm NUMERIC,
    frequency_offset_hz NUMERIC,
    relay INTEGER,
    relay_rssi_dbm NUMERIC,
    recorded_at_ns INTEGER,
    collection TEXT,
    measurements TEXT,
    payload BLOB,
    raw BLOB
);
CREATE TABLE pulses (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    {_WHEN_AND_WHERE},
    frequency_offset_hz NUMERIC NOT NULL,
    signal_db NUMERIC NOT NULL,
    noise_db NUMERIC,
    snr_db NUMERIC,
    width_us INTEGER,
    raw BLOB
);
CREATE TABLE gps_fixes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    {_WHEN_AND_WHERE},
    latitude REAL,
    longitude REAL,
    altitude_m NUMERIC,
    accuracy_m NUMERIC,
    fix_mode INTEGER,
    satellites INTEGER,
    gps_ns INTEGER,
    relay INTEGER,
    measurements TEXT,
    raw BLOB
);
CREATE TABLE relay_health (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    {_WHEN_AND_WHERE},
    relay INTEGER NOT NULL,
    relay_rssi_dbm NUMERIC,
    sent_at_ns INTEGER,
    fix_at_ns INTEGER,
    latitude REAL,
    longitude REAL,
    firmware TEXT,
    battery_v NUMERIC,
    solar_v NUMERIC,
    solar_ma NUMERIC,
    temperature_c NUMERIC,
    measurements TEXT,
    raw BLOB
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    {_WHEN_AND_WHERE},
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    raw BLOB
);
CREATE TABLE unknown_frames (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    {_WHEN_AND_WHERE},
    reason TEXT NOT NULL,
    raw BLOB NOT NULL
);
CREATE TABLE clock_samples (
    id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,
    mono_ns INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    clock INTEGER NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE activity (
    hour_utc_s INTEGER NOT NULL,
    session TEXT NOT NULL,
    link TEXT NOT NULL,
    antenna TEXT NOT NULL,
    listening_s NUMERIC NOT NULL,
    frames INTEGER NOT NULL,
    detections INTEGER NOT NULL,
    pulses INTEGER NOT NULL,
    noise_dbm NUMERIC,
    rejects TEXT,
    PRIMARY KEY (hour_utc_s, session, link, antenna)
) WITHOUT ROWID;
CREATE TABLE imports (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    folder TEXT NOT NULL,
    kind TEXT NOT NULL,
    head TEXT,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    tail BLOB,
    complete INTEGER NOT NULL,
    imported_utc_ns INTEGER NOT NULL
);
CREATE INDEX imports_by_name ON imports (name, folder);
CREATE INDEX imports_by_head ON imports (head);
CREATE TABLE import_rows (
    import_id INTEGER NOT NULL REFERENCES imports (id),
    kept_in TEXT NOT NULL,
    first_id INTEGER NOT NULL,
    last_id INTEGER NOT NULL
);
CREATE INDEX import_rows_by_import ON import_rows (import_id);
CREATE VIEW boot_clocks AS
    SELECT boot, mono_ns, utc_ns FROM clock_samples AS sample
    WHERE id = (
        SELECT min(id) FROM clock_samples WHERE boot = sample.boot AND clock IN {_GOOD_CLOCKS}
    );
"""

_RETENTION_TABLES = """
CREATE TABLE sink_marks (
    sink TEXT PRIMARY KEY,
    acknowledged_seq INTEGER NOT NULL,
    updated_utc_ns INTEGER
);
CREATE TABLE rows_pruned (
    kept_in TEXT PRIMARY KEY,
    acknowledged INTEGER NOT NULL,
    unacknowledged INTEGER NOT NULL
);
"""

_OUTBOX_TABLES = """
CREATE TABLE sink_marks_beside (
    sink TEXT NOT NULL,
    kept_in TEXT NOT NULL,
    acknowledged_id INTEGER NOT NULL,
    PRIMARY KEY (sink, kept_in)
) WITHOUT ROWID;
CREATE TABLE sink_states (
    sink TEXT PRIMARY KEY,
    paused INTEGER NOT NULL,
    day INTEGER,
    bytes_on_day INTEGER NOT NULL
);
CREATE TABLE rows_refused (
    sink TEXT NOT NULL,
    kept_in TEXT NOT NULL,
    id INTEGER NOT NULL,
    reason TEXT NOT NULL,
    refused_utc_ns INTEGER NOT NULL,
    PRIMARY KEY (sink, kept_in, id)
) WITHOUT ROWID;
ALTER TABLE activity ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
UPDATE activity SET revision = numbered.place FROM (
    SELECT hour_utc_s, session, link, antenna,
        row_number() OVER (ORDER BY hour_utc_s, session, link, antenna) AS place FROM activity
) AS numbered WHERE (activity.hour_utc_s, activity.session, activity.link, activity.antenna)
    = (numbered.hour_utc_s, numbered.session, numbered.link, numbered.antenna);
CREATE UNIQUE INDEX activity_by_revision ON activity (revision);
"""

_TAG = "LEFT JOIN texts AS tag ON tag.id = row.tag"
_RELAY = "LEFT JOIN texts AS relay ON relay.id = row.relay"
_READABLE_COLUMNS = {
    "detections": (
        """row.seq AS seq, row.run AS run, tag.text AS tag_id,
    CASE row.integrity WHEN 0 THEN 'verified' WHEN 1 THEN 'repaired'
        WHEN 2 THEN 'unverified' ELSE 'failed' END AS integrity,
    row.id_legal AS id_legal, row.rssi_dbm AS rssi_dbm, row.snr_db AS snr_db,
    row.noise_dbm AS noise_dbm, row.frequency_offset_hz AS frequency_offset_hz,
    relay.text AS relay_id, row.relay_rssi_dbm AS relay_rssi_dbm,
    row.recorded_at_ns AS recorded_at_ns, row.collection AS collection,
    row.measurements AS measurements, row.payload AS payload, row.raw AS raw""",
        f"{_TAG} {_RELAY}",
    ),
    "pulses": (
        """row.id AS id, row.frequency_offset_hz AS frequency_offset_hz,
    row.signal_db AS signal_db, row.noise_db AS noise_db, row.snr_db AS snr_db,
    row.width_us AS width_us, row.raw AS raw""",
        "",
    ),
    "gps_fixes": (
        """row.id AS id, row.latitude AS latitude, row.longitude AS longitude,
    row.altitude_m AS altitude_m, row.accuracy_m AS accuracy_m, row.fix_mode AS fix_mode,
    row.satellites AS satellites, row.gps_ns AS gps_ns, relay.text AS relay_id,
    row.measurements AS measurements, row.raw AS raw""",
        _RELAY,
    ),
    "relay_health": (
        """row.id AS id, relay.text AS relay_id, row.relay_rssi_dbm AS relay_rssi_dbm,
    row.sent_at_ns AS sent_at_ns, row.fix_at_ns AS fix_at_ns, row.latitude AS latitude,
    row.longitude AS longitude, row.firmware AS firmware, row.battery_v AS battery_v,
    row.solar_v AS solar_v, row.solar_ma AS solar_ma, row.temperature_c AS temperature_c,
    row.measurements AS measurements, row.raw AS raw""",
        _RELAY,
    ),
    "events": ("row.id AS id, row.kind AS kind, row.body AS body, row.raw AS raw", ""),
    "unknown_frames": ("row.id AS id, row.reason AS reason, row.raw AS raw", ""),
}

migrations = Migrations("stopover")


@migrations()
def m001_first(db: "Database") -> None:
    """Lay out the first version."""
    _execute_each(db, _FIRST_TABLES)
    for table, (columns, joins) in _READABLE_COLUMNS.items():
        _execute_each(db, _readable(table, columns, joins))


@migrations()
def m002_retention(db: "Database") -> None:
    """Note what far ends acknowledged, and what was deleted."""
    _execute_each(db, _RETENTION_TABLES)


@migrations()
def m003_corrected_times(db: "Database") -> None:
    """Correct times between good clock samples, and quickly."""
    migration_corrected_times.m003(db, _READABLE_COLUMNS, _qualities(), _execute_each)


@migrations()
def m004_outbox(db: "Database") -> None:
    """Note what far ends have of the other tables and what they refuse; number `activity`.

    Rows of `activity` are replaced while their hour lasts: `revision` grows with each change, so a
    sink sends what changed since it last looked.
    """
    _execute_each(db, _OUTBOX_TABLES)


@migrations()
def m005_runs(db: "Database") -> None:
    """Note runs, and which detections belong to each."""
    migration_runs.m005(db, _READABLE_COLUMNS, _qualities(), _execute_each)


@migrations()
def m006_redecoded(db: "Database") -> None:
    """Note what newer decoders make of kept raw bytes."""
    migration_redecoded.m006(db)


VERSIONS = frozenset(each.name for each in migrations._migrations)  # noqa: SLF001  It has no other list.
"""Names of the migrations: a store has all of them when this version of the program wrote it."""


def _execute_each(db: "Database", statements: str) -> None:
    """Run statements one by one: `executescript` would end the migration's transaction."""
    for statement in statements.split(";\n"):
        if statement.strip():
            db.execute(statement)


def _qualities() -> str:
    """Return the WHEN clauses that spell out a row's clock quality."""
    return " ".join(f"WHEN {code} THEN '{quality}'" for code, quality in enumerate(CLOCK_QUALITIES))


def _readable(table: str, columns: str, joins: str) -> str:
    """Return the view of `table` with names, units and corrected time.

    A row that was stamped before its boot's clock was right takes its time from the first good
    sample of that boot; its `time_quality` is then `corrected`.
    """
    corrected = f"row.clock = {_UNSYNCHRONISED} AND boot_clock.utc_ns IS NOT NULL"
    qualities = _qualities()
    return f"""
CREATE VIEW readable_{table} AS SELECT {columns},
    CASE WHEN {corrected} THEN boot_clock.utc_ns + row.mono_ns - boot_clock.mono_ns
        ELSE row.utc_ns END AS time_ns,
    CASE WHEN {corrected} THEN 'corrected' ELSE CASE row.clock {qualities} END END AS time_quality,
    row.utc_ns AS time_stamped_ns, boot.text AS boot, row.mono_ns AS mono_ns,
    source.link AS link, source.antenna AS antenna, source.protocol AS protocol,
    source.decoder AS decoder, source.import_id AS import_id
FROM {table} AS row JOIN sources AS source ON source.id = row.source
    LEFT JOIN texts AS boot ON boot.id = row.boot
    LEFT JOIN boot_clocks AS boot_clock ON boot_clock.boot = row.boot
    {joins};
"""
