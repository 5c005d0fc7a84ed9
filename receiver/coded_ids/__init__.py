"""Coded-ID tags on the station: pulses in, live or imported, detections and runs out."""
