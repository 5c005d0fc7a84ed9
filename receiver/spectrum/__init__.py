"""Which radio allocations apply at a place, what listens in them, and how full they are."""
