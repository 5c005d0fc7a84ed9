"""The station's page: what it serves, who may look, who may change, and how commands ask it."""
