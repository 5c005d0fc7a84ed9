BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'stopover','m001_first','2026-01-01');
INSERT INTO "_sqlite_migrations" VALUES(2,'stopover','m002_retention','2026-01-01');
INSERT INTO "_sqlite_migrations" VALUES(3,'stopover','m003_corrected_times','2026-01-01');
INSERT INTO "_sqlite_migrations" VALUES(4,'stopover','m004_outbox','2026-01-01');
INSERT INTO "_sqlite_migrations" VALUES(5,'stopover','m005_runs','2026-01-01');
INSERT INTO "_sqlite_migrations" VALUES(6,'stopover','m006_redecoded','2026-01-01');
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
    rejects TEXT, revision INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (hour_utc_s, session, link, antenna)
) WITHOUT ROWID;
INSERT INTO "activity" VALUES(1767225600,'a','ch1','north',900,10,2,1,-101,'{"crc":1}',1);
CREATE TABLE clock_samples (
    id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,
    mono_ns INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    clock INTEGER NOT NULL,
    reason TEXT NOT NULL
);
INSERT INTO "clock_samples" VALUES(1,2,9000000000,1801785604000000000,2,'step');
CREATE TABLE detection_runs (seq INTEGER PRIMARY KEY, run INTEGER NOT NULL);
CREATE TABLE detections (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    
    source INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    mono_ns INTEGER,
    boot INTEGER,
    clock INTEGER NOT NULL
,
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
INSERT INTO "detections" VALUES(1,1,1767225601000000000,6000000000,2,3,NULL,1,0,1,-75,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,X'373836363463333330342C2D3735');
INSERT INTO "detections" VALUES(3,1,1767225602000000000,7000000000,2,2,NULL,3,1,1,-80,NULL,NULL,NULL,4,-61,1767225599000000000,'17,3,0','{"battery_v":3.9}',X'0102',X'78');
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    
    source INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    mono_ns INTEGER,
    boot INTEGER,
    clock INTEGER NOT NULL
,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    raw BLOB
);
INSERT INTO "events" VALUES(1,2,1767225606000000000,11000000000,2,2,'RadioInfo','{"firmware":"4.0.0"}',X'7B7D');
CREATE TABLE gps_fixes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    
    source INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    mono_ns INTEGER,
    boot INTEGER,
    clock INTEGER NOT NULL
