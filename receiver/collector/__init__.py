"""The far end: batches from many stations into PostgreSQL or SQLite."""
