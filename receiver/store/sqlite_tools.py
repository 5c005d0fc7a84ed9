"""sqlite-utils as the store uses it: without numpy.

sqlite-utils imports numpy where it finds it, for types of columns that we never have. On a station
with software radios, whose decoding needs numpy in a process of its own, that would be 11 MB of the
daemon's 60.
"""

import sys

_NUMPY = "numpy"

if _NUMPY in sys.modules:
    from sqlite_utils import Database as Database  # noqa: PLC0414  This module's interface.
    from sqlite_utils.migrations import Migrations as Migrations  # noqa: PLC0414  Same.
else:
    # An import of what stands as None fails, as where it is not installed.
    sys.modules[_NUMPY] = None  # type: ignore[assignment]  # Python's own way to say so.
    try:
        from sqlite_utils import Database as Database  # noqa: PLC0414  Same.
        from sqlite_utils.migrations import Migrations as Migrations  # noqa: PLC0414  Same.
    finally:
        del sys.modules[_NUMPY]