,
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
INSERT INTO "gps_fixes" VALUES(1,2,1767225604000000000,9000000000,2,2,44.3,-66.1,21.6,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE import_rows (
    import_id INTEGER NOT NULL REFERENCES imports (id),
    kept_in TEXT NOT NULL,
    first_id INTEGER NOT NULL,
    last_id INTEGER NOT NULL
);
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
CREATE TABLE pulses (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    
    source INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    mono_ns INTEGER,
    boot INTEGER,
    clock INTEGER NOT NULL
,
    frequency_offset_hz NUMERIC NOT NULL,
    signal_db NUMERIC NOT NULL,
    noise_db NUMERIC,
    snr_db NUMERIC,
    width_us INTEGER,
    raw BLOB
);
INSERT INTO "pulses" VALUES(1,2,1767225603000000000,8000000000,2,2,2637,-38.87,-53.6,NULL,NULL,X'7033');
CREATE TABLE redecoded (
    kept_in TEXT NOT NULL,
    id INTEGER NOT NULL,
    decoder TEXT NOT NULL,
    read_utc_ns INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    PRIMARY KEY (kept_in, id, decoder)
) WITHOUT ROWID;
INSERT INTO "redecoded" VALUES('unknown_frames',1,'ctt/2',1767225600000000000,'{"ignored":"empty"}');
CREATE TABLE relay_health (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    
    source INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    mono_ns INTEGER,
    boot INTEGER,
    clock INTEGER NOT NULL
,
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
INSERT INTO "relay_health" VALUES(1,2,1767225605000000000,10000000000,2,2,5,NULL,NULL,NULL,NULL,NULL,NULL,3.98,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE rows_pruned (
    kept_in TEXT PRIMARY KEY,
    acknowledged INTEGER NOT NULL,
    unacknowledged INTEGER NOT NULL
);
CREATE TABLE rows_refused (
    sink TEXT NOT NULL,
    kept_in TEXT NOT NULL,
    id INTEGER NOT NULL,
    reason TEXT NOT NULL,
    refused_utc_ns INTEGER NOT NULL,
    PRIMARY KEY (sink, kept_in, id)
) WITHOUT ROWID;
CREATE TABLE run_index (indexed_seq INTEGER NOT NULL);
INSERT INTO "run_index" VALUES(0);
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
CREATE TABLE sink_marks (
    sink TEXT PRIMARY KEY,
    acknowledged_seq INTEGER NOT NULL,
    updated_utc_ns INTEGER
);
INSERT INTO "sink_marks" VALUES('motus',1,1767225600000000000);
CREATE TABLE sink_marks_beside (
    sink TEXT NOT NULL,
    kept_in TEXT NOT NULL,
    acknowledged_id INTEGER NOT NULL,
    PRIMARY KEY (sink, kept_in)
) WITHOUT ROWID;
INSERT INTO "sink_marks_beside" VALUES('motus','pulses',1);
CREATE TABLE sink_states (
    sink TEXT PRIMARY KEY,
    paused INTEGER NOT NULL,
    day INTEGER,
    bytes_on_day INTEGER NOT NULL
);
INSERT INTO "sink_states" VALUES('motus',0,3,5);
CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    link TEXT NOT NULL,
    antenna TEXT,
    protocol TEXT,
    decoder TEXT NOT NULL,
    import_id INTEGER
);
INSERT INTO "sources" VALUES(1,'ch1','north','ctt-434','ctt/1',NULL);
INSERT INTO "sources" VALUES(2,'ch1','north',NULL,'ctt/1',NULL);
CREATE TABLE station (
    store_uuid TEXT NOT NULL,
    station_id TEXT NOT NULL,
    created_utc_ns INTEGER NOT NULL
);
INSERT INTO "station" VALUES('5d0f3a9e-7a86-4a55-9f0e-0f0a3c1d2b4e','marsh',1767225600000000000);
CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
INSERT INTO "texts" VALUES(1,'78664C33');
INSERT INTO "texts" VALUES(2,'boot-a');
INSERT INTO "texts" VALUES(3,'61337F34');
INSERT INTO "texts" VALUES(4,'3796F5');
INSERT INTO "texts" VALUES(5,'377');
CREATE TABLE unknown_frames (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    
    source INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    mono_ns INTEGER,
    boot INTEGER,
    clock INTEGER NOT NULL
,
    reason TEXT NOT NULL,
    raw BLOB NOT NULL
);
INSERT INTO "unknown_frames" VALUES(1,2,1767225607000000000,12000000000,2,2,'crc',X'00FF');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE UNIQUE INDEX sources_once ON sources (
    link, coalesce(antenna, char(0)), coalesce(protocol, ''), decoder, coalesce(import_id, 0)
);
CREATE INDEX imports_by_name ON imports (name, folder);
CREATE INDEX imports_by_head ON imports (head);
CREATE INDEX import_rows_by_import ON import_rows (import_id);
CREATE INDEX good_clock_samples ON clock_samples (boot, mono_ns, utc_ns) WHERE clock IN (0, 1, 2);
CREATE VIEW readable_pulses AS SELECT row.id AS id, row.frequency_offset_hz AS frequency_offset_hz,
    row.signal_db AS signal_db, row.noise_db AS noise_db, row.snr_db AS snr_db,
    row.width_us AS width_us, row.raw AS raw,
    CASE
        WHEN earlier.id IS NULL AND later.id IS NULL THEN row.utc_ns
        WHEN later.id IS NULL THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns)
        WHEN earlier.id IS NULL THEN later.utc_ns + row.mono_ns - later.mono_ns
        WHEN abs(((later.utc_ns - earlier.utc_ns) - (later.mono_ns - earlier.mono_ns))) <= (later.mono_ns - earlier.mono_ns) * 0.0005 + 1000000000
            THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns) + CAST(1.0 * ((later.utc_ns - earlier.utc_ns) - (later.mono_ns - earlier.mono_ns)) * (row.mono_ns - earlier.mono_ns) / (later.mono_ns - earlier.mono_ns) AS INTEGER)
        WHEN 2 * (row.mono_ns - earlier.mono_ns) <= (later.mono_ns - earlier.mono_ns) THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns)
        ELSE later.utc_ns + row.mono_ns - later.mono_ns
    END AS time_ns,
    CASE WHEN earlier.id IS NULL AND later.id IS NULL THEN CASE row.clock WHEN 0 THEN 'pps' WHEN 1 THEN 'gps' WHEN 2 THEN 'ntp' WHEN 3 THEN 'unsynchronised' WHEN 4 THEN 'file' WHEN 5 THEN 'implausible' END
        ELSE 'corrected' END AS time_quality,
    row.utc_ns AS time_stamped_ns, boot.text AS boot, row.mono_ns AS mono_ns,
    source.link AS link, source.antenna AS antenna, source.protocol AS protocol,
    source.decoder AS decoder, source.import_id AS import_id
