"""Coded-ID VHF tags: pulses to bursts to runs."""
