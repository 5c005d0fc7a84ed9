"""Where commands find the running station: a Unix socket beside its store."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LONGEST_ADDRESS: Final = 107
"""Bytes of a socket's path. Source: unix(7), `sun_path`."""


def socket_beside(store: Path) -> Path:
    """Return where the socket of a store's daemon is."""
    return store.with_name(store.name + ".sock")


@contextlib.contextmanager
def address_of(path: Path) -> Iterator[str]:
    """Give a path as `bind` and `connect` take it: through its folder's descriptor if it is long.

    Raises:
        OSError: there is no such folder.
    """
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