FROM pulses AS row JOIN sources AS source ON source.id = row.source
    LEFT JOIN texts AS boot ON boot.id = row.boot
    LEFT JOIN clock_samples AS earlier ON earlier.id = CASE WHEN row.clock IN (3, 5) THEN (
        SELECT id FROM clock_samples
        WHERE boot = row.boot AND mono_ns <= row.mono_ns AND clock IN (0, 1, 2)
        ORDER BY mono_ns DESC LIMIT 1) END
    LEFT JOIN clock_samples AS later ON later.id = CASE WHEN row.clock IN (3, 5) THEN (
        SELECT id FROM clock_samples
        WHERE boot = row.boot AND mono_ns > row.mono_ns AND clock IN (0, 1, 2)
        ORDER BY mono_ns ASC LIMIT 1) END;
CREATE VIEW readable_gps_fixes AS SELECT row.id AS id, row.latitude AS latitude, row.longitude AS longitude,
    row.altitude_m AS altitude_m, row.accuracy_m AS accuracy_m, row.fix_mode AS fix_mode,
    row.satellites AS satellites, row.gps_ns AS gps_ns, relay.text AS relay_id,
    row.measurements AS measurements, row.raw AS raw,
    CASE
        WHEN earlier.id IS NULL AND later.id IS NULL THEN row.utc_ns
        WHEN later.id IS NULL THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns)
        WHEN earlier.id IS NULL THEN later.utc_ns + row.mono_ns - later.mono_ns
        WHEN abs(((later.utc_ns - earlier.utc_ns) - (later.mono_ns - earlier.mono_ns))) <= (later.mono_ns - earlier.mono_ns) * 0.0005 + 1000000000
            THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns) + CAST(1.0 * ((later.utc_ns - earlier.utc_ns) - (later.mono_ns - earlier.mono_ns)) * (row.mono_ns - earlier.mono_ns) / (later.mono_ns - earlier.mono_ns) AS INTEGER)
        WHEN 2 * (row.mono_ns - earlier.mono_ns) <= (later.mono_ns - earlier.mono_ns) THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns)
        ELSE later.utc_ns + row.mono_ns - later.mono_ns
    END AS time_ns,
    CASE WHEN earlier.id IS NULL AND later.id IS NULL THEN CASE row.clock WHEN 0 THEN 'pps' WHEN 1 THEN 'gps' WHEN 2 THEN 'ntp' WHEN 3 THEN 'unsynchronised' WHEN 4 THEN 'file' WHEN 5 THEN 'implausible' END
        ELSE 'corrected' END AS time_quality,
    row.utc_ns AS time_stamped_ns, boot.text AS boot, row.mono_ns AS mono_ns,
    source.link AS link, source.antenna AS antenna, source.protocol AS protocol,
    source.decoder AS decoder, source.import_id AS import_id
FROM gps_fixes AS row JOIN sources AS source ON source.id = row.source
    LEFT JOIN texts AS boot ON boot.id = row.boot
    LEFT JOIN clock_samples AS earlier ON earlier.id = CASE WHEN row.clock IN (3, 5) THEN (
        SELECT id FROM clock_samples
        WHERE boot = row.boot AND mono_ns <= row.mono_ns AND clock IN (0, 1, 2)
        ORDER BY mono_ns DESC LIMIT 1) END
    LEFT JOIN clock_samples AS later ON later.id = CASE WHEN row.clock IN (3, 5) THEN (
        SELECT id FROM clock_samples
        WHERE boot = row.boot AND mono_ns > row.mono_ns AND clock IN (0, 1, 2)
        ORDER BY mono_ns ASC LIMIT 1) END
    LEFT JOIN texts AS relay ON relay.id = row.relay;
