"""Recorded files of other stations: found out, read, stored once."""
