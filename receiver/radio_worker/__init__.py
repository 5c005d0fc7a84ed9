"""The process of its own in which the samples of a software radio become packets and pulses.

Only what runs in that process may import numpy; the daemon imports `messages` and nothing else.
"""