CREATE VIEW readable_relay_health AS SELECT row.id AS id, relay.text AS relay_id, row.relay_rssi_dbm AS relay_rssi_dbm,
    row.sent_at_ns AS sent_at_ns, row.fix_at_ns AS fix_at_ns, row.latitude AS latitude,
    row.longitude AS longitude, row.firmware AS firmware, row.battery_v AS battery_v,
    row.solar_v AS solar_v, row.solar_ma AS solar_ma, row.temperature_c AS temperature_c,
    row.measurements AS measurements, row.raw AS raw,
    CASE
        WHEN earlier.id IS NULL AND later.id IS NULL THEN row.utc_ns
        WHEN later.id IS NULL THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns)
        WHEN earlier.id IS NULL THEN later.utc_ns + row.mono_ns - later.mono_ns
        WHEN abs(((later.utc_ns - earlier.utc_ns) - (later.mono_ns - earlier.mono_ns))) <= (later.mono_ns - earlier.mono_ns) * 0.0005 + 1000000000
            THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns) + CAST(1.0 * ((later.utc_ns - earlier.utc_ns) - (later.mono_ns - earlier.mono_ns)) * (row.mono_ns - earlier.mono_ns) / (later.mono_ns - earlier.mono_ns) AS INTEGER)
        WHEN 2 * (row.mono_ns - earlier.mono_ns) <= (later.mono_ns - earlier.mono_ns) THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns)
        ELSE later.utc_ns + row.mono_ns - later.mono_ns
    END AS time_ns,
    CASE WHEN earlier.id IS NULL AND later.id IS NULL THEN CASE row.clock WHEN 0 THEN 'pps' WHEN 1 THEN 'gps' WHEN 2 THEN 'ntp' WHEN 3 THEN 'unsynchronised' WHEN 4 THEN 'file' WHEN 5 THEN 'implausible' END
        ELSE 'corrected' END AS time_quality,
    row.utc_ns AS time_stamped_ns, boot.text AS boot, row.mono_ns AS mono_ns,
    source.link AS link, source.antenna AS antenna, source.protocol AS protocol,
    source.decoder AS decoder, source.import_id AS import_id
FROM relay_health AS row JOIN sources AS source ON source.id = row.source
    LEFT JOIN texts AS boot ON boot.id = row.boot
    LEFT JOIN clock_samples AS earlier ON earlier.id = CASE WHEN row.clock IN (3, 5) THEN (
        SELECT id FROM clock_samples
        WHERE boot = row.boot AND mono_ns <= row.mono_ns AND clock IN (0, 1, 2)
        ORDER BY mono_ns DESC LIMIT 1) END
    LEFT JOIN clock_samples AS later ON later.id = CASE WHEN row.clock IN (3, 5) THEN (
        SELECT id FROM clock_samples
        WHERE boot = row.boot AND mono_ns > row.mono_ns AND clock IN (0, 1, 2)
        ORDER BY mono_ns ASC LIMIT 1) END
    LEFT JOIN texts AS relay ON relay.id = row.relay;
