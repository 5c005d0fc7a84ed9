"""Where data go from the station: batches read from the store, acknowledged by far ends."""
