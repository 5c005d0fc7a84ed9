"""Where detections are kept: one SQLite file in WAL mode, synced at every commit."""