CREATE VIEW readable_events AS SELECT row.id AS id, row.kind AS kind, row.body AS body, row.raw AS raw,
    CASE
        WHEN earlier.id IS NULL AND later.id IS NULL THEN row.utc_ns
        WHEN later.id IS NULL THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns)
        WHEN earlier.id IS NULL THEN later.utc_ns + row.mono_ns - later.mono_ns
        WHEN abs(((later.utc_ns - earlier.utc_ns) - (later.mono_ns - earlier.mono_ns))) <= (later.mono_ns - earlier.mono_ns) * 0.0005 + 1000000000
            THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns) + CAST(1.0 * ((later.utc_ns - earlier.utc_ns) - (later.mono_ns - earlier.mono_ns)) * (row.mono_ns - earlier.mono_ns) / (later.mono_ns - earlier.mono_ns) AS INTEGER)
        WHEN 2 * (row.mono_ns - earlier.mono_ns) <= (later.mono_ns - earlier.mono_ns) THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns)
        ELSE later.utc_ns + row.mono_ns - later.mono_ns
    END AS time_ns,
    CASE WHEN earlier.id IS NULL AND later.id IS NULL THEN CASE row.clock WHEN 0 THEN 'pps' WHEN 1 THEN 'gps' WHEN 2 THEN 'ntp' WHEN 3 THEN 'unsynchronised' WHEN 4 THEN 'file' WHEN 5 THEN 'implausible' END
        ELSE 'corrected' END AS time_quality,
    row.utc_ns AS time_stamped_ns, boot.text AS boot, row.mono_ns AS mono_ns,
    source.link AS link, source.antenna AS antenna, source.protocol AS protocol,
    source.decoder AS decoder, source.import_id AS import_id
FROM events AS row JOIN sources AS source ON source.id = row.source
    LEFT JOIN texts AS boot ON boot.id = row.boot
    LEFT JOIN clock_samples AS earlier ON earlier.id = CASE WHEN row.clock IN (3, 5) THEN (
        SELECT id FROM clock_samples
        WHERE boot = row.boot AND mono_ns <= row.mono_ns AND clock IN (0, 1, 2)
        ORDER BY mono_ns DESC LIMIT 1) END
    LEFT JOIN clock_samples AS later ON later.id = CASE WHEN row.clock IN (3, 5) THEN (
        SELECT id FROM clock_samples
        WHERE boot = row.boot AND mono_ns > row.mono_ns AND clock IN (0, 1, 2)
        ORDER BY mono_ns ASC LIMIT 1) END;
CREATE VIEW readable_unknown_frames AS SELECT row.id AS id, row.reason AS reason, row.raw AS raw,
    CASE
        WHEN earlier.id IS NULL AND later.id IS NULL THEN row.utc_ns
        WHEN later.id IS NULL THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns)
        WHEN earlier.id IS NULL THEN later.utc_ns + row.mono_ns - later.mono_ns
        WHEN abs(((later.utc_ns - earlier.utc_ns) - (later.mono_ns - earlier.mono_ns))) <= (later.mono_ns - earlier.mono_ns) * 0.0005 + 1000000000
            THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns) + CAST(1.0 * ((later.utc_ns - earlier.utc_ns) - (later.mono_ns - earlier.mono_ns)) * (row.mono_ns - earlier.mono_ns) / (later.mono_ns - earlier.mono_ns) AS INTEGER)
        WHEN 2 * (row.mono_ns - earlier.mono_ns) <= (later.mono_ns - earlier.mono_ns) THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns)
        ELSE later.utc_ns + row.mono_ns - later.mono_ns
    END AS time_ns,
    CASE WHEN earlier.id IS NULL AND later.id IS NULL THEN CASE row.clock WHEN 0 THEN 'pps' WHEN 1 THEN 'gps' WHEN 2 THEN 'ntp' WHEN 3 THEN 'unsynchronised' WHEN 4 THEN 'file' WHEN 5 THEN 'implausible' END
        ELSE 'corrected' END AS time_quality,
    row.utc_ns AS time_stamped_ns, boot.text AS boot, row.mono_ns AS mono_ns,
    source.link AS link, source.antenna AS antenna, source.protocol AS protocol,
    source.decoder AS decoder, source.import_id AS import_id
FROM unknown_frames AS row JOIN sources AS source ON source.id = row.source
    LEFT JOIN texts AS boot ON boot.id = row.boot
    LEFT JOIN clock_samples AS earlier ON earlier.id = CASE WHEN row.clock IN (3, 5) THEN (
        SELECT id FROM clock_samples
        WHERE boot = row.boot AND mono_ns <= row.mono_ns AND clock IN (0, 1, 2)
        ORDER BY mono_ns DESC LIMIT 1) END
    LEFT JOIN clock_samples AS later ON later.id = CASE WHEN row.clock IN (3, 5) THEN (
        SELECT id FROM clock_samples
        WHERE boot = row.boot AND mono_ns > row.mono_ns AND clock IN (0, 1, 2)
        ORDER BY mono_ns ASC LIMIT 1) END;
