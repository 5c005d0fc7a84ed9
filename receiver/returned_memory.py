"""Memory that the program has freed and the C library still holds: given back to the computer.

glibc keeps what was freed for the next time it is wanted, in each of the arenas that its threads
have; after a download or a week of plots that may be never.
"""

import ctypes
from typing import Final

_libc: Final = ctypes.CDLL(None)


def give_back() -> None:
    """Give it back: some milliseconds, to be spent in a thread. Other C libraries keep it."""
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)
