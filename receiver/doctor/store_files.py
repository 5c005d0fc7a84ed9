"""The store's files: open to the daemon, also after somebody ran a command as root."""

import os
from collections.abc import Iterator
from typing import Final

from receiver.doctor.findings import Finding
from receiver.doctor.site import Site

_BESIDE: Final = ("", "-wal", "-shm", ".lock", ".reserve", ".plots")
"""Endings of the files that the daemon writes; what else lies there is not its own."""


def store_permission(site: Site) -> Iterator[Finding]:
    """Look whether the daemon may write each file of the store."""
    if site.store is None:
        return
    user = site.identity.user
    files = [site.store.with_name(f"{site.store.name}{ending}") for ending in _BESIDE]
    closed = [
        file for file in files if file.is_file() and not site.identity.may(file, os.R_OK | os.W_OK)
    ]
    if closed:
        named = " ".join(map(str, closed))
        yield Finding(
            check="store-permission",
            severity="fault",
            subject=str(site.store),
            found=f"{user} may not write {', '.join(file.name for file in closed)}",
            do=f"`sudo chown {user}: {named}`; run commands that write to the store as"
            f" `sudo -u {user} stopover …`",
        )
