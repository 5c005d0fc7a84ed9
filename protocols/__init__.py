"""What radios and tags say. Pure: bytes in, records out, and back.

Nothing in this package opens a file, reads a clock, logs or awaits: a decoder gives the same
records for the same bytes on every machine. `receiver` and `simulator` both speak through it.
"""