CREATE UNIQUE INDEX activity_by_revision ON activity (revision);
CREATE VIEW readable_detections AS SELECT row.seq AS seq, coalesce(row.run, member.run) AS run, tag_run.confidence AS run_confidence,
    tag_run.reason AS confidence_reason, tag.text AS tag_id,
    CASE row.integrity WHEN 0 THEN 'verified' WHEN 1 THEN 'repaired'
        WHEN 2 THEN 'unverified' ELSE 'failed' END AS integrity,
    row.id_legal AS id_legal, row.rssi_dbm AS rssi_dbm, row.snr_db AS snr_db,
    row.noise_dbm AS noise_dbm, row.frequency_offset_hz AS frequency_offset_hz,
    relay.text AS relay_id, row.relay_rssi_dbm AS relay_rssi_dbm,
    row.recorded_at_ns AS recorded_at_ns, row.collection AS collection,
    row.measurements AS measurements, row.payload AS payload, row.raw AS raw,
    CASE
        WHEN earlier.id IS NULL AND later.id IS NULL THEN row.utc_ns
        WHEN later.id IS NULL THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns)
        WHEN earlier.id IS NULL THEN later.utc_ns + row.mono_ns - later.mono_ns
        WHEN abs(((later.utc_ns - earlier.utc_ns) - (later.mono_ns - earlier.mono_ns))) <= (later.mono_ns - earlier.mono_ns) * 0.0005 + 1000000000
            THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns) + CAST(1.0 * ((later.utc_ns - earlier.utc_ns) - (later.mono_ns - earlier.mono_ns)) * (row.mono_ns - earlier.mono_ns) / (later.mono_ns - earlier.mono_ns) AS INTEGER)
        WHEN 2 * (row.mono_ns - earlier.mono_ns) <= (later.mono_ns - earlier.mono_ns) THEN earlier.utc_ns + (row.mono_ns - earlier.mono_ns)
        ELSE later.utc_ns + row.mono_ns - later.mono_ns
    END AS time_ns,
    CASE WHEN earlier.id IS NULL AND later.id IS NULL THEN CASE row.clock WHEN 0 THEN 'pps' WHEN 1 THEN 'gps' WHEN 2 THEN 'ntp' WHEN 3 THEN 'unsynchronised' WHEN 4 THEN 'file' WHEN 5 THEN 'implausible' END
        ELSE 'corrected' END AS time_quality,
    row.utc_ns AS time_stamped_ns, boot.text AS boot, row.mono_ns AS mono_ns,
    source.link AS link, source.antenna AS antenna, source.protocol AS protocol,
    source.decoder AS decoder, source.import_id AS import_id
FROM detections AS row JOIN sources AS source ON source.id = row.source
    LEFT JOIN texts AS boot ON boot.id = row.boot
    LEFT JOIN clock_samples AS earlier ON earlier.id = CASE WHEN row.clock IN (3, 5) THEN (
        SELECT id FROM clock_samples
        WHERE boot = row.boot AND mono_ns <= row.mono_ns AND clock IN (0, 1, 2)
        ORDER BY mono_ns DESC LIMIT 1) END
    LEFT JOIN clock_samples AS later ON later.id = CASE WHEN row.clock IN (3, 5) THEN (
        SELECT id FROM clock_samples
        WHERE boot = row.boot AND mono_ns > row.mono_ns AND clock IN (0, 1, 2)
        ORDER BY mono_ns ASC LIMIT 1) END
    LEFT JOIN texts AS tag ON tag.id = row.tag LEFT JOIN texts AS relay ON relay.id = row.relay LEFT JOIN detection_runs AS member ON member.seq = row.seq
    LEFT JOIN runs AS tag_run ON tag_run.id = coalesce(row.run, member.run);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('detections',3);
INSERT INTO "sqlite_sequence" VALUES('pulses',1);
INSERT INTO "sqlite_sequence" VALUES('gps_fixes',1);
INSERT INTO "sqlite_sequence" VALUES('relay_health',1);
INSERT INTO "sqlite_sequence" VALUES('events',1);
INSERT INTO "sqlite_sequence" VALUES('unknown_frames',1);
COMMIT;
