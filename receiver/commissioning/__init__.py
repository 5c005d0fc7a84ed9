"""Putting a station into service, step by step, from the command line or from the page."""
