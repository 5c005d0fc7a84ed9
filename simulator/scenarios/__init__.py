"""Scenarios that ship, one TOML file each."""
