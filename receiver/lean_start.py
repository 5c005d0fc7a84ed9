"""Starting the daemon without what its libraries would load and it never uses.

sqlite-utils imports numpy where it finds it, for types of columns that we do not have, and
structlog imports rich, for tracebacks in colour: 11 and 4 MB of the 60 that the daemon may take.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Final

UNUSED: Final = ("numpy", "rich")


@contextlib.contextmanager
def without(*modules: str) -> Iterator[None]:
    """Let imports of these modules fail, as where they are not installed; later ones succeed."""
    hidden = [module for module in modules if module not in sys.modules]
    for module in hidden:
        sys.modules[module] = None  # type: ignore[assignment]  # Python's own way to say so.
    try:
        yield
    finally:
        for module in hidden:
            del sys.modules[module]
