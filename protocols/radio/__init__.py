"""I/Q samples in, packets and pulses out: what a software radio hears. Pure; needs numpy.

This package alone of `protocols` imports numpy, the extra `stopover[sdr]`; import its modules
where samples are at hand, never from the registry.
"""
